"""Writes a checkpoint atomically in the requested format.

Each format is a row of `FORMATS`. To add one, write a module that writes it and add a row.
"""

import dataclasses
import difflib
import functools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from spanbert_keras.conversion import hugging_face_names
from spanbert_keras.conversion.checkpoint import Checkpoint
from spanbert_keras.conversion.exports.export_report import export_report
from spanbert_keras.conversion.exports.litert_export import export_litert, open_litert
from spanbert_keras.conversion.exports.onnx_export import export_onnx, open_onnx
from spanbert_keras.conversion.exports.resolver_export import FILES as PARTS
from spanbert_keras.conversion.exports.resolver_export import export_resolver
from spanbert_keras.conversion.exports.saved_model import export_saved_model, open_saved_model
from spanbert_keras.conversion.formats.hugging_face import write_hugging_face
from spanbert_keras.conversion.formats.own_models import OWN_KIND, notes_on_new_head, to_model
from spanbert_keras.conversion.tasks import TASKS, in_words
from spanbert_keras.errors import InputError
from spanbert_keras.files.destination_lock import destination_lock
from spanbert_keras.files.keras_files import save_model, save_preset
from spanbert_keras.files.writing import input_error_if_unwritable, write_atomically

Compare = Callable[[Any], Callable[[Callable], list[str]]]  # model -> function that runs its export -> notes


def _write_folder_of_tensors(checkpoint: Checkpoint, destination: Path) -> list[str]:
    """Writes a Hugging Face folder; returns notes for the user, like every `write` of `FORMATS`."""
    notes: list[str] = []

    def write_files(folder: Path) -> None:
        folder.mkdir()
        notes.extend(write_hugging_face(checkpoint, folder))

    with input_error_if_unwritable(destination):
        write_atomically(destination, write_files)
    return notes


def _write_keras_file(model, destination: Path) -> list[str]:
    with input_error_if_unwritable(destination):
        write_atomically(destination, functools.partial(save_model, model))
    return []


def _write_preset(encoder, destination: Path) -> list[str]:
    with input_error_if_unwritable(destination):
        write_atomically(destination, functools.partial(save_preset, encoder))
    return []


def _exported(
    export: Callable[..., float], opened: Callable[[Path], Callable], strings: bool = False
) -> Callable[[Any, Path], list[str]]:
    """Wraps a function that exports, runs the export and returns the largest difference, for a row of `FORMATS`."""

    def write_export(model, destination: Path) -> list[str]:
        difference = export(model, destination, **({"strings": True} if strings else {}))
        return [
            f"The export was run: its outputs differ from the model's by at most {difference:.1e}.",
            export_report(model, opened(destination), destination, strings),
        ]

    return write_export


def _quantized(
    export: Callable[..., float], opened: Callable[[Path], Callable]
) -> Callable[[Any, Path, Compare | None], list[str]]:
    """Wraps a function that exports, for the int8 export of a row of `FORMATS`."""

    def write_export(model, destination: Path, compare: Compare | None) -> list[str]:
        notes_on = compare(model) if compare else lambda run: []
        difference = export(model, destination, quantize=True)
        run = opened(destination)
        return [
            f"The int8 export was run: its outputs for random tokens differ from the model's by at most "
            f"{difference:.1e}. The model's weights take {4e-6 * model.count_params():,.1f} MB in float32.",
            *notes_on(run),
            export_report(model, run, destination),
        ]

    return write_export


def _write_parts(resolver, destination: Path) -> list[str]:
    """Writes the parts of a resolver; the times are those of its encoder, which takes most of a document's."""
    difference = export_resolver(resolver, destination)
    report = export_report(resolver.encoder, open_onnx(destination / "encoder.onnx"), destination)
    return [
        f"The parts were run: their outputs differ from the model's by at most {difference:.1e}.",
        f"Of encoder.onnx, and the size of all parts: {report}",
    ]


