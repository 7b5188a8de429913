"""The masking law against a plain Python version of it that is driven by the same Philox numbers."""

import dataclasses
from fractions import Fraction
from math import ceil

import numpy as np
import pytest
from scipy import stats

from spanbert_keras.preprocessing import philox
from spanbert_keras.preprocessing.masking.masking_law import mask_rows
from spanbert_keras.preprocessing.masking.masking_settings import MaskingSettings
from spanbert_keras.preprocessing.masking.masking_tables import MaskingTables
from spanbert_keras.preprocessing.masking.schemes import SCHEMES

PAD, UNK, CLS, SEP, MASK = 0, 1, 2, 3, 4
FIRST_ORDINARY, SIZE = 6, 300  # Piece 5 is unused.


class Vocabulary:
    """300 pieces: five specials, one unused, then three of five begin a word."""

    mask_token_id = MASK
    special_token_ids = [PAD, UNK, CLS, SEP, MASK]

    def word_starts(self):
        return np.arange(SIZE) % 5 < 3

    def ordinary_token_ids(self):
        return np.arange(FIRST_ORDINARY, SIZE, dtype=np.int32)


ANNOTATED = ("named_entity", "noun_phrase")
COUNTS = np.arange(SIZE) % 7 * 1000
TABLES = MaskingTables.from_tokenizer(Vocabulary(), COUNTS)


def number(seed, index, stream):
    """The four random words of one counter, in Python integers (philox_test checks `philox4x32`)."""
    return philox.philox4x32(np.array([index, 0, stream, 0], np.uint32), seed).tolist()


def pick(word, bits, shares):
    """The index of the cumulated share into which a random word of `bits` bits falls."""
    total = sum(shares)
    for i in range(len(shares)):
        if word < int(Fraction(sum(shares[: i + 1]), total) * 2**bits):
            return i
    return len(shares) - 1


def oracle_mentions(row, words, annotation):
    """The mentions of one row, each as the indices of its words."""
    word_of = {i: w for w, positions in enumerate(words) for i in positions}  # Specials belong to no word.
    mentions = []
    for i in word_of:
        if annotation[i] % 2 == 1:
            if i - 1 not in word_of or annotation[i - 1] % 2 == 0 or annotation[i] // 2 % 2 == 1:
                mentions.append([])
            mentions[-1].append(word_of[i])
    return [range(mention[0], mention[-1] + 1) for mention in mentions]


