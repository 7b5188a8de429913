"""Tests of masked rows of texts, against a plain cut of each text and the masker on each block alone."""

import math

import numpy as np
import pytest

from spanbert_keras.errors import InputError
from spanbert_keras.preprocessing.masking.span_masker import SpanMasker
from spanbert_keras.preprocessing.philox import fold
from spanbert_keras.preprocessing.preprocessors.masked_text_rows import MaskedTextRows
from spanbert_keras.preprocessing.seeds import MASKS

CLS, SEP, MASK = 2, 3, 4
LENGTHS = [3, 0, 70, 1, 12, 38, 2, 5, 0, 150, 7, 1, 9, 4, 0]
TARGETS = ("mask_positions", "mask_ids", "left_positions", "right_positions", "span_offsets", "span_weights")


@pytest.fixture(scope="module")
def texts():
    """List of lists of pieces of `toy_pieces`; each text begins with a word."""
    random = np.random.default_rng(3)
    made = [random.integers(5, 64, length) for length in LENGTHS]
    for text in made:
        text[:1] = 5
    return [text.astype(np.int32) for text in made]


@pytest.fixture(scope="module")
def rows_of(texts, toy_tokenizer):
    """Function that makes the rows of `texts`; `law` are settings of the masker."""

    def make(row_length=40, pack=True, seed=7, sample_weight=None, given=texts, **law):
        masker = SpanMasker(toy_tokenizer, **law)
        lengths = np.array([len(text) for text in given], np.int64)
        pieces = np.concatenate([np.zeros(0, np.int32), *given])
        return MaskedTextRows(pieces, lengths, masker, row_length, pack, seed, sample_weight)

    return make


def whole(rows, length=40, epoch=0):
    return rows.batch(np.arange(len(rows)), length, epoch)


def plain_cut(texts, row_length, first_ending=50):
    """Returns [(start over all texts, pieces)] of every block, piece by piece, and the pieces left out."""
    blocks, left_out, base = [], 0, 0
    for text in texts:
        words = []
        for piece in text.tolist():
            if piece >= first_ending and words:
                words[-1].append(piece)
            else:
                words.append([piece])
        block, start, place = [], base, base
        for word in words:
            if block and len(block) + len(word) > row_length - 2:
                blocks.append((start, block))
                block = []
            if len(word) > row_length - 2:
                left_out += len(word)
            else:
                start = start if block else place
                block = block + word
            place += len(word)
        if block:
            blocks.append((start, block))
        base += len(text)
    return blocks, left_out


def restored(batch):
    """Returns the batch's pieces with the original ids at the masked places."""
    ids = batch["token_ids"].copy()
    for row, column in zip(*np.nonzero(batch["mask_weights"]), strict=True):
        ids[row, batch["mask_positions"][row, column]] = batch["mask_ids"][row, column]
    return ids


def blocks_of(batch):
    """Returns (row, places) of every block: the places where its number stands in `padding_mask`."""
    mask = batch["padding_mask"]
    return [(r, np.flatnonzero(mask[r] == n)) for r in range(len(mask)) for n in range(1, mask[r].max() + 1)]


@pytest.mark.parametrize("pack", [True, False])
@pytest.mark.parametrize("row_length", [5, 12, 40, 200])
def test_every_epoch_has_every_piece_once_and_nothing_else(rows_of, texts, pack, row_length):
    expected, left_out = plain_cut(texts, row_length)
    rows = rows_of(row_length, pack)
    assert rows.left_out_pieces == left_out and (left_out > 0) == (row_length == 5)
    assert sum(len(block) for _, block in expected) + left_out == sum(LENGTHS)
    for epoch in (0, 1, 5):
        batch = whole(rows, row_length, epoch)
        ids, found = restored(batch), []
        for row, places in blocks_of(batch):
            assert np.diff(places).tolist() == [1] * (len(places) - 1)
            assert ids[row, places[0]] == CLS and ids[row, places[-1]] == SEP
            found.append(ids[row, places[1:-1]].tolist())
        assert sorted(found) == sorted(block for _, block in expected)
        assert not ids[batch["padding_mask"] == 0].any()
    assert pack or len(rows) == len(expected)
    assert not pack or row_length == 5 or len(rows) < len(expected)


@pytest.mark.parametrize("scheme", ["span", "whole_word", "subword"])
def test_every_block_is_masked_by_its_own_seed_as_the_masker_does_alone(rows_of, texts, scheme):
    rows = rows_of(scheme=scheme, masking_rate=0.3, max_span_positions=3)
    starts = {tuple(block): start for start, block in plain_cut(texts, 40)[0]}
    for epoch in (0, 2):
        batch, masked = whole(rows, epoch=epoch), 0
        ids = restored(batch)
        for row, places in blocks_of(batch):
            block = ids[row, places]
            inside = batch["mask_weights"][row] * np.isin(batch["mask_positions"][row], places) > 0
            start = starts[tuple(block[1:-1].tolist())]
            if len(block) > 3:  # of two equal blocks one would have the other's seed
                seed = fold(fold((0, 0), 7), MASKS, epoch, start)
                alone = rows.masker({"token_ids": block, "padding_mask": np.ones_like(block)}, seed=seed)
                assert batch["token_ids"][row, places].tolist() == alone["token_ids"].tolist()
                count = int(alone["mask_weights"].sum())
                for name in TARGETS:
                    moved = places[0] if name in ("mask_positions", "left_positions", "right_positions") else 0
                    assert (batch[name][row, inside] - moved).tolist() == alone[name][:count].tolist(), name
                masked += count
        assert masked > 50


