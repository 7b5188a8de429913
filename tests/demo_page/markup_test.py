"""Pieces of HTML: all texts are escaped, bars are in order and have the length of their probability."""

import re

from spanbert_keras.demo_page import markup

HARD = "<script>alert(1)</script> & \"a\" 'b' </td></table>"


def test_every_piece_escapes_its_texts(read_result):
    pieces = [
        markup.heading(HARD),
        markup.note(HARD),
        markup.conclusion(HARD, HARD),
        markup.error_sentence(ValueError(HARD)),
        markup.bars([(HARD, 0.5)], [HARD]),
        markup.table([HARD], [[markup.escaped(HARD)]]),
    ]
    found = read_result(markup.panel(*pieces))
    assert "script" not in found and HARD in found["h3"] and HARD in found["td"] and HARD in found["sb-error"]
    assert found["th"] == [f"{HARD} ✓", HARD] and found["b"] == [HARD]


def test_bars_are_in_order_and_as_long_as_their_probability(read_result):
    page = markup.bars([("a", 0.125), ("b", 0.75), ("c", 0.125)], ["b"])
    found = read_result(page)
    assert found["th"] == ["b ✓", "a", "c"] and found["sb-number"] == ["75.0 %", "12.5 %", "12.5 %"]
    assert re.findall(r"width:([\d.]+)%", page) == ["75.0", "12.5", "12.5"]
    assert len(found["sb-chosen"]) == 1 and "details" not in found


def test_many_bars_are_folded_and_none_is_lost(read_result):
    scores = [(f"r{number}", number / 861) for number in range(42)]
    found = read_result(markup.bars(scores))
    assert found["th"] == [label for label, _ in reversed(scores)]
    assert found["summary"] == [f"{42 - markup.BARS_SHOWN} more"]
    assert found["details"][0].count("%") == 42 - markup.BARS_SHOWN