def _tensors(checkpoint: Checkpoint, model: str, dtype: str) -> tuple[Checkpoint, list[str]]:
    """Returns the checkpoint in a dtype, without its heads for `model="encoder"`, and notes."""
    notes: list[str] = []
    heads = checkpoint.all_heads
    if model == "encoder" and heads:
        notes.append(f"The heads ({', '.join(heads)}) are left out.")
        encoder = {name: value for name, value in checkpoint.tensors.items() if name.startswith("bert.")}
        checkpoint = dataclasses.replace(checkpoint, tensors=encoder, head_settings={})
    return checkpoint if dtype == "source" else _cast(checkpoint, dtype, notes), notes


def _model(checkpoint: Checkpoint, model: str, dtype: str = "source") -> tuple[Any, list[str]]:
    """Returns the model of a kind, and notes on heads that are left out or re-initialised."""
    made, notes = to_model(checkpoint, model), notes_on_new_head(checkpoint, model)
    heads, fresh = checkpoint.all_heads, _fresh_heads(checkpoint)
    if model == "encoder" and heads:
        notes.append(f"The heads ({', '.join(heads)}) are left out: only the encoder is written.")
    if hasattr(made, "masked_lm_head") and fresh:
        notes.append(f"The source has no weights for these heads, which are re-initialised: {', '.join(fresh)}.")
    return made, notes


def _encoder(checkpoint: Checkpoint, model: str, dtype: str) -> tuple[Any, list[str]]:
    """Returns the encoder and notes, whichever model is requested."""
    return _model(checkpoint, "encoder")


def _served_text(checkpoint: Checkpoint, model: str, dtype: str) -> tuple[Any, list[str]]:
    """Returns the model to export with its tokenizer: that of a task in `OF_TEXT`, else the encoder; and notes."""
    kind = checkpoint.model_kind if model == "auto" else model
    return _served_graph(checkpoint, kind, dtype) if kind in OF_TEXT else _encoder(checkpoint, model, dtype)


def _served_graph(checkpoint: Checkpoint, model: str, dtype: str) -> tuple[Any, list[str]]:
    """Returns the model to export, and notes.

    A pretrainer with an untrained head is exported as its encoder, unless `model` names it.

    Raises:
        InputError: the head of a task was never trained.
    """
    kind = checkpoint.model_kind if model == "auto" else model
    if kind in TASKS:
        if notes_on_new_head(checkpoint, kind):
            raise InputError(
                f"{checkpoint.source} has no weights for the head of {in_words(kind)}, and the outputs of random ones "
                f"mean nothing. Expected: a model fine-tuned as {in_words(kind)}, or --model=encoder. Received: "
                f"{in_words(checkpoint.model_kind)}."
            )
        return _model(checkpoint, kind)
    whole = model == "pretrainer" or not _fresh_heads(checkpoint)
    return _model(checkpoint, model if whole else "encoder")


def _fresh_heads(checkpoint: Checkpoint) -> list[str]:
    """Returns the pre-training heads that a pretrainer would re-initialise."""
    has_pairs = bool(checkpoint.head_settings.get("next_sentence"))  # that of a pretrainer that was never trained
    wanted = [name for name in hugging_face_names.HEADS if name != "next_sentence" or has_pairs]
    return [name for name in wanted if name not in checkpoint.heads]


@dataclasses.dataclass(frozen=True)
class Format:
    """One format of a destination.

    Attributes:
        content: function of (checkpoint, model, dtype) that returns what a destination of this format holds, and notes
            for the user: one of `_tensors`, `_model`, `_served_graph`, `_served_text`, `_encoder`.
        write: function of (content, destination) that writes it atomically and returns notes for the user.
        suffix: str. File name suffix that selects this format; "" for a folder.
        needs_suffix: bool. Whether a file of this format must have the suffix.
        files: names that a folder of this format may hold if it is to be replaced; empty for a file.
        takes_dtype: bool. Whether `--dtype` applies.
        is_graph: bool. Whether it holds the graph of one call, which not every task's model has.
        tasks: names of the tasks whose models it holds.
        write_int8: function of (content, destination, compare) that writes it with int8 weights; `None`: it cannot.
    """

    content: Callable[[Checkpoint, str, str], tuple[Any, list[str]]]
    write: Callable[[Any, Path], list[str]]
    suffix: str = ""
    needs_suffix: bool = False
    files: frozenset[str] = frozenset()
    takes_dtype: bool = False
    is_graph: bool = False
    tasks: tuple[str, ...] = ()
    write_int8: Callable[[Any, Path, Compare | None], list[str]] | None = None


