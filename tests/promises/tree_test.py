"""The shape of the tree: tests mirror sources file for file, and nothing points outside the repository."""

import pathlib
import re

import pytest

TEXT_SUFFIXES = {".py", ".md", ".toml", ".flags", ".bazel", ".cfg", ".txt", ""}
SKIPPED_FOLDERS = {".git", ".venv", ".build", "dist", "runs", "shards", "__pycache__"}
# A path below a top-level folder of a developer's machine.
ABSOLUTE_PATH = re.compile(r"(?<![\w.:/$}-])/(?:home|root|work|tmp|usr|opt|mnt|media|Users)/\w")
UNFINISHED = re.compile(r"\b(?:TODO|FIXME|XXX|HACK)\b")


def mirror(path):
    """`spanbert_keras/layers/a.py` -> `tests/layers/a_test.py`; `tasks/...`, `benchmarks/...` keep their folder."""
    parts = pathlib.PurePosixPath(path).with_suffix("").parts
    inside = parts[1:] if parts[0] == "spanbert_keras" else parts
    return "tests/" + "/".join(inside) + "_test.py"


def has_code(path):
    return not path.endswith("/__init__.py")


@pytest.fixture(scope="module")
def texts(root):
    """Dict from path to text of every text file of the repository, hidden ones included."""
    found = {}
    for file in sorted(root.rglob("*")):
        relative = file.relative_to(root)
        inside = not SKIPPED_FOLDERS & set(relative.parts) and not any(
            p.endswith(("_cache", ".egg-info")) for p in relative.parts
        )
        if inside and file.is_file() and file.suffix in TEXT_SUFFIXES and not relative.parts[0].startswith("bazel-"):
            found[relative.as_posix()] = file.read_text(encoding="utf-8")
    return found


def test_every_source_file_has_its_test_file(sources, trees):
    assert [path for path in sources if has_code(path) and mirror(path) not in trees] == []


def test_every_test_file_has_its_source_file(sources, trees):
    expected = {mirror(path) for path in sources}
    of_everything = ("tests/promises/", "tests/fuzzing/")
    tests = [path for path in trees if path.endswith("_test.py") and not path.startswith(of_everything)]
    assert [path for path in tests if path not in expected] == []


def test_test_folders_are_not_packages(trees):
    assert [path for path in trees if path.startswith("tests/") and path.endswith("__init__.py")] == []


def test_every_test_file_contains_a_test(trees):
    def names(tree):
        return [node.name for node in tree.body if hasattr(node, "name")]

    tests = [path for path in trees if path.endswith("_test.py")]
    assert [p for p in tests if not any(name.startswith(("test_", "Test")) for name in names(trees[p]))] == []


def test_no_file_names_an_absolute_path(texts):
    found = []
    for path, text in texts.items():
        lines = [line for line in text.splitlines() if not line.startswith("#!")]
        hits = [line for line in lines if ABSOLUTE_PATH.search(line)]
        found += [f"{path}: {line.strip()}" for line in hits]
    assert [line for line in found if not line.startswith("tests/promises/tree_test.py")] == []


def test_nothing_is_left_unfinished(texts):
    found = {path: UNFINISHED.findall(text) for path, text in texts.items() if path != "tests/promises/tree_test.py"}
    assert {path: words for path, words in found.items() if words} == {}


@pytest.mark.parametrize(
    "name",
    ["README.md", "LICENSE", "CHANGELOG.md", "CONTRIBUTING.md", "BUILD", "setup.py", ".ci/run", "docs/results.md"],
)
def test_the_files_that_a_reader_looks_for_exist(root, name):
    assert (root / name).is_file()


@pytest.mark.parametrize(
    "line, is_absolute",
    [
        ('path = "/home/someone/x"', True),
        ("cd /tmp/x", True),
        ("see https://example.org/home/x", False),
        ('"$work/tree"', False),
        ("a/opt/b", False),
        ("a ratio of 3 /tmp", False),
    ],
)
def test_the_path_check_itself_tells_right_from_wrong(line, is_absolute):
    assert bool(ABSOLUTE_PATH.search(line)) is is_absolute
