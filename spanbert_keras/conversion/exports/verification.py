"""Checks of every export: whether the model can be exported, and whether the export computes the same."""

import importlib.util
from collections.abc import Callable, Mapping

import keras
import numpy as np

from spanbert_keras.errors import InputError
from spanbert_keras.models.coreference_resolver import SpanBertCoreferenceResolver
from spanbert_keras.models.named_inputs import NamedInputs

# Largest allowed difference from the Keras model, relative to its largest output if that is above 1. Float32 runtimes
# differ by about 1e-6; half precision differs with the order of summation.
TOLERANCES = {"float32": 1e-4, "bfloat16": 5e-2, "float16": 1e-2}
LARGEST_FINITE = float(np.finfo(np.float32).max)


def check_exportable(model, form: str, dtypes: tuple[str, ...] = ("float32",)) -> None:
    """Raises if a model cannot be exported.

    Args:
        model: `SpanBertEncoder`, `SpanBertPretrainer` or another model of named inputs.
        form: str. Name of the format, for messages, e.g. "ONNX".
        dtypes: tuple of str. Compute dtypes that the format supports.

    Raises:
        InputError: the backend is not TensorFlow; the model is not one of this package or computes in another dtype.
    """
    if keras.backend.backend() != "tensorflow":
        raise InputError(
            f"An export to {form} needs the TensorFlow backend. Expected: KERAS_BACKEND=tensorflow. Received: "
            f"KERAS_BACKEND={keras.backend.backend()}; save the model to a .keras file, which loads on every "
            "backend, and export it from there."
        )
    if isinstance(model, SpanBertCoreferenceResolver):
        model.export("", form)  # raises with the reason
    is_ours = isinstance(model, NamedInputs)  # not inlined: mypy would narrow `model` to a class without dtype
    if not is_ours:
        raise InputError(
            f"Only models of spanbert_keras can be exported to {form}. Expected: e.g. a SpanBertEncoder. "
            f"Received: {type(model).__name__}; export other Keras models with `model.export`."
        )
    if model.compute_dtype not in dtypes:
        raise InputError(
            f"The model cannot be exported to {form} in its compute dtype. Expected: {' or '.join(dtypes)}. "
            f'Received: {model.compute_dtype}; build the model with dtype="float32" and copy these weights with '
            "`set_weights`."
        )


def require_extra(form: str, *modules: str) -> None:
    """Raises `InputError` with the command that installs the extra `export` if a module is missing."""
    missing = [module for module in modules if importlib.util.find_spec(module) is None]
    if missing:
        raise InputError(
            f"An export to {form} needs the packages {', '.join(modules)}. Not installed: {', '.join(missing)}. "
            'Install them with `pip install "spanbert-keras[export]"`.'
        )


def sample_inputs(model) -> dict[str, np.ndarray]:
    """Returns inputs for a comparison: int32 `(3, T)`, T up to 11: a full row, a padded one, one with two segments.

    Inputs other than the encoder's three, which hold positions, are `(3, 4)` in [0, T).
    """
    encoder = getattr(model, "encoder", model)
    random = np.random.default_rng(0)
    length = min(11, encoder.max_sequence_length)
    inputs = {
        "token_ids": random.integers(0, encoder.vocabulary_size, (3, length)),
        "segment_ids": np.zeros((3, length)),
        "padding_mask": np.ones((3, length)),
    }
    inputs["padding_mask"][1, length // 2 + 1 :] = 0
    inputs["segment_ids"][2, length // 2 :] = encoder.num_segments - 1
    others = {name: random.integers(0, length, (3, 4)) for name in model.input_keys if name not in inputs}
    return {name: values.astype("int32") for name, values in (inputs | others).items()}


def check_outputs(
    model,
    inputs: Mapping[str, np.ndarray],
    run: Callable[[Mapping[str, np.ndarray]], Mapping[str, np.ndarray]],
    quantized: bool = False,
) -> float:
    """Compares the outputs of an export with those of the model.

    Args:
        model: the Keras model.
        inputs: dict of int32 arrays.
        run: function that runs the export: the same dict in, dict of float arrays out, named as the model's outputs.
        quantized: bool. Whether the export computes with int8, whose differences are returned and never too large.

    Returns:
        The largest difference over all outputs.

    Raises:
        InputError: an output is missing, is not a number or differs by more than rounding explains.
    """
    with keras.device("cpu:0"):  # a GPU may round float32 products to ten bits
        expected = {name: _as_float32(value) for name, value in model(inputs, training=False).items()}
    received = run(inputs)
    missing = sorted(set(expected) - set(received))
    if missing:
        raise InputError(f"The export lacks outputs. Expected: {sorted(expected)}. Received: {sorted(received)}.")
    largest = 0.0
    for name, values in expected.items():
        difference = float(np.abs(_as_float32(received[name]) - values).max())
        allowed = TOLERANCES[model.compute_dtype] * max(1.0, float(np.abs(values).max()))
        allowed = LARGEST_FINITE if quantized else allowed
        if not difference <= allowed:  # also rejects NaN
            raise InputError(
                f"The export does not compute the same as the model; nothing was written. Expected: {name} within "
                f"{allowed:.1e}. Received: a difference of {difference:.1e}."
            )
        largest = max(largest, difference)
    return largest


def _as_float32(values) -> np.ndarray:
    return np.asarray(keras.ops.convert_to_numpy(keras.ops.cast(values, "float32")))
