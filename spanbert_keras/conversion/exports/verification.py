"""What every export does: refuse what it cannot export, and compare what it wrote with the Keras model."""

import importlib.util
from collections.abc import Callable, Mapping

import keras
import numpy as np

from spanbert_keras.errors import InputError
from spanbert_keras.models.coreference_resolver import SpanBertCoreferenceResolver
from spanbert_keras.models.named_inputs import NamedInputs

# Largest difference from the Keras model, relative to its largest output where that is above 1. Float32 runtimes
# differ by about 1e-6; half precision by the order in which sums are rounded.
TOLERANCES = {"float32": 1e-4, "bfloat16": 5e-2, "float16": 1e-2}


def check_exportable(model, form: str, dtypes: tuple[str, ...] = ("float32",)) -> None:
    """Refuses a model that cannot be exported.

    Args:
        model: `SpanBertEncoder`, `SpanBertPretrainer` or another model of named inputs.
        form: str. What the message names, e.g. "ONNX".
        dtypes: tuple of str. Compute dtypes that the form can hold.

    Raises:
        InputError: Keras runs on another backend than TensorFlow; the model is none of ours or computes in another
            dtype.
    """
    if keras.backend.backend() != "tensorflow":
        raise InputError(
            f"An export to {form} is made on the TensorFlow backend. Expected: KERAS_BACKEND=tensorflow. Received: "
            f"KERAS_BACKEND={keras.backend.backend()}; save the model to a .keras file, which loads on every "
            "backend, and export it from there."
        )
    if isinstance(model, SpanBertCoreferenceResolver):
        model.export("", form)  # says why not
    is_ours = isinstance(model, NamedInputs)
    if not is_ours:
        raise InputError(
            f"Only models of spanbert_keras can be exported to {form}. Expected: e.g. a SpanBertEncoder. "
            f"Received: {type(model).__name__}; for other Keras models there is `model.export`."
        )
    if model.compute_dtype not in dtypes:
        raise InputError(
            f"The model cannot be exported to {form} as it computes. Expected: {' or '.join(dtypes)}. "
            f'Received: {model.compute_dtype}; make the model with dtype="float32" and give it these weights by '
            "`set_weights`."
        )


def require_extra(form: str, *modules: str) -> None:
    """Raises `InputError` with the command that installs the extra `export` where a module is absent."""
    absent = [module for module in modules if importlib.util.find_spec(module) is None]
    if absent:
        raise InputError(
            f"An export to {form} needs packages that are not installed. Expected: {' and '.join(modules)}. Received: "
            f'no {" and no ".join(absent)}; install them with `pip install "spanbert-keras[export]"`.'
        )


def sample_inputs(model) -> dict[str, np.ndarray]:
    """Returns inputs for a comparison: int32 `(3, T)`, T up to 11: a full row, a padded one, one of two segments.

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
    model, inputs: Mapping[str, np.ndarray], run: Callable[[Mapping[str, np.ndarray]], Mapping[str, np.ndarray]]
) -> float:
    """Compares what an export computes with what the model computes.

    Args:
        model: the Keras model.
        inputs: dict of int32 arrays.
        run: the export: the same dict in, dict of float arrays out, named as the model's outputs.

    Returns:
        The largest difference of any output.

    Raises:
        InputError: an output is missing or differs by more than the dtype explains.
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
        if not difference <= allowed:  # a NaN is no match
            raise InputError(
                f"The export computes something else than the model, and was not written. Expected: {name} within "
                f"{allowed:.1e}. Received: a difference of {difference:.1e}."
            )
        largest = max(largest, difference)
    return largest


def _as_float32(values) -> np.ndarray:
    return np.asarray(keras.ops.convert_to_numpy(keras.ops.cast(values, "float32")))
