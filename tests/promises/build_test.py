"""BUILD: every source and test file belongs to one target, every dependency exists, every import is a dependency.

BUILD is Starlark, which is close enough to Python that Python evaluates it here; `.ci/bazel_query` asks Bazel itself.
"""

import fnmatch
import graphlib

import pytest

RULES = ("py_library", "py_binary", "py_test")


def expand(root, patterns, exclude=(), allow_empty=False):
    """Returns the files of the tree that match glob patterns, as Bazel's `glob` does; `**` crosses folders."""
    excluded = {file for pattern in exclude for file in expand(root, [pattern], allow_empty=True)}
    found = sorted(
        file.relative_to(root).as_posix()
        for pattern in patterns
        for file in root.glob(f"{pattern}/*" if pattern.endswith("**") else pattern)
        if file.is_file()
    )
    if not found and not allow_empty:
        raise ValueError(f"BUILD: glob({patterns}) matches no file.")
    return [file for file in found if file not in excluded]


def evaluate(text, root):
    """Returns dict from target name to its rule's arguments, with the rule itself under "rule"."""
    targets = {}

    def rule(kind):
        def declare(name, **arguments):
            if name in targets:
                raise ValueError(f"BUILD declares {name!r} twice.")
            targets[name] = {"rule": kind, "srcs": [], "deps": [], "data": [], **arguments}

        return declare

    def glob(include, exclude=(), allow_empty=False):
        return expand(root, include, exclude, allow_empty)

    names = {kind: rule(kind) for kind in (*RULES, "filegroup")}
    ignored = {"load": lambda *args: None, "package": lambda **kwargs: None}
    exec(compile(text, "BUILD", "exec"), {"__builtins__": {}, "glob": glob, "len": len, **names, **ignored})
    return targets


def owners_of(targets):
    """Returns dict from file to the Python targets that list it in `srcs`."""
    owners = {}
    for name, target in targets.items():
        if target["rule"] in RULES or name == "pytest_main":
            for source in target["srcs"]:
                if not source.startswith(":"):
                    owners.setdefault(source, []).append(name)
    return owners


@pytest.fixture(scope="module")
def targets(root):
    return evaluate((root / "BUILD").read_text(encoding="utf-8"), root)


def test_every_file_belongs_to_exactly_one_target(targets, trees):
    owners = owners_of(targets)
    assert {path: owners.get(path, []) for path in trees if len(owners.get(path, [])) != 1} == {}


def test_every_source_of_a_target_exists(targets, root):
    assert [file for file in owners_of(targets) if not (root / file).is_file()] == []


def test_every_dependency_is_a_target(targets):
    labels = {
        (name, label)
        for name, target in targets.items()
        for label in [*target["deps"], *target["srcs"], *target["data"]]
        if label.startswith((":", "/", "@")) or label in target["deps"]
    }
    assert {(name, label) for name, label in labels if label.removeprefix(":") not in targets} == set()


def test_dependencies_have_no_cycle(targets):
    graph = {name: {label.removeprefix(":") for label in target["deps"]} for name, target in targets.items()}
    assert len(list(graphlib.TopologicalSorter(graph).static_order())) >= len(targets)


def test_what_a_library_imports_is_its_dependency(targets, imports):
    owner = {file: names[0] for file, names in owners_of(targets).items()}
    missing = []
    for path, found in imports.items():
        for one in found:
            module = one.module.replace(".", "/")
            target = owner.get(f"{module}.py") or owner.get(f"{module}/__init__.py")
            own = owner.get(path)
            if target and own and target != own and f":{target}" not in targets[own]["deps"]:
                missing.append(f"{one} (target {own} lacks :{target})")
    # Tests, programs and the package take the rooms through :spanbert_keras.
    whole = {name for name, target in targets.items() if ":spanbert_keras" in target["deps"]}
    assert [line for line in missing if line.split("(target ")[1].split()[0] not in whole] == []


def test_every_program_is_a_binary(targets, sources, root):
    programs = [path for path in sources if "program.run(" in (root / path).read_text(encoding="utf-8")]
    binaries = {source for target in targets.values() if target["rule"] == "py_binary" for source in target["srcs"]}
    assert [path for path in programs if path not in binaries] == []


def test_every_test_file_has_a_test_target_of_its_name(targets, trees):
    tests = {path.removesuffix(".py") for path in trees if fnmatch.fnmatch(path, "tests/*_test.py")}
    assert tests == {name for name, target in targets.items() if target["rule"] == "py_test"}


def test_the_reader_itself_sees_double_owners_and_empty_globs(tmp_path):
    (tmp_path / "a.py").touch()
    text = 'py_library(name="x", srcs=glob(["*.py"]))\npy_library(name="y", srcs=["a.py"])'
    assert owners_of(evaluate(text, tmp_path)) == {"a.py": ["x", "y"]}
    with pytest.raises(ValueError, match="matches no file"):
        evaluate('py_library(name="x", srcs=glob(["b/*.py"]))', tmp_path)
    with pytest.raises(ValueError, match="twice"):
        evaluate('py_library(name="x")\npy_library(name="x")', tmp_path)
