"""Annotating a corpus: the same bytes however it is run, nothing annotated twice, what does not fit is rejected."""

import json
import shutil

import pytest

from spanbert_keras.data.annotations import annotate_corpus as module
from spanbert_keras.data.annotations.annotate_corpus import annotate_corpus
from spanbert_keras.data.annotations.annotation_settings import AnnotationSettings
from spanbert_keras.data.annotations.document_annotator import DocumentAnnotator
from spanbert_keras.data.annotations.rule_annotator import RuleAnnotator
from spanbert_keras.data.annotations.shard_job import ShardJob
from spanbert_keras.data.shards import shard_format
from spanbert_keras.data.shards.token_shards import TokenShards
from spanbert_keras.errors import InputError
from spanbert_keras.files.folder_lock import FolderLock
from spanbert_keras.files.json_files import read_json, write_json


@pytest.fixture
def annotate(texts):
    """Function that annotates a corpus of the fixture `prepared` by rules, from its text."""

    def run(corpus, on_progress=None, **changes):
        given = {"input": (f"{texts}/text.txt", f"{texts}/more.jsonl"), "annotator": "rules", "workers": 1}
        return annotate_corpus(AnnotationSettings(corpus=str(corpus), **given | changes), on_progress)

    return run


def content(folder):
    """Every file of the annotations of a folder by name."""
    return {path.name: path.read_bytes() for path in sorted(folder.rglob("*annotation*"))}


def mentions_of(shards):
    """The texts of all documents with their mentions marked, sorted."""
    tokenizer, found = shards.tokenizer(), []
    for split in ("train", "heldout"):
        part = shards.split(split)
        opened = shards.annotations("entities").open(part.paths, [len(ids) for ids in part.pieces])
        for ids, starts, values in zip(part.pieces, part.document_starts, opened, strict=True):
            for begin, end in zip(starts[:-1], starts[1:], strict=True):
                words = [
                    f"{'<' if value & 2 else '-' if value else ''}{tokenizer.id_to_token(piece)}"
                    for piece, value in zip(ids[begin:end].tolist(), values[begin:end].tolist(), strict=True)
                ]
                found.append(" ".join(words))
    return sorted(found)


def test_every_document_has_the_mentions_of_its_lines(prepared, annotate, texts):
    corpus = prepared("whole")
    run = annotate(corpus)
    assert run.finished and run.warnings == []
    shards = TokenShards(corpus)
    assert len(shards.split("train").pieces) > 3
    tokenizer, expected = shards.tokenizer(), set()
    documents = (texts / "text.txt").read_text(encoding="utf-8").split("\n\n")
    documents += [json.loads(row)["text"] for row in (texts / "more.jsonl").read_text(encoding="utf-8").splitlines()]
    for text in filter(None, documents):
        marked = []
        for line in text.split("\n"):
            ids, offsets = tokenizer.encode_with_offsets(line)
            [found] = RuleAnnotator().annotate([line])
            for piece, (start, end) in zip(ids, offsets, strict=True):
                inside = [m for m in found["entities"] if m.start < end and start < m.end]
                marked.append(
                    f"{'' if not inside else '<' if start == inside[0].start else '-'}{tokenizer.id_to_token(piece)}"
                )
        expected.add(" ".join(marked))
    assert mentions_of(shards) == sorted(expected)


@pytest.mark.parametrize("changes", [{"workers": 2}, {"workers": 3, "input": ()}, {"workers": 1, "input": ()}])
def test_the_bytes_do_not_depend_on_the_number_of_processes(prepared, annotate, changes):
    corpus = prepared("whole")
    annotate(corpus, **changes | {"workers": 1})
    expected = content(corpus)
    assert "annotations.json" in expected and "train-00001.entities.annotation.npy" in expected
    annotate(corpus, **changes, replace=True)
    assert content(corpus) == expected


class Killed(BaseException):
    """Stands for a signal that ends the process."""


