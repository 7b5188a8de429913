"""Every example in a docstring runs by itself, gives the values in its comments, and no public name lacks one."""

import ast
import inspect
import pathlib
import re

import numpy as np
import pytest

import spanbert_keras

ROOT = pathlib.Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
VALUE = re.compile(r"  # (.+)$")


def blocks_of(docstring):
    """Returns the fenced Python blocks of a docstring without indentation."""
    return BLOCK.findall(docstring)


def examples_in(tree):
    """Yields (name, block) for each example in the docstrings of a parsed file, its classes, methods and functions."""

    def visit(node, name):
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.ClassDef | ast.FunctionDef):
                inside = f"{name}.{child.name}".lstrip(".")
                yield from ((inside, block) for block in blocks_of(ast.get_docstring(child) or ""))
                yield from visit(child, inside)

    yield from (("", block) for block in blocks_of(ast.get_docstring(tree) or ""))
    yield from visit(tree, "")


def run(block):
    """Runs a block in a fresh namespace; where a line is `expression  # literal`, it must have that value."""
    lines, namespace = block.splitlines(), {"__name__": "example"}
    for statement in ast.parse(block).body:
        code = compile(ast.Module([statement], []), "<example>", "exec")
        if not isinstance(statement, ast.Expr):
            exec(code, namespace)
            continue
        found = eval(compile(ast.Expression(statement.value), "<example>", "eval"), namespace)
        comment = VALUE.search(lines[statement.end_lineno - 1])
        try:
            expected = ast.literal_eval(comment[1]) if comment else found
        except (SyntaxError, ValueError):  # a remark, not a value
            continue
        assert is_same(found, expected), f"{ast.unparse(statement)} is {found!r}, not {expected!r}"


def is_same(found, expected):
    if found is expected or type(found) is type(expected) and found == expected:
        return True
    if isinstance(found, str) or isinstance(expected, str):
        return False
    found, expected = np.asarray(found), np.asarray(expected)
    numbers = found.dtype.kind in "biuf" and expected.dtype.kind in "biuf"
    return numbers and found.shape == expected.shape and np.allclose(found, expected, rtol=1e-3)


EXAMPLES = [
    pytest.param(block, id=f"{path.relative_to(ROOT).as_posix()}:{name}")
    for path in sorted((ROOT / "spanbert_keras").rglob("*.py"))
    for name, block in examples_in(ast.parse(path.read_text(encoding="utf-8")))
]


@pytest.mark.parametrize("block", EXAMPLES)
def test_every_example_runs_by_itself(block, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run(block)


@pytest.mark.parametrize("name", spanbert_keras.__all__)
def test_every_public_name_has_an_example(name):
    blocks = blocks_of(inspect.getdoc(getattr(spanbert_keras, name)) or "")
    assert any(name in block for block in blocks), f"{name} has no fenced Python block that uses it"


@pytest.mark.parametrize(
    "block, passes",
    [
        ("x = 1\nx + 1  # 2\n", True),
        ("x = 1\nx + 1  # 3\n", False),
        ("(1, 2)  # (1, 2)\n", True),
        ('"a"  # "b"\n', False),
        ("0.30001  # 0.3\n", True),
        ("[1, 2]  # [1, 2, 3]\n", False),
        ("1  # one\n", True),
    ],
)
def test_the_check_itself_tells_right_from_wrong(block, passes):
    if passes:
        run(block)
    else:
        with pytest.raises(AssertionError, match="not"):
            run(block)


def test_every_example_is_fenced_as_python():
    """A block with another fence, or one that is not closed, would never run."""
    wrong = []
    for path in sorted((ROOT / "spanbert_keras").rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        fences = [line.strip() for line in text.splitlines() if line.strip().startswith("```")]
        if fences != ["```python", "```"] * (len(fences) // 2):
            wrong.append(f"{path.relative_to(ROOT).as_posix()}: {fences}")
    assert wrong == []


def test_blocks_are_found_in_classes_methods_and_functions():
    source = '''
class A:
    """A.

    ```python
    one
    ```
    """

    def b(self):
        """B.

        ```python
        two
        ```

        ```python
        three
        ```
        """
'''
    assert list(examples_in(ast.parse(source))) == [("A", "one\n"), ("A.b", "two\n"), ("A.b", "three\n")]
