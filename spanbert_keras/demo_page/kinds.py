"""The kinds of models that have a tab, and which tab. A new kind is an entry of `KINDS`."""

import re
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

import spanbert_keras
from spanbert_keras.demo_page.classification_tab import classification_tab
from spanbert_keras.demo_page.coreference_tab import coreference_tab
from spanbert_keras.demo_page.entity_tab import entity_tab
from spanbert_keras.demo_page.question_tab import question_tab
from spanbert_keras.demo_page.relation_tab import relation_tab
from spanbert_keras.demo_page.span_tab import span_tab
from spanbert_keras.demo_page.tab import Tab
from spanbert_keras.errors import InputError

KINDS: dict[str, Callable[..., Tab]] = {
    "SpanBertQuestionAnswerer": question_tab,
    "SpanBertCoreferenceResolver": coreference_tab,
    "SpanBertRelationExtractor": relation_tab,
    "SpanBertTextClassifier": classification_tab,
    "SpanBertEntityRecognizer": entity_tab,
    "SpanBertPretrainer": span_tab,
}


def tabs_of(models: Iterable[tuple[str, object]]) -> list[tuple[str, Tab]]:
    """Returns (title, tab) for each model; if several have one title, the name of the file or folder is added.

    Args:
        models: iterable of (path, model). Each model is checked before the next one is taken.

    Raises:
        InputError: a model has no tokenizer.
    """
    tabs = []
    for path, model in models:
        if getattr(model, "tokenizer", None) is None:
            raise InputError(f"--model={path} has no tokenizer, so it cannot read text. Save it with one.")
        kind = next(name for name in KINDS if isinstance(model, getattr(spanbert_keras, name)))
        tabs.append((path, KINDS[kind](model)))
    counts = Counter(tab.title for _, tab in tabs)
    return [(tab.title if counts[tab.title] == 1 else f"{tab.title}: {short_name(path)}", tab) for path, tab in tabs]


def short_name(path: str) -> str:
    """Returns a short name of a saved model: that of its folder, and its file unless training gave it the usual one."""
    last = Path(path)
    usual = last.suffix == ".keras" and last.stem in USUAL
    return last.parent.name if usual and last.parent.name else last.stem if last.suffix == ".keras" else last.name


# What training calls the file of each kind: "question_answerer" of `SpanBertQuestionAnswerer`.
USUAL = {re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name.removeprefix("SpanBert")).lower() for name in KINDS}