def oracle_choice(row, seed, settings, annotation):
    """The set of masked positions of one row, and its words as lists of positions."""
    starts, specials = Vocabulary().word_starts(), Vocabulary.special_token_ids
    words, maskable = [], [i for i in range(len(row)) if row[i] not in specials]
    for i in maskable:
        if starts[row[i]] or i - 1 not in maskable or settings.scheme == "subword":
            words.append([])
        words[-1].append(i)
    budget = ceil(Fraction(str(settings.masking_rate)) * len(maskable))
    if settings.scheme == "subword":
        return set(sorted(maskable, key=lambda i: (number(seed, i, 4)[0], i))[:budget]), words
    p, longest = Fraction(str(settings.geometric_rate)), settings.max_span_length
    law = [p * (1 - p) ** i for i in range(longest if settings.scheme == "span" else 1)]
    mentions = oracle_mentions(row, words, annotation) if settings.scheme in ANNOTATED else []
    masked = set()
    for draw in range(10 * budget):
        for_length, for_start = number(seed, draw // 2, 1)[draw % 2 * 2 :][:2]
        length, first = pick(for_length, 32, law) + 1, for_start * len(words) >> 32
        if mentions and for_length < int(Fraction(str(settings.mention_rate)) * 2**32):
            mention = mentions[for_start * len(mentions) >> 32]
            length, first = len(mention), mention[0]
        if len(masked) == budget or words[first][0] in masked:
            continue
        for w in range(first, min(first + length, len(words))):
            if words[w][0] != words[first][0] and words[w][0] - 1 not in words[w - 1]:
                break  # A special stands between.
            new = [i for i in words[w] if i not in masked]
            if len(masked) + len(new) > budget:
                break
            masked.update(new)
    return masked, words


def oracle(row, seed, settings, annotation):
    """One row by the law: pieces after masking, and each target (position, id, left, right, offset, weight)."""
    masked, words = oracle_choice(row, seed, settings, annotation)
    out, targets = list(row), []
    for i in sorted(masked):
        start = max(k for k in range(i + 1) if k - 1 not in masked and k in masked)
        end = min(k for k in range(i, len(row)) if k + 1 not in masked)
        leader = start if settings.scheme in ("span", *ANNOTATED) else next(word for word in words if i in word)[0]
        keep = 1 - Fraction(str(settings.mask_token_rate)) - Fraction(str(settings.random_token_rate))
        rates = [Fraction(str(settings.mask_token_rate)), Fraction(str(settings.random_token_rate)), keep]
        action = pick(number(seed, leader, 2)[0], 32, rates)
        if action == 0:
            out[i] = MASK
        if action == 1:
            high, low, _, _ = number(seed, i, 3)
            out[i] = FIRST_ORDINARY + pick(high << 32 | low, 64, COUNTS[FIRST_ORDINARY:].tolist())
        exists = start > 0 and end + 1 < len(row)
        weight = float(exists and i - start < settings.max_span_positions)
        targets.append((i, row[i], max(start - 1, 0), end + 1 if end + 1 < len(row) else 0, i - start, weight))
    return out, targets


def make_rows(seed=0, sizes=(0, 1, 2, 3, 5, 8, 13, 20, 21, 34, 55, 89, 144)):
    """Rows of random pieces: with specials around, between, or none; some begin with a continuation."""
    rng = np.random.default_rng(seed)
    rows = []
    for size in sizes:
        text = rng.integers(FIRST_ORDINARY, SIZE, size).tolist()
        half = size // 2
        # Two rows without specials in a row: only `row_starts` parts them.
        rows += [text, text[::-1]]
        rows += [[CLS, *text, SEP], [CLS, *text[:half], SEP, *text[half:], SEP], [SEP, SEP, *text, UNK]]
    return rows


def flatten(rows):
    starts = np.cumsum([0] + [len(row) for row in rows])
    return np.array([i for row in rows for i in row], np.int32), starts


def annotated(rows):
    """The annotation of each row, as a function of its pieces: mentions of all lengths, some bits of labels."""
    rows = [np.array(row, np.int64) for row in rows]
    return [np.where(row // 3 % 3 > 0, 1 + 2 * (row % 4 == 0), 0) + 4 * (row % 8) for row in rows]


def mask(rows, seeds, settings=None, tables=TABLES):
    pieces, starts = flatten(rows)
    annotation = np.concatenate([np.zeros(0, np.int64), *annotated(rows)]).astype(np.uint8)
    return mask_rows(pieces, starts, seeds, tables, settings or MaskingSettings(), annotation)


def seeds_of(rows, seed=0):
    return philox.fold((seed, 1), np.arange(len(rows)))


def split(masked, rows):
    """Each row's part of the result: (pieces, list of targets)."""
    _, starts = flatten(rows)
    parts = []
    for r in range(len(rows)):
        at = masked.rows == r
        columns = (
            masked.positions,
            masked.ids,
            masked.left_positions,
            masked.right_positions,
            masked.span_offsets,
            masked.span_weights,
        )
        targets = list(zip(*(column[at].tolist() for column in columns), strict=True))
        parts.append((masked.pieces[starts[r] : starts[r + 1]].tolist(), targets))
    return parts


VARIANTS = [
    {},
    {"scheme": "whole_word"},
    {"scheme": "subword"},
    {"max_span_positions": 2, "masking_rate": 0.4},
    {"geometric_rate": 0.05, "max_span_length": 30, "mask_token_rate": 0.2, "random_token_rate": 0.7},
    {"scheme": "whole_word", "masking_rate": 1.0, "mask_token_rate": 0.0, "random_token_rate": 1.0},
    {"scheme": "subword", "masking_rate": 0.5, "mask_token_rate": 0.3, "random_token_rate": 0.3},
    {"scheme": "named_entity"},
    {"scheme": "noun_phrase", "masking_rate": 0.5, "mention_rate": 0.9, "max_span_positions": 3},
    {"scheme": "named_entity", "masking_rate": 1.0, "mention_rate": 1.0},
]


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_every_output_equals_the_plain_python_law(variant):
    settings, rows = MaskingSettings(**variant), make_rows()
    seeds = seeds_of(rows)
    parts = split(mask(rows, seeds, settings), rows)
    for row, seed, annotation, part in zip(rows, seeds, annotated(rows), parts, strict=True):
        assert part == oracle(row, seed, settings, annotation.tolist())


def test_rows_of_long_words_stop_where_nothing_fits_as_after_all_draws():
    # Words of seven pieces: after some, the remaining budget is too small for every word.
    start, inside = 5 * 4, 5 * 4 + 3
    rows = [[CLS] + ([start] + [inside] * 6) * n + [SEP] for n in (1, 2, 7, 15, 30)]
    seeds = seeds_of(rows, 3)
    parts = split(mask(rows, seeds), rows)
    assert [len(targets) for _, targets in parts] == [0, 0, 7, 14, 28]
    for row, seed, part in zip(rows, seeds, parts, strict=True):
        assert part == oracle(row, seed, MaskingSettings(), [])


def test_types_are_as_promised():
    rows = make_rows()
    masked = mask(rows, seeds_of(rows))
    types = {field.name: getattr(masked, field.name).dtype for field in dataclasses.fields(masked)}
    assert types.pop("rows") == np.int64
    assert types.pop("span_weights") == np.float32
    assert set(types.values()) == {np.dtype(np.int32)}


def test_no_rows_and_empty_rows_are_fine():
    assert mask([], np.zeros((0, 2), int)).rows.size == 0
    masked = mask([[], [], [CLS, SEP]], seeds_of(range(3)))
    assert masked.pieces.tolist() == [CLS, SEP]
    assert masked.positions.size == 0


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_rows_masks_do_not_depend_on_the_batch(scheme):
    settings, rows = MaskingSettings(scheme=scheme), make_rows(1)
    seeds = seeds_of(rows)
    together = split(mask(rows, seeds, settings), rows)
    for r in range(len(rows)):
        assert split(mask(rows[r : r + 1], seeds[r : r + 1], settings), rows[r : r + 1]) == together[r : r + 1]
    backwards = split(mask(rows[::-1], seeds[::-1], settings), rows[::-1])
    assert backwards[::-1] == together


def test_another_seed_gives_other_masks():
    rows = make_rows(sizes=(144,))
    assert split(mask(rows, seeds_of(rows, 1)), rows) != split(mask(rows, seeds_of(rows, 2)), rows)


def test_inputs_are_left_as_they_were():
    rows = make_rows()
    pieces, starts = flatten(rows)
    before = pieces.copy()
    mask_rows(pieces, starts, seeds_of(rows), TABLES, MaskingSettings())
    np.testing.assert_array_equal(pieces, before)


def big_batch(rows=400, size=126, words=SIZE, seed=5):
    text = np.random.default_rng(seed).integers(FIRST_ORDINARY, words, (rows, size))
    return [[CLS, *row, SEP] for row in text.tolist()]


def test_specials_are_never_masked_and_words_are_never_cut():
    rows = make_rows(2, sizes=(60,) * 30)
    parts = split(mask(rows, seeds_of(rows)), rows)
    starts = Vocabulary().word_starts()
    for row, (_, targets) in zip(rows, parts, strict=True):
        masked = {target[0] for target in targets}
        assert not {row[i] for i in masked} & set(Vocabulary.special_token_ids)
        for i in range(1, len(row)):
            inside = not starts[row[i]] and {row[i], row[i - 1]}.isdisjoint(Vocabulary.special_token_ids)
            assert not inside or (i in masked) == (i - 1 in masked)


def test_no_row_exceeds_its_budget_and_little_is_unspent():
    rows = big_batch()
    spent = np.bincount(mask(rows, seeds_of(rows)).rows, minlength=len(rows))
    assert spent.max() <= ceil(0.15 * 126)
    assert 19 - spent.mean() <= 0.3


def test_neighbours_are_observed_and_next_to_the_span():
    rows = big_batch()
    masked = mask(rows, seeds_of(rows))
    at = set(zip(masked.rows.tolist(), masked.positions.tolist(), strict=True))
    for neighbour in (masked.left_positions, masked.right_positions):
        assert not at & set(zip(masked.rows.tolist(), neighbour.tolist(), strict=True))
    start = masked.positions - masked.span_offsets
    np.testing.assert_array_equal(masked.left_positions, start - 1)
    assert (masked.right_positions > masked.positions).all()
    assert masked.span_weights.sum() == (masked.span_offsets < 15).sum()


def test_spans_are_replaced_80_10_10():
    rows = big_batch(3000)
    pieces, starts = flatten(rows)
    masked = mask(rows, seeds_of(rows))
    after = masked.pieces[starts[masked.rows] + masked.positions]
    first = np.flatnonzero(masked.span_offsets == 0)
    is_mask, is_kept = after == MASK, after == masked.ids
    whole = np.add.reduceat(is_mask, first) / np.add.reduceat(np.ones(len(after)), first)
    assert set(whole.tolist()) == {0.0, 1.0}  # All pieces of a span share one fate.
    kept = np.logical_and.reduceat(is_kept, first)
    assert abs(whole.mean() - 0.8) < 0.01
    assert abs(kept.mean() - 0.1) < 0.01
    assert abs((~kept & (whole == 0)).mean() - 0.1) < 0.01


def test_random_pieces_follow_the_corpus():
    settings = MaskingSettings(scheme="subword", mask_token_rate=0, random_token_rate=1)
    rows = big_batch(2000)
    masked = mask(rows, seeds_of(rows), settings)
    _, starts = flatten(rows)
    drawn = masked.pieces[starts[masked.rows] + masked.positions]
    possible = COUNTS[FIRST_ORDINARY:] > 0
    counts = np.bincount(drawn, minlength=SIZE)[FIRST_ORDINARY:]
    assert counts[~possible].sum() == 0
    expected = COUNTS[FIRST_ORDINARY:][possible] / COUNTS[FIRST_ORDINARY:].sum() * len(drawn)
    assert stats.chisquare(counts[possible], expected).pvalue > 1e-3


def test_single_pieces_are_chosen_uniformly():
    rows = big_batch(3000, size=20)
    masked = mask(rows, seeds_of(rows), MaskingSettings(scheme="subword"))
    counts = np.bincount(masked.positions, minlength=21)[1:]
    assert counts.sum() == 3000 * 3
    assert stats.chisquare(counts).pvalue > 1e-3


def test_first_starts_are_uniform_over_words():
    # A budget of one piece in words of one piece: the first draw alone decides.
    rows = [[CLS] + [10] * 6 + [SEP]] * 6000
    masked = mask(rows, seeds_of(rows))
    assert len(masked.rows) == 6000
    assert stats.chisquare(np.bincount(masked.positions, minlength=7)[1:]).pvalue > 1e-3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([5, SIZE], [0, 2], [[1, 2]]), "vocabulary_size - 1 = 299"),
        (([5, -1], [0, 2], [[1, 2]]), "Received: -1..5"),
        (([5, 6], [0, 1], [[1, 2]]), "rise from 0 to the number of pieces, 2"),
        (([5, 6], [1, 2], [[1, 2]]), "`row_starts`"),
        (([5, 6], [0, 2, 1, 2], [[1, 2]] * 3), "`row_starts`"),
        (([5, 6], [0, 1, 2], [[1, 2]]), r"shape \(2, 2\)"),
    ],
)
def test_inconsistent_arguments_are_rejected(arguments, message):
    with pytest.raises(ValueError, match=message):
        mask_rows(*map(np.array, arguments), TABLES, MaskingSettings())


@pytest.mark.parametrize(
    ("annotation", "message"),
    [
        (None, "The scheme 'named_entity' needs an annotation, .* marks its entities: .* Received: none"),
        (np.zeros(3, np.uint8), r"integers of shape \(2,\), one per piece. Received: dtype=uint8, shape=\(3,\)"),
        (np.zeros(2), "Received: dtype=float64"),
    ],
)
def test_a_scheme_of_mentions_needs_an_annotation_of_all_pieces(annotation, message):
    arguments = np.array([5, 6]), np.array([0, 2]), [[1, 2]], TABLES, MaskingSettings(scheme="named_entity")
    with pytest.raises(ValueError, match=message):
        mask_rows(*arguments, annotation)
