"""The tab of a classifier: one text or a pair, probabilities as bars, numbers of a regression."""

import types

import pytest

from spanbert_keras import Classification
from spanbert_keras.demo_page.classification_tab import classification_tab, show_classes

FOUND = Classification("<b>", 0.75, {"good": 0.25, "<b>": 0.75})


def test_probabilities_are_bars_and_the_label_has_a_tick(read_result):
    found = read_result(show_classes(FOUND))
    assert found["sb-answer"] == ["<b> 75.0 %"] and found["th"] == ["<b> ✓", "good"]


def test_several_labels_have_a_tick_each(read_result):
    found = read_result(show_classes(Classification("a", 0.9, {"a": 0.9, "b": 0.6, "c": 0.1}, ("a", "b"))))
    assert found["th"] == ["a ✓", "b ✓", "c"] and found["sb-answer"][0].startswith("a, b")
    found = read_result(show_classes(Classification("a", 0.25, {"a": 0.25, "b": 0.125}, ())))
    assert found["sb-answer"][0].startswith("No label is likely enough") and found["th"] == ["a", "b"]


@pytest.mark.parametrize(
    "found, cells",
    [
        (Classification(None, 2.5, {}), ["score", "2.500"]),
        (Classification(None, None, {"<a>": 1.0, "b": -0.5}), ["<a>", "1.000", "b", "-0.500"]),
    ],
)
def test_a_regression_has_numbers(found, cells, read_result):
    assert read_result(show_classes(found))["td"] == cells


@pytest.mark.parametrize(
    "takes_pairs, labels", [(None, ["First text", "Second text (of a pair)"]), (True, None), (False, ["Text"])]
)
def test_the_fields_are_those_of_the_model(takes_pairs, labels, read_result):
    asked = []
    classifier = types.SimpleNamespace(takes_pairs=takes_pairs, classify=lambda given: asked.append(given) or FOUND)
    tab = classification_tab(classifier)
    assert [field.label for field in tab.fields] == (labels or ["First text", "Second text"])
    if takes_pairs is not False:
        tab.answer("one", "two")
    if takes_pairs:
        assert read_result(tab.answer("one", " "))["sb-error"] == [
            "The second text is empty. Write one, or fill in the example."
        ]
    else:
        tab.answer(*["one", ""][: len(tab.fields)])
    assert asked == {None: [("one", "two"), "one"], True: [("one", "two")], False: ["one"]}[takes_pairs]
    tab.answer(*tab.example)
    assert isinstance(asked[-1], tuple) == bool(takes_pairs)
