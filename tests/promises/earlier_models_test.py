"""Files that were written before task models had preprocessors load, and say what they said then, on every backend.

`earlier_models.zip` holds a `.keras` file of every class, full of noise, of `model_cases`: as they are, compiled with
an optimizer's state, with LoRA, in int8; a preset of the encoder; and `said.json`, what each said or computed.
"""

import json
import pathlib
import zipfile

import keras
import numpy as np
import pytest

import spanbert_keras
from tests.promises import model_cases
from tests.promises.model_cases import TASKS, as_arrays, outputs_of, same

ARCHIVE = pathlib.Path(__file__).with_name("earlier_models.zip")
NEWER = {"SpanBertEntityRecognizer"}  # classes that did not exist yet
CLOSE = 1e-4
EAGER = keras.backend.backend() == "tensorflow"  # to trace takes longer than the few steps of a test
with zipfile.ZipFile(ARCHIVE) as archive:
    SAID = json.loads(archive.read("said.json"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Folder with what is in the archive."""
    folder = tmp_path_factory.mktemp("earlier")
    with zipfile.ZipFile(ARCHIVE) as archive:
        archive.extractall(folder)
    return folder


def check(name, model):
    """Asserts that a model says, or the encoder computes, what it did when its file was written."""
    if name == "SpanBertEncoder":
        found = as_arrays(outputs_of(model, model_cases.rows()))["sequence_output"]
        np.testing.assert_allclose(found, SAID[name], atol=CLOSE)
    else:
        same(recorded(TASKS[name.split("_")[-1]].ask(model), SAID[name]), SAID[name], CLOSE)


def recorded(found, expected):
    """Returns plain results without the entries that results did not have when the files were written."""
    if isinstance(expected, dict):
        return {key: recorded(found[key], value) for key, value in expected.items()}
    if isinstance(expected, list) and len(found) == len(expected):
        return [recorded(one, other) for one, other in zip(found, expected, strict=True)]
    return found


def test_the_archive_has_every_class_and_kind(folder):
    assert {path.stem for path in folder.glob("*.keras")} == set(SAID)
    assert {*TASKS, "SpanBertEncoder"} - NEWER < set(SAID) and NEWER.isdisjoint(SAID)
    assert {name.split("_")[0] for name in SAID if "_" in name} == {"compiled", "lora", "int8"}


@pytest.mark.parametrize("name", SAID)
def test_a_file_says_what_it_said_and_so_does_what_is_saved_again(name, folder, tmp_path):
    model = keras.saving.load_model(folder / f"{name}.keras")
    assert type(model) is getattr(spanbert_keras, name.split("_")[-1])
    assert model.tokenizer.get_vocabulary() == model_cases.PIECES
    assert getattr(model, "preprocessor", None) is not None or name == "SpanBertEncoder"
    check(name, model)
    model.save(tmp_path / "again.keras")
    again = keras.saving.load_model(tmp_path / "again.keras")
    assert type(again) is type(model)
    check(name, again)


@pytest.mark.parametrize("name", [name for name in SAID if name.startswith("compiled_")])
def test_a_compiled_file_trains_on_from_the_optimizers_state(name, folder):
    keras.utils.set_random_seed(0)
    model, case = keras.saving.load_model(folder / f"{name}.keras"), TASKS[name.removeprefix("compiled_")]
    assert isinstance(model.optimizer, keras.optimizers.Adam)
    assert float(keras.ops.convert_to_numpy(model.optimizer.learning_rate)) == pytest.approx(0.01)
    assert int(keras.ops.convert_to_numpy(model.optimizer.iterations)) == 1
    moments = [keras.ops.convert_to_numpy(variable) for variable in model.optimizer.variables[2:]]
    assert len(moments) == 2 * len(model.trainable_variables) and any(moment.any() for moment in moments)
    model.run_eagerly = EAGER
    before = model.evaluate(case.batch, verbose=0, return_dict=True)
    model.fit(case.batch, epochs=15, verbose=0)
    after = model.evaluate(case.batch, verbose=0, return_dict=True)
    assert after["loss"] < before["loss"] and int(keras.ops.convert_to_numpy(model.optimizer.iterations)) == 16
    assert set(after) == ({"loss", "right"} if name.endswith("TextClassifier") else {"loss"})


@pytest.mark.parametrize("name", sorted(TASKS.keys() - NEWER))
def test_the_texts_of_the_archive_show_differences(name):
    assert len(TASKS[name].decisions(SAID[name])) > 1 or len({json.dumps(one) for one in SAID[name]}) > 1


def test_lora_and_int8_are_what_they_were(folder):
    model = keras.saving.load_model(folder / "lora_SpanBertQuestionAnswerer.keras")
    attention = model.encoder.blocks[0].attention
    for layer in (attention.query_dense, attention.value_dense):
        assert layer.lora_enabled and layer.lora_rank == 2 and not layer._kernel.trainable
        assert keras.ops.convert_to_numpy(layer.lora_kernel_b).any()
    assert not attention.key_dense.lora_enabled
    model = keras.saving.load_model(folder / "int8_SpanBertRelationExtractor.keras")
    assert model.encoder.blocks[0].intermediate.quantization_mode == "int8" and not model.encoder.trainable
    assert keras.backend.standardize_dtype(model.encoder.blocks[0].intermediate._kernel.dtype) == "int8"


def test_a_preset_of_the_encoder_loads(folder):
    check("SpanBertEncoder", spanbert_keras.SpanBertEncoder.from_preset(folder / "preset"))
