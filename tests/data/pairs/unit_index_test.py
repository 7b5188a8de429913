"""Tests of the saved units: lines or sentences of all shards, with their documents."""

import pathlib

import numpy as np
import pytest

from spanbert_keras.data.pairs import unit_index
from spanbert_keras.data.pairs.sentence_units import SentenceUnits
from spanbert_keras.data.pairs.unit_index import cached_units
from spanbert_keras.data.shards.token_shards import TokenSplit
from spanbert_keras.preprocessing.tokenizer import SpanBertTokenizer


@pytest.fixture(scope="module")
def tokenizer():
    return SpanBertTokenizer(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "He", "She", "came", "left", "."])


@pytest.fixture(scope="module")
def split():
    """`TokenSplit` of two shards: documents of lines of sentences of random lengths, some lines and documents empty."""
    random, shards = np.random.default_rng(0), []
    for _ in range(2):
        pieces, lines, documents = [], [], []
        for document in range(30):
            documents.append(len(pieces))
            for _ in range(0 if document == 11 else random.integers(1, 6)):
                lines.append(len(pieces))
                for _ in range(random.integers(0, 4)):
                    pieces += [5 + random.integers(2), *[7] * random.integers(1, 9), 9]
            lines.append(len(pieces))
        shards.append((pieces, [*documents, len(pieces)], [*lines, len(pieces)]))
    arrays = [[np.array(shard[i], np.int64) for shard in shards] for i in range(3)]
    return TokenSplit([p.astype(np.uint16) for p in arrays[0]], arrays[1], arrays[2], [pathlib.Path("x")] * 2)


def expected_units(split, tokenizer, kind):
    """Returns units and documents as a plain loop over documents and lines finds them."""
    starts, documents, base = [], [], 0
    for pieces, bounds, lines in zip(split.pieces, split.document_starts, split.line_starts, strict=True):
        for begin, end in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
            if begin == end:
                continue
            documents.append(len(starts))
            own = sorted({line for line in lines.tolist() if begin <= line < end})
            for first, last in zip(own, [*own[1:], end], strict=True):
                found = [0]
                if kind == "sentence":
                    found = SentenceUnits(tokenizer).starts(pieces[first:last], np.array([0, last - first])).tolist()
                starts += [base + first + start for start in found]
        base += len(pieces)
    return [*starts, base], [*documents, len(starts)]


@pytest.mark.parametrize("slice_pieces", [1, 50, 2_000_000])
@pytest.mark.parametrize("kind", ["line", "sentence"])
def test_units_are_those_of_a_plain_loop_however_much_is_read_at_once(
    split, tokenizer, kind, slice_pieces, tmp_path, monkeypatch
):
    monkeypatch.setattr(unit_index, "SLICE_PIECES", slice_pieces)
    units = cached_units(tmp_path, "name", split, tokenizer, kind)
    starts, documents = expected_units(split, tokenizer, kind)
    assert units.starts.tolist() == starts
    assert units.documents.tolist() == documents
    assert (units.num_documents, len(units), units.num_pieces) == (len(documents) - 1, len(starts) - 1, starts[-1])
    assert units.num_pieces == split.num_pieces


def test_there_are_more_sentences_than_lines(split, tokenizer, tmp_path):
    found = [len(cached_units(tmp_path, kind, split, tokenizer, kind)) for kind in ("line", "sentence")]
    assert found[1] > 1.3 * found[0]


def test_units_are_found_once_and_again_if_the_file_is_damaged(split, tokenizer, tmp_path, monkeypatch):
    first = cached_units(tmp_path, "name", split, tokenizer, "line").starts.tolist()
    monkeypatch.setattr(unit_index, "_write_units", lambda *_: pytest.fail("written again"))
    assert cached_units(tmp_path, "name", split, tokenizer, "line").starts.tolist() == first
    assert [entry.name for entry in tmp_path.iterdir()] == ["name.units"]
    monkeypatch.undo()
    (tmp_path / "name.units" / "starts.npy").write_bytes(b"")
    assert cached_units(tmp_path, "name", split, tokenizer, "line").starts.tolist() == first
