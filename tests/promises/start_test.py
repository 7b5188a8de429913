"""Programs answer at once: heavy packages are imported after the flags are read. Their first line is their own."""

import dataclasses
import importlib.util
import os
import re
import resource
import subprocess
import sys

import pytest

from spanbert_keras.program_start import PROGRAM
from spanbert_keras.standard_streams import LOG_LEVEL
from tests.promises.flags_test import PROGRAMS

HEAVY = {
    *("keras", "keras_hub", "tensorflow", "tensorflow_text", "torch", "jax", "transformers", "spacy"),
    *("scipy", "sklearn", "matplotlib", "pyarrow", "onnx", "pandas", "gradio", "fastapi"),
}
ANSWER_SECONDS = 2
FLAGS = {"--help": 0, "--helpfull": 0, "--version": 0, "--misspelt=1": 2}


def start(root, module, *arguments, options=(), **environ):
    """Starts a program in a fresh process, without what the tests set for TensorFlow."""
    kept = {name: value for name, value in os.environ.items() if name not in (LOG_LEVEL, PROGRAM)}
    environment = kept | {"PYTHONPATH": str(root), "PYTHONIOENCODING": "utf-8"} | environ
    command = [sys.executable, *options, "-m", module, *arguments]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, cwd=root, env=environment, encoding="utf-8", **pipes)


def has_required_flags(module):
    fields = dataclasses.fields(importlib.import_module(module).Config)
    return any(field.default is dataclasses.MISSING for field in fields)


@pytest.mark.parametrize("module", PROGRAMS)
def test_a_program_answers_without_heavy_packages(root, module):
    codes = FLAGS | ({"": 2} if has_required_flags(module) else {})
    started = {flag: start(root, module, *filter(None, [flag]), options=["-X", "importtime"]) for flag in codes}
    for flag, process in started.items():
        _, error = process.communicate()
        loaded = set(re.findall(r"^import time:.*\| +(\w+)$", error, re.MULTILINE))
        assert (process.returncode, loaded & HEAVY) == (codes[flag], set()), (flag, error[-2000:])
        assert "absl" in loaded  # the list is read


def test_help_takes_less_than_two_seconds_of_a_processor(root):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start(root, "spanbert_keras.pretrain", "--help").communicate()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < ANSWER_SECONDS


@pytest.mark.parametrize("level, is_quiet", [(None, True), ("0", False)])
def test_a_program_shows_the_log_of_tensorflow_only_to_who_asks(root, tmp_path, level, is_quiet):
    (tmp_path / "text.txt").write_text("A word and a word.\n\nAnother one.\n" * 20, encoding="utf-8")
    arguments = [f"--input={tmp_path / 'text.txt'}", f"--output_dir={tmp_path / 'shards'}", "--train_vocabulary=40"]
    process = start(root, "spanbert_keras.prepare", *arguments, **({LOG_LEVEL: level} if level else {}))
    shown, error = process.communicate()
    assert process.returncode == 0, error
    assert shown.split()[:2] == ["Prepared", "corpus"]
    if is_quiet:
        assert error == ""
    elif importlib.util.find_spec("tensorflow"):
        assert "oneDNN" in error or "cpu_feature_guard" in error