@pytest.mark.parametrize("after", [1, 20, 40, 70])
def test_a_killed_run_continues_to_the_same_bytes_without_repeating_shards(prepared, annotate, after, monkeypatch):
    corpus = prepared("whole")
    annotate(corpus)
    expected = content(corpus)
    calls = []

    def kill(*_):
        calls.append(1)
        if len(calls) == after:
            raise Killed

    with pytest.raises(Killed):
        annotate(corpus, kill, replace=True)
    assert not [path for path in corpus.iterdir() if path.name.startswith(".")]
    finished = {path.name.split(".")[0] for path in corpus.glob("*.annotation.json")}
    if not finished:  # the former annotation is whole
        assert after < 40 and content(corpus) == expected
        return
    assert "entities" not in read_json(corpus / "annotations.json")
    with pytest.raises(InputError, match="has no finished annotation 'entities'"):
        TokenShards(corpus).annotations("entities")
    rest = []
    annotate(corpus, lambda done, total: rest.append((done, total)))
    assert content(corpus) == expected
    sizes = {f"{s['split']}-{s['index']:05d}": s["documents"] for s in TokenShards(corpus).manifest["shards"]}
    assert len(rest) == sum(size for stem, size in sizes.items() if stem not in finished)
    assert rest[-1][0] == rest[-1][1]


def test_a_finished_annotation_is_found_done(prepared, annotate):
    corpus = prepared("whole")
    annotate(corpus)
    before, calls = content(corpus), []
    assert annotate(corpus, lambda *_: calls.append(1), workers=3).finished
    assert not calls and content(corpus) == before


def test_parts_of_shards_together_give_the_bytes_of_one_run(prepared, annotate):
    corpus = prepared("whole")
    annotate(corpus)
    expected = content(corpus)
    annotate(corpus, replace=True, shard="2/3")
    assert not annotate(corpus, shard="0/3").finished
    with pytest.raises(InputError, match="has no finished annotation"):
        TokenShards(corpus).annotations("entities")
    assert annotate(corpus, shard="1/3").finished
    assert content(corpus) == expected


@pytest.mark.parametrize("share", [0.0, 0.1])
def test_a_corpus_of_parts_has_the_mentions_of_the_whole_one(prepared, annotate, share):
    whole = prepared("whole", heldout_share=share)
    for part in range(3):
        parts = prepared("parts", f"{part}/3", heldout_share=share)
    for corpus in (whole, parts):
        annotate(corpus)
    assert len(list(parts.rglob("annotations.json"))) == 3
    assert mentions_of(TokenShards(parts)) == mentions_of(TokenShards(whole))
    assert TokenShards(parts).annotations("entities").labels == ("NAME",)
    TokenShards(parts).verify()


def test_documents_that_the_input_lacks_are_counted(prepared, annotate, texts):
    corpus = prepared("whole")
    short = (f"{texts}/text.txt",)
    with pytest.raises(
        InputError, match=r"lacks 30 of 80 documents .*text.txt, .*more.jsonl. Give all of it, or --allow"
    ):
        annotate(corpus, input=short)
    assert content(corpus) == {}
    run = annotate(corpus, input=short, allow_missing=True)
    assert run.finished and run.warnings == ["30 documents of the corpus are not in --input: they have no mentions."]
    some = mentions_of(TokenShards(corpus))
    before = content(corpus)
    assert TokenShards(corpus).annotations("entities").missing == 30
    with pytest.raises(InputError, match="'entities' whose input lacked 30 documents. Expected: all. Give --replace"):
        annotate(corpus)
    again = annotate(corpus, allow_missing=True)
    assert again.warnings == [f"30 documents of {corpus} have no entities: the input lacked them."]
    with pytest.raises(InputError, match="lacks 30 of 80 documents"):
        annotate(corpus, input=short, replace=True)
    assert content(corpus) == before  # a run that cannot replace an annotation leaves it as it is
    annotate(corpus, replace=True)
    assert TokenShards(corpus).annotations("entities").missing == 0
    every = mentions_of(TokenShards(corpus))
    assert 50 <= len(set(some) & set(every)) < 80
    assert [one.replace("<", "").replace("-", "") for one in some] != every


