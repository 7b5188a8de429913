"""Tests of the program that converts checkpoints."""

import json
import subprocess
import sys

import keras
import numpy as np
import pytest

from spanbert_keras import (
    SpanBertEncoder,
    SpanBertPretrainer,
    SpanBertTextClassifier,
    SpanBertTokenizer,
    convert,
    program,
)
from spanbert_keras.convert import Config
from spanbert_keras.errors import InputError

PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[unused0]", "a", "b", "##c"]


@pytest.fixture
def source(tmp_path, randomize):
    """Path of a small `pretrainer.keras`."""
    from spanbert_keras import SpanBertTokenizer

    encoder = SpanBertEncoder(9, 1, 2, 8, 12, max_sequence_length=16, tokenizer=SpanBertTokenizer(PIECES))
    path = tmp_path / "pretrainer.keras"
    pretrainer = SpanBertPretrainer(encoder, 4, 5)
    randomize(pretrainer)
    pretrainer.save(path)
    return path


def test_a_round_trip_through_a_folder_gives_the_same_model(source, tmp_path):
    for one, two in ((source, tmp_path / "hf"), (tmp_path / "hf", tmp_path / "again.keras")):
        notes = convert.convert(Config(source=str(one), destination=str(two)))
        assert notes[-1] == f"Wrote {two}." and "heads: masked_lm, span_boundary." in notes[0]
    first, second = keras.saving.load_model(source), keras.saving.load_model(tmp_path / "again.keras")
    assert first.tokenizer.get_vocabulary() == second.tokenizer.get_vocabulary()
    for one, two in zip(first.weights, second.weights, strict=True):
        assert one.path == two.path
        np.testing.assert_array_equal(*map(keras.ops.convert_to_numpy, (one.value, two.value)))


def test_changes_are_made_in_order_and_reported(source, tmp_path):
    (tmp_path / "pieces.txt").write_text("ac\n\nbc\nb\n")
    config = Config(
        source=str(source),
        destination=str(tmp_path / "preset"),
        format="preset",
        max_sequence_length=8,
        add_tokens=str(tmp_path / "pieces.txt"),
        lowercase=True,
    )
    text = " ".join(convert.convert(config))
    for words in ("10 pieces (uncased), 8 positions", "first 8 of 16 rows", "2 pieces added: 1 in place", "left out"):
        assert words in text
    encoder = SpanBertEncoder.from_preset(tmp_path / "preset")
    assert encoder.tokenizer.tokenize("ac BC b") == [5, 9, 7] and encoder.max_sequence_length == 8


def test_the_earlier_name_of_a_flag_is_accepted(source, tmp_path, capsys):
    (tmp_path / "words.txt").write_text("ac\n")
    flags = [f"--source={source}", f"--destination={tmp_path / 'x.keras'}", f"--add_pieces={tmp_path / 'words.txt'}"]
    program.run(convert.main, Config, flags)
    assert "1 pieces added" in capsys.readouterr().out


def test_every_weight_without_a_place_is_listed(source, tmp_path):
    from safetensors.numpy import load_file, save_file

    convert.convert(Config(source=str(source), destination=str(tmp_path / "hf")))
    (tmp_path / "hf" / "checksums.json").unlink()
    path = tmp_path / "hf" / "model.safetensors"
    extra = {"bert.pooler.dense.weight": np.zeros((8, 8), "float32"), "bert.pooler.dense.bias": np.zeros(8, "float32")}
    save_file(load_file(path) | extra, path)
    notes = convert.convert(Config(source=str(tmp_path / "hf"), destination=str(tmp_path / "x.keras")))
    assert "Left out, as our models do not have them: bert.pooler.dense.bias, bert.pooler.dense.weight." in notes


def test_the_checkpoint_of_a_step_is_converted(source, write_pretraining_run, tmp_path):
    model = keras.saving.load_model(source)
    run = write_pretraining_run(model, 3, 1_200_000)
    flags = [f"--source={run}", "--step=3", f"--destination={tmp_path / 'x.keras'}"]
    program.run(convert.main, Config, flags)
    for one, two in zip(model.weights, keras.saving.load_model(tmp_path / "x.keras").weights, strict=True):
        one, two = keras.ops.convert_to_numpy(one.value), keras.ops.convert_to_numpy(two.value)
        np.testing.assert_array_equal(one + np.float32(3), two)
    given = {"destination": str(tmp_path / "e.keras"), "model": "encoder"}
    notes = convert.convert(Config(source=str(run / "checkpoints" / "step_01200000"), **given))
    assert "The model is that of step 1,200,000; the optimizer's state is left out." in notes
    assert isinstance(keras.saving.load_model(tmp_path / "e.keras"), SpanBertEncoder)
    with pytest.raises(InputError, match="holds the source"):
        convert.convert(Config(source=str(run), step=3, destination=str(run / "checkpoints")))
    with pytest.raises(InputError, match="--step must be at least 0"):
        Config(source=str(run), step=-1, destination="x")


