"""Tests of the page of relations: what it embeds, and what a browser shows."""

import numpy as np
import pytest

from spanbert_keras import EntityPair
from tasks.relation_extraction.data import Example
from tasks.relation_extraction.page import MAX_CANDIDATES, relation_data, write_page

LABELS = ["no_relation", "per:title", "org:founded", "<b>bold</b>", "e", "f"]
HOSTILE = "</script><script>alert(1)</script>"


def example(name, units, subject, object_, relation, types=("PERSON", "TITLE")):
    return Example(name, EntityPair(tuple(units), subject, object_, *types), relation)


EXAMPLES = [
    example("right", ["😀", "Ann", "Lee", ",", "chief", HOSTILE], (1, 3), (4, 5), "per:title"),
    example("missed", ["Bob", "the", "boss"], (0, 1), (2, 3), "per:title"),
    example("invented", ["Carl", "saw", "Oslo"], (2, 3), (0, 1), "no_relation", ("<i>CITY", "PERSON")),
    example("other", ["Acme", "began", "1991"], (0, 1), (2, 3), "org:founded"),
    example("unseen", ["Dora", "of", "Rome"], (0, 1), (2, 3), "new:label"),
]
SHARES = np.array(
    [
        [0.10, 0.70, 0.05, 0.05, 0.06, 0.04],
        [0.50, 0.20, 0.10, 0.10, 0.05, 0.05],
        [0.05, 0.05, 0.80, 0.04, 0.03, 0.03],
        [0.05, 0.05, 0.10, 0.60, 0.10, 0.10],
        [0.96, 0.01, 0.01, 0.01, 0.005, 0.005],
    ]
)


def data():
    return relation_data(EXAMPLES, SHARES, LABELS, "no_relation", {"F1": "1"})


def cut(text, span):
    """What JavaScript's `text.slice(...span)` gives."""
    units = text.encode("utf-16-le")
    return units[2 * span[0] : 2 * span[1]].decode("utf-16-le")


def test_spans_are_the_entities_in_units_of_javascript():
    rows = data()["rows"]
    assert rows[0]["text"] == f"😀 Ann Lee , chief {HOSTILE}"
    found = [[cut(row["text"], row[side]) for side in ("subject", "object")] for row in rows]
    assert found == [["Ann Lee", "chief"], ["Bob", "boss"], ["Oslo", "Carl"], ["Acme", "1991"], ["Dora", "Rome"]]


def test_a_row_has_gold_prediction_and_the_best_candidates():
    made = data()
    assert made["facts"] == [["F1", "1"]] and made["no_relation"] == "no_relation"
    row = made["rows"][0]
    assert (row["id"], row["gold"], row["predicted"], row["types"]) == (
        "right",
        "per:title",
        "per:title",
        ["PERSON", "TITLE"],
    )
    assert row["candidates"] == [
        ["per:title", 0.7],
        ["no_relation", 0.1],
        ["e", 0.06],
        ["org:founded", 0.05],
        ["<b>bold</b>", 0.05],
    ]
    assert len(row["candidates"]) == MAX_CANDIDATES
    assert [row["predicted"] for row in made["rows"][1:]] == [
        "no_relation",
        "org:founded",
        "<b>bold</b>",
        "no_relation",
    ]


def marks(texts, side):
    return [text for a, text in texts["mark"] if side in a["class"].split()]


@pytest.fixture
def shown(tmp_path, browser, texts_of):
    """Function of a part of the address that returns the document as a browser shows it."""

    def show(view):
        path = tmp_path / "page.html"
        write_page(path, "Errors", EXAMPLES, SHARES, LABELS, "no_relation", {"F1": "70.80"})
        return texts_of(browser(f"{path.as_uri()}#{view}"))

    return show


def test_a_browser_marks_subject_and_object_of_every_sentence(shown):
    texts = shown("")
    assert [text for _, text in texts["h2"]] == [
        "Ann Lee → chief",
        "Bob → boss",
        "Oslo → Carl",
        "Acme → 1991",
        "Dora → Rome",
    ]
    assert marks(texts, "subject")[1:] == [  # the first is the legend's
        "Ann LeePERSON",
        "BobPERSON",
        "Oslo<i>CITY",
        "AcmePERSON",
        "DoraPERSON",
    ]
    assert marks(texts, "object")[1:] == ["chiefTITLE", "bossTITLE", "CarlPERSON", "1991TITLE", "RomeTITLE"]
    assert [text for _, text in texts["b"]] == ["5", "1", "2", "1", "1"]
    contexts = [text for a, text in texts["p"] if a.get("class") == "context"]
    assert contexts[0] == f"😀 Ann LeePERSON , chiefTITLE {HOSTILE}"
    assert "F1" in [text for _, text in texts["dt"]] and "70.80" in [text for _, text in texts["dd"]]
    assert "i" not in texts and len(texts["script"]) == 3


@pytest.mark.parametrize(
    "view, headings",
    [
        ("show=missed&sort=sure", ["Dora → Rome", "Bob → boss"]),
        ("show=other", ["Acme → 1991"]),
        ("group=per%3Atitle&sort=unsure&find=person", ["Bob → boss", "Ann Lee → chief"]),
    ],
)
def test_a_browser_filters(shown, view, headings):
    texts = shown(view)
    assert [text for _, text in texts["h2"]] == headings
    if view == "show=other":
        cells = [text for _, text in texts["td"]]
        assert cells[:2] == ["<b>bold</b>", "0.600"]
        assert [text for a, text in texts["span"] if a.get("class") == "badge"] == ["✗ Wrong relation"]