def test_the_order_of_the_input_does_not_matter(prepared, annotate, texts):
    corpus = prepared("whole")
    annotate(corpus)
    expected = content(corpus)
    annotate(corpus, input=(f"{texts}/more.jsonl", f"{texts}/text.txt"), replace=True)
    assert content(corpus) == expected


def test_another_annotator_or_input_needs_to_be_confirmed(prepared, annotate, texts):
    corpus = prepared("whole")
    annotate(corpus)
    before = content(corpus)
    with pytest.raises(
        InputError, match="already, of another .* from pieces. Received: rules 1 .* from text. Give --rep"
    ):
        annotate(corpus, input=())
    (texts / "mine.jsonl").write_text('{"text": "Ann", "entities": [[0, 3, "P"]]}', encoding="utf-8")
    with pytest.raises(InputError, match="Expected: jsonl mine.jsonl"):
        annotate(corpus, annotator=f"jsonl:{texts}/mine.jsonl")
    assert content(corpus) == before


def test_lines_that_a_file_of_mentions_lacks_are_counted(prepared, annotate, texts):
    corpus = prepared("whole")
    documents = (texts / "text.txt").read_text(encoding="utf-8").split("\n\n")
    rows = [{"text": text, "entities": [[0, len(text.split()[0]), "FIRST"]]} for text in documents]
    (texts / "mine.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    run = annotate(corpus, annotator=f"jsonl:{texts}/mine.jsonl")
    assert run.finished and "lines of the corpus are not in --annotator=jsonl" in run.warnings[0]
    entry = read_json(corpus / "annotations.json")["entities"]
    assert entry["counts"] == {"FIRST": 50} and entry["labels"] == ["FIRST"]


def test_other_tokens_than_those_of_the_text_are_rejected(prepared, annotate):
    corpus = prepared("whole")
    path = corpus / "train-00001.pieces.npy"
    data = bytearray(path.read_bytes())
    data[-2] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(InputError, match="train-00001.pieces.npy is damaged"):
        annotate(corpus)
    manifest = read_json(corpus / "manifest.json")
    manifest["files"][path.name] = shard_format.file_entry(path)  # as if it had been prepared so
    write_json(corpus / "manifest.json", manifest)
    with pytest.raises(InputError, match="of the shard .*train-00001 holds other tokens than its text gives"):
        annotate(corpus)
    assert not (corpus / "annotations.json").exists()
    assert not [path for path in corpus.iterdir() if path.name.startswith(".")]


def test_a_full_disk_is_reported_and_the_same_command_continues(prepared, annotate, monkeypatch):
    corpus = prepared("whole")
    annotate(corpus)
    expected, finish, calls = content(corpus), ShardJob.finish, []

    def full(self):
        calls.append(1)
        if len(calls) == 2:
            raise OSError(28, "No space left on device")
        finish(self)

    monkeypatch.setattr(ShardJob, "finish", full)
    with pytest.raises(
        InputError, match="No space left on device. Free some space and rerun the same command; it resumes"
    ):
        annotate(corpus, replace=True)
    annotate(corpus)
    assert content(corpus) == expected


def test_two_annotations_stand_side_by_side(prepared, annotate, monkeypatch):
    class Both(RuleAnnotator):
        def __init__(self, names):
            super().__init__()
            self.labels = {"entities": ["NAME"], "noun_phrases": ["NAME"]}

        def annotate(self, texts):
            return [{**found, "noun_phrases": found["entities"]} for found in super().annotate(texts)]

    corpus = prepared("whole")
    annotate(corpus)
    alone = content(corpus)
    monkeypatch.setattr("spanbert_keras.data.annotations.open_annotator.RuleAnnotator", Both)
    annotate(corpus, annotations=("noun_phrases", "entities"))
    both = content(corpus)
    for name, data in alone.items():
        if name.endswith("npy"):
            assert both[name] == both[name.replace("entities", "noun_phrases")] == data
    assert set(read_json(corpus / "annotations.json")) == {"entities", "noun_phrases"}
    TokenShards(corpus).verify()


def test_the_record_says_what_was_annotated_and_how(prepared, annotate):
    corpus = prepared("whole")
    annotate(corpus)
    entry = read_json(corpus / "annotations.json")["entities"]
    shards = TokenShards(corpus)
    assert entry["format_version"] == 1 and entry["annotator"] == "rules 1" and entry["from"] == "text"
    assert entry["corpus"] == shards.fingerprint and entry["labels"] == ["NAME"]
    assert entry["vocabulary_fingerprint"] == shards.manifest["vocabulary_fingerprint"]
    assert entry["counts"] == {"NAME": sum(shard["spans"] for shard in entry["shards"].values())}
    for stem, shard in entry["shards"].items():
        path = corpus / f"{stem}.entities.annotation.npy"
        assert shard_format.file_entry(path) == {"bytes": shard["bytes"], "sha256": shard["sha256"]}


def test_a_copied_annotation_of_another_corpus_is_rejected(prepared, annotate, texts):
    corpus = prepared("whole")
    annotate(corpus)
    other = prepared("other", heldout_share=0.2)
    shutil.copy(corpus / "annotations.json", other / "annotations.json")
    with pytest.raises(InputError, match="'entities' of .*other was made for another corpus"):
        annotate(other)
    assert annotate(other, replace=True).finished


def test_usable_arguments_make_the_tokenizer_of_the_corpus(prepared):
    shards = TokenShards(prepared("whole"))
    annotator = DocumentAnnotator("rules", ("entities",), module._tokenizer_settings(shards))
    assert annotator.tokenizer.fingerprint() == shards.tokenizer().fingerprint()


@pytest.mark.parametrize("changed", [True, False])
def test_a_damaged_finished_annotation_is_made_again(prepared, annotate, changed):
    corpus = prepared("whole")
    annotate(corpus)
    expected = content(corpus)
    path = corpus / "train-00001.entities.annotation.npy"
    path.write_bytes(expected[path.name][:-1] + b"\3" if changed else expected[path.name][:-5])
    (corpus / f".0123abcd.{path.name}").write_bytes(b"left by a killed process")
    run = annotate(corpus)
    assert run.finished and content(corpus) == expected
    assert run.warnings == [f"{path} is damaged: the annotation 'entities' of {corpus} is made again."]


def test_a_shard_that_was_damaged_before_the_end_is_annotated_again(prepared, annotate):
    corpus = prepared("whole")
    annotate(corpus)
    expected = content(corpus)
    annotate(corpus, replace=True, shard="0/2")
    path = corpus / "train-00000.entities.annotation.npy"
    path.write_bytes(expected[path.name][:-1] + b"\3")
    assert not annotate(corpus, shard="1/2").finished  # one shard is to be annotated again
    assert annotate(corpus, shard="0/2").finished
    assert content(corpus) == expected


def test_changed_annotations_json_is_reported(prepared, annotate):
    corpus = prepared("whole")
    annotate(corpus)
    path = corpus / "annotations.json"
    path.write_text(path.read_text().replace('"spans": ', '"spans": 1', 1))
    with pytest.raises(InputError, match="annotations.json cannot be read .*checksum"):
        annotate(corpus)
    path.write_text('{"entities": {"format_version": 1, "labels": 3}}')
    with pytest.raises(InputError, match="annotations.json cannot be read .*required"):
        TokenShards(corpus).annotations("entities")


def test_a_second_run_on_a_corpus_is_rejected_but_another_part_is_not(prepared, annotate):
    corpus = prepared("whole")
    with FolderLock(corpus, keep=False):
        with pytest.raises(InputError, match="The folder .*whole is in use: process .* another --corpus"):
            annotate(corpus)
        annotate(corpus, shard="1/2")
    assert annotate(corpus, shard="0/2").finished
    with FolderLock(corpus, keep=False):  # nothing is written
        assert annotate(corpus).finished
