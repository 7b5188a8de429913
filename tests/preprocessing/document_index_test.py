"""Documents in every form, and the BM25 index against its formula."""

import collections
import dataclasses
import math
import os
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from spanbert_keras import DocumentIndex
from spanbert_keras.errors import InputError
from spanbert_keras.preprocessing import document_index

WORDS = "ann bob wrote ate the a book pie red old late".split()


def slow_scores(question, texts, k1=1.5, b=0.75):
    """BM25 as Lucene computes it, word by word."""
    documents = [text.lower().split() for text in texts]
    mean, scores = np.mean([len(words) for words in documents]), []
    for words in documents:
        counts, score = collections.Counter(words), 0.0
        for word in question.lower().split():
            holders = sum(word in other for other in documents)
            idf = math.log(1 + (len(documents) - holders + 0.5) / (holders + 0.5))
            score += idf * counts[word] / (counts[word] + k1 * (1 - b + b * len(words) / mean))
        scores.append(score)
    return np.array(scores)


def test_documents_are_found_in_the_order_of_bm25():
    rng = np.random.default_rng(0)
    texts = [" ".join(rng.choice(WORDS, rng.integers(1, 12))) for _ in range(40)]
    index = DocumentIndex(texts)
    for _ in range(10):
        question = " ".join(rng.choice([*WORDS, "unseen"], 3)).capitalize()
        scores = slow_scores(question, texts)
        found = index.search(question, 7)
        assert len(found) == min(7, (scores > 0).sum()) and len(set(found)) == len(found)
        np.testing.assert_allclose(scores[found], np.sort(scores)[::-1][: len(found)], rtol=1e-4)


def test_only_documents_with_a_word_of_the_question_are_found_and_the_first_of_equal_ones():
    index = DocumentIndex(["Ann wrote.", "Bob ate.", "", "Ann wrote.", "Bob, Ann!", "?!"])
    assert index.search("ann?", 9) == [0, 3, 4] and index.search("ANN", 1) == [0]
    assert index.search("late", 9) == index.search("?!", 9) == index.search("", 9) == []
    assert DocumentIndex(["", "?"]).search("late", 3) == []


def test_scripts_without_blanks_are_indexed_by_characters():
    assert DocumentIndex(["他在北京工作", "她住在上海", "Ann lives in Köln"]).search("谁在上海？", 2) == [1, 0]


@dataclasses.dataclass
class Page:
    id: str
    text: str


@pytest.mark.parametrize(
    "documents, ids",
    [
        (["x", "y"], [0, 1]),
        (np.array(["x", "y"]), [0, 1]),
        ((text for text in "xy"), [0, 1]),
        ({"a": "x", 3: "y"}, ["a", 3]),
        ([{"id": "a", "text": "x"}, {"text": "y", "id": "b", "title": "t"}], ["a", "b"]),
        ([Page("a", "x"), SimpleNamespace(id=None, text="y")], ["a", None]),
    ],
)
def test_documents_are_taken_in_every_form(documents, ids):
    index = DocumentIndex(documents)
    assert (index.ids, index.texts, len(index)) == (ids, ["x", "y"], 2)


@pytest.mark.parametrize(
    "documents, message",
    [
        ([], "`documents` must be .* Received: no document"),
        ({}, "no document"),
        (None, "`documents` must be a list of texts, a mapping .* Received: None"),
        (["x", 3], "^Document 1 must be a text, or a dict or an object with `id` and `text`. Received: 3.$"),
        (["x", None], "Document 1 must be a text"),
        ([{"text": "x"}], "Document 0 must be a text"),
        ({"a": b"x"}, "^The text of document 'a' must be a str. Received: b'x'.$"),
        ([{"id": 7, "text": None}], "text of document 7 must be a str. Received: None"),
        ({"x"}, "`documents` must be"),
    ],
)
def test_what_is_not_a_document_is_named(documents, message):
    with pytest.raises(InputError, match=message):
        DocumentIndex(documents)


def test_without_bm25s_the_extra_is_named_when_an_index_is_needed(monkeypatch):
    monkeypatch.setitem(sys.modules, "bm25s", None)
    document_index._library.cache_clear()
    index = DocumentIndex(["x", "y"])
    with pytest.raises(ImportError, match=r'pip install "spanbert-keras\[retrieval\]"'):
        index.search("x", 1)


JAX = """
import types
from pathlib import Path
def start(*_):
    Path("started").touch()
lax = sys.modules["jax.lax"] = types.ModuleType("jax.lax")
lax.top_k = start
monitoring = types.SimpleNamespace(record_scalar=None)
"""
SEARCH = """
import sys
from pathlib import Path
from spanbert_keras import DocumentIndex

import jax  # as Keras does, which imports JAX if it can
finders = list(sys.meta_path)
assert DocumentIndex(["x", "y"]).search("y", 1) == [1]
assert not Path("started").exists() and sys.modules["bm25s"].selection.JAX_IS_AVAILABLE is False
assert sys.modules["jax"] is jax and sys.meta_path == finders
import jax.lax
jax.lax.top_k()
assert Path("started").exists()
"""


def test_bm25s_does_not_start_jax(root, tmp_path):
    """It would take most of a GPU's memory from another backend."""
    for module in ("bm25s", "tensorflow"):
        pytest.importorskip(module, reason="the extra `retrieval` is not installed, or the process has no backend")
    (tmp_path / "jax").mkdir()
    (tmp_path / "jax" / "__init__.py").write_text(f"import sys{JAX}", encoding="utf-8")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(root)])}
    environment |= {"KERAS_BACKEND": "tensorflow"}
    done = subprocess.run([sys.executable, "-c", SEARCH], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-4000:]