OF_TEXT = ("question_answerer", "text_classifier")  # whose texts a graph can turn into rows
_HUGGING_FACE_FILES = (
    "config.json model.safetensors span_boundary_head.safetensors tokenizer.json tokenizer_config.json vocab.txt"
    " checksums.json"
)
_PRESET_FILES = (
    "config.json metadata.json model.weights.h5 model.weights.json tokenizer.json assets preprocessor.json"
    " image_converter.json audio_converter.json checksums.json"
)
_SAVED_MODEL_FILES = "saved_model.pb fingerprint.pb variables assets keras_metadata.pb"


def _folder(content, write, files: str, *, takes_dtype=False, is_graph=False, tasks=()) -> Format:
    """Returns the row of a format that is a folder with these files."""
    named = frozenset(files.split())
    return Format(content, write, files=named, takes_dtype=takes_dtype, is_graph=is_graph, tasks=tasks)


FORMATS: dict[str, Format] = {
    "keras": Format(_model, _write_keras_file, ".keras", needs_suffix=True, tasks=tuple(TASKS)),
    "preset": _folder(_encoder, _write_preset, _PRESET_FILES),
    "hugging_face": _folder(
        _tensors, _write_folder_of_tensors, _HUGGING_FACE_FILES, takes_dtype=True, tasks=tuple(TASKS)
    ),
    "saved_model": _folder(
        _served_graph,
        _exported(export_saved_model, open_saved_model),
        _SAVED_MODEL_FILES,
        is_graph=True,
        tasks=tuple(TASKS),
    ),
    "saved_model_strings": _folder(
        _served_text, _exported(export_saved_model, open_saved_model, strings=True), _SAVED_MODEL_FILES, tasks=OF_TEXT
    ),
    "onnx": Format(
        _served_graph,
        _exported(export_onnx, open_onnx),
        ".onnx",
        is_graph=True,
        tasks=tuple(TASKS),
        write_int8=_quantized(export_onnx, open_onnx),
    ),
    "onnx_parts": _folder(_served_graph, _write_parts, " ".join(PARTS), tasks=("coreference_resolver",)),
    "litert": Format(
        _served_graph,
        _exported(export_litert, open_litert),
        ".tflite",
        is_graph=True,
        tasks=tuple(TASKS),
        write_int8=_quantized(export_litert, open_litert),
    ),
}


def format_of(destination: str | os.PathLike, source_kind: str) -> str:
    """Returns the format that a destination's name selects.

    A folder becomes a Hugging Face folder if the source is a model of this package, else a preset.

    Raises:
        InputError: the name ends like that of a file, but misspelt.
    """
    suffix = Path(destination).suffix
    for name, form in FORMATS.items():
        if form.suffix and form.suffix == suffix:
            return name
    near = [form.suffix for form in FORMATS.values() if form.suffix and abs(len(form.suffix) - len(suffix)) <= 1]
    similar = difflib.get_close_matches(suffix.lower(), near, 1, 0.79)
    if similar and not Path(destination).is_dir():
        raise InputError(
            f"--destination={destination} ends with {suffix}. Expected: {similar[0]} for a file, or for a folder "
            "--format=hugging_face or --format=preset."
        )
    return "hugging_face" if source_kind == OWN_KIND else "preset"


