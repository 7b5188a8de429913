"""Tests of a run's text: preparation, waiting workers, masks and order."""

import json
import re
import shutil

import numpy as np
import pytest
from absl import logging

from spanbert_keras import pretrain, program
from spanbert_keras.data.annotations.annotate_corpus import annotate_corpus
from spanbert_keras.data.annotations.annotation_settings import AnnotationSettings
from spanbert_keras.errors import InputError
from spanbert_keras.files import file_entries
from spanbert_keras.pretraining.data import PretrainingData


@pytest.fixture
def make_data(toy_shards, toy_flags, tmp_path):
    """Function that makes `PretrainingData` of the toy corpus with more flags; `wait_for` is that of a worker."""

    def make(*flags, wait_for=None):
        given = [*toy_flags, f"--corpus={toy_shards}", f"--output_dir={tmp_path / 'run'}", *flags]
        return PretrainingData(program.parse(pretrain.Config, given), wait_for)

    return make


@pytest.fixture
def raw(toy_text, tmp_path):
    """Flags of a run from raw text."""
    return [f"--corpus={toy_text}", "--train_vocabulary=150", f"--cache_dir={tmp_path / 'cache'}"]


@pytest.fixture
def warnings(monkeypatch):
    """List of what was logged as a warning."""
    found = []
    monkeypatch.setattr(logging, "warning", lambda text, *values: found.append(text % values))
    return found


def same(one, other):
    return all((one[name] == other[name]).all() for name in one)


def test_raw_text_is_prepared_once_into_the_cache(make_data, raw, tmp_path):
    first = make_data(*raw)
    (folder,) = (tmp_path / "cache" / "shards").iterdir()
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    again = make_data(*raw, "--learning_rate=0.5")
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == before
    assert same(first.train.batch(3), again.train.batch(3))
    make_data(*raw, "--train_vocabulary=140")
    assert len(list((tmp_path / "cache" / "shards").iterdir())) == 2


@pytest.mark.parametrize("kind", ["raw", "prepared"])
def test_files_are_compared_at_the_first_start_and_when_asked(make_data, raw, monkeypatch, kind):
    read, names = file_entries.file_entry, []
    monkeypatch.setattr(file_entries, "file_entry", lambda path: names.append(str(path)) or read(path))

    def compared(*flags):
        names.clear()
        make_data(*(raw if kind == "raw" else ()), *flags)
        return sum(name.endswith("pieces.npy") for name in names)

    make_data(*(raw if kind == "raw" else ()))
    compared()  # of raw text, what the first start wrote
    assert compared() == 0 < compared("--verify_corpus")
    assert compared() == 0


def test_without_a_cache_folder_the_runs_own_is_used(make_data, toy_text, tmp_path):
    make_data(f"--corpus={toy_text}", "--train_vocabulary=150")
    assert len(list((tmp_path / "run" / "cache" / "shards").iterdir())) == 1


def test_other_workers_wait_for_the_shards_that_the_chief_writes(make_data, raw, toy_text, tmp_path):
    waits, chief = [], []

    def wait_for(path, what):
        waits.append((path, what, path.is_file()))
        chief.append(make_data(*raw))

    worker = make_data(*raw, wait_for=wait_for)
    (folder,) = (tmp_path / "cache" / "shards").iterdir()
    assert waits == [(folder / "manifest.json", f"the shards of {toy_text}", False)]
    assert same(worker.train.batch(5), chief[0].train.batch(5))
    assert worker.facts() == chief[0].facts()


def test_a_chief_that_never_writes_the_shards_is_an_error(make_data, raw, tmp_path):
    def wait_for(path, what):
        raise InputError(f"{what} did not appear")

    with pytest.raises(InputError, match="did not appear"):
        make_data(*raw, wait_for=wait_for)
    assert not (tmp_path / "cache" / "shards").exists()


def test_the_unigram_losses_are_those_of_the_corpus(make_data, toy_shards):
    counts = np.load(toy_shards / "unigram_counts.npy")
    np.testing.assert_allclose(make_data().unigram, np.log(counts.sum() + 150) - np.log(counts + 1.0))


def test_rows_and_their_length_are_the_flags(make_data):
    data = make_data("--max_sequence_length=48", "--batch_sequences=6")
    assert data.train.batch(0)["token_ids"].shape == (6, 48)
    assert data.tokenizer.vocabulary_size() == 150


