"""LiteRT files: equal to the model in LiteRT's interpreter on rows other than the exporter's."""

import sys

import keras
import numpy as np
import pytest

from spanbert_keras.conversion.exports.litert_export import export_litert, open_litert
from spanbert_keras.errors import InputError

pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="exports are made on the TensorFlow backend"
)


@pytest.fixture(scope="module")
def interpreter():
    return pytest.importorskip("ai_edge_litert.interpreter", reason="the extra `export` is not installed").Interpreter


@pytest.mark.parametrize("kind", ["encoder", "pretrainer", "pretrainer of pairs"])
def test_outputs_equal_the_models_at_any_size(interpreter, make_encoder, make_pretrainer, rows_for, tmp_path, kind):
    model = make_encoder(num_layers=2) if kind == "encoder" else make_pretrainer(next_sentence="pairs" in kind)
    assert export_litert(model, tmp_path / "model.tflite") < 1e-5
    assert [path.name for path in tmp_path.iterdir()] == ["model.tflite"]
    loaded = interpreter(str(tmp_path / "model.tflite"))
    names = loaded.get_signature_list()["serving_default"]
    assert set(names["inputs"]) == set(model.input_keys)
    assert {str(np.dtype(value["dtype"])) for value in loaded.get_input_details()} == {"int32"}
    run = loaded.get_signature_runner("serving_default")
    for batch, times in ((3, 1), (2, 2), (1, 1)):
        rows = rows_for(model, batch, times)
        expected, received = model(rows), run(**rows)
        assert set(received) == set(expected)
        for name, values in expected.items():
            np.testing.assert_allclose(received[name], values.numpy(), atol=1e-5)


def test_only_built_in_operations_are_used(interpreter, make_encoder, tmp_path):
    export_litert(make_encoder(), tmp_path / "model.tflite")
    operations = [detail["op_name"] for detail in interpreter(str(tmp_path / "model.tflite"))._get_ops_details()]
    assert "SOFTMAX" in operations and [name for name in operations if "Flex" in name or "CUSTOM" in name] == []


def test_int8_weights_take_less_space_and_change_outputs_little(interpreter, make_encoder, rows_for, tmp_path):
    encoder = make_encoder(hidden_dim=48, intermediate_dim=96)
    assert 1e-4 < export_litert(encoder, tmp_path / "model.tflite", quantize=True) < 1.0
    loaded = interpreter(str(tmp_path / "model.tflite"))
    held = [detail for detail in loaded.get_tensor_details() if detail["dtype"] == np.int8]
    assert {tuple(sorted(detail["shape"])) for detail in held} >= {(48, 96), (48, 48)}
    operations = {detail["op_name"] for detail in loaded._get_ops_details()}
    assert "FULLY_CONNECTED" in operations and [name for name in operations if "Flex" in name or "CUSTOM" in name] == []
    rows = rows_for(encoder, 2, 2)
    found = open_litert(tmp_path / "model.tflite")(rows)["sequence_output"]
    np.testing.assert_allclose(found, encoder(rows)["sequence_output"].numpy(), atol=1.0)


def test_a_wrong_export_is_not_written(interpreter, make_encoder, tmp_path, monkeypatch):
    encoder, other = make_encoder(), make_encoder(num_heads=2)
    monkeypatch.setattr(encoder, "export", other.export)
    with pytest.raises(InputError, match="does not compute the same as the model"):
        export_litert(encoder, tmp_path / "model.tflite")
    assert list(tmp_path.iterdir()) == []


def test_wrong_names_dtypes_and_quantized_models_are_rejected(make_encoder, tmp_path, monkeypatch):
    encoder = make_encoder()
    with pytest.raises(InputError, match=r"ends with \.tflite. Received: .*model\.bin"):
        export_litert(encoder, tmp_path / "model.bin")
    with pytest.raises(InputError, match="Expected: float32. Received: bfloat16"):
        export_litert(make_encoder(dtype="mixed_bfloat16"), tmp_path / "model.tflite")
    with monkeypatch.context() as patched, pytest.raises(InputError, match=r"ai_edge_litert.*spanbert-keras\[export\]"):
        patched.setitem(sys.modules, "ai_edge_litert", None)
        export_litert(encoder, tmp_path / "model.tflite")
    encoder.quantize("int8")
    with pytest.raises(InputError, match="the model before `quantize`"):
        export_litert(encoder, tmp_path / "model.tflite")
    assert list(tmp_path.iterdir()) == []
