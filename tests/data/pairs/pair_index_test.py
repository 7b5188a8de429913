"""Tests of the saved pairs: all of the walk's, in order, whatever the groups; little memory; fast."""

import time
import tracemalloc

import numpy as np
import pytest

from spanbert_keras.data.pairs import pair_index
from spanbert_keras.data.pairs.pair_index import cached_pairs
from spanbert_keras.errors import InputError


@pytest.fixture(scope="module")
def units(units_of, random_documents):
    return units_of(random_documents(200))


def listed(index):
    return list(zip(*(column.tolist() for column in index.pairs.columns), strict=True))


@pytest.mark.parametrize("group_units, group_documents", [(1, 10), (40, 10), (300, 7), (10**6, 10**6)])
@pytest.mark.parametrize("row_length", [16, 128])
def test_the_index_has_the_pairs_of_a_plain_walk_by_length_and_place(
    units, slow_pairs, row_length, group_units, group_documents, tmp_path, monkeypatch
):
    monkeypatch.setattr(pair_index, "GROUP_UNITS", group_units)
    monkeypatch.setattr(pair_index, "GROUP_DOCUMENTS", group_documents)
    index = cached_pairs(tmp_path, "name", units, row_length, 0.1, 2)
    pairs = sorted(slow_pairs(units, row_length, 0.1, 2), key=lambda pair: (pair[2] + pair[3], pair[0], pair[1]))
    assert listed(index) == pairs
    lengths = np.array([pair[2] + pair[3] for pair in pairs])
    assert index.histogram.tolist() == np.bincount(lengths, minlength=row_length - 2).tolist()
    assert index.histogram.shape == (row_length - 2,)
    assert index.random_pairs == sum(pair[4] for pair in pairs)
    assert (index.corpus_pieces, index.corpus_units) == (units.num_pieces, len(units))
    assert len(index) == len(pairs)


def test_the_files_are_those_that_are_documented(units, tmp_path):
    cached_pairs(tmp_path, "name", units, 32, 0.0, 0)
    (folder,) = tmp_path.iterdir()
    assert folder.name == "name.pairs"
    kinds = {"a_start": "int64", "b_start": "int64", "a_length": "uint16", "b_length": "uint16", "label": "uint8"}
    for name, kind in kinds.items():
        assert np.load(folder / f"{name}.npy").dtype == kind
    assert {file.name for file in folder.iterdir() if not file.name.startswith("checked-")} == {
        "index.json",
        "histogram.npy",
        *(f"{name}.npy" for name in kinds),
    }


def test_an_index_is_built_once_memory_mapped_and_built_again_if_damaged(units, tmp_path, monkeypatch):
    first = listed(cached_pairs(tmp_path, "name", units, 32, 0.0, 0))
    with monkeypatch.context() as patch:
        patch.setattr(pair_index, "pair_documents", lambda *_: pytest.fail("built again"))
        found = cached_pairs(tmp_path, "name", units, 32, 0.0, 0)
        assert isinstance(found.pairs.a_starts.base, np.memmap)
        assert listed(found) == first
    (tmp_path / "name.pairs" / "label.npy").write_bytes(b"")
    assert listed(cached_pairs(tmp_path, "name", units, 32, 0.0, 0)) == first


def test_a_cache_that_cannot_be_written_is_named(units, tmp_path):
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(InputError, match="index of pairs .*cache"):
        cached_pairs(tmp_path / "cache", "name", units, 32, 0.0, 0)


def test_memory_grows_by_no_more_than_25_bytes_a_pair(units_of, tmp_path, monkeypatch):
    monkeypatch.setattr(pair_index, "GROUP_UNITS", 20_000)
    random, peaks = np.random.default_rng(0), []
    for count in (400, 4000):
        units = units_of([random.integers(5, 40, 100).tolist()] * count)
        tracemalloc.start()
        index = cached_pairs(tmp_path, f"{count}", units, 128, 0.1, 0)
        peaks.append((tracemalloc.get_traced_memory()[1], len(index)))
        tracemalloc.stop()
    assert peaks[1][1] > 100_000
    assert peaks[1][0] - peaks[0][0] < 25 * (peaks[1][1] - peaks[0][1]) + 1e6


@pytest.mark.parametrize("row_length, mean", [(128, 25), (512, 25), (512, 300)])
def test_300_000_units_are_indexed_in_a_second_of_one_core(units_of, row_length, mean, tmp_path):
    random = np.random.default_rng(0)
    units = units_of(random.poisson(mean, (6000, 50)) + 1)
    began = time.process_time()
    cached_pairs(tmp_path, "name", units, row_length, 0.1, 0)
    assert time.process_time() - began < 1
