"""Writes a checkpoint in the form that its reader wants, whole or not at all.

Each form is a row of `FORMATS`: a new one is a module that writes it, and a row.
"""

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
from spanbert_keras.conversion.formats.own_models import OWN_KIND, to_model
from spanbert_keras.conversion.tasks import TASKS
from spanbert_keras.errors import InputError
from spanbert_keras.files.writing import input_error_if_unwritable, write_atomically

DTYPES = ("source", "float32", "float16", "bfloat16")


def _write_folder_of_tensors(checkpoint: Checkpoint, destination: Path) -> list[str]:
    """Writes a Hugging Face folder; returns sentences that a user must be told, as all functions of `FORMATS` do."""
    notes: list[str] = []

    def write_files(folder: Path) -> None:
        folder.mkdir()
        notes.extend(write_hugging_face(checkpoint, folder))

    with input_error_if_unwritable(destination):
        write_atomically(destination, write_files)
    return notes


def _write_keras_file(model, destination: Path) -> list[str]:
    with input_error_if_unwritable(destination):
        write_atomically(destination, model.save)
    return []


def _write_preset(encoder, destination: Path) -> list[str]:
    with input_error_if_unwritable(destination):
        write_atomically(destination, encoder.save_to_preset)
    return []


def _exported(export: Callable[[Any, Path], float]) -> Callable[[Any, Path], list[str]]:
    """Returns the function of a row from one that exports, runs the export and returns the largest difference."""

    def write_export(model, destination: Path) -> list[str]:
        return [f"It was run: its outputs differ from the model's by at most {export(model, destination):.1e}."]

    return write_export


def _tensors(checkpoint: Checkpoint, model: str, dtype: str) -> tuple[Checkpoint, list[str]]:
    """Returns the checkpoint itself in a dtype, without its heads for `model="encoder"`, and notes."""
    notes: list[str] = []
    heads = checkpoint.all_heads
    if model == "encoder" and heads:
        notes.append(f"The heads ({', '.join(heads)}) are left out.")
        encoder = {name: value for name, value in checkpoint.tensors.items() if name.startswith("bert.")}
        checkpoint = dataclasses.replace(checkpoint, tensors=encoder, head_settings={})
    return checkpoint if dtype == "source" else _cast(checkpoint, dtype, notes), notes


def _model(checkpoint: Checkpoint, model: str, dtype: str = "source") -> tuple[Any, list[str]]:
    """Returns the model of a kind, and notes on the heads that it lacks or has anew."""
    made, notes = to_model(checkpoint, model), []
    heads, fresh = checkpoint.all_heads, _fresh_heads(checkpoint)
    if model == "encoder" and heads:
        notes.append(f"The heads ({', '.join(heads)}) are left out: this form holds an encoder.")
    if hasattr(made, "masked_lm_head") and fresh:
        notes.append(f"The source has no weights of these heads, which begin anew: {', '.join(fresh)}.")
    return made, notes


def _encoder(checkpoint: Checkpoint, model: str, dtype: str) -> tuple[Any, list[str]]:
    """Returns the encoder, whatever is asked for, and notes."""
    return _model(checkpoint, "encoder")


def _served_graph(checkpoint: Checkpoint, model: str, dtype: str) -> tuple[Any, list[str]]:
    """Returns the model of a kind, or the encoder where a head would be fresh: that serves nobody. Then notes."""
    whole = model == "pretrainer" or not _fresh_heads(checkpoint)
    return _model(checkpoint, model if whole else "encoder")


def _fresh_heads(checkpoint: Checkpoint) -> list[str]:
    """Returns the pre-training heads that a pretrainer would begin anew."""
    return [name for name in tensor_names.HEADS if name not in checkpoint.heads]


@dataclasses.dataclass(frozen=True)
class Format:
    """What is to know of one form.

    Attributes:
        content: function of (checkpoint, model, dtype) that returns what a destination of this form holds, and
            sentences that a user must be told: one of `_tensors`, `_model`, `_served_graph`, `_encoder`.
        write: function of (content, destination) that writes it, whole or not at all, and returns such sentences.
        suffix: str. Ending of a file's name that asks for this form; "" for a folder.
        needs_suffix: bool. Whether a file of this form must end so.
        files: names that a folder of this form may hold if it is to be replaced; empty for a file.
    """

    content: Callable[[Checkpoint, str, str], tuple[Any, list[str]]]
    write: Callable[[Any, Path], list[str]]
    suffix: str = ""
    needs_suffix: bool = False
    files: frozenset[str] = frozenset()


