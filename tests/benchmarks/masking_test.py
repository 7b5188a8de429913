"""The plain loop obeys the law and agrees with the layer in distribution; the measurement runs small."""

import math
import random

import numpy as np
import pytest
from scipy import stats

from benchmarks import masking
from spanbert_keras.preprocessing import philox
from spanbert_keras.preprocessing.masking.schemes import SCHEMES
from spanbert_keras.preprocessing.masking.span_masker import SpanMasker

CONFIG = masking.Config(batch_size=6, sequence_length=48, batches=2, repeats=1, vocabulary_size=400)


@pytest.fixture(scope="module")
def tokenizer():
    return masking.make_tokenizer(CONFIG)


def loop(block, tokenizer, seed=0):
    ids = tokenizer.ordinary_token_ids().tolist()
    return masking.mask_loop(block, tokenizer.word_starts().tolist(), ids, tokenizer.mask_token_id, random.Random(seed))


def blocks(count, size=46, seed=0):
    return np.random.default_rng(seed).integers(5, 400, (count, size)).tolist()


def test_the_loop_masks_whole_words_within_the_budget(tokenizer):
    starts = tokenizer.word_starts()
    spent = []
    for seed, block in enumerate(blocks(200)):
        masked, targets = loop(block, tokenizer, seed)
        positions = [target[0] for target in targets]
        spent.append(len(positions))
        for i in range(1, len(block)):
            assert starts[block[i]] or (i in positions) == (i - 1 in positions)
        assert all(masked[i] == block[i] for i in range(len(block)) if i not in positions)
    assert max(spent) == math.ceil(0.15 * 46)
    assert 7 - np.mean(spent) <= 0.3


def test_the_loops_neighbours_are_next_to_the_run(tokenizer):
    for seed, block in enumerate(blocks(50)):
        _, targets = loop(block, tokenizer, seed)
        masked = {target[0] for target in targets}
        for position, left, right, offset in targets:
            assert left == position - offset - 1
            assert not {left, right} & masked
            assert set(range(left + 1, right)) <= masked


def test_the_loop_replaces_80_10_10(tokenizer):
    fates = []
    for seed, block in enumerate(blocks(3000)):
        masked, targets = loop(block, tokenizer, seed)
        first = [i for i, _, _, offset in targets if not offset]
        fates += [0 if masked[i] == tokenizer.mask_token_id else 1 + (masked[i] == block[i]) for i in first]
    shares = np.bincount(fates) / len(fates)
    np.testing.assert_allclose(shares, [0.8, 0.1, 0.1], atol=0.012)


def test_the_layer_and_the_loop_have_the_same_histogram_of_spans(tokenizer):
    texts = blocks(4000)
    masker, starts = SpanMasker(tokenizer=tokenizer), np.arange(4001) * 48
    pieces = np.array([[tokenizer.cls_token_id, *text, tokenizer.sep_token_id] for text in texts]).reshape(-1)
    ours = masker.mask_ragged(pieces, starts, philox.fold((1, 2), np.arange(4000)))
    first = ours.span_offsets == 0
    ours_lengths = ours.right_positions[first] - ours.left_positions[first] - 1
    theirs_lengths = [
        right - left - 1
        for seed, text in enumerate(texts)
        for _, left, right, offset in loop(text, tokenizer, seed)[1]
        if not offset
    ]
    table = [np.bincount(np.minimum(lengths, 7), minlength=8)[1:] for lengths in (ours_lengths, theirs_lengths)]
    assert stats.chi2_contingency(table).pvalue > 1e-3


def test_rows_are_framed_and_of_the_asked_size():
    rows = masking.make_rows(CONFIG)
    assert rows.shape == (2, 6, 48)
    assert (rows[..., 0] == 2).all()
    assert (rows[..., -1] == 3).all()
    assert rows[..., 1:-1].min() >= 5


def test_mentions_have_one_to_four_tokens_and_the_asked_share():
    config = masking.Config(batch_size=50, sequence_length=402, batches=5, mention_share=0.1)
    annotations = masking.make_annotations(config, masking.make_rows(config))
    assert set(np.unique(annotations).tolist()) == {0, 1, 3} and not annotations[..., [0, -1]].any()
    assert abs((annotations > 0).mean() - 0.1) < 0.01
    lengths = np.diff(np.flatnonzero(annotations.reshape(-1) != 1))  # from one first token or gap to the next
    assert set(lengths.tolist()) == {1, 2, 3, 4}


def test_the_pipeline_gives_every_row_its_own_seed(tokenizer):
    pytest.importorskip("tensorflow")
    rows, masker = masking.make_rows(CONFIG), SpanMasker(tokenizer=tokenizer)
    batches = list(masking.pipeline(rows, masker).as_numpy_iterator())
    assert len(batches) == 2
    for b, batch in enumerate(batches):
        seeds = philox.fold((0, 0), b, np.arange(6))
        expected = masker({"token_ids": rows[b], "padding_mask": np.ones_like(rows[b])}, seed=seeds)
        np.testing.assert_array_equal(batch["token_ids"], expected["token_ids"])


def test_the_measurement_runs_and_the_ratio_is_that_of_the_times():
    pytest.importorskip("tensorflow")
    results = masking.measure(CONFIG)
    assert set(results) == {*SCHEMES, "loop", "ratio"}
    # The layer's rows count with [CLS] and [SEP], the loop's without.
    assert results["span"] / results["loop"] == pytest.approx(results["ratio"] * 48 / 46)
