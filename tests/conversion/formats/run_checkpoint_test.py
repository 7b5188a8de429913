"""Tests of models from training checkpoints: equal to those that runs save; errors that name what is missing."""

import shutil

import keras
import numpy as np
import pytest

from spanbert_keras import SpanBertEncoder, SpanBertPretrainer, SpanBertTextClassifier, load_pretrained
from spanbert_keras.conversion.formats.run_checkpoint import checkpoint_of_step, is_of_run, run_checkpoint
from spanbert_keras.conversion.sources import open_source
from spanbert_keras.errors import InputError
from spanbert_keras.files.json_files import read_json, write_json


@pytest.fixture(scope="module")
def train(toy_shards, toy_flags, tmp_path_factory):
    """Function that pre-trains with more flags and returns the run's folder; rates do not depend on the steps."""
    from spanbert_keras import pretrain, program

    def run(*flags):
        folder = tmp_path_factory.mktemp("runs") / "run"
        given = [*toy_flags, f"--corpus={toy_shards}", f"--output_dir={folder}", "--decay=none", "--evaluate_every=0"]
        pretrain.main(program.parse(pretrain.Config, [*given, "--checkpoint_every=2", *flags]))
        return folder

    return run


@pytest.fixture(scope="module")
def whole_run(train):
    """Folder of a run of six steps that keeps the checkpoints of steps 2, 4 and 6."""
    return train("--keep_every=2", "--dropout=0.2", "--loss_normalization=separate", "--sbo_weight=0.5")


@pytest.fixture
def run(whole_run, tmp_path):
    """A copy of that folder that a test may change, without the models that the run saved."""
    left_out = shutil.ignore_patterns("*.keras", "encoder_preset", "cache")
    return shutil.copytree(whole_run, tmp_path / "copy", ignore=left_out)


def settings_of(model):
    """Returns the config of a model without the names that Keras numbers."""

    def plain(value):
        if isinstance(value, dict):
            return {key: plain(one) for key, one in value.items() if key not in ("name", "build_config")}
        return [plain(one) for one in value] if isinstance(value, list | tuple) else value

    return plain(keras.saving.serialize_keras_object(model))


def values_of(weight):
    return keras.ops.convert_to_numpy(weight.value)


def assert_equal(one, two):
    """Asserts that models have the same settings, vocabulary and weights, bit for bit."""
    assert type(one) is type(two) and settings_of(one) == settings_of(two)
    assert one.tokenizer.get_vocabulary() == two.tokenizer.get_vocabulary()
    assert one.tokenizer.fingerprint() == two.tokenizer.fingerprint()
    for mine, theirs in zip(one.weights, two.weights, strict=True):
        assert mine.path == theirs.path
        if "seed_generator" not in mine.path:
            np.testing.assert_array_equal(values_of(mine), values_of(theirs))


def test_a_checkpoint_equals_the_model_of_a_run_that_stopped_there_bit_for_bit(train, whole_run):
    stopped = train("--steps=4", "--dropout=0.2", "--loss_normalization=separate", "--sbo_weight=0.5")
    expected = keras.saving.load_model(stopped / "pretrainer.keras")
    assert_equal(load_pretrained(whole_run / "checkpoints" / "step_00000004"), expected)
    later = load_pretrained(whole_run / "checkpoints" / "step_00000006")
    assert_equal(later, keras.saving.load_model(whole_run / "pretrainer.keras"))
    assert (values_of(later.weights[0]) != values_of(expected.weights[0])).any()


def test_a_run_with_an_untrained_head_is_read_as_its_saved_model_is(train):
    folder = train("--sbo_weight=0", "--precision=mixed_bfloat16")
    keras.mixed_precision.set_dtype_policy("float32")
    one = open_source(folder / "pretrainer.keras")
    two = open_source(folder / "checkpoints" / "step_00000006")
    assert one.heads == two.heads == ["masked_lm"] and two.notes[1:] == one.notes
    assert (one.architecture, one.head_settings, one.kind) == (two.architecture, two.head_settings, two.kind)
    assert one.tensors.keys() == two.tensors.keys()
    assert all(np.array_equal(one.tensors[name], two.tensors[name]) for name in one.tensors)


def test_the_encoder_of_a_step_comes_from_every_way_to_name_it(run):
    folder = run / "checkpoints" / "step_00000002"
    expected = load_pretrained(folder, "encoder")
    assert_equal(SpanBertEncoder.from_preset(str(folder)), expected)
    assert_equal(load_pretrained(folder / "state.safetensors", "encoder"), expected)
    assert_equal(SpanBertPretrainer.from_preset(folder).encoder, expected)
    classifier = SpanBertTextClassifier.from_preset(folder, labels=["a", "b"])
    assert_equal(classifier.encoder, expected)
    assert load_pretrained(folder).conversion_notes == [
        "The model is that of step 2; the optimizer's state is left out."
    ]
    assert open_source(run, step=2).notes == open_source(folder).notes