def test_the_masking_rate_holds_in_every_block(rows_of):
    batch = whole(rows_of(scheme="subword"))
    for row, places in blocks_of(batch):
        inside = batch["mask_weights"][row] * np.isin(batch["mask_positions"][row], places)
        assert inside.sum() == math.ceil(0.15 * (len(places) - 2))


def test_the_boundaries_of_a_span_are_observed_pieces_of_its_block(rows_of):
    spans = 0
    for epoch in range(5):
        batch = whole(rows_of(masking_rate=0.3), epoch=epoch)
        for row, places in blocks_of(batch):
            masked = np.flatnonzero(batch["mask_weights"][row] * np.isin(batch["mask_positions"][row], places))
            positions = set(batch["mask_positions"][row, masked].tolist())
            for column in masked:
                left, right = batch["left_positions"][row, column], batch["right_positions"][row, column]
                assert places[0] <= left < batch["mask_positions"][row, column] < right <= places[-1]
                assert not {left, right} & positions
                assert batch["span_offsets"][row, column] == batch["mask_positions"][row, column] - left - 1
                spans += 1
    assert spans > 100


def test_masks_are_new_in_every_epoch_and_those_of_the_seed(rows_of):
    def masks(epoch, **arguments):
        return whole(rows_of(**arguments), epoch=epoch)["token_ids"].tolist()

    assert masks(0) == masks(0) and masks(3) == masks(3)
    seen = [masks(0), masks(1), masks(2), masks(0, seed=8), masks(0, seed=2**63)]
    assert all(seen[i] != seen[j] for i in range(5) for j in range(i))
    assert whole(rows_of(), epoch=0)["padding_mask"].tolist() == whole(rows_of(), epoch=1)["padding_mask"].tolist()


def test_a_block_has_the_same_masks_packed_or_not(rows_of):
    def masked(pack):
        batch = whole(rows_of(pack=pack), epoch=4)
        return sorted(batch["token_ids"][row, places].tolist() for row, places in blocks_of(batch))

    assert masked(True) == masked(False)


def test_a_row_is_the_same_in_every_batch_and_at_every_length(rows_of):
    rows = rows_of()
    together = whole(rows, epoch=1)
    for chosen in ([4, 0], [1], [2, 2]):
        batch = rows.batch(np.array(chosen), 48, 1)
        for name, values in batch.items():
            width = together[name].shape[1]
            assert values[:, :width].tolist() == together[name][chosen].tolist(), name
            assert not values[:, width:].any()
        assert batch["token_ids"].shape == (len(chosen), 48)


def test_lengths_are_the_tokens_of_the_rows(rows_of):
    for pack in (True, False):
        rows = rows_of(pack=pack)
        assert rows.lengths.tolist() == (whole(rows)["padding_mask"] > 0).sum(1).tolist()
        assert rows.lengths.dtype == np.int64


def test_unpacked_rows_follow_the_texts_and_have_their_weights(rows_of, texts):
    weights = np.arange(len(texts)) / 10
    rows = rows_of(pack=False, sample_weight=weights)
    assert sorted(set(rows.examples.tolist())) == [i for i, length in enumerate(LENGTHS) if length]
    assert rows.examples.tolist() == sorted(rows.examples.tolist())
    np.testing.assert_allclose(rows.weights, weights[rows.examples], rtol=1e-6)
    ids = restored(whole(rows))
    for i, text in enumerate(texts):
        found = [ids[row, 1 : rows.lengths[row] - 1].tolist() for row in np.flatnonzero(rows.examples == i)]
        assert sum(found, []) == text.tolist()


def test_packed_rows_follow_the_texts(rows_of, texts):
    ids, text = restored(whole(rows_of())), np.concatenate(texts).tolist()
    places = [next(i for i in range(len(text)) if text[i : i + 3] == row[1:4].tolist()) for row in ids]
    assert places == sorted(places)


@pytest.mark.parametrize("weights", [[1.0], np.ones((15, 2))])
def test_there_must_be_a_weight_for_each_text(rows_of, weights):
    with pytest.raises(InputError, match=r"Expected: shape \(15,\)"):
        rows_of(pack=False, sample_weight=weights)


def test_packed_rows_take_no_weights(rows_of):
    with pytest.raises(InputError, match="pack=False"):
        rows_of(sample_weight=np.ones(len(LENGTHS)))


def test_texts_without_pieces_are_counted_and_make_no_row(rows_of):
    rows = rows_of(pack=False)
    assert rows.empty == 3
    assert not {1, 8, 14} & set(rows.examples.tolist())


@pytest.mark.parametrize("pack, predictions", [(True, 6 + 1), (False, 6)])
def test_the_number_of_masks_does_not_depend_on_the_texts(rows_of, texts, pack, predictions):
    for given in (texts, texts[:1], [texts[9]], [texts[3]] * 300):  # ceil(0.15 x 38) is 6
        rows = rows_of(pack=pack, given=given)
        batch = whole(rows)
        assert batch["mask_ids"].shape == (len(rows), predictions)
        assert rows.max_predictions == predictions


@pytest.mark.parametrize("given", [[], [[]], [[], []], [[5, *[51] * 50]]])
def test_texts_without_a_word_that_fits_are_rejected(rows_of, given):
    with pytest.raises(InputError, match=f"Received: {len(given)} texts without any"):
        rows_of(given=[np.array(text, np.int32) for text in given])
