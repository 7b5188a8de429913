"""Tests of preparing a corpus: the same bytes however it is run, everything accounted for, nothing overwritten."""

import gzip
import hashlib
import json
import threading
import unicodedata

import numpy as np
import pytest

from spanbert_keras.data.corpus import prepare_corpus as module
from spanbert_keras.data.corpus.preparation_settings import PreparationSettings
from spanbert_keras.data.corpus.prepare_corpus import prepare_corpus, warnings_of
from spanbert_keras.data.shards import shard_format
from spanbert_keras.data.shards.token_shards import TokenShards
from spanbert_keras.errors import InputError
from spanbert_keras.preprocessing.tokenizer import SpanBertTokenizer


def documents_of(shards, split):
    """Returns the documents of a split as sorted tuples of pieces."""
    part = shards.split(split)
    return sorted(
        tuple(pieces[start:end].tolist())
        for pieces, starts in zip(part.pieces, part.document_starts, strict=True)
        for start, end in zip(starts, starts[1:], strict=False)
    )


def test_every_document_and_piece_is_kept_or_reported(corpus, tmp_path):
    manifest = prepare_corpus(corpus())
    text, jsonl = manifest["reports"]
    assert (text["documents"], text["kept_documents"], text["undecodable_bytes"]) == (31, 31, 1)
    counted = [jsonl[f"{kind}documents"] for kind in ("", "kept_", "empty_", "duplicate_")]
    assert counted == [31, 28, 2, 1]
    totals = manifest["totals"]
    assert totals["documents"] == 62 == totals["kept_documents"] + 3
    shards = TokenShards(tmp_path / "out")
    kept = documents_of(shards, "train") + documents_of(shards, "heldout")
    assert len(kept) == totals["kept_documents"] and sum(map(len, kept)) == totals["kept_pieces"]
    unknown = shards.tokenizer().unk_token_id
    assert sum(document.count(unknown) for document in kept) == totals["unknown_pieces"] > 0
    assert np.array_equal(
        shards.unigram_counts, np.bincount(sum(documents_of(shards, "train"), ()), minlength=len(shards.unigram_counts))
    )


def test_the_pieces_are_those_of_the_tokenizer(corpus, tmp_path):
    prepare_corpus(corpus())
    shards = TokenShards(tmp_path / "out")
    tokenizer = shards.tokenizer()
    texts = (tmp_path / "a.txt").read_text(errors="replace").split("\n\n")
    texts += [json.loads(row)["text"] for row in (tmp_path / "b.jsonl").read_text().split("\n")]
    expected = {tuple(tokenizer(text.replace("\n", " "))) for text in texts} - {()}
    assert set(documents_of(shards, "train") + documents_of(shards, "heldout")) == expected


@pytest.mark.parametrize("changes", [{"workers": 4}, {"workers": None}])
def test_the_output_does_not_depend_on_the_number_of_workers(corpus, tmp_path, changes, content):
    prepare_corpus(corpus("one"))
    prepare_corpus(corpus("two", **changes))
    assert content(tmp_path / "one") == content(tmp_path / "two")
    assert len([name for name in content(tmp_path / "one") if name.endswith("pieces.npy")]) > 3


@pytest.mark.parametrize("after", [1, 4, 9, 14])
def test_a_killed_preparation_continues_to_the_same_bytes(corpus, tmp_path, after, monkeypatch, content, killed):
    prepare_corpus(corpus("whole"))
    calls = []

    def kill(*_):
        calls.append(1)
        if len(calls) == after:
            raise killed[0]

    with pytest.raises(killed[0]):
        prepare_corpus(corpus("killed"), kill)
    assert not (tmp_path / "killed" / "manifest.json").exists()
    with pytest.raises(InputError, match="no finished corpus.*manifest.json"):
        TokenShards(tmp_path / "killed")
    rest = []
    prepare_corpus(corpus("killed"), lambda *_: rest.append(1))
    assert content(tmp_path / "killed") == content(tmp_path / "whole")
    assert after < 9 or len(rest) < 14  # later on, finished shards are not made again


