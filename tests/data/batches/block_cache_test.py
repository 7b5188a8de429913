"""Tests of the saved block index: made once, whole, whoever else makes it."""

import contextlib
import threading
import time

import numpy as np
import pytest

from spanbert_keras.data.batches import block_cache
from spanbert_keras.data.batches.block_cache import cached_blocks
from spanbert_keras.errors import InputError
from spanbert_keras.files import index_folder
from spanbert_keras.files.index_folder import write_index
from spanbert_keras.preprocessing.row_blocks import Blocks, cut_blocks, cut_shards

ROW_LENGTH = 9


def made(count=6):
    return Blocks(np.arange(count, dtype=np.int64) * 3, np.bincount([2] * count, minlength=8), 5)


def cut(count=6):
    """Returns the blocks of `made` as those of one shard."""
    return [(made(count).starts, np.full(count, 2), 5)]


def test_cached_blocks_are_made_once_and_memory_mapped(tmp_path):
    calls = []

    def make():
        calls.append(1)
        return cut()

    for _ in range(2):
        blocks = cached_blocks(tmp_path / "cache", "name-9-word", ROW_LENGTH, make)
        assert isinstance(blocks.starts, np.memmap)
        assert blocks.starts.tolist() == made().starts.tolist()
        assert blocks.histogram.tolist() == made().histogram.tolist()
        assert blocks.left_out_pieces == 5
    assert len(calls) == 1
    assert len(cached_blocks(tmp_path / "cache", "other", ROW_LENGTH, lambda: cut(4))) == 4
    assert len(list((tmp_path / "cache").iterdir())) == 2


@pytest.mark.parametrize("row_length", [3, 5, 17, 64])
def test_the_saved_blocks_are_those_of_all_shards_in_memory(tmp_path, toy_corpus, toy_tokenizer, row_length):
    shards = toy_corpus([1, 9, 70, 3, 40, 2, 200, 11, 5], 4, shards=4)
    shards.insert(2, tuple(np.zeros(size, np.int64) for size in (0, 1, 1)))  # without pieces
    word_starts = toy_tokenizer.word_starts()
    made = cached_blocks(tmp_path, "name", row_length, lambda: cut_shards(iter(shards), word_starts, row_length))
    whole = cut_blocks(shards, word_starts, row_length)
    assert made.starts.tolist() == whole.starts.tolist() and len(made) > 10
    assert made.histogram.tolist() == whole.histogram.tolist() and made.left_out_pieces == whole.left_out_pieces
    lengths = np.repeat(np.arange(row_length - 1), made.histogram)
    places = list(zip(lengths.tolist(), made.starts.tolist(), strict=True))
    assert places == sorted(places)
    assert {path.name.partition("-")[0] for path in (tmp_path / "name.blocks").iterdir()} == {
        "checked",
        "histogram.npy",
        "index.json",
        "starts.npy",
    }


def test_no_blocks_can_be_cached(tmp_path):
    for _ in range(2):
        assert len(cached_blocks(tmp_path, "none", ROW_LENGTH, lambda: cut(0))) == 0


def test_the_index_of_another_process_is_used_when_it_was_first(tmp_path):
    def make():
        path = tmp_path / "name.blocks"  # meanwhile, elsewhere, without locks
        write_index(path, block_cache._open_index, lambda folder: block_cache._write_blocks(folder, 7, cut(4)), "index")
        return cut(4)

    assert len(cached_blocks(tmp_path, "name", ROW_LENGTH, make)) == 4
    assert len(list(tmp_path.iterdir())) == 1


def test_a_damaged_index_is_rebuilt(tmp_path):
    cached_blocks(tmp_path, "name", ROW_LENGTH, cut)
    (file,) = tmp_path.glob("*/starts.npy")
    file.write_bytes(file.read_bytes()[:-9])
    assert cached_blocks(tmp_path, "name", ROW_LENGTH, cut).starts.tolist() == made().starts.tolist()


def test_a_cache_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(InputError, match="cache"):
        cached_blocks(tmp_path / "cache", "name", ROW_LENGTH, cut)


@pytest.mark.parametrize("damaged", [False, True])
def test_two_processes_build_one_index_at_once_and_neither_removes_the_others(tmp_path, monkeypatch, damaged):
    path = tmp_path / "name.blocks"
    if damaged:
        cached_blocks(tmp_path, "name", ROW_LENGTH, cut)
        (path / "starts.npy").write_bytes(b"")
    look, looks, files, still_there = index_folder._opened, [], {}, []

    def look_and_lose_time(path, open_index):
        found = look(path, open_index)
        slow = threading.current_thread().name == "slow"
        looks.append(slow)
        time.sleep((0 if looks.count(True) == 1 else 0.3) if slow else 0.05)  # the slow one acts on what it saw earlier
        return found

    def work():
        found = cached_blocks(tmp_path, "name", ROW_LENGTH, cut)
        files[threading.current_thread().name] = path.stat().st_ino
        assert found.starts.tolist() == made().starts.tolist()
        while threading.current_thread().name == "quick" and "slow" not in files:
            still_there.append(look(path, block_cache._open_index) is not None)

    monkeypatch.setattr(index_folder, "_opened", look_and_lose_time)
    monkeypatch.setattr(index_folder, "destination_lock", lambda *_, **__: contextlib.nullcontext())  # no locks there
    threads = [threading.Thread(target=work, name=name, daemon=True) for name in ("quick", "slow")]
    for thread in threads:
        thread.start()
    for thread in reversed(threads):
        thread.join(20)
    assert files["quick"] == files["slow"]  # inodes of the folder
    assert still_there and all(still_there)
    assert [entry.name for entry in tmp_path.iterdir()] == ["name.blocks"]


def test_the_index_that_another_process_put_in_place_meanwhile_stays_and_ours_is_dropped(tmp_path):
    path = tmp_path / "name.blocks"
    theirs = cached_blocks(tmp_path, "name", ROW_LENGTH, cut)
    inode = (path / "starts.npy").stat().st_ino
    write_index(
        path, block_cache._open_index, lambda folder: block_cache._write_blocks(folder, 7, cut()), "block index"
    )
    assert (path / "starts.npy").stat().st_ino == inode
    assert theirs.starts.tolist() == made().starts.tolist()
