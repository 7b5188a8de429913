"""Exports to LiteRT (formerly TensorFlow Lite). Shape letters: B batch, T tokens."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from spanbert_keras.conversion.exports.verification import check_exportable, check_outputs, require_extra, sample_inputs
from spanbert_keras.errors import InputError
from spanbert_keras.files.writing import input_error_if_unwritable, write_atomically

SIGNATURE = "serving_default"


def export_litert(model, path: str | os.PathLike, quantize: bool = False) -> float:
    """Writes a LiteRT file atomically, after comparing its outputs in LiteRT's interpreter with the model's.

    It uses only LiteRT's built-in operations, so every LiteRT runtime can run it. Its signature `serving_default` has
    the names of the model's inputs (int32) and outputs. Batch and length are resizable: a signature runner takes arrays
    of any size and resizes automatically; an interpreter that is used by tensor index needs `resize_tensor_input`
    first, because the file's shapes are 1 x 1.

    Args:
        model: `SpanBertEncoder`, `SpanBertPretrainer` or the model of a task, except a coreference resolver, that
            computes in float32.
        path: path of the file, `*.tflite`. An existing file is replaced. Needs the extra `export`.
        quantize: bool. Whether kernels and the tables of embeddings are stored as int8, those of at least 1,024
            numbers, and what is multiplied by a kernel is rounded to 8 bits too while the model runs (LiteRT's
            dynamic-range quantization). Defaults to `False`.

    Returns:
        float. Largest difference between the interpreter's outputs and the model's, on a batch with padding.

    Raises:
        InputError: the file's name does not end with .tflite; a package of the extra `export` is not installed; the
            backend is not TensorFlow; the model is not one of this package, computes in another dtype, or is quantized;
            the file cannot be written; its outputs differ from the model's by more than rounding explains (with
            `quantize`: are not numbers).

    Example:

    ```python
    import numpy as np
    from ai_edge_litert.interpreter import Interpreter

    from spanbert_keras import SpanBertEncoder
    from spanbert_keras.conversion.exports.litert_export import export_litert

    encoder = SpanBertEncoder(
        vocabulary_size=7, num_layers=1, num_heads=2, hidden_dim=4, intermediate_dim=8, max_sequence_length=16
    )
    export_litert(encoder, "encoder.tflite")
    runner = Interpreter("encoder.tflite").get_signature_runner("serving_default")
    rows = {name: np.ones((1, 16), "int32") for name in ("token_ids", "segment_ids", "padding_mask")}
    runner(**rows)["sequence_output"].shape  # (1, 16, 4)
    ```
    """
    if Path(path).suffix != ".tflite":
        raise InputError(
            f"The name of a LiteRT file is wrong. Expected: a name that ends with .tflite. Received: {path}."
        )
    check_exportable(model, "LiteRT")
    if any(getattr(layer, "quantization_mode", None) for layer in model._flatten_layers()):
        raise InputError(
            "LiteRT lacks the matrix product of quantized Keras models. Expected: the model before `quantize`. "
            "Received: a quantized model; export it to ONNX or to a SavedModel instead."
        )
    require_extra("LiteRT", "ai_edge_litert")
    differences = []

    def write(temporary: Path) -> None:
        import tensorflow as tf

        builtins = {"supported_ops": [tf.lite.OpsSet.TFLITE_BUILTINS]}
        settings = {"optimizations": [tf.lite.Optimize.DEFAULT]} if quantize else {}
        model.export(str(temporary), format="litert", verbose=False, target_spec=builtins, **settings)
        differences.append(check_outputs(model, sample_inputs(model), open_litert(temporary), quantize))

    with input_error_if_unwritable(path):
        write_atomically(path, write)
    return differences[0]


def open_litert(path: str | os.PathLike) -> Callable[[Mapping[str, np.ndarray]], dict[str, np.ndarray]]:
    """Returns a function that runs a LiteRT file: a dict of inputs (others are ignored) to a dict of outputs."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(os.fspath(path))
    names = interpreter.get_signature_list()[SIGNATURE]["inputs"]
    runner = interpreter.get_signature_runner(SIGNATURE)
    return lambda inputs: runner(**{name: inputs[name] for name in names})
