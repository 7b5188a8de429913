"""The tables over all code points, against BERT's rules and Unicode's own data."""

import string
import unicodedata

import numpy as np
import pytest
from tokenizers import normalizers

from spanbert_keras.conversion.exports.normalization_tables import (
    ORDINARY,
    SEPARATE,
    SPACE,
    SURROGATES,
    NormalizationTables,
    PagedTable,
)

EVERY = np.arange(0x110000)


def look_up(table, codes):
    codes = np.asarray(codes)
    return table.entries[table.pages[codes // 256] * 256 + codes % 256]


def replace(tables, text):
    """Returns a text with each code point replaced according to the tables."""
    parts = []
    for character, which in zip(text, look_up(tables.replacements, [ord(c) for c in text]), strict=True):
        values = tables.values[tables.splits[which - 1] : tables.splits[which]]
        parts.append("".join(map(chr, values)) if which else character)
    return "".join(parts)


@pytest.fixture(scope="module", params=[False, True], ids=["cased", "uncased"])
def lowercase(request):
    return request.param


@pytest.fixture
def tables(lowercase):
    return NormalizationTables.read(lowercase)


def test_a_paged_table_returns_every_number():
    dense = np.random.default_rng(0).integers(0, 9, 0x110000)
    dense[512:99_999] = 4
    table = PagedTable.of(dense)
    assert np.array_equal(look_up(table, EVERY), dense)
    assert table.entries.dtype == table.pages.dtype == np.int32
    assert len(table.entries) <= 0x110000 - 387 * 256


def test_every_code_point_is_replaced_as_by_the_library(tables, lowercase):
    normalize = normalizers.BertNormalizer(lowercase=lowercase).normalize_str
    which, kinds = look_up(tables.replacements, EVERY), look_up(tables.kinds, EVERY)
    wrong = []
    for code in range(0x110000):
        if code in SURROGATES:
            continue
        text = chr(code)
        if which[code]:
            values = tables.values[tables.splits[which[code] - 1] : tables.splits[which[code]]]
            text = "".join(map(chr, values)).replace("\0", "")
        elif kinds[code] == SEPARATE and normalize(text) != text:
            text = f" {text} "
        wrong += [] if normalize(chr(code)) == text else [hex(code)]
    assert wrong == []


def test_examples_follow_berts_rules(tables, lowercase):
    assert replace(tables, "a\tb\u00a0c\u200b\x07\ufffd\x00.") == "a b c."
    expected = "cafe i \u1100\u1161 ss".replace("ss", "ß") if lowercase else "Café İ 가 ß"
    assert replace(tables, "Café İ 가 ß") == expected
    assert replace(tables, "\u0301") == ("" if lowercase else "\u0301")


def test_kinds_follow_berts_rules(tables):
    kinds = dict(zip(EVERY, look_up(tables.kinds, EVERY), strict=True))
    ascii_kinds = {c: SEPARATE for c in string.punctuation} | {
        c: ORDINARY for c in string.ascii_letters + string.digits
    }
    assert {c: kinds[ord(c)] for c in ascii_kinds} == ascii_kinds
    assert [kinds[ord(c)] for c in " \u2003\u3000"] == [SPACE] * 3
    assert [kinds[ord(c)] for c in "中\U00020000。—¿"] == [SEPARATE] * 5
    assert [kinds[ord(c)] for c in "éßя\u0301가かカ€\U0001f600"] == [ORDINARY] * 9


def test_only_uncased_text_is_put_in_canonical_order():
    assert NormalizationTables.read(False).ranks is None
    ranks = look_up(NormalizationTables.read(True).ranks, EVERY)
    # The library and Python follow different versions of Unicode: marks known to both must be in the same order.
    marks = sorted((unicodedata.combining(chr(code)), int(ranks[code])) for code in np.flatnonzero(ranks))
    assert len(marks) > 700 and marks[0][0] == 1 and marks[-1][0] == 240
    classes = {}
    for combining, rank in marks:
        classes.setdefault(combining, set()).add(rank)
    assert all(len(of_class) == 1 for of_class in classes.values())
    assert [min(of_class) for of_class in classes.values()] == list(range(1, len(classes) + 1))


def test_a_removed_accent_that_blocks_reordering_leaves_a_blocker():
    tables = NormalizationTables.read(True)
    assert replace(tables, "\u034f") == "\0"  # class 0: the combining grapheme joiner
    assert replace(tables, "\u0301\u0340\u0344") == ""  # classes above 0, one of them by its decomposition
    assert replace(tables, "\u200d") == ""  # a control, removed before marks are ordered
