"""The registry of schemes: every reader takes its names from here, and an entry is all that a new scheme needs."""

import dataclasses

import numpy as np
import pytest

from spanbert_keras.preprocessing.masking import masking_settings, schemes
from spanbert_keras.preprocessing.masking.masking_law import mask_rows
from spanbert_keras.preprocessing.masking.masking_settings import MaskingSettings
from spanbert_keras.preprocessing.masking.masking_tables import SPECIAL, WORD_START, MaskingTables
from spanbert_keras.preprocessing.masking.row_units import RowUnits
from spanbert_keras.preprocessing.masking.span_masker import SpanMasker
from spanbert_keras.preprocessing.masking.unit_choice import choose_spans

MASK, NUM_PIECES = 1, 22
TABLES = MaskingTables(
    np.array([SPECIAL, SPECIAL, *[WORD_START] * 20], np.uint8), MASK, np.arange(2, 22, dtype=np.int32), np.array([])
)


def test_names_are_those_of_the_table():
    assert schemes.SCHEME_NAMES == tuple(schemes.SCHEMES) == ("span", "whole_word", "subword")


def test_every_scheme_is_documented_by_the_masker():
    for name in schemes.SCHEMES:
        assert f'`"{name}"`' in SpanMasker.__doc__


def entities(rows):
    """Units are runs of one value of the annotation; a special is a unit of its own."""
    begins = np.concatenate([[True], np.diff(rows.annotation.astype(int)) != 0]) | (rows.kinds == SPECIAL)
    begins[1:] |= rows.kinds[:-1] == SPECIAL
    return RowUnits.begin_at(rows, np.flatnonzero(begins))


def test_an_entry_that_reads_an_annotation_masks_whole_entities(monkeypatch):
    scheme = schemes.Scheme(find_units=entities, choose=choose_spans, max_span_length=1)
    monkeypatch.setitem(schemes.SCHEMES, "entity", scheme)
    pieces = np.array([0, *range(2, 22), 0], np.int32)
    annotation = np.array([0, *np.repeat([1, 2, 1, 3, 4], 4), 0], np.uint8)
    for seed in range(20):
        settings = MaskingSettings(scheme="entity", masking_rate=0.2, mask_token_rate=1, random_token_rate=0)
        masked = mask_rows(pieces, np.array([0, NUM_PIECES]), [[seed, 0]], TABLES, settings, annotation)
        first = masked.positions[0]
        assert masked.positions.tolist() == list(range(first, first + 4)) and first % 4 == 1
        assert (masked.pieces[masked.positions] == MASK).all()


@pytest.mark.parametrize(("name", "longest"), [("span", 10), ("whole_word", 1), ("subword", 1)])
def test_the_scheme_bounds_the_length_of_spans(name, longest):
    assert len(MaskingSettings(scheme=name).length_thresholds) == longest - 1


def test_a_scheme_outside_the_table_is_rejected():
    with pytest.raises(ValueError, match="`scheme` must be one of span, whole_word, subword"):
        masking_settings.MaskingSettings(scheme="entity")


def test_entries_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        schemes.SCHEMES["span"].replaces_spans = False