def write(
    checkpoint: Checkpoint,
    destination: str | os.PathLike,
    form: str = "auto",
    model: str = "auto",
    dtype: str = "source",
    source: str | os.PathLike = "",
    quantize: str | None = None,
    compare: Compare | None = None,
) -> list[str]:
    """Writes a checkpoint.

    Args:
        checkpoint: checkpoint whose vocabulary fits its embeddings.
        destination: path of a file or of a folder. Existing content is replaced if it has the same format.
        form: "auto" or one of `FORMATS`.
        model: a kind of `to_model`: what a `.keras` file or an export holds.
        dtype: dtype of the tensors of a Hugging Face folder; "source" keeps each tensor's own.
        source: path that the checkpoint was read from. It is never overwritten.
        quantize: "int8" or `None`. Type of the weights of an ONNX or LiteRT file; `None`: float32.
        compare: function of the model, called before it is exported, that returns a function from one that runs its
            int8 export to further notes; or `None`.

    Returns:
        Notes for the user.

    Raises:
        InputError: the destination holds something else, another process writes it, or it cannot be written.
    """
    name = format_of(destination, checkpoint.kind) if form == "auto" else form
    destination = Path(destination)
    _check_free(destination, name, source)
    if dtype != "source" and not FORMATS[name].takes_dtype:
        expected = ", ".join(other for other, row in FORMATS.items() if row.takes_dtype)
        raise InputError(f"--dtype={dtype} needs --format={expected}. Received: --format={name}.")
    if quantize and FORMATS[name].write_int8 is None:
        expected = " or ".join(other for other, row in FORMATS.items() if row.write_int8)
        raise InputError(f"--quantize={quantize} needs --format={expected}. Received: --format={name}.")
    _check_model(checkpoint, name, model)
    with destination_lock(destination):
        content, notes = FORMATS[name].content(checkpoint, model, dtype)
        write_int8 = FORMATS[name].write_int8 if quantize else None
        written = write_int8(content, destination, compare) if write_int8 else FORMATS[name].write(content, destination)
        return notes + written


def _check_model(checkpoint: Checkpoint, form: str, model: str) -> None:
    """Raises `InputError` if a format cannot hold the requested model."""
    asked = (checkpoint.task if model == "auto" else model) or "auto"
    reason = TASKS[asked].not_a_graph if asked in TASKS else ""
    if FORMATS[form].is_graph and reason:
        raise InputError(
            f"A {asked.replace('_', ' ')} cannot be exported with --format={form}, since {reason}. Expected: "
            "--format=onnx_parts, which exports it in parts, a .keras file, which `keras.saving.load_model` opens to "
            "serve it, or --model=encoder for its encoder alone."
        )
    if model in TASKS and model not in FORMATS[form].tasks:
        raise InputError(
            f"--format={form} does not hold {in_words(model)}. Expected: --model=encoder, or a format that does, "
            f"such as --format=saved_model. Received: --model={model}."
        )
    if FORMATS[form].content is _tensors and model in TASKS and model != checkpoint.task:
        raise InputError(
            f"--format={form} keeps the weights and the task of the source. Expected: --model={checkpoint.model_kind} "
            f"or encoder, or a .keras file, whose head can be a new one. Received: --model={model}."
        )


def _cast(checkpoint: Checkpoint, dtype: str, notes: list[str]) -> Checkpoint:
    """Returns a checkpoint whose tensors have another dtype."""
    import ml_dtypes

    kind = np.dtype(ml_dtypes.bfloat16) if dtype == "bfloat16" else np.dtype(dtype)
    with np.errstate(over="ignore"):  # rejected below, with the names
        tensors = {name: array.astype(kind) for name, array in checkpoint.tensors.items()}
    overflown = sorted(name for name, array in tensors.items() if not np.isfinite(array.astype(np.float32)).all())
    if overflown:
        raise InputError(f"--dtype={dtype} cannot hold the values of {', '.join(overflown)}. Give --dtype=float32.")
    changed = [n for n, a in tensors.items() if not np.array_equal(a.astype(np.float32), checkpoint.tensors[n])]
    if changed:
        notes.append(f"{len(changed)} tensors are rounded to {dtype}.")
    return dataclasses.replace(checkpoint, tensors=tensors)


def _check_free(destination: Path, form: str, source: str | os.PathLike) -> None:
    """Checks that a destination is empty or holds only the result of an earlier conversion to this format.

    Raises:
        InputError: the name is not valid for the format, or other content would be lost.
    """
    if not destination.name or destination.name == "..":
        raise InputError(f"--destination={destination} is not the name of a file or folder. Give one.")
    suffix, files = FORMATS[form].suffix, FORMATS[form].files
    if FORMATS[form].needs_suffix and destination.suffix != suffix:
        raise InputError(f"--destination={destination} must end with {suffix} for --format={form}.")
    if destination.is_symlink():
        raise InputError(f"--destination={destination} is a link. Give the path that it points to.")
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
            f"--destination={destination} is a folder with other content ({', '.join(others[:3])}). Give another."
        )
