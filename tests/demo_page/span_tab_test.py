"""The tab of a pretrainer: brackets become masks, and both heads' predictions are shown."""

import math
import types

import pytest

from spanbert_keras.demo_page.span_tab import mask_brackets, show_spans, span_tab
from spanbert_keras.errors import InputError
from spanbert_keras.models.fill_spans import FilledSpan


def test_a_bracket_has_a_mask_for_each_of_its_pieces(toy_tokenizer):
    masked = mask_brackets("w1 [w2e3 w4]w5 [MASK] [ MASK ] w6", toy_tokenizer)
    assert masked.text.split() == ["w1", *["[MASK]"] * 3, "w5", "[MASK]", "[MASK]", "w6"]
    assert masked.pieces == ("w1", *["[MASK]"] * 3, "w5", "[MASK]", "[MASK]", "w6")
    assert masked.hidden == (None, "w2", "##e3", "w4", None, "", "", None)
    ids = toy_tokenizer.tokenize(masked.text, special_tokens_in_text=True)
    assert tuple(map(toy_tokenizer.id_to_token, ids)) == masked.pieces


@pytest.mark.parametrize(
    "text, message",
    [
        ("w1 w2", "must have a span in square brackets, or"),
        ("w1 ] w2 [", "must have a span in square brackets, or"),
        ("w1 [] w2", "The brackets must hold words"),
        ("[MASK] w1 [ ]", "The brackets must hold words"),
    ],
)
def test_a_text_without_a_span_is_a_mistake(toy_tokenizer, text, message):
    with pytest.raises(InputError, match=message):
        mask_brackets(text, toy_tokenizer)


def test_both_predictions_and_the_boundaries_are_shown(toy_tokenizer, read_result):
    masked = mask_brackets("w1 [w2 w3] w4 w5 [w6]", toy_tokenizer)
    spans = [
        FilledSpan(2, 3, "<a> b", "c d", math.log(0.5), math.log(0.25)),
        FilledSpan(6, 6, "e", "f", math.log(0.125), 0.0),
    ]
    found = read_result(show_spans(masked, spans))
    assert " ".join(found["sb-pieces"][0].split()) == "[CLS] w1 [MASK]w2 [MASK]w3 w4 w5 [MASK]w6 [SEP]"
    assert found["sb-boundary"] == ["w1", "w4", "w5", "[SEP]"] and found["small"] == ["w2", "w3", "w6"]
    assert found["td"] == ["w2 w3", "<a> b 50.0 %", "c d 25.0 %", "w6", "e 12.5 %", "f 100.0 %"]


def test_the_pretrainer_is_asked_for_the_masked_text(toy_tokenizer, read_result):
    asked = []

    def fill_spans(text):
        asked.append(text)
        return types.SimpleNamespace(spans=[FilledSpan(2, 2, "a", "b", -1.0, -1.0)])

    tab = span_tab(types.SimpleNamespace(tokenizer=toy_tokenizer, fill_spans=fill_spans))
    assert read_result(tab.answer("w1 [w2]"))["sb-mask"] == ["[MASK]w2"]
    assert [text.split() for text in asked] == [["w1", "[MASK]"]]
    assert "square brackets" in read_result(tab.answer("w1 w2"))["sb-error"][0]
