"""Runs of capitalised words: what is a name, what begins a sentence, speed."""

import random
import time

import pytest

from spanbert_keras.data.annotations.annotator import ENTITIES, NOUN_PHRASES
from spanbert_keras.data.annotations.rule_annotator import LABEL, RuleAnnotator
from spanbert_keras.errors import InputError


def names_in(text):
    [found] = RuleAnnotator().annotate([text])
    assert all(mention.label == LABEL for mention in found[ENTITIES])
    return [text[mention.start : mention.end] for mention in found[ENTITIES]]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("He went to Paris with Ann Lee.", ["Paris", "Ann Lee"]),
        ("London is large.", []),
        ("New York is large.", ["New York"]),
        ("It rained. London was wet. New York was dry.", ["New York"]),
        ("\u201cLondon!\u201d he said. \u201cParis is far,\u201d she said.", []),
        ("he (Tom) and \u201cTom\u201d", ["Tom", "Tom"]),
        ("Really? (Tom thought so.)", []),
        ("Mr. Smith met Dr. Jones", ["Mr. Smith", "Dr. Jones"]),
        ("then I said that I'm here, World War I", ["World War"]),
        ("Iris and Ian", ["Ian"]),
        ("at Ann's and at Bob\u2019s, Jean-Luc's", ["Ann", "Bob", "Jean-Luc"]),
        ("a McDonald iPhone", ["McDonald"]),
        ("der Über-Ich Émile und Ödön", ["Über-Ich Émile", "Ödön"]),
        ("and Paris,  London", ["Paris", "London"]),
        ("and the Red  Sea", ["Red  Sea"]),
        ("the U2 and the 3D", ["U2"]),
        ("", []),
        ("   Tom   ", []),
        ("          Tom          and Ann", ["Ann"]),
    ],
)
def test_names_are_capitalised_words_that_do_not_begin_a_sentence(text, names):
    assert names_in(text) == names


def test_noun_phrases_are_rejected():
    with pytest.raises(
        InputError, match="finds named entities only. Expected: --annotations=entities. Received: .*noun"
    ):
        RuleAnnotator((ENTITIES, NOUN_PHRASES))


@pytest.mark.slow
def test_200_000_words_per_second():
    draw = random.Random(0)
    words = ["the", "of", "Alice", "said", "London", "a", "Mr.", "very", "ran.", "I", "house", "old"]
    lines = [" ".join(draw.choices(words, k=60)) for _ in range(5000)]
    annotator = RuleAnnotator()
    annotator.annotate(lines[:10])
    began = time.process_time()
    annotator.annotate(lines)
    speed = 60 * len(lines) / (time.process_time() - began)
    print(f"{speed:,.0f} words per second")
    assert speed > 200_000