@pytest.mark.parametrize("after", [2, 9])
def test_a_full_disk_is_reported_and_the_same_command_continues(corpus, tmp_path, after, monkeypatch, content):
    prepare_corpus(corpus("whole"))
    append, calls = shard_format.ArrayFile.append, []

    def full(self, values):
        calls.append(1)
        if len(calls) == after:
            raise OSError(28, "No space left on device")
        append(self, values)

    monkeypatch.setattr(shard_format.ArrayFile, "append", full)
    with pytest.raises(InputError, match="No space left on device. Free some space and rerun the same command"):
        prepare_corpus(corpus("full"))
    prepare_corpus(corpus("full"))
    assert content(tmp_path / "full") == content(tmp_path / "whole")


def test_a_finished_preparation_is_found_done(corpus, tmp_path, content):
    first = prepare_corpus(corpus())
    before = content(tmp_path / "out")
    calls = []
    assert prepare_corpus(corpus(workers=3), lambda *_: calls.append(1)) == json.loads(json.dumps(first))
    assert not calls and content(tmp_path / "out") == before


def test_after_an_error_in_the_input_the_same_command_works(corpus, tmp_path, monkeypatch, content):
    monkeypatch.setattr(module, "SHARD_PIECES", 10**6)
    good = (tmp_path / "b.jsonl").read_text()
    (tmp_path / "b.jsonl").write_text('{"text": "x"}\n{broken\n')
    with pytest.raises(InputError, match=r"b\.jsonl, line 2"):
        prepare_corpus(corpus())
    (tmp_path / "b.jsonl").write_text(good)
    prepare_corpus(corpus())
    prepare_corpus(corpus("fresh"))
    one, two = (content(tmp_path / name) for name in ("out", "fresh"))
    assert one == two


@pytest.mark.parametrize("share", [0.0, 0.1])
def test_parts_together_hold_what_one_run_holds(corpus, tmp_path, share):
    whole = TokenShards(_prepared(corpus("whole", heldout_share=share)))
    for part in range(3):
        if part:
            with pytest.raises(InputError, match=rf"Received: {part}; run `prepare` with --shard={part}/3"):
                TokenShards(tmp_path / "parts")
        prepare_corpus(corpus("parts", heldout_share=share, shard=f"{part}/3"))
    parts = TokenShards(tmp_path / "parts")
    for split in ("train", "heldout"):
        assert documents_of(parts, split) == documents_of(whole, split)
    assert len(documents_of(whole, "heldout")) >= 1
    assert np.array_equal(parts.unigram_counts, whole.unigram_counts)
    assert parts.manifest["totals"] == whole.manifest["totals"] and len(parts.manifest["parts"]) == 3
    assert parts.fingerprint != whole.fingerprint
    parts.verify()


def _prepared(settings):
    prepare_corpus(settings)
    return settings.output_dir


def test_parts_and_whole_do_not_share_a_folder(corpus):
    prepare_corpus(corpus())
    with pytest.raises(InputError, match="holds another corpus, one without parts"):
        prepare_corpus(corpus(shard="0/2"))
    prepare_corpus(corpus("parts", shard="0/2"))
    with pytest.raises(InputError, match="not empty: it holds part-0-of-2"):
        prepare_corpus(corpus("parts"))


def test_a_vocabulary_can_be_trained_on_the_input(corpus, tmp_path, content):
    prepare_corpus(corpus(vocabulary=None, train_vocabulary=120))
    prepare_corpus(corpus("again", vocabulary=None, train_vocabulary=120, workers=3))
    assert content(tmp_path / "out") == content(tmp_path / "again")
    shards = TokenShards(tmp_path / "out")
    assert shards.tokenizer().vocabulary_size() <= 120 and "python" in shards.tokenizer().get_vocabulary()
    assert shards.manifest["totals"]["unknown_pieces"] == 0


