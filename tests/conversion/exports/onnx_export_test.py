"""ONNX files: equal to the model in onnxruntime on rows other than the exporter's."""

import sys

import keras
import numpy as np
import pytest

from spanbert_keras.conversion.exports.onnx_export import export_onnx
from spanbert_keras.errors import InputError

pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="exports are made on the TensorFlow backend"
)
POSITIONS = ("mask_positions", "left_positions", "right_positions", "span_offsets")
AXES = dict.fromkeys(POSITIONS, "positions") | {"pair_positions": "pairs"}


@pytest.fixture(scope="module")
def onnxruntime():
    for module in ("onnx", "tf2onnx"):
        pytest.importorskip(module, reason="the extra `export` is not installed")
    return pytest.importorskip("onnxruntime", reason="the extra `export` is not installed")


INT8 = pytest.param("int8 encoder", marks=pytest.mark.slow)


@pytest.mark.parametrize("kind", ["encoder", "pretrainer", "pretrainer of pairs", INT8])
def test_outputs_equal_the_models_at_any_size(onnxruntime, make_encoder, make_pretrainer, rows_for, tmp_path, kind):
    if kind.startswith("pretrainer"):
        model = make_pretrainer(next_sentence=kind.endswith("pairs"))
    else:
        model = make_encoder(num_layers=1 + (kind == "encoder"))
    if kind == "int8 encoder":
        model.quantize("int8")
    assert export_onnx(model, tmp_path / "model.onnx") < 1e-5
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]
    session = onnxruntime.InferenceSession(str(tmp_path / "model.onnx"))
    assert {value.name: (value.shape, value.type) for value in session.get_inputs()} == {
        name: (["batch", AXES.get(name, "length")], "tensor(int32)") for name in model.input_keys
    }
    names = [value.name for value in session.get_outputs()]
    for batch, times in ((3, 1), (2, 2), (1, 1)):
        rows = rows_for(model, batch, times)
        expected = model(rows)
        assert set(names) == set(expected)
        for name, values in zip(names, session.run(names, rows), strict=True):
            np.testing.assert_allclose(values, expected[name].numpy(), atol=1e-5)


def test_a_wrong_export_is_not_written(onnxruntime, make_encoder, tmp_path, monkeypatch):
    encoder, other = make_encoder(), make_encoder(num_heads=2)
    other({name: np.ones((2, 5), "int32") for name in other.input_keys})  # Keras exports a called signature
    monkeypatch.setattr(encoder, "export", other.export)
    with pytest.raises(InputError, match="does not compute the same as the model"):
        export_onnx(encoder, tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []


def test_a_missing_package_and_half_precision_are_rejected(make_encoder, tmp_path, monkeypatch):
    with pytest.raises(InputError, match="Expected: float32. Received: float16"):
        export_onnx(make_encoder(dtype="mixed_float16"), tmp_path / "model.onnx")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(InputError, match=r"Not installed: onnxruntime.*spanbert-keras\[export\]"):
        export_onnx(make_encoder(), tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []
