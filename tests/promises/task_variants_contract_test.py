"""What every task model promises when it is adapted, quantized, copied or exported: it works and survives a file, or
says why not."""

import copy
import json
import pickle

import keras
import numpy as np
import pytest

from spanbert_keras.errors import InputError
from tests.promises import model_cases
from tests.promises.model_cases import CASES, TASKS, as_arrays, outputs_of

BACKEND = keras.backend.backend()
FAST = {"run_eagerly": BACKEND == "tensorflow"}


@pytest.fixture(params=CASES, scope="module")
def case(request):
    return CASES[request.param]


@pytest.fixture
def model(case, randomize):
    model = case.make(model_cases.make_encoder(num_layers=1))
    randomize(model, seed=13, scale=0.4)
    return model


def computed(model, case) -> dict:
    return as_arrays(outputs_of(model, case.batch))


def close(found: dict, expected: dict) -> None:
    assert list(found) == list(expected)
    for key, value in expected.items():
        np.testing.assert_allclose(found[key], value, rtol=1e-5, atol=1e-4, err_msg=key)


def saved(model, tmp_path):
    model.save(tmp_path / "model.keras")
    return keras.saving.load_model(tmp_path / "model.keras")


def test_lora_trains_its_factors_and_survives_a_file(case, model, tmp_path):
    model.encoder.enable_lora(2)
    model.compile(keras.optimizers.SGD(0.5), **FAST)
    kernel = model.encoder.blocks[0].attention.query_dense._kernel
    before = keras.ops.convert_to_numpy(kernel).copy()
    model.fit(case.batch, epochs=2, verbose=0)
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(kernel), before)
    factor = model.encoder.blocks[0].attention.query_dense.lora_kernel_b
    assert keras.ops.convert_to_numpy(factor).any()
    again = saved(model, tmp_path)
    assert again.encoder.blocks[0].attention.query_dense.lora_enabled
    close(computed(again, case), computed(model, case))


@pytest.mark.parametrize(
    "name", [name if "Text" in name else pytest.param(name, marks=pytest.mark.slow) for name in TASKS]
)
def test_int8_says_nearly_the_same_and_survives_a_file(name, randomize, tmp_path):
    case = TASKS[name]
    model = case.make(model_cases.make_encoder(num_layers=1))
    randomize(model, seed=13, scale=0.1)
    exact = computed(model, case)
    model.quantize("int8")
    assert model.encoder.blocks[0].intermediate.quantization_mode == "int8"
    found = computed(model, case)
    if case.method != "resolve":  # which may choose other spans
        for key, value in exact.items():
            np.testing.assert_allclose(found[key], value, atol=0.1, err_msg=key)
    again = saved(model, tmp_path)
    assert again.encoder.blocks[0].intermediate.quantization_mode == "int8"
    close(computed(again, case), found)
    json.dumps(case.ask(again))


@pytest.mark.parametrize(
    "copied", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))], ids=["deep", "pickle"]
)
def test_a_copy_says_the_same_and_is_independent(case, model, copied, randomize):
    expected = computed(model, case)
    again = copied(model)
    assert type(again) is case.kind and again is not model and again.encoder is not model.encoder
    close(computed(again, case), expected)
    assert again.tokenizer.get_vocabulary() == model_cases.PIECES
    if case.settings.get("next_sentence"):
        with pytest.raises(ValueError, match="has a next-sentence head"):
            again.is_raw(case.raw[0])
    else:
        assert again.is_raw(case.raw[0])
    randomize(again, seed=1)
    close(computed(model, case), expected)


def test_a_clone_computes_the_same_with_the_same_weights(case, model, tmp_path):
    """Keras clones a functional model as a plain one; the resolver, which is not functional, by its config."""
    again = keras.models.clone_model(model)
    given = case.batch if case.method == "resolve" else {key: case.batch[key] for key in model.input_keys}
    if case.method == "fill_spans":  # whose heads share the encoder's embedding: Keras clones layers one by one
        with pytest.raises(ValueError, match="the layer was expecting"):
            again.set_weights(model.get_weights())
        again = case.kind.from_config(model.get_config())
    again.set_weights(model.get_weights())
    expected = computed(model, case)
    close(as_arrays(outputs_of(again, given)), expected)
    close(as_arrays(outputs_of(saved(again, tmp_path), given)), expected)


@pytest.mark.slow
def test_an_export_computes_the_same_or_says_why_it_cannot(case, model, tmp_path):
    if case.method == "resolve":
        with pytest.raises(InputError, match="cannot be exported, since"):
            model.export(tmp_path / "exported")
        return
    if BACKEND != "tensorflow":
        try:
            model.export(tmp_path / "exported", verbose=False)
        except InputError as error:
            assert "cannot be exported on this backend. Expected: KERAS_BACKEND=tensorflow" in str(error)
        return
    import tensorflow as tf

    model.export(tmp_path / "exported", verbose=False)
    loaded = tf.saved_model.load(tmp_path / "exported")  # holds the variables
    found = loaded.serve({key: tf.constant(case.batch[key], tf.int32) for key in sorted(model.input_keys)})
    expected = computed(model, case)
    assert sorted(found) == sorted(expected)  # TensorFlow sorts the names
    close({key: found[key].numpy() for key in expected}, expected)


def test_rematerialization_is_rejected_by_a_sentence(case, model, tmp_path):
    model.save(tmp_path / "model.keras")
    sentence = "cannot be made within a `keras.RematScope`: .*Expected: a model made outside of it"
    for mode in ("full", "larger_than", "activations", "list_of_layers"):
        with keras.RematScope(mode=mode):
            with pytest.raises(ValueError, match=f"`SpanBertEncoder` {sentence}.*mode='{mode}'"):
                model_cases.make_encoder()
            with pytest.raises(ValueError, match=f"`{case.kind.__name__}` {sentence}"):
                case.make(model.encoder)
            with pytest.raises((ValueError, TypeError), match="RematScope"):
                keras.saving.load_model(tmp_path / "model.keras")
    with keras.RematScope(mode="full"), keras.RematScope(mode=None):
        case.make(model_cases.make_encoder(num_layers=1))
