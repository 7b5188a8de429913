"""Task models from presets: `from_preset` of every task model."""

import os
from pathlib import Path
from typing import Any

from spanbert_keras.conversion.foreign_keys import read_settings
from spanbert_keras.conversion.formats.own_models import DESCRIPTIONS, notes_on_new_head, to_model
from spanbert_keras.conversion.resizing import resize_positions
from spanbert_keras.conversion.sources import open_source
from spanbert_keras.conversion.tasks import TASKS
from spanbert_keras.errors import InputError
from spanbert_keras.models.encoder import SpanBertEncoder
from spanbert_keras.models.pretrainer import SpanBertPretrainer
from spanbert_keras.models.task_model import TaskModel
from spanbert_keras.presets import ARCHITECTURES

LOADING_ARGUMENTS = ("vocabulary_file", "lowercase", "max_sequence_length", "allow_mismatch")
KINDS: dict[str, Any] = {name: task.model for name, task in TASKS.items()} | {"pretrainer": SpanBertPretrainer}
CLASSIFIERS = {name for name, task in TASKS.items() if task.classifies}
NEW_HEAD_NOTE = "The source has no head for this task, so the head is new and its weights are random: train the model."
NEW_LABELS_NOTE = "The source's head has other labels, so the head is new and its weights are random: train the model."


def task_from_preset(cls, preset: str | os.PathLike, load_weights: bool, arguments: dict[str, Any]):
    """Returns a task model of class `cls`; see `TaskModel.from_preset` for the arguments."""
    preset = os.fspath(preset)
    if preset in ARCHITECTURES:
        return _of_architecture(cls, preset, load_weights, dict(arguments))
    if _is_own_preset(cls, preset):
        return _of_own_preset(cls, preset, load_weights, dict(arguments))
    return _of_checkpoint(cls, preset, load_weights, dict(arguments))


def _of_architecture(cls, name: str, load_weights: bool, settings: dict[str, Any]):
    of_encoder: dict[str, Any] = {key: settings.pop(key) for key in ("tokenizer", "dtype") if key in settings}
    if "tokenizer" in of_encoder:
        of_encoder["vocabulary_size"] = of_encoder["tokenizer"].vocabulary_size()
    return cls(SpanBertEncoder.from_preset(name, load_weights=load_weights, **of_encoder), **settings)


def _is_own_preset(cls, preset: str) -> bool:
    """Returns whether a folder holds a task model of this class, as `save_to_preset` writes it."""
    task = read_settings(Path(preset) / "task.json") if Path(preset).is_dir() else None
    return task is not None and task.get("registered_name") == f"spanbert_keras>{_public_class(cls).__name__}"


def _of_own_preset(cls, preset: str, load_weights: bool, settings: dict[str, Any]):
    saved = (read_settings(Path(preset) / "task.json") or {}).get("config", {})
    has_new_labels = _has_new_labels(settings, saved.get("labels"))
    if has_new_labels:  # with `num_classes`, keras-hub does not load the head
        settings["num_classes"] = settings.get("num_classes") or len(settings["labels"])
        settings.setdefault("labels", None)
    model = super(TaskModel, cls).from_preset(preset, load_weights=load_weights, **settings)
    if settings.get("dtype") is not None:
        model.dtype_policy = model.encoder.dtype_policy
    if model.tokenizer is not None and not model.tokenizer.has_vocabulary:
        model.tokenizer.load_preset_assets(preset)
    model.conversion_notes = [NEW_LABELS_NOTE] if has_new_labels else []
    return model


def _of_checkpoint(cls, source: str, load_weights: bool, settings: dict[str, Any]):
    kind = next((name for name, task in KINDS.items() if issubclass(cls, task)), "encoder")
    loading = {key: settings.pop(key) for key in LOADING_ARGUMENTS if key in settings}
    positions = loading.pop("max_sequence_length", None)
    checkpoint = open_source(source, kind=kind, **({"vocabulary_file": None, "lowercase": None} | loading))
    if positions is not None:
        checkpoint = resize_positions(checkpoint, positions)
    of_encoder = {"dtype": settings.pop("dtype")} if "dtype" in settings else {}
    notes = [*checkpoint.notes, *notes_on_new_head(checkpoint, kind)]
    known = checkpoint.head_settings if checkpoint.task == kind else {}
    if known and not _has_new_labels(settings, known.get("labels")):
        settings.pop("num_classes", None)
    elif known:
        settings.setdefault("labels", None)
        notes.append(NEW_LABELS_NOTE)
        checkpoint.head_settings = {}
    if kind == "encoder":  # a task that `convert` does not know: its head is new
        model = cls(to_model(checkpoint, kind, load_weights=load_weights, **of_encoder), **settings)
        notes.append(NEW_HEAD_NOTE)
    else:
        try:
            model = to_model(checkpoint, kind, cls, settings, load_weights, **of_encoder)
        except InputError as error:
            advice = (
                " For a new head give `labels`." if not DESCRIPTIONS & settings.keys() and kind in CLASSIFIERS else ""
            )
            raise InputError(f"{error}{advice}") from error
    model.conversion_notes = notes
    return model


def _public_class(cls):
    """Returns the class of this package that a class is, or extends."""
    return next(base for base in cls.__mro__ if base.__module__.startswith("spanbert_keras."))


def _has_new_labels(settings: dict[str, Any], labels) -> bool:
    """Returns whether given settings describe other labels than those of a head."""
    if settings.get("labels") is not None:
        return list(settings["labels"]) != list(labels or ())
    return settings.get("num_classes") is not None and settings["num_classes"] != max(1, len(labels or ()))