_HUGGING_FACE_FILES = (
    "config.json model.safetensors span_boundary_head.safetensors tokenizer.json tokenizer_config.json vocab.txt"
)
_PRESET_FILES = (
    "config.json metadata.json model.weights.h5 model.weights.json tokenizer.json assets preprocessor.json"
    " image_converter.json audio_converter.json"
)
_SAVED_MODEL_FILES = "saved_model.pb fingerprint.pb variables assets keras_metadata.pb"


def _folder(content, write, files: str) -> Format:
    """Returns the row of a form that is a folder with these files."""
    return Format(content, write, files=frozenset(files.split()))


FORMATS: dict[str, Format] = {
    "keras": Format(_model, _write_keras_file, ".keras", needs_suffix=True),
    "preset": _folder(_encoder, _write_preset, _PRESET_FILES),
    "hugging_face": _folder(_tensors, _write_folder_of_tensors, _HUGGING_FACE_FILES),
    "saved_model": _folder(_served_graph, _exported(export_saved_model), _SAVED_MODEL_FILES),
    "saved_model_strings": _folder(
        _encoder, _exported(functools.partial(export_saved_model, strings=True)), _SAVED_MODEL_FILES
    ),
    "onnx": Format(_served_graph, _exported(export_onnx), ".onnx"),
    "litert": Format(_served_graph, _exported(export_litert), ".tflite"),
}


def format_of(destination: str | os.PathLike, source_kind: str) -> str:
    """Returns the form that a destination's name asks for.

    A folder is a Hugging Face folder for a model of this package, else a preset.
    """
    suffix = Path(destination).suffix
    for name, form in FORMATS.items():
        if form.suffix and form.suffix == suffix:
            return name
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
        form: "auto" or one of `FORMATS`.
        model: a kind of `to_model`: what a `.keras` file or an export holds.
        dtype: of a Hugging Face folder: the source's, or one for all tensors.
        source: where the checkpoint was read from, which is never written over.

    Returns:
        Sentences that a user must be told.

    Raises:
        InputError: the place is taken by something else, or cannot be written.
    """
    name = format_of(destination, checkpoint.kind) if form == "auto" else form
    destination = Path(destination)
    _check_free(destination, name, source)
    if dtype != "source" and FORMATS[name].content is not _tensors:
        raise InputError(f"--dtype={dtype} is for a Hugging Face folder. Received: --format={name}.")
    _check_model(checkpoint, name, model)
    content, notes = FORMATS[name].content(checkpoint, model, dtype)
    return notes + FORMATS[name].write(content, destination)


def _check_model(checkpoint: Checkpoint, form: str, model: str) -> None:
    """Raises `InputError` if a form cannot hold the model that is asked for."""
    content = FORMATS[form].content
    asked = (checkpoint.task if model == "auto" else model) or "auto"
    reason = TASKS[asked].not_a_graph if asked in TASKS else ""
    if content is _served_graph and reason:
        raise InputError(
            f"A {asked.replace('_', ' ')} cannot be exported with --format={form}, since {reason}. Expected: a .keras "
            "file, which `keras.saving.load_model` opens to serve it, or --model=encoder for its encoder alone."
        )
    if content in (_served_graph, _encoder) and model in TASKS:
        raise InputError(
            f"--format={form} does not hold a task's model. Expected: --model=encoder, or in Python `export` of the "
            f"model that `keras.saving.load_model` opens. Received: --model={model}."
        )


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
    suffix, files = FORMATS[form].suffix, FORMATS[form].files
    if FORMATS[form].needs_suffix and destination.suffix != suffix:
        raise InputError(f"--destination={destination} must end with {suffix} for --format={form}.")
    if destination.is_symlink():
        raise InputError(f"--destination={destination} is a link. Give the place itself.")
    here, there = destination.resolve(), Path(source).resolve()
    if Path(source).exists() and (here == there or here in there.parents):
        raise InputError(f"--destination={destination} holds the source, {source}, which would be lost. Give another.")
    if not files:
        if destination.is_dir():
            raise InputError(f"--destination={destination} is a folder. Expected: the name of a file.")
        return
    if destination.is_file():
        raise InputError(f"--destination={destination} is a file. Expected: the name of a folder.")
    found = {entry.name for entry in destination.iterdir()} if destination.is_dir() else set()
    others = sorted(found - files)
    if others:
        raise InputError(
            f"--destination={destination} is a folder with other things in it ({', '.join(others[:3])}). Give another."
        )
