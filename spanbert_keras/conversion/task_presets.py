"""Task models from presets: `from_preset` of every task model."""

import os
from pathlib import Path
from typing import Any

import keras

from spanbert_keras.conversion.checkpoint import Checkpoint
from spanbert_keras.conversion.claims import verify_preset
from spanbert_keras.conversion.foreign_keys import read_settings
from spanbert_keras.conversion.formats.own_models import DESCRIPTIONS, notes_on_new_head, pooler_weights, to_model
from spanbert_keras.conversion.resizing import resize_positions
from spanbert_keras.conversion.sources import open_source
from spanbert_keras.conversion.tasks import TASKS
from spanbert_keras.errors import InputError
from spanbert_keras.models.encoder import SpanBertEncoder
from spanbert_keras.models.pretrainer import SpanBertPretrainer
from spanbert_keras.models.task_model import TaskModel
from spanbert_keras.presets import ARCHITECTURES

LOADING_ARGUMENTS = ("vocabulary_file", "lowercase", "max_sequence_length", "allow_mismatch", "allow_nonfinite")
KINDS: dict[str, Any] = {name: task.model for name, task in TASKS.items()} | {"pretrainer": SpanBertPretrainer}
LABELLED = {name for name, task in TASKS.items() if task.expected}
NEW_HEAD_NOTE = "The source has no head for this task, so the head is new and its weights are random: train the model."
POOLER_NOTE = "Its pooler starts from the source's (bert.pooler.dense)."
NEW_NEXT_SENTENCE_NOTE = "The source has no next-sentence head, so its weights are random: train the model."
NEXT_SENTENCE_NOTE = "The source's next-sentence head (cls.seq_relationship) is left out."
NEW_LABELS_NOTE = "The source's head has other labels, so the head is new and its weights are random: train the model."


def task_from_preset(cls, preset: str | os.PathLike, load_weights: bool, arguments: dict[str, Any]):
    """Returns a task model of class `cls`; see `TaskModel.from_preset` for the arguments."""
    preset = os.fspath(preset)
    if preset in ARCHITECTURES:
        return _of_architecture(cls, preset, load_weights, dict(arguments))
    saved = _saved_class(preset)
    if saved is not None and (issubclass(saved, cls) or issubclass(cls, saved)):
        if not arguments.keys() & {*LOADING_ARGUMENTS, "next_sentence"}:
            verify_preset(Path(preset))
            return _of_own_preset(cls, saved, preset, load_weights, dict(arguments))
    return _of_checkpoint(cls, preset, load_weights, dict(arguments))


def _of_architecture(cls, name: str, load_weights: bool, settings: dict[str, Any]):
    of_encoder: dict[str, Any] = {key: settings.pop(key) for key in ("tokenizer", "dtype") if key in settings}
    if "tokenizer" in of_encoder:
        of_encoder["vocabulary_size"] = of_encoder["tokenizer"].vocabulary_size()
    model = cls(SpanBertEncoder.from_preset(name, load_weights=load_weights, **of_encoder), **settings)
    model.conversion_notes = []
    return model


def _saved_class(preset: str) -> Any:
    """Returns the class of the task model in a folder that `save_to_preset` wrote; `None` for anything else."""
    task = read_settings(Path(preset) / "task.json") if Path(preset).is_dir() else None
    cls = keras.saving.get_registered_object((task or {}).get("registered_name"))
    return cls if isinstance(cls, type) and issubclass(cls, TaskModel) else None


def _of_own_preset(cls, saved, preset: str, load_weights: bool, settings: dict[str, Any]):
    config = (read_settings(Path(preset) / "task.json") or {}).get("config", {})
    if _has_new_labels(settings, config.get("labels")):
        encoder = SpanBertEncoder.from_preset(preset, load_weights=load_weights, dtype=settings.pop("dtype", None))
        of_head = {"labels", "problem_type", "temperature"}
        dropped = {"backbone", "layer_state", "name", "trainable", "dtype", "preprocessor", *of_head}
        model = cls(encoder, **{key: value for key, value in config.items() if key not in dropped} | settings)
        model.conversion_notes = [NEW_LABELS_NOTE]
        return model
    settings.pop("num_classes", None)
    loaded = cls if issubclass(saved, cls) else saved
    model = super(TaskModel, loaded).from_preset(preset, load_weights=load_weights, **settings)
    if settings.get("dtype") is not None:
        model.dtype_policy = model.encoder.dtype_policy
    if model.tokenizer is not None and not model.tokenizer.has_vocabulary:
        model.tokenizer.load_preset_assets(preset)
    if not isinstance(model, cls):  # a class that extends the one that was saved
        made = cls.from_config(model.get_config() | {"encoder": model.encoder})
        made.set_weights(model.get_weights())
        model = made
    model.conversion_notes = []
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
            advice = " For a new head give `labels`." if not DESCRIPTIONS & settings.keys() and kind in LABELLED else ""
            raise InputError(f"{error}{advice}") from error
        notes += _notes_on_parts(model, checkpoint, load_weights)
    model.conversion_notes = notes
    return model


def _notes_on_parts(model, checkpoint: Checkpoint, load_weights: bool) -> list[str]:
    """Returns a note on a next-sentence head that is left out, or on the pooler that a new head starts from."""
    if isinstance(model, SpanBertPretrainer):
        known = "next_sentence" in checkpoint.heads
        is_new = checkpoint.heads and load_weights and model.next_sentence and not known
        return [NEXT_SENTENCE_NOTE] * (known and not model.next_sentence) + [NEW_NEXT_SENTENCE_NOTE] * bool(is_new)
    is_new = checkpoint.task is None and getattr(getattr(model, "head", None), "pooler", False)
    return [POOLER_NOTE] if is_new and load_weights and pooler_weights(checkpoint) is not None else []


def _has_new_labels(settings: dict[str, Any], labels) -> bool:
    """Returns whether given settings describe other labels than those of a head."""
    if settings.get("labels") is not None:
        return list(settings["labels"]) != list(labels or ())
    return settings.get("num_classes") is not None and settings["num_classes"] != max(1, len(labels or ()))