def test_flags_apply_to_training_masks_and_held_out_masks_follow_the_paper(make_data):
    flags = ["--scheme=whole_word", "--masking_rate=0.3", "--geometric_rate=0.5", "--max_span_length=4"]
    data = make_data(*flags, "--max_span_positions=5")
    settings = data.train.masker.settings
    assert (settings.scheme, settings.masking_rate, settings.geometric_rate) == ("whole_word", 0.3, 0.5)
    assert (settings.max_span_length, settings.max_span_positions) == (4, 5)
    batch = data.train.batch(0)
    assert 0.25 < batch["mask_weights"].sum() / (batch["padding_mask"] > 0).sum() < 0.35
    settings = data.held_out_stream("span").masker.settings
    assert (settings.scheme, settings.masking_rate, settings.geometric_rate) == ("span", 0.15, 0.2)
    assert (settings.max_span_length, settings.max_span_positions) == (10, 5)


def test_googles_rule_applies_to_training_masks_alone(make_data):
    data = make_data("--scheme=subword", "--masking_rule=bert", "--max_predictions=3", "--packing=off")
    settings = data.train.masker.settings
    assert (settings.rule, settings.max_predictions, data.train.masker.unigram_counts) == ("bert", 3, None)
    assert data.held_out_stream("subword").masker.settings.rule == "paper"


PAIRS = ["--segments=2", "--max_sequence_length=64", "--allow_skewed_pairs"]  # documents of few lines


def test_flags_make_pairs_of_segments(make_data):
    data = make_data(*PAIRS, "--short_sequence_rate=0.5", "--pair_copies=2", "--mask_copies=3", "--packing=off")
    batch = data.train.batch(0)
    assert batch["pair_positions"].shape == (4, 1) == batch["next_sentence_labels"].shape
    assert set(np.unique(batch["segment_ids"])) == {0, 1}
    stream = data.train.sources[0].stream
    assert (stream.copies.num_copies, stream.mask_copies) == (2, 3)
    packed = make_data(*PAIRS, "--max_sequence_length=128").train
    assert packed.max_pairs > 1 and packed.batch(0)["pair_weights"].shape == (4, packed.max_pairs)


def test_held_out_pairs_are_as_long_as_rows_allow_and_are_cut_in_one_way(make_data):
    one, other = make_data(*PAIRS), make_data(*PAIRS, "--short_sequence_rate=0.5", "--pair_copies=2", "--packing=off")
    held_out = [data.held_out_stream("span").sources[0].stream for data in (one, other)]
    assert [len(stream.copies.index(0)) for stream in held_out] == [len(held_out[0].copies.index(0))] * 2
    assert [stream.copies.num_copies for stream in held_out] == [1, 1]


def test_berts_budget_counts_the_three_specials_of_a_pair(make_data):
    flags = ["--scheme=subword", "--masking_rule=bert", "--packing=off"]
    batch = make_data(*PAIRS, *flags).train.batch(0)
    lengths = (batch["padding_mask"] > 0).sum(1).tolist()
    assert batch["mask_weights"].sum(1).tolist() == [max(1, round(0.15 * length)) for length in lengths]


def test_pairs_that_are_mostly_random_are_rejected_unless_a_flag_accepts_them(make_data, monkeypatch):
    lines = []
    monkeypatch.setattr(logging, "info", lambda text, *values: lines.append(text % values))
    short = ["--segments=2", "--max_sequence_length=48"]
    with pytest.raises(InputError, match="is not suited for next-sentence prediction: .*--pair_units=sentence"):
        make_data(*short)
    make_data(*short, "--allow_skewed_pairs")
    assert any("rows of 48 tokens: next-sentence labels: " in line and "% random" in line for line in lines)


@pytest.fixture
def annotated_shards(toy_shards, toy_text, tmp_path):
    """Path of the toy corpus with an annotation: `ba` is a PERSON and `do` a DATE, wherever they stand."""
    shutil.copytree(toy_shards, tmp_path / "shards")
    labels = {"ba": "PERSON", "do": "DATE"}
    with open(tmp_path / "spans.jsonl", "w", encoding="utf-8") as file:
        for text in dict.fromkeys(toy_text.read_text(encoding="utf-8").splitlines()):
            words = [(found.start(), found.end(), found[0]) for found in re.finditer(r"\w+", text)]
            spans = [[start, end, labels[word]] for start, end, word in words if word in labels]
            file.write(json.dumps({"text": text, "entities": spans}) + "\n")
    annotate_corpus(
        AnnotationSettings(
            corpus=str(tmp_path / "shards"),
            input=(str(toy_text),),
            annotations=("entities",),
            annotator=f"jsonl:{tmp_path / 'spans.jsonl'}",
        )
    )
    return tmp_path / "shards"


