"""Writes a checkpoint in the form that its reader wants, whole or not at all."""

import dataclasses
import functools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from spanbert_keras.conversion import tensor_names
from spanbert_keras.conversion.checkpoint import Checkpoint
from spanbert_keras.conversion.exports.litert_export import export_litert
from spanbert_keras.conversion.exports.onnx_export import export_onnx
from spanbert_keras.conversion.exports.saved_model import export_saved_model
from spanbert_keras.conversion.formats.hugging_face import write_hugging_face
from spanbert_keras.conversion.formats.own_models import OWN_KIND, TASKS, to_model
from spanbert_keras.errors import InputError
from spanbert_keras.files.writing import input_error_if_unwritable, write_atomically

FORMATS = ("auto", "keras", "preset", "hugging_face", "saved_model", "saved_model_strings", "onnx", "litert")
SUFFIXES = {".keras": "keras", ".onnx": "onnx", ".tflite": "litert"}
FOLDER_FILES = {  # what each kind of folder may hold if it is to be replaced
    "hugging_face": {
        "config.json", "model.safetensors", "span_boundary_head.safetensors", "tokenizer.json",
        "tokenizer_config.json", "vocab.txt",
    },
    "preset": {
        "config.json", "metadata.json", "model.weights.h5", "model.weights.json", "tokenizer.json", "assets",
        "preprocessor.json", "image_converter.json", "audio_converter.json",
    },
    "saved_model": {"saved_model.pb", "fingerprint.pb", "variables", "assets", "keras_metadata.pb"},
    "saved_model_strings": {"saved_model.pb", "fingerprint.pb", "variables", "assets", "keras_metadata.pb"},
}  # fmt: skip
SERVED = ("saved_model", "onnx", "litert")  # forms that hold a graph of token ids
DTYPES = ("source", "float32", "float16", "bfloat16")


def format_of(destination: str | os.PathLike, source_kind: str) -> str:
    """Returns the form that a destination's name asks for.

    A folder is a Hugging Face folder for a model of this package, else a preset.
    """
    suffix = Path(destination).suffix
    if suffix in SUFFIXES:
        return SUFFIXES[suffix]
    return "hugging_face" if source_kind == OWN_KIND else "preset"


def write(
    checkpoint: Checkpoint,
    destination: str | os.PathLike,
    form: str = "auto",
    model: str = "auto",
    dtype: str = "source",
    source: str | os.PathLike = "",
) -> list[str]:
    """Writes a checkpoint.

    Args:
        checkpoint: with a vocabulary that fits.
        destination: path of a file or of a folder; what is there is replaced if it is of the same form.
        form: one of `FORMATS`.
        model: a kind of `to_model`: what a `.keras` file or an export holds.
        dtype: of a Hugging Face folder: the source's, or one for all tensors.
        source: where the checkpoint was read from, which is never written over.

    Returns:
        Sentences that a user must be told.

    Raises:
        InputError: the place is taken by something else, or cannot be written.
    """
    form = format_of(destination, checkpoint.kind) if form == "auto" else form
    destination = Path(destination)
    _check_free(destination, form, source)
    if dtype != "source" and form != "hugging_face":
        raise InputError(f"--dtype={dtype} is for a Hugging Face folder. Received: --format={form}.")
    _check_model(checkpoint, form, model)
    notes: list[str] = []
    heads = checkpoint.all_heads
    if form == "hugging_face" and model == "encoder" and heads:
        notes.append(f"The heads ({', '.join(heads)}) are left out.")
        encoder = {name: value for name, value in checkpoint.tensors.items() if name.startswith("bert.")}
        checkpoint = dataclasses.replace(checkpoint, tensors=encoder, head_settings={})
    if form == "hugging_face":
        written = checkpoint if dtype == "source" else _cast(checkpoint, dtype, notes)

        def put(path: Path) -> None:
            path.mkdir()
            notes.extend(write_hugging_face(written, path))

        with input_error_if_unwritable(destination):
            write_atomically(destination, put)
        return notes
    fresh = [name for name in tensor_names.HEADS if name not in checkpoint.heads]
    served_whole = model == "pretrainer" or not fresh  # a head that knows nothing serves nobody
    holds_encoder = form in ("preset", "saved_model_strings") or form != "keras" and not served_whole
    kind = "encoder" if holds_encoder else model
    made = to_model(checkpoint, kind)
    if kind == "encoder" and heads:
        notes.append(f"The heads ({', '.join(heads)}) are left out: this form holds an encoder.")
    if hasattr(made, "masked_lm_head") and fresh:
        notes.append(f"The source has no weights of these heads, which begin anew: {', '.join(fresh)}.")
    if form == "keras":
        with input_error_if_unwritable(destination):
            write_atomically(destination, made.save)
    elif form == "preset":
        with input_error_if_unwritable(destination):
            write_atomically(destination, made.save_to_preset)
    else:
        difference = _exporter(form)(made, destination)
        notes.append(f"It was run: its outputs differ from the model's by at most {difference:.1e}.")
    return notes


