"""Fixtures of the promises: every Python file of the tree, parsed, and what each one imports."""

import ast
import dataclasses
import pathlib

import pytest

FOLDERS = ("spanbert_keras", "tasks", "benchmarks", "tests")
ROOT = pathlib.Path(__file__).resolve().parents[2]


@dataclasses.dataclass(frozen=True)
class Import:
    """One import: its place, the imported module, and whether it runs when the file is imported."""

    path: str
    line: int
    module: str
    at_import: bool

    def __str__(self):
        return f"{self.path}:{self.line} imports {self.module}"


def _is_type_checking(node):
    return isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")


def _absolute(path, node):
    """Returns the absolute name of the module that a `from ... import` reads."""
    if not node.level:
        return node.module
    parts = pathlib.PurePosixPath(path).with_suffix("").parts
    return ".".join([*parts[: len(parts) - node.level], *([node.module] if node.module else [])])


def _is_module(name):
    file = ROOT.joinpath(*name.split("."))
    return file.with_suffix(".py").is_file() or file.is_dir()


def imports_of(path, tree):
    """Yields the `Import`s of one parsed file; `from a import b` reads a.b if that is a module, else a."""

    def visit(node, at_import):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(path, node.lineno, alias.name, at_import)
        elif isinstance(node, ast.ImportFrom):
            base = _absolute(path, node)
            for alias in node.names:
                name = f"{base}.{alias.name}"
                inside = base.split(".")[0] in FOLDERS and not _is_module(name)
                yield Import(path, node.lineno, base if inside else name, at_import)
        else:
            lazy = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) or _is_type_checking(node)
            for child in ast.iter_child_nodes(node):
                yield from visit(child, at_import and not lazy)

    return list(visit(tree, True))


@pytest.fixture(scope="session")
def trees():
    """Dict from path (posix, relative to the root) to parsed file, for library, tasks, benchmarks and tests."""
    files = sorted(file for folder in FOLDERS for file in (ROOT / folder).rglob("*.py"))
    return {file.relative_to(ROOT).as_posix(): ast.parse(file.read_text(encoding="utf-8")) for file in files}


@pytest.fixture(scope="session")
def sources(trees):
    """The files of `trees` without the tests."""
    return {path: tree for path, tree in trees.items() if not path.startswith("tests/")}


@pytest.fixture(scope="session")
def imports(trees):
    """Dict from path to the list of its `Import`s."""
    return {path: imports_of(path, tree) for path, tree in trees.items()}


@pytest.fixture(scope="session")
def parse_imports():
    """The function that reads imports, for tests of the reader itself."""
    return lambda path, text: imports_of(path, ast.parse(text))
