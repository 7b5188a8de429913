"""Tests of what the package imports, and when: in a program, in an application, in a worker of a program."""

import importlib
import os
import pathlib
import subprocess
import sys
import types

import pytest

from spanbert_keras import program_start
from spanbert_keras.standard_streams import LOG_LEVEL, quiet_level

ROOT = pathlib.Path(program_start.__file__).parents[1]
PREPARE = [sys.executable, "-m", "spanbert_keras.prepare", "--help"]


def run(*command, cwd=None, **environ):
    """Runs Python in a fresh process without what programs and tests set for TensorFlow."""
    kept = {name: value for name, value in os.environ.items() if name not in (LOG_LEVEL, program_start.PROGRAM)}
    settings = {"cwd": cwd, "env": kept | {"PYTHONPATH": str(ROOT)} | environ}
    return subprocess.run([sys.executable, *command], **settings, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    "argv, original, expected",
    [
        (["-m", "--help"], PREPARE, True),
        (["-m"], [sys.executable, "-X", "dev", "-mspanbert_keras.prepare"], True),
        (["-m"], [sys.executable, "-m", "spanbert_keras.models.encoder"], False),
        (["-m"], [sys.executable, "-m", "spanbert_keras.unknown"], False),
        (["-m", "tests"], [sys.executable, "-m", "pytest", "tests"], False),
        (["-m"], [sys.executable, "-m", "spanbert_keras"], False),
        (["-c"], [sys.executable, "-c", "import spanbert_keras"], False),
        ([""], [sys.executable], False),
    ],
)
def test_a_program_of_the_package_is_known_while_it_is_looked_for(monkeypatch, argv, original, expected):
    monkeypatch.setattr(program_start, "_flags_are_read", False)
    monkeypatch.setattr(sys, "argv", argv)
    monkeypatch.setattr(sys, "orig_argv", original)
    monkeypatch.setitem(sys.modules, "__main__", types.ModuleType("__main__"))
    assert program_start.reads_flags() == expected


@pytest.mark.parametrize(
    "name, file, expected",
    [
        ("tasks.glue.finetune", ROOT / "tasks" / "glue" / "finetune.py", True),
        ("benchmarks.curve", ROOT / "benchmarks" / "curve.py", True),
        ("tasks.glue.finetune", "/elsewhere/tasks/glue/finetune.py", False),
        ("application.tasks", ROOT / "application" / "tasks.py", False),
    ],
)
def test_a_program_of_the_repository_is_known_by_its_file(monkeypatch, name, file, expected):
    main = types.ModuleType("__main__")
    main.__spec__, main.__file__ = types.SimpleNamespace(name=name), str(file)
    monkeypatch.setattr(program_start, "_flags_are_read", False)
    monkeypatch.setattr(sys, "argv", [str(file)])
    monkeypatch.setitem(sys.modules, "__main__", main)
    assert program_start.reads_flags() == expected
    monkeypatch.setattr(program_start, "_flags_are_read", True)
    assert not program_start.reads_flags()


def test_an_application_that_runs_a_program_as_a_module_is_left_alone(monkeypatch):
    main = types.ModuleType("__main__")
    main.__spec__ = types.SimpleNamespace(name="spanbert_keras.answer")  # as of `runpy.run_module`
    monkeypatch.setitem(sys.modules, "__main__", main)
    monkeypatch.setattr(sys, "argv", ["answer.py"])
    monkeypatch.setattr(program_start, "_flags_are_read", False)
    monkeypatch.setattr(importlib, "reload", lambda module: pytest.fail("the package was imported again"))
    monkeypatch.setattr(os, "environ", {})
    assert program_start.reads_flags()
    program_start.import_public_names()
    assert os.environ == {} and not program_start.reads_flags()


def test_a_program_has_every_name_and_class_after_its_flags_are_read():
    code = f"""
import sys
sys.argv, sys.orig_argv = ["-m", "--help"], {PREPARE!r}
import spanbert_keras
from spanbert_keras import program, program_start
assert "keras" not in sys.modules and not hasattr(spanbert_keras, "SpanBertEncoder")
program_start.import_public_names()
assert [name for name in spanbert_keras.__all__ if not hasattr(spanbert_keras, name)] == []
import keras
assert keras.saving.get_registered_object("spanbert_keras>SpanBertEncoder") is spanbert_keras.SpanBertEncoder
"""
    done = run("-c", code)
    assert done.returncode == 0 and done.stderr == "", done.stderr


def test_an_application_with_a_folder_of_the_same_name_has_every_name(tmp_path):
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks" / "__init__.py").touch()
    code = "import spanbert_keras\nprint(spanbert_keras.SpanBertEncoder.__name__)\n"
    (tmp_path / "tasks" / "mine.py").write_text(code, encoding="utf-8")
    done = run("-m", "tasks.mine", cwd=tmp_path)
    assert done.stdout == "SpanBertEncoder\n", done.stderr


def test_a_program_and_its_workers_import_everything_and_compute_without_start_up_lines():
    code = "import spanbert_keras, keras; keras.ops.ones(2)"
    done = run("-c", code, **{program_start.PROGRAM: "1", LOG_LEVEL: quiet_level()})
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_import_in_an_application_leaves_the_environment_alone():
    code = """
import os
import keras, keras_hub
before = dict(os.environ)
import spanbert_keras
assert dict(os.environ) == before
"""
    done = run("-c", code)
    assert done.returncode == 0, done.stderr
