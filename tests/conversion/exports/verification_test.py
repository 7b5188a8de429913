"""Checks that all exports share: what is rejected, and that a wrong export is detected."""

import sys

import keras
import numpy as np
import pytest

from spanbert_keras.conversion.exports.verification import check_exportable, check_outputs, require_extra, sample_inputs
from spanbert_keras.errors import InputError

needs_tensorflow = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="exports are made on the TensorFlow backend"
)


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_other_backends_are_rejected(make_encoder, monkeypatch, backend):
    monkeypatch.setattr(keras.backend, "backend", lambda: backend)
    with pytest.raises(InputError, match=f"Expected: KERAS_BACKEND=tensorflow. Received: KERAS_BACKEND={backend}"):
        check_exportable(make_encoder(), "ONNX")


@needs_tensorflow
def test_other_models_and_dtypes_are_rejected(make_encoder):
    with pytest.raises(InputError, match="Received: Sequential"):
        check_exportable(keras.Sequential([keras.layers.Dense(3)]), "ONNX")
    half = make_encoder(dtype="mixed_bfloat16")
    check_exportable(half, "a SavedModel", dtypes=("float32", "bfloat16"))
    with pytest.raises(InputError, match="Expected: float32. Received: bfloat16"):
        check_exportable(half, "ONNX")


def test_a_missing_package_is_named_with_the_command_that_installs_it(monkeypatch):
    require_extra("ONNX", "json", "csv")
    monkeypatch.setitem(sys.modules, "tf2onnx", None)
    with pytest.raises(
        InputError, match=r'installed: tf2onnx. Install them with `pip install "spanbert-keras\[export\]"`'
    ):
        require_extra("ONNX", "json", "tf2onnx")


@pytest.mark.parametrize("longest", [24, 5, 2])
def test_sample_inputs_have_padding_segments_and_positions_inside_the_row(make_pretrainer, longest):
    pretrainer = make_pretrainer(max_sequence_length=longest)
    inputs = sample_inputs(pretrainer)
    assert set(inputs) == set(pretrainer.input_keys) and {str(v.dtype) for v in inputs.values()} == {"int32"}
    batch, length = inputs["token_ids"].shape
    assert batch == 3 and length == min(11, longest)
    assert inputs["segment_ids"].max() == 3 and inputs["mask_positions"].max() < length
    assert sorted(inputs["padding_mask"].sum(axis=1)) == sorted([length // 2 + 1, length, length])
    pretrainer(inputs)


def test_the_largest_difference_is_returned_and_a_wrong_output_is_rejected(make_pretrainer, to_numpy):
    pretrainer = make_pretrainer()
    inputs = sample_inputs(pretrainer)
    right = to_numpy(pretrainer(inputs))
    scale = max(1.0, np.abs(right["span_boundary"]).max())
    changed = right["span_boundary"].copy()
    changed[2, 1, 3] += 5e-5 * scale
    found = check_outputs(pretrainer, inputs, lambda rows: right | {"span_boundary": changed})
    assert found == pytest.approx(5e-5 * scale, rel=0.1)
    for wrong in (changed + 2e-4 * scale, np.where(changed == changed.max(), np.nan, changed)):
        with pytest.raises(InputError, match="does not compute the same.*Expected: span_boundary within"):
            check_outputs(pretrainer, inputs, lambda rows, wrong=wrong: right | {"span_boundary": wrong})
    far = changed + 0.5
    assert check_outputs(pretrainer, inputs, lambda rows: right | {"span_boundary": far}, quantized=True) > 0.4
    with pytest.raises(InputError, match="does not compute the same"):
        check_outputs(pretrainer, inputs, lambda rows: right | {"span_boundary": np.nan * far}, quantized=True)
    with pytest.raises(InputError, match=r"lacks outputs.*Received: \['masked_lm'\]"):
        check_outputs(pretrainer, inputs, lambda rows: {"masked_lm": right["masked_lm"]})