def test_a_run_that_has_saved_no_model_gives_its_newest_checkpoint(run, whole_run):
    assert open_source(run).notes == ["The model is that of step 6; the optimizer's state is left out."]
    assert_equal(SpanBertEncoder.from_preset(str(run)), load_pretrained(whole_run / "encoder.keras"))
    shutil.copy(whole_run / "encoder.keras", run)
    assert open_source(run).heads == open_source(run).notes == []


def test_folders_of_runs_and_their_checkpoints_are_recognised(run, tmp_path):
    assert is_of_run(run) and is_of_run(run / "checkpoints" / "step_00000002")
    assert not is_of_run(tmp_path) and not is_of_run(tmp_path / "missing") and not is_of_run(run / "checkpoints")
    assert run_checkpoint(run) == run / "checkpoints" / "step_00000006"
    assert run_checkpoint(run / "checkpoints" / "step_00000003") is None
    (run / "run.json").unlink()
    assert run_checkpoint(run) is None


def test_a_step_without_a_checkpoint_is_rejected_with_those_that_there_are(run, tmp_path):
    assert checkpoint_of_step(run, 4) == run / "checkpoints" / "step_00000004"
    with pytest.raises(InputError, match=r"no checkpoint of this step. Expected: 2, 4, 6. Received: --step=5\."):
        open_source(run, step=5)
    with pytest.raises(InputError, match="Expected: the folder of a run that has checkpoints. Received: --step=5"):
        open_source(tmp_path / "nowhere", step=5)
    for step in range(8, 28, 2):
        (run / "checkpoints" / f"step_{step:08d}").mkdir()
    with pytest.raises(InputError, match="Expected: one of 13, the last of which are 12, 14, 16, 18, 20, 22, 24, 26."):
        open_source(run, step=5)


@pytest.mark.parametrize("content", [None, b"x"])
def test_a_damaged_checkpoint_is_rejected(run, content):
    file = run / "checkpoints" / "step_00000004" / "state.safetensors"
    damaged = bytearray(file.read_bytes())
    damaged[-1] ^= 1
    file.write_bytes(bytes(damaged) if content is None else content)
    words = "the checksum of state.safetensors differs" if content is None else "has 1 bytes, not the"
    with pytest.raises(InputError, match=f"cannot be used: .*{words}.* choose another step: 2, 6"):
        open_source(run, step=4)


def test_a_checkpoint_needs_the_record_of_its_run(run, tmp_path):
    moved = shutil.move(run / "checkpoints" / "step_00000004", tmp_path)
    with pytest.raises(InputError, match="is a checkpoint without its run. Expected: run.json in .* Keep a checkpoint"):
        open_source(moved)


def test_the_vocabulary_must_be_the_runs(run, toy_shards):
    lines = (run / "vocab.txt").read_text().splitlines()
    (run / "vocab.txt").write_text("\n".join([*lines[:-2], lines[-1], lines[-2]]) + "\n")
    with pytest.raises(InputError, match="vocab.txt is not the vocabulary of this run. .*give --vocab_file"):
        open_source(run)
    (run / "vocab.txt").unlink()
    with pytest.raises(InputError, match="has no vocabulary: a vocab.txt of 150 pieces .*--vocab_file"):
        open_source(run)
    assert open_source(run, toy_shards / "vocab.txt").vocabulary == lines


def change_record(run, **changes):
    record = read_json(run / "run.json") | changes
    write_json(run / "run.json", {name: value for name, value in record.items() if value is not None}, checksum=True)


@pytest.mark.parametrize("file", ["pretrainer.keras", "encoder.keras"])
def test_of_an_earlier_version_the_model_that_the_run_saved_gives_the_sizes(run, whole_run, file):
    expected = load_pretrained(run / "checkpoints" / "step_00000002")
    change_record(run, model=None)
    (run / "vocab.txt").unlink()
    with pytest.raises(InputError, match=r"run.json does not describe .* Give the same `pretrain` command again"):
        open_source(run, step=2)
    shutil.copy(whole_run / file, run)
    assert_equal(load_pretrained(run / "checkpoints" / "step_00000002"), expected)


@pytest.mark.parametrize("model", [{}, [], {"architecture": {}}])
def test_a_damaged_record_is_rejected(run, model):
    change_record(run, model=model)
    with pytest.raises(InputError, match=r"run.json is damaged: \['model'\]"):
        open_source(run)


@pytest.mark.parametrize("value", [10**9, 0, 1e9, None, "2"])
@pytest.mark.parametrize("size", ["num_layers", "hidden_dim", "vocabulary_size"])
def test_a_size_in_the_record_is_compared_with_the_weights(run, size, value):
    model = read_json(run / "run.json")["model"]
    change_record(run, model=model | {"architecture": model["architecture"] | {size: value}})
    with pytest.raises(InputError, match=r"run\.json (is damaged|is rejected)"):
        open_source(run, step=2)
