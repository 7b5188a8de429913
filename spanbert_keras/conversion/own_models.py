"""Our own models from a checkpoint, and back."""

import os
import zipfile
from pathlib import Path
from typing import Any

import keras
import numpy as np

from spanbert_keras.conversion import tensor_names
from spanbert_keras.conversion.checkpoint import Checkpoint
from spanbert_keras.conversion.pickles import first_line
from spanbert_keras.conversion.tokenizer_files import looks_lowercased
from spanbert_keras.errors import InputError
from spanbert_keras.models.encoder import SpanBertEncoder, SpanBertTokenizer
from spanbert_keras.models.pretrainer import SpanBertPretrainer

OWN_KIND = "a model of this package"
KINDS = ("auto", "encoder", "pretrainer")
SIZES = (
    "vocabulary_size", "num_layers", "num_heads", "hidden_dim", "intermediate_dim", "dropout", "attention_dropout",
    "max_sequence_length", "num_segments",
)  # fmt: skip


def make_tokenizer(checkpoint: Checkpoint) -> SpanBertTokenizer:
    """Returns the tokenizer of a checkpoint.

    Raises:
        InputError: its vocabulary lacks a special piece.
    """
    lowercase = checkpoint.lowercase
    vocabulary = checkpoint.vocabulary or []
    return SpanBertTokenizer(vocabulary, lowercase=looks_lowercased(vocabulary) if lowercase is None else lowercase)


def to_model(checkpoint: Checkpoint, kind: str = "auto", **overrides: Any):
    """Makes a model with a checkpoint's weights.

    Weights that the checkpoint lacks are fresh, and so are heads that it lacks.

    Args:
        checkpoint: checked.
        kind: `"encoder"`, `"pretrainer"`, or `"auto"`: the latter where there is a head.
        **overrides: arguments of `SpanBertEncoder` that are no sizes, e.g. `dropout`, `dtype`.

    Returns:
        `SpanBertEncoder` or `SpanBertPretrainer`, with its tokenizer.

    Raises:
        InputError: another kind, or a size among the overrides.
    """
    fixed = sorted(overrides.keys() & (set(SIZES) - {"dropout", "attention_dropout"}))
    if fixed or kind not in KINDS:
        wrong = f"{fixed[0]}={overrides[fixed[0]]!r}, which is the source's to say" if fixed else f"kind={kind!r}"
        raise InputError(f"A model cannot be made so. Expected: one of {', '.join(KINDS)}. Received: {wrong}.")
    sizes = checkpoint.architecture | overrides
    encoder = SpanBertEncoder(**sizes, tokenizer=make_tokenizer(checkpoint) if checkpoint.vocabulary else None)
    model: keras.Model = encoder
    if kind == "pretrainer" or kind == "auto" and checkpoint.heads:
        settings = dict(checkpoint.head_settings)
        table = checkpoint.tensors.get(tensor_names.SBO_POSITIONS)
        if table is not None:
            settings |= {"max_span_positions": table.shape[0], "position_dim": table.shape[1]}
        model = SpanBertPretrainer(encoder, **settings)
    assign(model, checkpoint)
    return model


def assign(model, checkpoint: Checkpoint) -> list[str]:
    """Sets those weights of a model that a checkpoint has, and returns the paths of all others.

    Args:
        model: `SpanBertEncoder` or `SpanBertPretrainer` of the checkpoint's sizes.
        checkpoint: checked.
    """
    table, fresh = checkpoint.table(), []
    for weight in model.weights:
        name, transposed = table.get(weight.path, ("", False))
        value = checkpoint.tensors.get(name)
        if value is not None:
            value = np.asarray(value, np.float32)
            weight.assign(value.T if transposed else value)
        elif "seed_generator" not in weight.path:
            fresh.append(weight.path)
    return fresh


def from_model(model) -> Checkpoint:
    """Returns a model as a checkpoint.

    Args:
        model: `SpanBertEncoder` or `SpanBertPretrainer`.

    Raises:
        InputError: it is neither, or quantized.
    """
    if not isinstance(model, SpanBertEncoder | SpanBertPretrainer):
        raise InputError(
            "Only an encoder or a pretrainer can be converted. Expected: SpanBertEncoder or SpanBertPretrainer. "
            f"Received: {type(model).__name__}."
        )
    pretrains = isinstance(model, SpanBertPretrainer)
    encoder = model.encoder if pretrains else model
    config = encoder.get_config()
    table = tensor_names.encoder_table(encoder.num_layers)
    for make in tensor_names.HEADS.values():
        table |= make()
    tensors = {}
    for weight in model.weights:
        if "seed_generator" in weight.path:
            continue
        if weight.path not in table:
            raise InputError(
                f"The model cannot be converted: its weight {weight.path} is none of a plain encoder or pretrainer "
                "(a quantized or adapted model, perhaps). Convert the model that it was made from."
            )
        name, transposed = table[weight.path]
        value = np.array(keras.ops.convert_to_numpy(weight.value))
        tensors[name] = value.T if transposed else value
    notes = _drop_fresh_heads(tensors)
    tokenizer = encoder.tokenizer
    known = tokenizer is not None and tokenizer.has_vocabulary
    return Checkpoint(
        tensors,
        {name: config[name] for name in SIZES},
        tokenizer.get_vocabulary() if known else None,
        tokenizer.lowercase if known else None,
        OWN_KIND,
        {"sbo_weight": model.sbo_weight, "loss_normalization": model.loss_normalization} if pretrains else {},
        notes,
    )


def _drop_fresh_heads(tensors: dict[str, np.ndarray]) -> list[str]:
    """Removes heads that no update has touched, of a converted encoder perhaps, and returns a sentence for each.

    Their biases are still 0, and the scales of their norms 1.
    """
    notes = []
    for head, make in tensor_names.HEADS.items():
        names = [name for name, _ in make().values()]
        vectors = [name for name in names if name in tensors and tensors[name].ndim == 1]
        if vectors and all((tensors[name] == name.endswith("weight")).all() for name in vectors):
            for name in names:
                del tensors[name]
            notes.append(f"The head {head} was never trained, and is left out.")
    return notes


def read_keras_file(path: str | os.PathLike) -> Checkpoint:
    """Reads a `.keras` file of this package.

    Raises:
        InputError: it is damaged, or of another class.
    """
    if not zipfile.is_zipfile(path):
        raise InputError(f"{path} is no whole .keras file: perhaps writing or copying it was cut short.")
    try:
        model = keras.saving.load_model(path, compile=False)
    except (ValueError, TypeError, OSError, KeyError, zipfile.BadZipFile) as error:
        raise InputError(f"{path} cannot be loaded as a model of this package: {first_line(error)}") from error
    return from_model(model)


def read_preset(folder: str | os.PathLike) -> Checkpoint:
    """Reads a preset directory of this package."""
    return from_model(SpanBertEncoder.from_preset(str(Path(folder))))