def test_a_vocabulary_can_be_trained_on_a_part_of_the_documents(tmp_path):
    texts = [" ".join([f"{chr(97 + i % 20)}{chr(97 + i // 20)}"] * 3) for i in range(80)]  # a word of its own for each
    (tmp_path / "text.txt").write_text("\n\n".join(texts))

    def prepared(name, share, **settings):
        flags = {"train_vocabulary": 200, "vocabulary_sample": share, "output_dir": str(tmp_path / name)}
        return prepare_corpus(PreparationSettings(input=(str(tmp_path / "text.txt"),), **flags | settings))

    prepared("out", 0.25, heldout_share=0.3)
    pieces = set(TokenShards(tmp_path / "out").tokenizer().get_vocabulary())
    hashes = {
        text.split()[0]: int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")
        for text in texts
    }
    known = {word for word, code in hashes.items() if code >= 0.75 * 2**64}
    assert 10 < len(known) < 30 and {word for word in hashes if word in pieces} == known
    assert prepared("out", 0.25, heldout_share=0.3)["settings"]["vocabulary"] == "train 200 on 0.25 of the documents"
    with pytest.raises(InputError, match="on 0.25 of the documents there, train 200 now"):
        prepared("out", 1.0, heldout_share=0.3)
    with pytest.raises(InputError, match="--vocabulary_sample=1e-05 may be too small. A vocabulary cannot be trained"):
        prepared("none", 1e-5)


def test_a_preset_folder_supplies_its_whole_tokenizer(corpus, tmp_path, small_vocabulary):
    tokenizer = SpanBertTokenizer(small_vocabulary, lowercase=True, strip_accents=False, added_tokens=["[E1]"])
    tokenizer.save_to_preset(str(tmp_path / "preset"))
    manifest = prepare_corpus(corpus(vocabulary=str(tmp_path / "preset")))
    assert manifest["lowercase"] is True and manifest["vocabulary_fingerprint"] == tokenizer.fingerprint()
    assert TokenShards(tmp_path / "out").tokenizer().fingerprint() == tokenizer.fingerprint()
    cased = SpanBertTokenizer(small_vocabulary, strip_accents=True)
    cased.save_to_preset(str(tmp_path / "cased"))
    with pytest.raises(InputError, match="--lowercase does not fit the tokenizer in .*cased, which keeps case"):
        prepare_corpus(corpus("other", vocabulary=str(tmp_path / "cased"), lowercase=True))


def test_the_embedded_corpus_can_be_prepared(tmp_path):
    manifest = prepare_corpus(
        PreparationSettings(input=("embedded",), output_dir=str(tmp_path / "out"), train_vocabulary=2000)
    )
    totals = manifest["totals"]
    assert totals["kept_documents"] > 500 and totals["kept_pieces"] > 300_000
    assert totals["documents"] == totals["kept_documents"] + totals["duplicate_documents"]
    assert warnings_of(manifest) == []


def test_missing_input_is_reported_before_anything_is_written(corpus, tmp_path):
    with pytest.raises(InputError, match="--input=/nowhere/at/all does not exist"):
        prepare_corpus(corpus(input=("/nowhere/at/all",)))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("text", ["", "\n \n", "one document alone\nwith two lines"])
def test_a_corpus_of_fewer_than_two_documents_is_rejected(corpus, tmp_path, text):
    (tmp_path / "small.txt").write_text(text)
    with pytest.raises(InputError, match=r"small\.txt is too small.*at least two"):
        prepare_corpus(corpus(input=(str(tmp_path / "small.txt"),)))
    prepare_corpus(corpus())  # the folder is free for another attempt


def test_a_vocabulary_without_mask_is_rejected(corpus, tmp_path):
    pieces = (tmp_path / "vocab.txt").read_text(encoding="utf-8").split("\n")
    (tmp_path / "vocab.txt").write_text("\n".join(p for p in pieces if p != "[MASK]"), encoding="utf-8")
    with pytest.raises(InputError, match=r"vocab\.txt lacks \[MASK\]"):
        prepare_corpus(corpus())


def test_warnings_name_the_problems_of_a_corpus(corpus, tmp_path):
    (tmp_path / "none.txt").write_text("\n")
    settings = corpus()
    manifest = prepare_corpus(corpus(input=(*settings.input, str(tmp_path / "none.txt"))))
    said = "\n".join(warnings_of(manifest))
    assert "1 bytes are not valid UTF-8" in said and "none.txt holds no document" in said
    for unknown, warned in ((5, False), (6, True)):
        manifest["totals"].update(unknown_pieces=unknown, kept_pieces=1000)
        assert ("are [UNK] (more than 0.5%)" in "\n".join(warnings_of(manifest))) == warned


