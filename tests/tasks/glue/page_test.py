"""Tests of the page of texts and pairs: what it embeds, and what a browser shows."""

import numpy as np
import pytest

from tasks.glue.data import Example
from tasks.glue.page import text_data, write_page

LABELS = ("entailment", "<b>neutral</b>", "no")
HOSTILE = "</script><script>alert(1)</script>"
EXAMPLES = [
    Example("a1", f"😀 Ann wrote it. {HOSTILE}", "It was <i>written</i>.", "entailment"),
    Example("a2", "Bob ate pie.", "", "no"),
    Example("a3", "Carl saw Oslo.", "Oslo is old.", "<b>neutral</b>"),
]
FOUND = ["entailment", "<b>neutral</b>", "<b>neutral</b>"]
SHARES = np.array([[0.70, 0.10, 0.20], [0.05, 0.90, 0.05], [0.30, 0.45, 0.25]])
NUMBERS = [Example("s1", "A", "B", "2.500"), Example("s2", "C", "D", "0"), Example("s3", "E", "F", "5")]
PREDICTED = [2.1, 3.25, float("nan")]


def data():
    return text_data(EXAMPLES, FOUND, SHARES, LABELS, {"accuracy": "66.67"})


def test_a_row_has_texts_gold_prediction_and_labels_the_most_probable_first():
    made = data()
    assert made["facts"] == [["accuracy", "66.67"]] and made["numbers"] is False and len(made["rows"]) == 3
    assert made["rows"][0] == {
        "id": "a1",
        "texts": [EXAMPLES[0].text, EXAMPLES[0].pair],
        "gold": "entailment",
        "predicted": "entailment",
        "candidates": [["entailment", 0.7], ["no", 0.2], ["<b>neutral</b>", 0.1]],
    }
    assert made["rows"][1]["texts"] == ["Bob ate pie.", ""]
    assert made["rows"][1]["candidates"] == [["<b>neutral</b>", 0.9], ["entailment", 0.05], ["no", 0.05]]


def test_single_texts_and_numbers_are_embedded_as_such():
    [row] = text_data([Example("0", "alone", None, "no")], ["no"], SHARES[:1], LABELS, {})["rows"]
    assert row["texts"] == ["alone"]
    made = text_data(NUMBERS, PREDICTED, None, (), {})
    assert made["numbers"] is True
    assert [(row["gold"], row["predicted"], row["candidates"]) for row in made["rows"]] == [
        (2.5, 2.1, []),
        (0.0, 3.25, []),
        (5.0, None, []),
    ]


def test_several_labels_are_text_in_the_labels_order_and_several_numbers_lists():
    examples = [
        Example("0", "x", None, ("no", "entailment")),
        Example("1", "x", None, ()),
        Example("2", "x", None, ("z",)),
    ]
    made = text_data(examples, [("entailment",), (), ("no",)], SHARES, LABELS, {})
    assert made["numbers"] is False and [(row["gold"], row["predicted"]) for row in made["rows"]] == [
        ("entailment, no", "entailment"),
        ("none", "none"),
        ("z", "no"),
    ]
    assert made["rows"][0]["candidates"][0] == ["entailment", 0.7]
    examples = [Example("0", "x", None, ("1", "2.5")), Example("1", "x", None, ("0", "-1"))]
    made = text_data(examples, [(1.5, 2.0), (float("nan"), 0.5)], None, ("valence", "arousal"), {})
    assert made["numbers"] is True and [(row["gold"], row["predicted"]) for row in made["rows"]] == [
        ([1.0, 2.5], [1.5, 2.0]),
        ([0.0, -1.0], [None, 0.5]),
    ]


def test_probabilities_that_are_not_finite_are_null():
    [row] = text_data(EXAMPLES[:1], FOUND[:1], np.array([[0.6, np.nan, np.inf]]), LABELS, {})["rows"]
    assert dict(row["candidates"]) == {"entailment": 0.6, "<b>neutral</b>": None, "no": None}


def test_there_is_a_prediction_for_every_example():
    with pytest.raises(ValueError):
        text_data(EXAMPLES, FOUND[:2], SHARES, LABELS, {})


@pytest.fixture
def shown(tmp_path, browser, texts_of):
    """Function of a part of the address that returns the document as a browser shows it."""

    def show(view, *given):
        path = tmp_path / "page.html"
        write_page(path, "Errors", *(given or (EXAMPLES, FOUND, SHARES, LABELS)), {"accuracy": "66.67"})
        return texts_of(browser(f"{path.as_uri()}#{view}"))

    return show


def of_class(texts, tag, name):
    return [text for attributes, text in texts[tag] if name in (attributes.get("class") or "").split()]


def test_a_browser_shows_both_texts_of_every_pair_as_text(shown):
    texts = shown("")
    assert of_class(texts, "p", "context") == [
        EXAMPLES[0].text,
        EXAMPLES[0].pair,
        "Bob ate pie.",
        "",
        "Carl saw Oslo.",
        "Oslo is old.",
    ]
    assert of_class(texts, "span", "badge") == ["✓ Right", "✗ Wrong", "✓ Right"]
    assert [text for _, text in texts["b"]] == ["3", "2", "1"]  # all, right, wrong
    assert [text for _, text in texts["code"]] == ["a1", "a2", "a3"]
    assert "i" not in texts and len(texts["script"]) == 3
    cells = [text for _, text in texts["td"]]
    assert cells[6:12] == ["<b>neutral</b>", "0.900", "entailment", "0.050", "no", "0.050"]
    assert [text for _, text in texts["dd"]] == [
        "66.67",
        "entailment",
        "entailment",
        "no",
        "<b>neutral</b>",
        "<b>neutral</b>",
        "<b>neutral</b>",
    ]


def ids_of(texts):
    return [text for _, text in texts["code"]]


def test_a_browser_filters_sorts_and_finds(shown):
    assert ids_of(shown("show=right&sort=unsure")) == ["a3", "a1"]
    assert ids_of(shown("group=no&find=pie+bob")) == ["a2"]


def test_a_browser_shows_numbers(shown):
    given = NUMBERS, PREDICTED, None, ()
    texts = shown("", *given)
    assert ids_of(texts) == ["s1", "s2", "s3"] and "td" not in texts
    assert [text for _, text in texts["dd"]] == ["66.67", "2.50", "2.10", "0.00", "3.25", "5.00", "–"]
    assert of_class(texts, "span", "badge") == ["✓ Within 0.5", "✗ Larger error", "✗ Larger error"]
    assert ids_of(shown("show=wrong&sort=far", *given)) == ["s2", "s3"]  # rows without a number come last
