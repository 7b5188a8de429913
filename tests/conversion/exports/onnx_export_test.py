"""ONNX files: equal to the model in onnxruntime on rows other than the exporter's."""

import subprocess
import sys

import keras
import numpy as np
import pytest

from spanbert_keras import SpanBertQuestionAnswerer, SpanBertTextClassifier
from spanbert_keras.conversion.exports import onnx_export
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


TASK_MODELS = {
    "question answerer": SpanBertQuestionAnswerer,
    "text classifier": lambda encoder: SpanBertTextClassifier(encoder, labels=["no", "yes", "maybe"]),
}
INT8 = pytest.param("int8 encoder", marks=pytest.mark.slow)


@pytest.mark.parametrize("kind", ["encoder", "pretrainer", "pretrainer of pairs", *TASK_MODELS, INT8])
def test_outputs_equal_the_models_at_any_size(
    onnxruntime, make_encoder, make_pretrainer, randomize, rows_for, tmp_path, kind
):
    if kind.startswith("pretrainer"):
        model = make_pretrainer(next_sentence=kind.endswith("pairs"))
    elif kind in TASK_MODELS:
        model = TASK_MODELS[kind](make_encoder())
        randomize(model)
    else:
        model = make_encoder(num_layers=1 + (kind == "encoder"))
    if kind == "int8 encoder":
        model.quantize("int8")
    assert export_onnx(model, tmp_path / "model.onnx") < 1e-5
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]
    _check_file(tmp_path / "model.onnx")
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


def _check_file(path):
    """Checks that a file is valid and just as protobuf writes it, and that no run computes what is the same in each."""
    import onnx

    onnx.checker.check_model(str(path), full_check=True)
    model = onnx.load(str(path))
    assert model.ByteSize() == path.stat().st_size
    stored = {tensor.name for tensor in model.graph.initializer}
    assert [node.name for node in model.graph.node if node.input and stored.issuperset(node.input)] == []
    assert stored <= {name for node in model.graph.node for name in node.input}


def test_weights_have_their_keras_names_and_values(onnxruntime, make_encoder, tmp_path):
    onnx = pytest.importorskip("onnx")
    encoder = make_encoder(num_layers=1)
    export_onnx(encoder, tmp_path / "model.onnx")
    graph = onnx.load(str(tmp_path / "model.onnx")).graph
    stored = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
    weights = {variable.path: variable.numpy() for variable in encoder.variables}
    named = stored.keys() & weights.keys()
    assert {"token_embedding/embeddings", "block_0/attention/output/kernel", "block_0/output/bias"} <= named
    for name in named:
        np.testing.assert_array_equal(stored[name], weights[name])
    parts = np.concatenate([weights[f"block_0/attention/{part}/kernel"] for part in ("query", "key", "value")], axis=1)
    (joined,) = (value for value in stored.values() if value.shape == parts.shape)
    np.testing.assert_array_equal(joined, parts)


def test_int8_weights_take_a_quarter_and_change_outputs_little(onnxruntime, make_encoder, rows_for, tmp_path, caplog):
    onnx = pytest.importorskip("onnx")
    encoder = make_encoder(hidden_dim=48, intermediate_dim=96)
    difference = export_onnx(encoder, tmp_path / "model.onnx", quantize=True)
    assert 1e-4 < difference < 1.0 and [path.name for path in tmp_path.iterdir()] == ["model.onnx"]
    assert "pre-processing" not in caplog.text
    graph = onnx.load(str(tmp_path / "model.onnx")).graph
    held = sum(onnx.numpy_helper.to_array(tensor).nbytes for tensor in graph.initializer)
    assert held < 0.5 * 4 * encoder.count_params()  # norms and scales stay float32, which counts in so small a model
    kernels = [onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer]
    assert {kernel.shape for kernel in kernels if kernel.dtype == np.int8} >= {(48, 96), (96, 48), (48, 144)}
    rows = rows_for(encoder, 2, 2)
    found = onnx_export.open_onnx(tmp_path / "model.onnx")(rows)["sequence_output"]
    np.testing.assert_allclose(found, encoder(rows)["sequence_output"].numpy(), atol=1.0)


MEMORY_OF_AN_EXPORT = """
import sys
import onnx, onnxruntime, tf2onnx
from benchmarks.shared.memory import resident_memory
from spanbert_keras import SpanBertEncoder
from spanbert_keras.conversion.exports.onnx_export import export_onnx

encoder = SpanBertEncoder(
    vocabulary_size=20_000, num_layers=5, num_heads=8, hidden_dim=512, intermediate_dim=2048, max_sequence_length=64
)
before = resident_memory()[1]
export_onnx(encoder, sys.argv[1])
print((resident_memory()[1] - before) / (4 * encoder.count_params()))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows does not report a process's largest size")
def test_an_export_needs_a_few_times_the_memory_of_the_weights(onnxruntime, root, tmp_path):
    command = [sys.executable, "-c", MEMORY_OF_AN_EXPORT, str(tmp_path / "model.onnx")]
    printed = subprocess.run(command, cwd=root, check=True, capture_output=True, text=True).stdout
    assert 0 < float(printed) < 6  # about 3.4; 52 when tf2onnx's graph held the weights


def test_a_model_above_the_limit_of_a_file_is_rejected(onnxruntime, make_encoder, tmp_path, monkeypatch):
    monkeypatch.setattr(onnx_export, "MAX_BYTES", 1e4)
    with pytest.raises(InputError, match=r"too large for an ONNX file. Expected: .*GB. Received: .*to a SavedModel"):
        export_onnx(make_encoder(), tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_export_is_not_written(onnxruntime, make_encoder, tmp_path, monkeypatch):
    encoder, other = make_encoder(), make_encoder(num_heads=2)
    monkeypatch.setattr(encoder, "stateless_call", other.stateless_call)
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