def test_the_next_sentence_head_of_bert_is_kept_by_a_pretrainer_and_written_again(source, tmp_path):
    from safetensors.numpy import load_file, save_file

    convert.convert(Config(source=str(source), destination=str(tmp_path / "hf")))
    (tmp_path / "hf" / "checksums.json").unlink()
    path, rng = tmp_path / "hf" / "model.safetensors", np.random.default_rng(0)
    shapes = {"bert.pooler.dense.weight": (8, 8), "bert.pooler.dense.bias": (8,)}
    shapes |= {"cls.seq_relationship.weight": (2, 8), "cls.seq_relationship.bias": (2,)}
    head = {name: rng.normal(size=shape).astype("float32") for name, shape in shapes.items()}
    save_file(load_file(path) | head, path)
    notes = convert.convert(Config(source=str(tmp_path / "hf"), destination=str(tmp_path / "x.keras")))
    assert "heads: masked_lm, span_boundary, next_sentence." in notes[0]
    assert not any("Left out" in note or "re-init" in note for note in notes)
    assert keras.saving.load_model(tmp_path / "x.keras").next_sentence
    convert.convert(Config(source=str(tmp_path / "x.keras"), destination=str(tmp_path / "again")))
    again = load_file(tmp_path / "again" / "model.safetensors")
    for name, value in head.items():
        np.testing.assert_array_equal(again[name], value)
    notes = convert.convert(Config(source=str(tmp_path / "hf"), destination=str(tmp_path / "y.keras"), model="encoder"))
    assert any("The heads (masked_lm, span_boundary, next_sentence) are left out" in note for note in notes)


def test_a_length_that_is_too_short_is_rejected(source, tmp_path):
    with pytest.raises(InputError, match="--max_sequence_length must be at least 3. Received: 2"):
        convert.convert(Config(source=str(source), destination=str(tmp_path / "x"), max_sequence_length=2))


def test_segment_length_of_a_pretrainer_is_rejected(source, tmp_path):
    with pytest.raises(InputError, match="--segment_length is for a coreference resolver"):
        convert.convert(Config(source=str(source), destination=str(tmp_path / "x.keras"), segment_length=8))


def test_main_prints_notes_and_writes_the_destination(source, tmp_path, capsys):
    arguments = [f"--source={source}", f"--destination={tmp_path / 'hf'}", "--dtype=float16"]
    program.run(convert.main, Config, arguments)
    assert capsys.readouterr().out.splitlines()[-1] == f"Wrote {tmp_path / 'hf'}."
    assert json.loads((tmp_path / "hf" / "config.json").read_text())["dtype"] == "float16"
    with pytest.raises(SystemExit) as ended:
        program.run(convert.main, Config, [f"--source={tmp_path / 'absent' / 'x'}", "--destination=y"])
    assert ended.value.code == 1 and "Traceback" not in capsys.readouterr().err


def test_weights_that_are_not_finite_are_rejected_by_name_unless_allowed(source, tmp_path):
    model = keras.saving.load_model(source)
    kernel = np.array(model.encoder.blocks[0].intermediate.kernel)
    for value in (np.nan, np.inf, -np.inf):
        kernel[2, 3] = value
        model.encoder.blocks[0].intermediate.kernel.assign(kernel)
        model.save(tmp_path / "diverged.keras")
        given = {"source": str(tmp_path / "diverged.keras"), "destination": str(tmp_path / "hf")}
        with pytest.raises(InputError, match="not a number: bert.encoder.layer.0.intermediate.dense.weight. The"):
            convert.convert(Config(**given))
        convert.convert(Config(**given, allow_nonfinite=True))


@pytest.mark.slow
def test_the_module_runs_as_a_program(tmp_path):
    command = [sys.executable, "-m", "spanbert_keras.convert", "--destination=x"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 2 and "Required flag is missing: --source" in done.stderr


def test_int8_is_scored_on_labelled_examples_before_and_after(tmp_path, randomize):
    if keras.backend.backend() != "tensorflow":
        pytest.skip("exports are made on the TensorFlow backend")
    for module in ("onnx", "onnxruntime", "tf2onnx"):
        pytest.importorskip(module, reason="of the extra `export`")
    encoder = SpanBertEncoder(9, 1, 2, 8, 12, max_sequence_length=16, tokenizer=SpanBertTokenizer(PIECES))
    classifier = SpanBertTextClassifier(encoder, labels=["x", "y"])
    randomize(classifier)
    classifier.save(tmp_path / "text_classifier.keras")
    (tmp_path / "dev.jsonl").write_text('{"text": "a b", "label": "x"}\n{"text": "b", "label": "y"}\n')
    given = {"source": str(tmp_path / "text_classifier.keras"), "destination": str(tmp_path / "x.onnx")}
    notes = convert.convert(Config(**given, quantize="int8", calibrate=str(tmp_path / "dev.jsonl")))
    assert notes[1].startswith(
        "The int8 export was run: its outputs for random tokens differ from the model's by at most"
    )
    assert notes[1].endswith("MB in float32.")
    assert notes[2].startswith(f"On the 2 examples of {tmp_path / 'dev.jsonl'}: accuracy ") and "in int8 (" in notes[2]
    assert notes[3].startswith("Its outputs are logits; its size is ") and (tmp_path / "x.onnx").is_file()


def test_int8_and_labelled_examples_that_do_not_fit_are_rejected_before_anything_is_written(source, tmp_path):
    given = {"source": str(source), "destination": str(tmp_path / "x.onnx")}
    (tmp_path / "dev.jsonl").write_text('{"text": "a b", "label": "x"}\n')
    for message, settings in {
        "--calibrate=dev.jsonl needs --quantize=int8": {"calibrate": "dev.jsonl"},
        "--calibrate=nowhere.jsonl cannot be read": {"calibrate": "nowhere.jsonl", "quantize": "int8"},
        "--quantize=int8 needs --format=onnx or litert. Received: --format=preset": {
            "quantize": "int8",
            "format": "preset",
        },
        "Received: a SpanBertPretrainer; leave out --calibrate": {
            "quantize": "int8",
            "calibrate": str(tmp_path / "dev.jsonl"),
        },
    }.items():
        with pytest.raises(InputError, match=message):
            convert.convert(Config(**given, **settings))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dev.jsonl", "pretrainer.keras"]
