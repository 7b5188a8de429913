"""Tests of batches, unpacked block by block and compared with the masker on each block alone."""

import time

import numpy as np
import pytest

from spanbert_keras.data.batches.batch_stream import MIX_CYCLE, BatchStream, CorpusSource
from spanbert_keras.preprocessing.masking.span_masker import SpanMasker
from spanbert_keras.preprocessing.packing import plan_packing
from spanbert_keras.preprocessing.row_blocks import cut_blocks
from spanbert_keras.preprocessing.row_stream import RowStream

ROW_LENGTH, ROWS = 40, 6
SEED = (11, 12)
LENGTHS = np.random.default_rng(9).integers(1, 90, 60)
TARGETS = (
    "mask_positions",
    "mask_ids",
    "left_positions",
    "right_positions",
    "span_offsets",
    "mask_weights",
    "span_weights",
)


@pytest.fixture(scope="module")
def masker(toy_tokenizer):
    return SpanMasker(tokenizer=toy_tokenizer, max_span_positions=3)


@pytest.fixture(scope="module")
def source_of(toy_corpus, toy_tokenizer, masker):
    """Function that makes a `CorpusSource` of random documents."""

    def make(lengths=LENGTHS, seed=0, weight=1.0, shuffle=True):
        shards = toy_corpus(lengths, seed, shards=3)
        blocks = cut_blocks(shards, toy_tokenizer.word_starts(), ROW_LENGTH)
        plan = plan_packing(blocks.histogram, ROW_LENGTH, masker.settings.budget)
        return CorpusSource([pieces for pieces, _, _ in shards], RowStream(blocks, plan, SEED, shuffle), weight)

    return make


@pytest.fixture(scope="module")
def stream_of(source_of, masker, toy_tokenizer):
    """Function that makes a `BatchStream` of sources, one by default."""
    special_ids = (toy_tokenizer.cls_token_id, toy_tokenizer.sep_token_id)
    return lambda *sources: BatchStream(sources or [source_of()], masker, ROWS, special_ids, SEED)


def same(one, other):
    return one.keys() == other.keys() and all(
        (one[k] == other[k]).all() and one[k].dtype == other[k].dtype for k in one
    )


def restored(batch):
    """Returns the batch's pieces with the original ids at the masked places."""
    ids = batch["token_ids"].copy()
    for row, column in zip(*np.nonzero(batch["mask_weights"]), strict=True):
        ids[row, batch["mask_positions"][row, column]] = batch["mask_ids"][row, column]
    return ids


def test_shapes_and_dtypes_are_the_maskers(stream_of):
    stream = stream_of()
    batch = stream.batch(0)
    predictions = stream.max_predictions
    for name in ("token_ids", "segment_ids", "padding_mask"):
        assert batch[name].shape == (ROWS, ROW_LENGTH)
        assert batch[name].dtype == np.int32
    for name in TARGETS:
        assert batch[name].shape == (ROWS, predictions)
        assert batch[name].dtype == (np.float32 if name.endswith("weights") else np.int32)
    assert set(batch) == {"token_ids", "segment_ids", "padding_mask", *TARGETS}
    assert not batch["segment_ids"].any()


def test_every_block_of_a_row_is_what_the_masker_makes_of_it_alone(stream_of, masker):
    stream = stream_of()
    source = stream.sources[0]
    pieces = np.concatenate(source.pieces)
    for k in (0, 3):
        batch = stream.batch(k)
        placed = source.stream.rows(np.arange(k * ROWS, (k + 1) * ROWS))
        used = np.zeros((ROWS,), int)
        covered = np.zeros((ROWS, ROW_LENGTH), int)
        for i, (row, offset, start, length) in enumerate(
            zip(placed.rows, placed.offsets, placed.starts, placed.lengths, strict=True)
        ):
            ids = np.concatenate([[2], pieces[start : start + length], [3]])[None]
            alone = masker({"token_ids": ids, "padding_mask": np.ones_like(ids)}, seed=placed.seeds[i : i + 1])
            part = slice(offset, offset + length + 2)
            assert batch["token_ids"][row, part].tolist() == alone["token_ids"][0].tolist()
            number = int((placed.rows[:i] == row).sum()) + 1
            assert (batch["padding_mask"][row, part] == number).all()
            covered[row, part] += 1
            count = int(alone["mask_weights"].sum())
            columns = slice(used[row], used[row] + count)
            for name in TARGETS:
                moved = offset if name in ("mask_positions", "left_positions", "right_positions") else 0
                assert batch[name][row, columns].tolist() == (alone[name][0, :count] + moved).tolist(), name
            used[row] += count
        assert covered.max() == 1
        for row in range(ROWS):
            assert not batch["token_ids"][row][covered[row] == 0].any()
            assert not batch["padding_mask"][row][covered[row] == 0].any()
            assert not any(batch[name][row, used[row] :].any() for name in TARGETS)


def test_batch_k_is_a_pure_function_of_seed_and_k(stream_of):
    stream = stream_of()
    later = [stream.batch(k) for k in (4, 1, 1_000_003)]
    fresh = stream_of()
    assert same(fresh.batch(1_000_003), later[2])
    assert same(fresh.batch(1), later[1])
    assert same(stream.batch(4), later[0])
    assert not same(later[0], later[1])


