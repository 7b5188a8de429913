"""Tests of opening prepared corpora: what they hold, and damage of every kind."""

import json
import shutil

import numpy as np
import pytest

from spanbert_keras.data.corpus.prepare_corpus import PreparationSettings, prepare_corpus
from spanbert_keras.data.shards.token_shards import TokenShards
from spanbert_keras.errors import InputError
from spanbert_keras.files.json_files import read_json, write_json
from spanbert_keras.preprocessing.tokenizer import SpanBertTokenizer

TEXT = "The first line.\nIts second line.\n\nAnother document of the corpus.\n\nThe last one, in words.\nEnd.\n"


@pytest.fixture(scope="module")
def prepared(tmp_path_factory, small_vocabulary):
    folder = tmp_path_factory.mktemp("corpus")
    (folder / "text.txt").write_text(TEXT)
    (folder / "vocab.txt").write_text("\n".join(small_vocabulary), encoding="utf-8")
    settings = {"input": (str(folder / "text.txt"),), "vocabulary": str(folder / "vocab.txt")}
    prepare_corpus(PreparationSettings(**settings, output_dir=str(folder / "whole")))
    for part in (0, 1):
        prepare_corpus(PreparationSettings(**settings, output_dir=str(folder / "parts"), shard=f"{part}/2"))
    return folder


@pytest.fixture
def corpus(prepared, tmp_path):
    """A copy of the prepared corpus that a test may damage."""
    return shutil.copytree(prepared / "whole", tmp_path / "whole")


def test_a_split_holds_whole_documents_with_their_lines(corpus):
    shards = TokenShards(corpus)
    texts = []
    for split, documents in (("train", 2), ("heldout", 1)):
        part = shards.split(split)
        assert part.num_documents == documents and part.num_pieces == len(part.pieces[0])
        assert part.pieces[0].dtype == np.uint16 and isinstance(part.pieces[0][:1], np.memmap)
        starts, lines = part.document_starts[0], part.line_starts[0]
        assert starts.dtype == lines.dtype == np.int64 and set(starts) <= set(lines)
        assert starts[0] == lines[0] == 0 and starts[-1] == lines[-1] == part.num_pieces
        texts += [shards.tokenizer().detokenize(part.pieces[0][a:b]) for a, b in zip(lines, lines[1:], strict=False)]
    expected = [line.replace(".", " .").replace(",", " ,") for line in TEXT.split("\n") if line]
    assert sorted(texts) == sorted(expected)


def test_a_split_has_one_of_two_names(corpus):
    with pytest.raises(ValueError, match="test"):
        TokenShards(corpus).split("test")


def test_the_unigram_counts_are_the_training_splits(corpus):
    shards = TokenShards(corpus)
    expected = np.bincount(shards.split("train").pieces[0], minlength=len(shards.unigram_counts))
    assert shards.unigram_counts.dtype == np.int64 and np.array_equal(shards.unigram_counts, expected)


def test_the_tokenizer_is_the_corpus_own_copy(corpus, prepared, small_vocabulary):
    shards = TokenShards(corpus)
    assert shards.tokenizer().get_vocabulary() == small_vocabulary
    shards.check_vocabulary(SpanBertTokenizer(prepared / "vocab.txt"))
    with pytest.raises(InputError, match="prepared with another vocabulary than the model's"):
        shards.check_vocabulary(SpanBertTokenizer(prepared / "vocab.txt", lowercase=True))


def test_the_fingerprint_names_the_content(corpus, prepared):
    shards = TokenShards(corpus)
    assert shards.fingerprint == TokenShards(prepared / "whole").fingerprint and len(shards.fingerprint) == 64
    assert shards.fingerprint != TokenShards(prepared / "parts").fingerprint
    shards.verify()


@pytest.mark.parametrize("name", ["train-00000.pieces.npy", "heldout-00000.lines.npy", "unigram_counts.npy"])
def test_a_flipped_byte_is_found(corpus, name):
    data = bytearray((corpus / name).read_bytes())
    data[-3] ^= 1
    (corpus / name).write_bytes(bytes(data))
    with pytest.raises(InputError, match=rf"{name} is damaged. Expected: SHA-256"):
        TokenShards(corpus).verify()


@pytest.mark.parametrize("name", ["train-00000.pieces.npy", "train-00000.documents.npy", "vocab.txt"])
def test_a_short_or_missing_file_is_found_at_opening(corpus, name):
    data = (corpus / name).read_bytes()
    (corpus / name).write_bytes(data[:-2])
    with pytest.raises(InputError, match=rf"{name} is incomplete. Expected: {len(data):,} bytes"):
        TokenShards(corpus)
    (corpus / name).unlink()
    with pytest.raises(InputError, match=rf"{name} is missing"):
        TokenShards(corpus)


def test_an_array_of_another_length_is_found_at_opening(corpus):
    manifest = read_json(corpus / "manifest.json")
    manifest["shards"][0]["pieces"] += 1
    write_json(corpus / "manifest.json", manifest)
    with pytest.raises(InputError, match="holds the wrong array"):
        TokenShards(corpus)


@pytest.mark.parametrize(
    "change, said",
    [
        (lambda m: "{", "cannot be read"),
        (lambda m: json.dumps({**m, "format_version": 9}), "format version 1. Received: 9"),
        (
            lambda m: json.dumps({k: v for k, v in m.items() if k != "files"}),
            r"\['files'\]: field required",
        ),
        (lambda m: "[]", "cannot be read"),
    ],
)
def test_a_manifest_of_another_kind_is_rejected(corpus, change, said):
    path = corpus / "manifest.json"
    path.write_text(change(read_json(path)))
    with pytest.raises(InputError, match=rf"manifest\.json.*{said}"):
        TokenShards(corpus)


def test_a_folder_without_corpus_is_named(tmp_path):
    with pytest.raises(InputError, match="The corpus .*nowhere does not exist"):
        TokenShards(tmp_path / "nowhere")
    with pytest.raises(InputError, match="holds no finished corpus"):
        TokenShards(tmp_path)


def test_parts_must_be_complete_and_of_one_corpus(prepared, tmp_path):
    parts = shutil.copytree(prepared / "parts", tmp_path / "parts")
    assert TokenShards(parts).split("heldout").num_documents == 1
    path = parts / "part-1-of-2" / "manifest.json"
    manifest = read_json(path)
    write_json(path, {**manifest, "settings": {**manifest["settings"], "heldout_share": 0.3}})
    with pytest.raises(InputError, match="do not belong to one corpus. Expected: the same settings"):
        TokenShards(parts)
    path.unlink()
    with pytest.raises(InputError, match="not complete. Expected: 2 finished parts.*--shard=1/2"):
        TokenShards(parts)
    (parts / "part-0-of-3").mkdir()
    with pytest.raises(InputError, match="several corpora: of 2 and of 3"):
        TokenShards(parts)


def test_a_corpus_without_training_text_is_rejected(corpus):
    path = corpus / "manifest.json"
    manifest = read_json(path)
    manifest["shards"] = [shard for shard in manifest["shards"] if shard["split"] != "train"]
    manifest["files"] = {n: entry for n, entry in manifest["files"].items() if not n.startswith("train")}
    write_json(path, manifest)
    with pytest.raises(InputError, match="no document in its train split"):
        TokenShards(corpus)
