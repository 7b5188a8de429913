"""What a wheel and a source distribution contain: the whole library, its licence, and nothing else of the tree."""

import pathlib
import shutil
import subprocess
import sys
import tarfile
import zipfile

import pytest

BUILD = "import sys; from setuptools import build_meta; print('built:', build_meta.build_{}(sys.argv[1]))"
METADATA = {"LICENSE", "README.md", "pyproject.toml", "setup.py", "setup.cfg", "PKG-INFO", "MANIFEST.in"}


def build(kind, tree, folder):
    """Builds a `wheel` or an `sdist` of a tree into a folder; returns its path."""
    command = [sys.executable, "-c", BUILD.format(kind), str(folder)]
    done = subprocess.run(command, cwd=tree, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("built:")]
    return folder / line.removeprefix("built: ")


@pytest.fixture(scope="module")
def built(root, tmp_path_factory):
    """Paths of the wheel and of the source distribution, built in a copy of the tree."""
    folder = tmp_path_factory.mktemp("distribution")
    tree = folder / "tree"
    tree.mkdir()
    for name in ("spanbert_keras", "tasks", "tests", "benchmarks", "configs", "docs"):
        shutil.copytree(root / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md"):
        shutil.copy(root / name, tree / name)
    return build("wheel", tree, folder), build("sdist", tree, folder)


@pytest.fixture(scope="module")
def library(root):
    """Every file of the library, relative to the root."""
    files = [
        file for file in (root / "spanbert_keras").rglob("*") if file.is_file() and "__pycache__" not in file.parts
    ]
    return {file.relative_to(root).as_posix() for file in files}


def names_in(wheel):
    return set(zipfile.ZipFile(wheel).namelist())


def test_a_wheel_contains_the_library_its_licence_and_nothing_else(built, library):
    names = names_in(built[0])
    assert {name for name in names if ".dist-info/" not in name} == library
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)


def test_a_source_distribution_contains_what_builds_the_library_and_nothing_else(built, library):
    with tarfile.open(built[1]) as archive:
        names = {
            pathlib.PurePosixPath(*pathlib.PurePosixPath(m.name).parts[1:]).as_posix() for m in archive if m.isfile()
        }
    names = {name for name in names if ".egg-info/" not in name}
    assert {"LICENSE", "README.md", "pyproject.toml", "setup.py"} <= names
    assert names - METADATA == library


def test_the_wheel_of_a_source_distribution_is_the_same(built, tmp_path):
    with tarfile.open(built[1]) as archive:
        archive.extractall(tmp_path, filter="data")
    (tree,) = tmp_path.iterdir()
    (tmp_path / "again").mkdir()
    assert names_in(build("wheel", tree, tmp_path / "again")) == names_in(built[0])
