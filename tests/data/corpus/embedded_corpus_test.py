"""Tests of the corpus that every Python carries."""

import os
import subprocess
import sys

import pytest

from spanbert_keras.data.corpus import embedded_corpus
from spanbert_keras.data.corpus.embedded_corpus import documents, prose

MODULE = '''"""Module docstring of five words."""
import antigravity_that_must_not_be_imported
raise SystemExit("executed")


class A:
    """Class docstring, some words here."""

    async def f(self):
        """Method docstring after the class."""
        if True:
            def g():
                """Nested in an if."""
        x = "no docstring"

try:
    pass
except ValueError:
    def h():
        """In a handler."""
'''


@pytest.fixture
def library(tmp_path):
    files = {
        "pydoc_data/topics.py": "topics = {'b': 'Topic b has\\nfive words.\\n', 'a': 'Topic a comes first of all.'}",
        "zeta.py": MODULE,
        "alpha/beta.py": '"""Beta\n\n   has five words, unwrapped\n   here.\n"""\n',
        "short.py": '"""Too short."""',
        "broken.py": '"""Is not valid Python at all."""\n(((',
        "test/test_x.py": '"""A test that must be skipped."""',
        "lib/tests/y.py": '"""A test that must be skipped."""',
        "site-packages/p.py": '"""A package that must be skipped."""',
    }
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    return str(tmp_path)


def test_topics_come_first_then_modules_by_path(library):
    assert documents(library) == (
        "Topic a comes first of all.",
        "Topic b has five words.",
        "Beta\nhas five words, unwrapped here.",
        "Module docstring of five words.\nClass docstring, some words here.\nMethod docstring after the class.\n"
        "Nested in an if.\nIn a handler.",
    )


@pytest.mark.parametrize(
    "text, expected",
    [
        ("A paragraph\n   wrapped.\n\nNext  one.", ["A paragraph wrapped.", "Next one."]),
        ("Title\n=====\n\n>>> code()\n1\n\nafter", ["Title", "after"]),
        ("Example:\n>>> code()\n1", ["Example:"]),
        ("Use ``this`` **now**, see :func:`that` here::\n\n+---+\n| a |", ["Use this now, see `that` here"]),
        ("\n \n", []),
    ],
)
def test_markup_and_code_sessions_are_left_out(text, expected):
    assert prose(text) == expected


def test_this_python_has_two_megabytes_of_prose():
    texts = documents()
    assert len(texts) > 500 and 1_500_000 < sum(map(len, texts)) < 4_000_000
    assert embedded_corpus.size() == sum(map(len, texts))
    joined = "\n".join(texts)
    assert joined.count("\n>>> ") == 0 and "\n\n" not in joined
    assert joined.count(" the ") > 10_000


def test_nothing_is_imported_and_the_order_is_fixed():
    program = (
        "import hashlib, importlib.util, sys\n"
        f"spec = importlib.util.spec_from_file_location('embedded', {embedded_corpus.__file__!r})\n"
        "module = importlib.util.module_from_spec(spec)\n"
        "spec.loader.exec_module(module)\n"
        "before = set(sys.modules)\n"
        "digest = hashlib.sha256(repr(module.documents()).encode()).hexdigest()\n"
        "print(digest, sorted(set(sys.modules) - before))\n"
    )
    environments = [{**os.environ, "PYTHONHASHSEED": seed} for seed in ("1", "2")]
    command = [sys.executable, "-c", program]
    runs = [subprocess.run(command, capture_output=True, text=True, env=variables) for variables in environments]
    assert [run.returncode for run in runs] == [0, 0], runs[0].stderr
    assert runs[0].stdout == runs[1].stdout and len(runs[0].stdout) > 64
    assert not {"antigravity", "turtle", "tkinter", "pydoc_data"} & set(runs[0].stdout.split("'"))
