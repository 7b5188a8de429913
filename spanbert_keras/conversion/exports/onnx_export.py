"""Exports to ONNX. Shape letters: B batch, T tokens, M masked positions."""

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from spanbert_keras.conversion.exports.verification import check_exportable, check_outputs, require_extra, sample_inputs
from spanbert_keras.files.writing import input_error_if_unwritable, write_atomically

CATCH_ERRORS = "TF2ONNX_CATCH_ERRORS"  # tf2onnx's switch: undo a failed pass, which needs a copy of the weights


def export_onnx(model, path: str | os.PathLike) -> float:
    """Writes an ONNX file atomically, after comparing its outputs in onnxruntime with the model's.

    Inputs and outputs have the model's names. Inputs are int32 of any batch size and length: for an encoder
    `token_ids`, `segment_ids` and `padding_mask` `(batch, length)`; a pretrainer also has its four position inputs
    `(batch, positions)` and, with a next-sentence head, `pair_positions` `(batch, pairs)`. The conversion (tf2onnx)
    needs about fifty times the memory of the weights: 21 GB for an encoder of base size.

    Args:
        model: `SpanBertEncoder` or `SpanBertPretrainer` that computes in float32.
        path: path of the file, usually `*.onnx`. An existing file is replaced. Needs the extra `export`.

    Returns:
        float. Largest difference between onnxruntime's outputs and the model's, on a batch with padding.

    Raises:
        InputError: a package of the extra `export` is not installed; the backend is not TensorFlow; the model is not
            one of this package or computes in another dtype; the file cannot be written; its outputs differ from the
            model's.

    Example:

    ```python
    import numpy as np
    import onnxruntime

    from spanbert_keras import SpanBertEncoder
    from spanbert_keras.conversion.exports.onnx_export import export_onnx

    encoder = SpanBertEncoder(
        vocabulary_size=7, num_layers=1, num_heads=2, hidden_dim=4, intermediate_dim=8, max_sequence_length=16
    )
    export_onnx(encoder, "encoder.onnx")
    session = onnxruntime.InferenceSession("encoder.onnx")
    rows = {name: np.ones((1, 9), "int32") for name in ("token_ids", "segment_ids", "padding_mask")}
    (sequence_output,) = session.run(["sequence_output"], rows)
    sequence_output.shape  # (1, 9, 4)
    ```
    """
    check_exportable(model, "ONNX")
    require_extra("ONNX", "onnx", "onnxruntime", "tf2onnx")
    differences = []

    def write(temporary: Path) -> None:
        inputs = sample_inputs(model)
        model(inputs)  # Keras exports the signature of an earlier call
        with _without_copies():
            model.export(str(temporary), format="onnx", verbose=False)
        _name_free_axes(temporary)
        differences.append(check_outputs(model, inputs, lambda rows: _run(temporary, rows)))

    with input_error_if_unwritable(path):
        write_atomically(path, write)
    return differences[0]


@contextlib.contextmanager
def _without_copies():
    """Keeps tf2onnx from copying all weights before each of its passes, a third of the time of an export."""
    before = os.environ.get(CATCH_ERRORS)
    os.environ[CATCH_ERRORS] = "FALSE"
    try:
        yield
    finally:
        if before is None:
            del os.environ[CATCH_ERRORS]
        else:
            os.environ[CATCH_ERRORS] = before


def _name_free_axes(path: Path) -> None:
    """Names the free axes of all inputs and outputs, which tf2onnx only numbers."""
    import onnx

    exported = onnx.load(str(path))
    of_tokens = dict.fromkeys(("token_ids", "segment_ids", "padding_mask", "sequence_output"), "length")
    second = of_tokens | dict.fromkeys(("pair_positions", "next_sentence"), "pairs")
    for value in (*exported.graph.input, *exported.graph.output):
        names = ("batch", second.get(value.name, "positions"))
        for axis, name in zip(value.type.tensor_type.shape.dim, names, strict=False):
            axis.dim_param = name
    onnx.checker.check_model(exported)
    onnx.save(exported, str(path))


def _run(path: Path, inputs: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray]:
    """Returns the outputs of an ONNX file by name."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    selected = {value.name: inputs[value.name] for value in session.get_inputs()}
    return dict(zip(names, session.run(names, selected), strict=True))
