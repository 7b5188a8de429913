"""Documents to ask questions about, and the BM25 index that finds those worth reading. Shape letter: N documents."""

import builtins
import functools
import importlib.abc
import importlib.machinery
import re
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from spanbert_keras.arguments import whole_number
from spanbert_keras.errors import InputError, shown
from spanbert_keras.preprocessing.examples.given_texts import given_list

# Words, and single characters of scripts that are written without blanks: Chinese and Japanese.
UNSPACED = r"\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
WORD = rf"[{UNSPACED}]|[^\W{UNSPACED}]+"
NAMES = ("id", "text")
_BUILDING = threading.Lock()  # one index at a time: the first one imports bm25s
FORMS = "a list of texts, a mapping from ids to texts, or a list of dicts or objects with `id` and `text`"


class DocumentIndex:
    """Documents with their ids, and an index of their words. `SpanBertQuestionAnswerer.read` takes it.

    `read` makes one of the documents that it is given. Made once, it serves several calls and several threads. The
    index (BM25, of the package `bm25s`, extra `retrieval`) is built when it is first searched.

    Args:
        documents: list of str, whose ids are their places; mapping from ids to texts; or list of dicts with the keys
            `id` and `text`, or of objects with these attributes. An id may be anything.

    Attributes:
        ids: list. The id of each document.
        texts: list of str.

    Raises:
        InputError: the documents are missing, or one of them is not text.

    Example:

    ```python
    from spanbert_keras import DocumentIndex

    index = DocumentIndex({"a": "Ann wrote the book.", "b": "Bob ate the pie.", "c": "It is late."})
    [index.ids[place] for place in index.search("Who ate a pie?", count=2)]  # ["b"]
    ```

    Reference: Lù, 2024, BM25S (arXiv:2407.03618); Robertson and Zaragoza, 2009.
    """

    def __init__(self, documents):
        self.ids, self.texts = _ids_and_texts(documents)
        self._scores_of: Callable | None = None

    def __len__(self) -> int:
        return len(self.texts)

    def search(self, question: str, count: int) -> list[int]:
        """Returns the places of the documents that share a word with a question, best first, at most `count`.

        Words are compared in lower case. Of documents with equal scores the first is the better one.

        Args:
            question: str.
            count: int.

        Raises:
            ImportError: `bm25s` is not installed; the message names the extra.
        """
        count = whole_number("count", count)
        if self._scores_of is None:
            with _BUILDING:
                self._scores_of = self._scores_of or _scorer(self.texts)
        words = re.findall(WORD, question.lower())
        if not words:
            return []
        scores = self._scores_of(words)  # (N,)
        places = np.argsort(-scores, kind="stable")[:count]
        return places[scores[places] > 0].tolist()


def _ids_and_texts(documents) -> tuple[list, list[str]]:
    """Returns the ids and the texts of documents in any form."""
    pairs: Iterator[tuple[Any, Any]]
    if isinstance(documents, Mapping):
        pairs = iter(documents.items())
    else:
        given, _ = given_list(documents, "documents", FORMS)
        pairs = (_id_and_text(place, one) for place, one in enumerate(given))
    ids, texts = [], []
    for id, text in pairs:
        if not isinstance(text, str):
            raise InputError(f"The text of document {shown(id, 60)} must be a str. Received: {shown(text, 60)}.")
        ids.append(id)
        texts.append(text)
    if not texts:
        raise InputError(f"`documents` must be {FORMS}. Received: no document.")
    return ids, texts


def _id_and_text(place: int, document) -> tuple[Any, Any]:
    """Returns the id and the text of a document of a list; `place` is the id of a text."""
    if isinstance(document, str):
        return place, document
    has_both = all(name in document if isinstance(document, Mapping) else hasattr(document, name) for name in NAMES)
    if not has_both:
        raise InputError(
            f"Document {place} must be a text, or a dict or an object with `id` and `text`. "
            f"Received: {shown(document, 60)}."
        )
    return (document["id"], document["text"]) if isinstance(document, Mapping) else (document.id, document.text)


def _scorer(texts: list[str]) -> Callable:
    """Returns a function from the words of a question to the BM25 score of each text, float32 `(N,)`."""
    bm25s = _library()
    tokens = bm25s.tokenize(texts, token_pattern=WORD, stopwords=None, show_progress=False)
    if not any(tokens.ids):
        return lambda words: np.zeros(len(texts), np.float32)
    index = bm25s.BM25()
    index.index(tokens, show_progress=False)
    return index.get_scores


@functools.cache
def _library():
    """Returns the package `bm25s`, without the JAX that it would start to select the best with.

    Starting JAX takes seconds, and on a GPU most of the memory, which another backend needs. Nothing changes for other
    modules and threads, which may import JAX meanwhile. If bm25s is loaded already, it is taken as it is.
    """
    finder = _SelectionFinder()
    sys.meta_path.insert(0, finder)
    try:
        import bm25s
    except ImportError as error:
        raise ImportError(
            "Choosing among many documents needs bm25s. Install it with "
            '`pip install "spanbert-keras[retrieval]"`, or read all of them with `retrieve=None`.'
        ) from error
    finally:
        sys.meta_path.remove(finder)
    return bm25s


class _SelectionFinder(importlib.abc.MetaPathFinder):
    """Finds the module of bm25s that would start JAX, and hides JAX from it; other modules are found as always."""

    def find_spec(self, fullname, path=None, target=None):
        if fullname != "bm25s.selection":
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if spec is not None and isinstance(spec.loader, importlib.machinery.SourceFileLoader):
            spec.loader = _LoaderWithoutJax(fullname, spec.loader.path)
        return spec


class _LoaderWithoutJax(importlib.machinery.SourceFileLoader):
    """Runs a module in which JAX cannot be imported. Keras has imported JAX by now, so a finder could not hide it."""

    def exec_module(self, module):
        vars(module)["__builtins__"] = vars(builtins) | {"__import__": _import_without_jax}
        super().exec_module(module)


def _import_without_jax(name: str, *arguments, **named):
    if name.partition(".")[0] == "jax":
        raise ModuleNotFoundError("JAX is hidden from bm25s.", name=name)
    return builtins.__import__(name, *arguments, **named)