def test_named_entities_are_masked_in_half_of_the_draws(make_data, annotated_shards):
    def share_of(word, *flags):
        data = make_data(f"--corpus={annotated_shards}", "--scheme=named_entity", "--batch_sequences=64", *flags)
        batch = data.train.batch(0)
        (piece,) = data.tokenizer(word)
        return (batch["mask_ids"][batch["mask_weights"] > 0] == piece).mean()

    for word, other in (("ba", "do"), ("do", "ba")):
        labels = "--entity_labels=PERSON" if word == "ba" else "--entity_labels=DATE"
        assert share_of(word, labels) > 2 * share_of(word, labels, "--mention_rate=0")
        assert share_of(other, labels) < 1.5 * share_of(other, labels, "--mention_rate=0")
    assert share_of("ba") > 2 * share_of("do")  # dates are left out by default


def test_another_annotation_is_another_run(make_data, annotated_shards):
    flags = [f"--corpus={annotated_shards}", "--scheme=named_entity"]
    facts = make_data(*flags).facts()
    assert facts["annotation"] == "entities" and len(facts["annotation_fingerprint"]) == 16
    assert make_data(*flags, "--entity_labels=DATE").facts() != facts
    assert "annotation" not in make_data(f"--corpus={annotated_shards}").facts()


def test_a_scheme_without_its_annotation_is_rejected_with_the_command_that_makes_it(make_data):
    with pytest.raises(
        InputError, match="has no finished annotation 'entities'.* --scheme=named_entity needs.*spanbert_keras.annotate"
    ):
        make_data("--scheme=named_entity")


def test_each_phase_has_its_own_rows_order_and_masks(make_data):
    data = make_data("--phases=16:3,32:4,16:3", "--steps=10", "--warmup_steps=1", "--batch_sequences=4")
    shapes = [data.train.part(number, 0, 1)["token_ids"].shape for number in range(11)]
    assert shapes == [(4, 16)] * 3 + [(4, 32)] * 4 + [(4, 16)] * 4
    assert not same(data.train.part(0, 0, 1), data.train.part(7, 0, 1))
    assert same(data.train.part(4, 1, 2), data.streams[1].part(1, 1, 2))
    assert data.held_out_stream("span").rows(np.arange(2))["token_ids"].shape == (2, 32)


def test_the_seed_determines_the_order_of_the_text(make_data):
    one, same_seed, other = (make_data(f"--seed={seed}") for seed in (3, 3, 4))
    assert same(one.train.batch(0), same_seed.train.batch(0))
    assert not same(one.train.batch(0), other.train.batch(0))


def test_held_out_text_is_in_no_training_row(make_data):
    def words(stream):
        rows = stream.rows(np.arange(stream.sources[0].stream.plan.rows))
        ids = rows["token_ids"].copy()
        for row, column in zip(*np.nonzero(rows["mask_weights"]), strict=True):
            ids[row, rows["mask_positions"][row, column]] = rows["mask_ids"][row, column]
        return {tuple(row[i : i + 12]) for row in ids.tolist() for i in range(len(row) - 12) if all(row[i : i + 12])}

    data = make_data()
    assert words(data.train) and words(data.held_out_stream("span"))
    assert not words(data.train) & words(data.held_out_stream("span"))


def test_facts_identify_text_and_vocabulary_as_json(make_data, toy_shards):
    one = make_data().facts()
    assert json.loads(json.dumps(one)) == one
    assert set(one) == {"corpus_fingerprint", "corpus_weights", "vocabulary_fingerprint"}
    two = make_data(f"--corpus={toy_shards}:3,{toy_shards}:1").facts()
    assert two["vocabulary_fingerprint"] == one["vocabulary_fingerprint"]
    assert two["corpus_fingerprint"] != one["corpus_fingerprint"] and two["corpus_weights"] != one["corpus_weights"]


def test_flags_for_raw_text_are_pointed_out_with_a_prepared_corpus(make_data, raw, warnings):
    make_data("--lowercase")
    assert [text for text in warnings if "--train_vocabulary and --lowercase have no effect" in text]
    warnings.clear()
    make_data(*raw)
    make_data()
    assert not [text for text in warnings if "are for raw text" in text]


def test_masks_that_are_impossible_are_rejected(make_data):
    with pytest.raises(InputError, match="masks cannot be drawn with these flags.*masking_rate"):
        make_data("--masking_rate=2")


def test_a_prepared_corpus_of_another_vocabulary_is_rejected(make_data, toy_shards, tmp_path):
    make_data(f"--vocabulary={toy_shards / 'vocab.txt'}")
    (tmp_path / "other.txt").write_text((toy_shards / "vocab.txt").read_text() + "extra\n")
    with pytest.raises(InputError, match=r"other.txt \(151 pieces\).*150 pieces"):
        make_data(f"--vocabulary={tmp_path / 'other.txt'}")