def _check_model(checkpoint: Checkpoint, form: str, model: str) -> None:
    """Raises `InputError` if a form cannot hold the model that is asked for."""
    if form in SERVED and (checkpoint.task if model == "auto" else model) == "coreference_resolver":
        raise InputError(
            f"A coreference resolver cannot be exported with --format={form}, since it resolves a document in steps of "
            "different sizes. Expected: a .keras file, which `keras.saving.load_model` opens to serve `resolve`, or "
            "--model=encoder for its encoder alone."
        )
    if form in (*SERVED, "saved_model_strings", "preset") and model in TASKS:
        raise InputError(
            f"--format={form} does not hold a task's model. Expected: --model=encoder, or in Python `export` of the "
            f"model that `keras.saving.load_model` opens. Received: --model={model}."
        )


def _exporter(form: str) -> Callable[[Any, Path], float]:
    """Returns the function of (model, path) that writes a form for serving."""
    if form == "onnx":
        return export_onnx
    if form == "litert":
        return export_litert
    return functools.partial(export_saved_model, strings=form == "saved_model_strings")


def _cast(checkpoint: Checkpoint, dtype: str, notes: list[str]) -> Checkpoint:
    """Returns a checkpoint whose tensors have another dtype."""
    import ml_dtypes

    kind = np.dtype(ml_dtypes.bfloat16) if dtype == "bfloat16" else np.dtype(dtype)
    with np.errstate(over="ignore"):  # refused below, by name
        tensors = {name: array.astype(kind) for name, array in checkpoint.tensors.items()}
    overflown = sorted(name for name, array in tensors.items() if not np.isfinite(array.astype(np.float32)).all())
    if overflown:
        raise InputError(f"--dtype={dtype} cannot hold the values of {', '.join(overflown)}. Give --dtype=float32.")
    changed = [n for n, a in tensors.items() if not np.array_equal(a.astype(np.float32), checkpoint.tensors[n])]
    if changed:
        notes.append(f"{len(changed)} tensors are rounded to {dtype}.")
    return dataclasses.replace(checkpoint, tensors=tensors)


def _check_free(destination: Path, form: str, source: str | os.PathLike) -> None:
    """Refuses a place that holds something else than what an earlier conversion to this form left there.

    Raises:
        InputError: replacing it would lose something.
    """
    if not destination.name or destination.name == "..":
        raise InputError(f"--destination={destination} is no name of a file or folder. Give one.")
    if form == "keras" and destination.suffix != ".keras":
        raise InputError(f"--destination={destination} must end with .keras for --format=keras.")
    if destination.is_symlink():
        raise InputError(f"--destination={destination} is a link. Give the place itself.")
    here, there = destination.resolve(), Path(source).resolve()
    if Path(source).exists() and (here == there or here in there.parents):
        raise InputError(f"--destination={destination} holds the source, {source}, which would be lost. Give another.")
    if form not in FOLDER_FILES:
        if destination.is_dir():
            raise InputError(f"--destination={destination} is a folder. Expected: the name of a file.")
        return
    if destination.is_file():
        raise InputError(f"--destination={destination} is a file. Expected: the name of a folder.")
    found = {entry.name for entry in destination.iterdir()} if destination.is_dir() else set()
    others = sorted(found - FOLDER_FILES[form])
    if others:
        raise InputError(
            f"--destination={destination} is a folder with other things in it ({', '.join(others[:3])}). Give another."
        )
