"""Entry point of a Bazel test target: runs pytest on the files of the command line, from the runfiles' root."""

import pathlib
import sys

import pytest

if __name__ == "__main__":
    root = pathlib.Path(__file__).resolve().parents[1]
    sys.exit(pytest.main([f"--rootdir={root}", *(str(root / path) for path in sys.argv[1:])]))
