"""A text with marked parts: an HTML parser finds the text and the parts again."""

import html.parser

import numpy as np
import pytest

from spanbert_keras.decoding.marked_text import MarkedPart, hue, marked_text


class Parsed(html.parser.HTMLParser):
    """Reads HTML strictly: the text, the notes, and where each element begins and ends."""

    def __init__(self, document):
        super().__init__()
        self.text, self.open, self.elements, self.notes = "", [], [], []
        self.feed(document)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.open.append((tag, len(self.text), dict(attributes)))

    def handle_endtag(self, tag):
        opened, start, attributes = self.open.pop()
        assert opened == tag
        if tag == "mark":
            self.elements.append((start, len(self.text), int(attributes["data-chain"])))

    def handle_data(self, data):
        if self.open and self.open[-1][0] == "sub":
            self.notes.append((len(self.text), data))
        else:
            self.text += data


def covered(parts, length):
    """Returns for each character the numbers of the parts around it."""
    return [sorted(number for start, end, number in parts if start <= place < end) for place in range(length)]


@pytest.mark.parametrize("seed", range(20))
def test_parts_that_nest_and_cross_cover_their_characters(seed):
    rng = np.random.default_rng(seed)
    text = "".join(rng.choice(list('ab <&>"\n\u00e9'), 30))
    parts = []
    for number in range(8):
        start, end = sorted(rng.choice(31, 2, replace=False).tolist())
        parts.append(MarkedPart(start, end, number, f"<{number}>"))
    parsed = Parsed(marked_text(text, rng.permutation(np.array(parts, object)).tolist()))
    assert parsed.text == text
    assert covered(parsed.elements, 30) == covered([(p.start, p.end, p.number) for p in parts], 30)
    assert sorted(parsed.notes) == sorted((p.end, p.note) for p in parts)  # each once, at the end of its part


def test_parts_are_cut_no_more_than_they_must():
    """Where the first part ends the two others are cut; the one that ends first stays inside of the other."""
    parts = [MarkedPart(0, 5, 0), MarkedPart(1, 8, 1), MarkedPart(2, 6, 2)]
    parsed = Parsed(marked_text("abcdefghij", parts))
    assert sorted(parsed.elements) == [(0, 5, 0), (1, 5, 1), (2, 5, 2), (5, 6, 2), (5, 8, 1)]


def test_a_part_without_a_note_has_none():
    assert Parsed(marked_text("Ann left", [MarkedPart(0, 3, 0)])).notes == []


def test_a_text_without_parts_is_escaped():
    assert marked_text("<script>&", []) == "&lt;script&gt;&amp;"


def test_neighbouring_numbers_have_hues_far_apart():
    hues = [float(hue(number)) for number in range(12)]
    distances = [min((a - b) % 360, (b - a) % 360) for a, b in zip(hues, hues[1:], strict=False)]
    assert min(distances) > 130 and len(set(hues)) == 12
