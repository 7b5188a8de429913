"""Files and functions of readable size: lines, one public class per file, the file named after it."""

import ast
import pathlib
import re

import pytest

MAX_FILE_LINES = 399
MAX_FUNCTION_LINES = 60
MAX_CONSTRUCTOR_LINES = 100  # a functional model's layers, graph and config
RECORD_BASES = {"NamedTuple", "Protocol", "TypedDict", "Enum", "IntEnum", "StrEnum"}


def last_name(node):
    """Returns the last name of a decorator or base: `dataclasses.dataclass(frozen=True)` -> `dataclass`."""
    node = node.func if isinstance(node, ast.Call) else node
    return getattr(node, "attr", getattr(node, "id", ""))


def is_record(node):
    """Returns whether a class only holds values or is an exception; these live beside the code that uses them."""
    decorators = {last_name(decorator) for decorator in node.decorator_list}
    bases = {last_name(base) for base in node.bases}
    is_exception = any(base.endswith(("Error", "Exception", "Interrupt")) for base in bases)
    return "dataclass" in decorators or is_exception or bool(RECORD_BASES & bases)


def is_registered(node):
    return "register_keras_serializable" in {last_name(decorator) for decorator in node.decorator_list}


def public_classes(tree):
    """Returns the public classes of a module that do something."""
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    return [node for node in classes if not node.name.startswith("_") and (is_registered(node) or not is_record(node))]


def snake(name):
    """`MaskedLMHead` -> `masked_lm_head`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


def is_named_after(stem, class_name):
    """`span_masker` for SpanMasker, `encoder` for SpanBertEncoder."""
    return f"_{snake(class_name)}".endswith(f"_{stem}")


def functions(tree):
    """Yields (class name or None, function) for every function, methods included."""
    for node in ast.walk(tree):
        owner = node.name if isinstance(node, ast.ClassDef) else None
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
                yield owner, child


def test_files_stay_below_400_lines(root, trees):
    lengths = {path: len((root / path).read_text(encoding="utf-8").splitlines()) for path in trees}
    assert {path: length for path, length in lengths.items() if length > MAX_FILE_LINES} == {}


def test_functions_stay_within_60_lines(sources):
    long = []
    for path, tree in sources.items():
        for owner, function in functions(tree):
            limit = MAX_CONSTRUCTOR_LINES if owner and function.name == "__init__" else MAX_FUNCTION_LINES
            docstring = ast.get_docstring(function, clean=False) or ""
            length = function.end_lineno - function.lineno + 1 - len(docstring.splitlines())
            if length > limit:
                long.append(f"{path}:{function.lineno} {function.name}: {length} lines without docstring")
    assert long == []


def test_a_file_has_one_public_class(sources):
    named = {path: [node.name for node in public_classes(tree)] for path, tree in sources.items()}
    assert {path: names for path, names in named.items() if len(names) > 1} == {}


def test_a_file_is_named_after_the_class_that_it_registers(sources):
    wrong = [
        f"{path}: {node.name}"
        for path, tree in sources.items()
        for node in public_classes(tree)
        if is_registered(node) and not is_named_after(pathlib.PurePosixPath(path).stem, node.name)
    ]
    assert wrong == []


@pytest.mark.parametrize(
    "stem, name, expected",
    [
        ("masked_lm_head", "MaskedLMHead", True),
        ("encoder", "SpanBertEncoder", True),
        ("coder", "SpanBertEncoder", False),
        ("span_masker", "SpanMasker", True),
        ("heads", "SpanBoundaryHead", False),
    ],
)
def test_the_naming_check_itself_tells_right_from_wrong(stem, name, expected):
    assert is_named_after(stem, name) is expected
