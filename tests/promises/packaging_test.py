"""What is shipped: one top-level name, every room, every import declared; README and `.ci/run` say the same."""

import ast
import importlib.metadata
import json
import os
import re
import subprocess
import sys

import pytest

# Needs Keras 2 and another TensorFlow: tests that use it are skipped without it.
IN_ANOTHER_ENVIRONMENT = {"tf-models-official"}
# Import names that differ from the names of their distributions.
DISTRIBUTIONS = {
    "typing_extensions": "typing-extensions",
    "absl": "absl-py",
    "backports": "backports.zstd",
    "huggingface_hub": "huggingface-hub",
    "keras_hub": "keras-hub",
    "ml_dtypes": "ml-dtypes",
    "official": "tf-models-official",
    "tensorflow_text": "tensorflow-text",
    "ai_edge_litert": "ai-edge-litert",
    "sklearn": "scikit-learn",
    "yaml": "pyyaml",
    "haystack": "haystack-ai",
}
READ_SETUP = """
import json, setuptools
seen = {}
setuptools.setup = lambda **arguments: seen.update(arguments)
exec(compile(open("setup.py", encoding="utf-8").read(), "setup.py", "exec"), {"__file__": "setup.py"})
print(json.dumps(seen))
"""


@pytest.fixture(scope="module")
def metadata(root):
    """The arguments that setup.py gives to setuptools."""
    done = subprocess.run([sys.executable, "-c", READ_SETUP], cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def distribution(requirement):
    return re.match(r"[A-Za-z0-9._-]+", requirement)[0].lower()


def third_party(imports, at_import):
    """Returns the set of (distribution, first importing line) that library files import."""
    found = {}
    for path, all_of in imports.items():
        for one in all_of if path.startswith("spanbert_keras/") else []:
            name = one.module.split(".")[0]
            if name not in sys.stdlib_module_names and name != "spanbert_keras" and (one.at_import or not at_import):
                found.setdefault(DISTRIBUTIONS.get(name, name), str(one))
    return found


def test_the_only_top_level_name_is_spanbert_keras(metadata):
    assert {package.split(".")[0] for package in metadata["packages"]} == {"spanbert_keras"}


def test_every_room_is_shipped(metadata, sources):
    folders = {path.rpartition("/")[0].replace("/", ".") for path in sources if path.startswith("spanbert_keras/")}
    assert folders == set(metadata["packages"])


def test_every_file_beside_the_sources_is_shipped(metadata, root):
    shipped = {
        f"{package.replace('.', '/')}/{name}" for package, names in metadata["package_data"].items() for name in names
    }
    beside = {
        path for path in (root / "spanbert_keras").rglob("*") if path.is_file() and "__pycache__" not in path.parts
    }
    assert {path.relative_to(root).as_posix() for path in beside if path.suffix != ".py"} == shipped


def test_what_is_imported_with_the_library_is_required(metadata, imports):
    required = {distribution(requirement) for requirement in metadata["install_requires"]}
    # What lies in integrations/ is imported by the other library alone.
    imports = {path: found for path, found in imports.items() if "/integrations/" not in path}
    found = third_party(imports, at_import=True)
    assert {name: line for name, line in found.items() if name not in required} == {}


def test_what_is_imported_inside_functions_is_required_or_an_extra(metadata, imports):
    extras = {name: lines for name, lines in metadata["extras_require"].items() if name not in ("test", "dev")}
    everything = [*metadata["install_requires"], *(line for lines in extras.values() for line in lines)]
    known = {distribution(requirement) for requirement in everything}
    found = third_party(imports, at_import=False)
    assert {name: line for name, line in found.items() if name not in known} == {}


def test_what_tests_import_is_in_the_test_extra(metadata, imports):
    requirements = [*metadata["install_requires"], *metadata["extras_require"]["test"]]
    known = {distribution(requirement) for requirement in requirements} | IN_ANOTHER_ENVIRONMENT
    ours = {"spanbert_keras", "tasks", "benchmarks", "tests"}
    missing = [
        str(one)
        for path, all_of in imports.items()
        if path.startswith("tests/")
        for one in all_of
        for name in [one.module.split(".")[0]]
        if name not in sys.stdlib_module_names and name not in ours and DISTRIBUTIONS.get(name, name) not in known
    ]
    assert missing == []


def test_the_extras_have_these_names(metadata):
    named = {"jax", "torch", "model-garden", "linguistic", "export", "parquet", "retrieval", "haystack", "demo"}
    of_tasks = {"classification", "coreference", "entities"}
    assert set(metadata["extras_require"]) == named | of_tasks | {"docs", "test", "dev"}


def test_the_build_folder_is_not_called_build(metadata):
    assert metadata["options"]["build"]["build_base"].lower() != "build"


def test_an_editable_install_is_a_path(metadata, root):
    """setuptools then writes the checkout's path; otherwise a finder that a folder of the package's name hides."""
    from setuptools.command import editable_wheel

    assert metadata["package_dir"] == {"": "."}
    packages = [*metadata["packages"]]
    assert editable_wheel._simple_layout(packages, metadata["package_dir"], root)


def test_a_program_beside_the_checkout_imports_the_package(tmp_path):
    """As a user's script in the folder of the checkout: it has a folder with the name of the package."""
    (tmp_path / "spanbert_keras" / "docs").mkdir(parents=True)
    (tmp_path / "script.py").write_text("import spanbert_keras\nprint(spanbert_keras.__version__)\n")
    done = subprocess.run([sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True)
    assert re.fullmatch(r"[\d.]+\n", done.stdout), done.stderr[-300:]


def test_the_version_is_written_once(metadata, root):
    import spanbert_keras

    assert metadata["version"] == spanbert_keras.__version__
    assert (
        re.search(r"^## (\S+)", (root / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)[1]
        == metadata["version"]
    )
    citation = (root / "CITATION.cff").read_text(encoding="utf-8")
    assert re.search(r"^version: (\S+)", citation, re.MULTILINE)[1] == metadata["version"]
    try:
        installed = importlib.metadata.version("spanbert-keras")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("not installed: runs from the source folder")
    assert installed == metadata["version"]


def test_readme_holds_the_two_commands_that_ci_runs(root):
    lines = [line.strip() for line in (root / "README.md").read_text(encoding="utf-8").splitlines()]
    script = (root / ".ci" / "run").read_text(encoding="utf-8")
    begin = "python3 -m venv .venv && . .venv/bin/activate && pip install -e "
    for end in ('".[test]" && pytest', ". && python -m spanbert_keras.pretrain --flagfile=configs/tiny.flags"):
        assert lines.count(begin + end) == 1
        assert f"readme_command '{end}'" in script


@pytest.mark.parametrize("name", ["run", "bazel_query"])
def test_ci_scripts_are_executable_and_parse(root, name):
    script = root / ".ci" / name
    assert os.access(script, os.X_OK)
    assert subprocess.run(["bash", "-n", str(script)], capture_output=True, text=True).stderr == ""


def test_the_license_is_apache_2(root, metadata):
    text = (root / "LICENSE").read_text(encoding="utf-8")
    assert "Apache License" in text and "Version 2.0, January 2004" in text
    assert metadata["license"] == "Apache-2.0"


INSTALL = re.compile(r'pip install (?:"spanbert-keras\[(.+?)\]"|([^\s`.,"]+))')


def texts_of(tree):
    """Returns the strings of a parsed file, those in parts joined; `{extra}` stands for a value."""
    texts = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            parts = [p.value if isinstance(p, ast.Constant) else "{" + ast.unparse(p.value) + "}" for p in node.values]
            texts.append("".join(parts))
    return texts


def extras_of(tree):
    """Returns the values of a file's `EXTRA`, which its calls give to the sentence with `{extra}`."""
    nodes = [node for node in ast.walk(tree) if isinstance(node, ast.Assign)]
    return {node.value.value for node in nodes if getattr(node.targets[0], "id", None) == "EXTRA"}


def test_every_command_that_installs_names_an_extra_or_a_requirement(root, metadata):
    requirements = {distribution(requirement) for requirement in metadata["install_requires"]}
    found, wrong, extras = set(), [], {*metadata["extras_require"], "{extra}"}
    for folder in ("spanbert_keras", "tasks", "benchmarks"):
        for file in sorted((root / folder).rglob("*.py")):
            tree = ast.parse(file.read_text(encoding="utf-8"))
            wrong += [f"{file.relative_to(root)}: EXTRA is {name}" for name in extras_of(tree) - extras]
            for text in texts_of(tree):
                found |= {match[1] for match in INSTALL.finditer(text)}
                wrong += [
                    f"{file.relative_to(root)}: {match[0]}"
                    for match in INSTALL.finditer(text)
                    if match[1] not in extras and match[2] not in requirements
                ]
    assert wrong == [] and {"parquet", "linguistic", "torch", "{extra}"} <= found
