"""Tests of one run's parts: what its flags make of corpus, model, held-out sets and record."""

import json

import keras
import numpy as np
import pytest

from spanbert_keras import pretrain, program
from spanbert_keras.errors import InputError
from spanbert_keras.pretraining_run import PretrainingRun


@pytest.fixture(autouse=True)
def plain_policy():
    """A run sets the dtype policy of the process: puts it back."""
    yield
    keras.mixed_precision.set_dtype_policy("float32")


@pytest.fixture
def make_run(toy_shards, toy_flags, tmp_path):
    """Function that makes a `PretrainingRun` of the toy corpus with more flags."""

    def make(*flags):
        given = [*toy_flags, f"--corpus={toy_shards}", f"--output_dir={tmp_path / 'run'}", *flags]
        config = program.parse(pretrain.Config, given)
        pretrain.check(config)
        return PretrainingRun(config, program.to_flags(config), pretrain.batch_rows(config), pretrain.CHANGEABLE)

    return make


def weights_of(run):
    return [np.array(keras.ops.convert_to_numpy(v.value)) for v in run.model.trainable_variables]


def test_flags_shape_the_model(make_run):
    run = make_run("--hidden_dim=24", "--num_heads=3", "--max_span_positions=5", "--position_dim=7", "--dropout=0.2")
    encoder = run.model.encoder
    assert (encoder.num_layers, encoder.hidden_dim, encoder.num_heads, encoder.intermediate_dim) == (1, 24, 3, 96)
    assert (encoder.dropout, encoder.attention_dropout, encoder.max_sequence_length) == (0.2, 0.1, 32)
    assert (run.model.max_span_positions, run.model.position_dim) == (5, 7)
    assert encoder.vocabulary_size == 150 == encoder.tokenizer.vocabulary_size()
    assert run.stream.masker.settings.max_span_positions == 5


def test_flags_shape_the_masks(make_run):
    run = make_run("--scheme=whole_word", "--masking_rate=0.3", "--geometric_rate=0.5", "--max_span_length=4")
    settings = run.stream.masker.settings
    assert (settings.scheme, settings.masking_rate, settings.geometric_rate) == ("whole_word", 0.3, 0.5)
    assert settings.max_span_length == 4
    batch = run.stream.batch(0)
    assert 0.25 < batch["mask_weights"].sum() / (batch["padding_mask"] > 0).sum() < 0.35


def test_the_seed_makes_weights_and_order(make_run):
    one, same, other = make_run("--seed=3"), make_run("--seed=3"), make_run("--seed=4")
    assert all((a == b).all() for a, b in zip(weights_of(one), weights_of(same), strict=True))
    assert any((a != b).any() for a, b in zip(weights_of(one), weights_of(other), strict=True))
    batches = [run.stream.batch(0) for run in (one, same, other)]
    assert all((batches[0][name] == batches[1][name]).all() for name in batches[0])
    assert (batches[0]["token_ids"] != batches[2]["token_ids"]).any()


def test_precision_is_the_models(make_run):
    assert make_run("--precision=mixed_bfloat16").model.encoder.compute_dtype == "bfloat16"


def test_held_out_sets_have_the_same_rows_under_every_scheme_and_seed(make_run):
    sets = make_run("--eval_schemes=span,whole_word,subword")._held_out()
    assert [held_out.name for held_out in sets] == ["span", "whole_word", "subword"]
    assert all((held_out.rows == sets[0].rows).all() for held_out in sets)
    assert len(np.unique(sets[0].rows)) == len(sets[0].rows) <= 8
    other = make_run("--seed=9", "--learning_rate=0.5")._held_out()[0]
    for one, two in zip(sets[0].batches(), other.batches(), strict=True):
        assert all((one[name] == two[name]).all() for name in one)

    def originals(held_out):
        (batch, *_) = held_out.batches()
        ids = np.where(batch["mask_weights"] > 0, batch["mask_ids"], batch["token_ids"][:, :1])
        np.put_along_axis(batch["token_ids"], batch["mask_positions"], ids, axis=1)
        return batch["token_ids"]

    assert all((originals(held_out) == originals(sets[0])).all() for held_out in sets)


def test_raw_text_is_prepared_once_into_the_cache(make_run, toy_text, tmp_path):
    flags = [f"--corpus={toy_text}", "--train_vocabulary=150", f"--cache_dir={tmp_path / 'cache'}"]
    make_run(*flags)
    (folder,) = (tmp_path / "cache" / "shards").iterdir()
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    make_run(*flags, "--learning_rate=0.5")
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == before
    make_run(*flags, "--train_vocabulary=140")
    assert len(list((tmp_path / "cache" / "shards").iterdir())) == 2


def test_the_unigram_line_is_the_corpus(make_run, toy_shards):
    run = make_run()
    counts = np.load(toy_shards / "unigram_counts.npy")
    np.testing.assert_allclose(run.unigram, np.log(counts.sum() + 150) - np.log(counts + 1.0))


def test_other_weights_of_the_corpora_are_another_run(make_run, toy_shards, tmp_path):
    run = make_run(f"--corpus={toy_shards}:0.7,{toy_shards}:0.3")
    run.train()
    facts = json.loads((tmp_path / "run" / "run.json").read_text())["facts"]
    assert facts["corpus_fingerprint"].count("+") == 1
    with pytest.raises(InputError, match="corpus_weights"):
        make_run(f"--corpus={toy_shards}:0.5,{toy_shards}:0.5").train()
    assert make_run(f"--corpus={toy_shards}:7,{toy_shards}:3").train()


def test_a_moved_corpus_is_the_same_run(make_run, toy_shards, tmp_path):
    assert make_run().train()
    (tmp_path / "moved").symlink_to(toy_shards)
    again = make_run(f"--corpus={tmp_path / 'moved'}", "--log_every=1")
    assert again.train()
    assert again.monitor.start == 6


def test_encoders_are_written_on_the_way(make_run, tmp_path):
    run = make_run("--encoder_every=4")
    assert run.train()
    assert (tmp_path / "run" / "encoder.keras").is_file()
    assert not (tmp_path / "run" / "pretrainer.keras").exists()  # `finish` writes it


def test_the_cost_counts_all_parameters_once(make_run, capsys):
    run = make_run()
    run.print_cost()
    out = capsys.readouterr().out.replace(",", "")
    in_encoder = run.model.encoder.count_params()
    assert str(in_encoder) in out and str(run.model.count_params() - in_encoder) in out