def test_progress_rises_to_the_whole(corpus):
    seen = []
    manifest = prepare_corpus(corpus(), lambda *numbers: seen.append(numbers))
    assert [n[0] for n in seen] == sorted(n[0] for n in seen) and seen[-1][0] == seen[-1][1]
    assert seen[-1][2:] == (62, manifest["totals"]["kept_pieces"])


def test_a_second_preparation_is_rejected_or_waits(corpus, tmp_path, content):
    prepare_corpus(corpus("whole"))
    found, threads = [], []

    def second(*_):
        if not threads:
            with pytest.raises(InputError, match="The folder .*out is in use: process .* give another --output_dir"):
                prepare_corpus(corpus())
            threads.append(threading.Thread(target=lambda: found.append(prepare_corpus(corpus(), wait=True))))
            threads[0].start()

    first = prepare_corpus(corpus(), second)
    threads[0].join(30)
    assert found == [json.loads(json.dumps(first))]
    assert content(tmp_path / "out") == content(tmp_path / "whole")


def test_a_finished_corpus_that_cannot_be_written_is_found_done(corpus, tmp_path, monkeypatch):
    prepare_corpus(corpus())
    monkeypatch.setattr(module, "FolderLock", None)
    prepare_corpus(corpus())


def normalized(text):
    """BERT's cased normalization with a space around every punctuation mark, written from its rules."""
    kept = []
    for c in text:
        category = unicodedata.category(c)
        if c.isspace() and (category == "Zs" or c in "\t\n\r"):
            kept.append(" ")
        elif c == "\ufffd" or category.startswith("C"):
            continue
        elif category.startswith("P") or (33 <= ord(c) < 127 and not c.isalnum()):
            kept.append(f" {c} ")
        else:
            kept.append(c)
    return " ".join("".join(kept).split())


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "a.txt").write_text("one document\n\nand another\n")
    (tmp_path / "file").write_text("in the way")
    settings = PreparationSettings(
        input=(str(tmp_path / "a.txt"),), output_dir=str(tmp_path / "file" / "shards"), train_vocabulary=60
    )
    with pytest.raises(InputError, match=r"--output_dir=.*file/shards cannot be made"):
        prepare_corpus(settings)


@pytest.mark.slow
def test_books_decode_to_their_normalized_text_except_at_unknown_pieces(data_folder, tmp_path):
    paths = (str(data_folder / "text/tiny_cc0.txt"), str(data_folder / "text/books.jsonl.gz"))
    manifest = prepare_corpus(
        PreparationSettings(
            input=paths,
            output_dir=str(tmp_path / "out"),
            vocabulary=str(data_folder / "vocab/bert-base-cased-vocab.txt"),
        )
    )
    reports = manifest["reports"]
    assert [report["documents"] for report in reports] == [65, 3066]
    totals = manifest["totals"]
    assert totals["documents"] == totals["kept_documents"] + totals["empty_documents"] + totals["duplicate_documents"]
    expected = {normalized(t) for t in open(paths[0], encoding="utf-8").read().split("\n\n") if t.strip()}
    with gzip.open(paths[1], "rt", encoding="utf-8") as file:
        expected |= {normalized(json.loads(row)["text"]) for row in file}
    shards = TokenShards(tmp_path / "out")
    shards.verify()
    tokenizer = shards.tokenizer()
    unknown, compared, characters = tokenizer.unk_token_id, 0, 0
    for split in shard_format.SPLITS:
        part = shards.split(split)
        for pieces, documents in zip(part.pieces, part.document_starts, strict=True):
            for start, end in zip(documents, documents[1:], strict=False):
                if unknown not in pieces[start:end]:
                    text = tokenizer.detokenize(pieces[start:end])
                    assert text in expected
                    compared, characters = compared + 1, characters + len(text)
    assert compared > 2500
