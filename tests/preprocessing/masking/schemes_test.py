"""The registry of schemes: every reader takes its names from here, and an entry is all that a new scheme needs."""

import dataclasses
import math

import numpy as np
import pytest

from spanbert_keras.preprocessing import philox
from spanbert_keras.preprocessing.masking import masking_settings, schemes
from spanbert_keras.preprocessing.masking.masking_law import mask_rows
from spanbert_keras.preprocessing.masking.masking_settings import MaskingSettings
from spanbert_keras.preprocessing.masking.masking_tables import CONTINUATION, SPECIAL, WORD_START, MaskingTables
from spanbert_keras.preprocessing.masking.row_units import RowUnits
from spanbert_keras.preprocessing.masking.span_masker import SpanMasker
from spanbert_keras.preprocessing.masking.unit_choice import choose_spans

MASK, NUM_PIECES = 1, 22
TABLES = MaskingTables(
    np.array([SPECIAL, SPECIAL, *[WORD_START] * 20], np.uint8), MASK, np.arange(2, 22, dtype=np.int32), np.array([])
)


def test_names_are_those_of_the_table():
    assert (
        schemes.SCHEME_NAMES
        == tuple(schemes.SCHEMES)
        == ("span", "whole_word", "subword", "named_entity", "noun_phrase")
    )


def test_every_scheme_is_documented_by_the_masker():
    for name in schemes.SCHEMES:
        assert f'`"{name}"`' in SpanMasker.__doc__


# The contract of every scheme, also of those to come: words of one to three pieces, specials between them, and an
# annotation of runs of five pieces.
WORDS = MaskingTables(
    np.array([SPECIAL, SPECIAL, *[WORD_START, WORD_START, CONTINUATION] * 20], np.uint8),
    MASK,
    np.arange(2, 62),
    np.array([]),
)


@pytest.fixture(scope="module")
def corpus():
    """Pieces, row starts and annotation of 200 rows of 0 to 59 pieces; every tenth piece or so is special."""
    random = np.random.default_rng(0)
    starts = np.cumsum([0, *random.integers(0, 60, 200)])
    pieces = random.integers(2, 62, starts[-1]) * (random.random(starts[-1]) > 0.1)
    return pieces.astype(np.int32), starts, (np.arange(starts[-1]) // 5 % 2).astype(np.uint8)


def masked_by(name, corpus, seed):
    pieces, starts, annotation = corpus
    settings = MaskingSettings(scheme=name, masking_rate=0.3)
    return mask_rows(pieces, starts, philox.fold((seed, 0), np.arange(len(starts) - 1)), WORDS, settings, annotation)


@pytest.mark.parametrize("name", schemes.SCHEMES)
def test_every_scheme_keeps_its_budget_and_spends_most_of_it(name, corpus):
    pieces, starts, _ = corpus
    maskable = np.add.reduceat(np.append(pieces != 0, False), starts[:-1]) * (np.diff(starts) > 0)
    budgets = np.array([math.ceil(3 * count / 10) for count in maskable.tolist()])
    spent = np.bincount(masked_by(name, corpus, 1).rows, minlength=len(budgets))
    assert (spent <= budgets).all() and spent.sum() > 0.9 * budgets.sum()


@pytest.mark.parametrize("name", schemes.SCHEMES)
def test_no_scheme_masks_or_changes_a_special(name, corpus):
    pieces, starts, _ = corpus
    masked = masked_by(name, corpus, 1)
    assert 0 not in masked.ids and 0 not in pieces[starts[masked.rows] + masked.positions]
    np.testing.assert_array_equal(masked.pieces == 0, pieces == 0)


@pytest.mark.parametrize("name", schemes.SCHEMES)
def test_masks_of_every_scheme_are_a_function_of_the_seed_alone(name, corpus):
    first, again, other = (masked_by(name, corpus, seed) for seed in (1, 1, 2))
    for field in dataclasses.fields(first):
        np.testing.assert_array_equal(getattr(first, field.name), getattr(again, field.name), err_msg=field.name)
    assert first.pieces.tolist() != other.pieces.tolist() and first.positions.tolist() != other.positions.tolist()


def entities(rows):
    """Units are runs of one value of the annotation; a special is a unit of its own."""
    begins = np.concatenate([[True], np.diff(rows.annotation.astype(int)) != 0]) | (rows.kinds == SPECIAL)
    begins[1:] |= rows.kinds[:-1] == SPECIAL
    return RowUnits.begin_at(rows, np.flatnonzero(begins))


def test_an_entry_that_reads_an_annotation_masks_whole_entities(monkeypatch):
    scheme = schemes.Scheme(find_units=entities, choose=choose_spans, max_span_length=1, annotation="entities")
    monkeypatch.setitem(schemes.SCHEMES, "entity", scheme)
    pieces = np.array([0, *range(2, 22), 0], np.int32)
    annotation = np.array([0, *np.repeat([1, 2, 1, 3, 4], 4), 0], np.uint8)
    for seed in range(20):
        settings = MaskingSettings(scheme="entity", masking_rate=0.2, mask_token_rate=1, random_token_rate=0)
        masked = mask_rows(pieces, np.array([0, NUM_PIECES]), [[seed, 0]], TABLES, settings, annotation)
        first = masked.positions[0]
        assert masked.positions.tolist() == list(range(first, first + 4)) and first % 4 == 1
        assert (masked.pieces[masked.positions] == MASK).all()


@pytest.mark.parametrize(("name", "longest"), [("span", 10), ("whole_word", 1), ("subword", 1), ("noun_phrase", 1)])
def test_the_scheme_bounds_the_length_of_spans(name, longest):
    assert len(MaskingSettings(scheme=name).length_thresholds) == longest - 1


def test_a_scheme_outside_the_table_is_rejected():
    with pytest.raises(ValueError, match="`scheme` must be one of span, whole_word, subword, named_entity"):
        masking_settings.MaskingSettings(scheme="entity")


def test_only_schemes_of_mentions_name_an_annotation():
    named = {name: scheme.annotation for name, scheme in schemes.SCHEMES.items() if scheme.annotation}
    assert named == {"named_entity": "entities", "noun_phrase": "noun_phrases"}


def test_entries_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        schemes.SCHEMES["span"].replaces_spans = False