@pytest.mark.parametrize("num_workers", [1, 2, 3, 6])
def test_rows_of_all_workers_together_are_the_batch(stream_of, source_of, num_workers):
    for stream in (stream_of(), stream_of(source_of(weight=0.7), source_of(LENGTHS[:7], seed=1, weight=0.3))):
        for k in (0, 7):
            parts = [stream.part(k, worker, num_workers) for worker in range(num_workers)]
            assert all(len(part["token_ids"]) == ROWS // num_workers for part in parts)
            assert same({key: np.concatenate([part[key] for part in parts]) for key in parts[0]}, stream.batch(k))


def test_an_epoch_has_every_piece_of_every_block_once_and_the_next_has_other_masks(stream_of):
    stream = stream_of()
    rows = stream.sources[0].stream.plan.rows
    epochs = [stream.rows(np.arange(e * rows, (e + 1) * rows)) for e in range(2)]

    def blocks(batch):
        ids = restored(batch)
        return sorted(
            tuple(ids[r][batch["padding_mask"][r] == j].tolist())
            for r in range(len(ids))
            for j in range(1, batch["padding_mask"][r].max() + 1)
        )

    assert blocks(epochs[0]) == blocks(epochs[1])
    kept = sum(len(block) - 2 for block in blocks(epochs[0]))
    assert kept + stream.sources[0].stream.blocks.left_out_pieces == LENGTHS.sum()
    assert restored(epochs[0]).tolist() != restored(epochs[1]).tolist()
    assert epochs[0]["mask_positions"].tolist() != epochs[1]["mask_positions"].tolist()


def test_rows_at_negative_positions_are_padding(stream_of):
    stream = stream_of()
    batch = stream.rows(np.array([-1, 7, -1, 2]))
    assert not any(batch[name][[0, 2]].any() for name in batch)
    assert same({k: v[[1, 3]] for k, v in batch.items()}, stream.rows(np.array([7, 2])))
    empty = stream.rows(np.array([-1, -1, -1]))
    assert empty["token_ids"].shape == (3, ROW_LENGTH)
    assert not any(value.any() for value in empty.values())


def test_cost_does_not_grow_with_k(stream_of):
    stream = stream_of()
    stream.batch(0)

    def seconds(k):
        began = time.process_time()
        for i in range(20):
            stream.batch(k + i)
        return time.process_time() - began

    assert seconds(10**9) < 5 * seconds(1) + 0.5


def test_only_the_batch_is_read(source_of, stream_of):
    class Counting:
        def __init__(self, array):
            self.array, self.read = array, 0

        def __len__(self):
            return len(self.array)

        def __getitem__(self, key):
            assert isinstance(key, slice)
            self.read += key.stop - key.start
            return self.array[key]

    source = source_of()
    counting = [Counting(array) for array in source.pieces]
    batch = stream_of(CorpusSource(counting, source.stream)).batch(3)
    blocks = batch["padding_mask"].max(1).sum()
    assert sum(c.read for c in counting) == (batch["padding_mask"] > 0).sum() - 2 * blocks


def test_pieces_come_from_memory_maps(source_of, stream_of, tmp_path):
    source = source_of()
    for i, array in enumerate(source.pieces):
        np.save(tmp_path / f"{i}.npy", array)
    mapped = [np.load(tmp_path / f"{i}.npy", mmap_mode="r") for i in range(len(source.pieces))]
    assert same(stream_of(CorpusSource(mapped, source.stream)).batch(2), stream_of().batch(2))


def test_a_mixture_has_exact_shares_in_every_cycle(source_of, stream_of):
    large, small = source_of(weight=0.7), source_of(LENGTHS[:7], seed=1, weight=0.3)
    stream = stream_of(large, small)
    for cycle in (0, 5):
        origins, places = stream._origins(np.arange(cycle * MIX_CYCLE, (cycle + 1) * MIX_CYCLE))
        assert np.bincount(origins).tolist() == [700, 300]
        for number, share in ((0, 700), (1, 300)):  # each source's own stream, without a gap or a repeat
            assert sorted(places[origins == number].tolist()) == list(range(cycle * share, (cycle + 1) * share))
        thirds = [np.mean(part) for part in np.array_split(origins, 4)]
        assert max(thirds) < 0.4 and min(thirds) > 0.2  # mixed, not one after the other
    assert (
        stream._origins(np.arange(50))[0].tolist() != stream._origins(np.arange(MIX_CYCLE, MIX_CYCLE + 50))[0].tolist()
    )


def test_rows_of_a_mixture_are_rows_of_its_corpora(source_of, stream_of):
    large, small = source_of(weight=2.0), source_of(LENGTHS[:7], seed=1, weight=1.0)
    mixed, parts = stream_of(large, small), [stream_of(large), stream_of(small)]
    batch = mixed.batch(2)
    origins, places = mixed._origins(np.arange(2 * ROWS, 3 * ROWS))
    assert set(origins.tolist()) == {0, 1}
    for row, (origin, place) in enumerate(zip(origins.tolist(), places.tolist(), strict=True)):
        alone = parts[origin].rows(np.array([place]))
        for name in batch:
            width = alone[name].shape[1]
            assert batch[name][row, :width].tolist() == alone[name][0].tolist()
            assert not batch[name][row, width:].any()


@pytest.mark.parametrize("weights, shares", [((1, 1, 1), [334, 333, 333]), ((5, 3, 2), [500, 300, 200])])
def test_shares_add_up(source_of, stream_of, weights, shares):
    sources = [source_of(LENGTHS[:9], seed=i, weight=float(w)) for i, w in enumerate(weights)]
    assert sorted(stream_of(*sources)._shares.tolist(), reverse=True) == shares


def test_a_weight_too_small_for_a_row_is_rejected(source_of, stream_of):
    with pytest.raises(ValueError, match="weight"):
        stream_of(source_of(weight=1.0), source_of(weight=1e-6))
