"""Makes models of this package from checkpoints, and checkpoints from models."""

import os
from pathlib import Path
from typing import Any

import keras
import numpy as np

from spanbert_keras.conversion import choices, hugging_face_names
from spanbert_keras.conversion.checkpoint import Checkpoint
from spanbert_keras.conversion.claims import check_keras_file
from spanbert_keras.conversion.foreign_keys import read_settings
from spanbert_keras.conversion.formats.tokenizer_files import looks_lowercased
from spanbert_keras.conversion.formats.torch_pickles import first_line
from spanbert_keras.conversion.tasks import TASKS, in_words
from spanbert_keras.errors import InputError
from spanbert_keras.models.encoder import SpanBertEncoder, SpanBertTokenizer
from spanbert_keras.models.pretrainer import SpanBertPretrainer

OWN_KIND = "a model of this package"
DESCRIPTIONS = {"labels", "num_classes", "problem_type"}  # arguments that say what a new head predicts
TASK_MODELS: tuple[Any, ...] = tuple(task.model for task in TASKS.values())
SIZES = (
    "vocabulary_size",
    "num_layers",
    "num_heads",
    "hidden_dim",
    "intermediate_dim",
    "dropout",
    "attention_dropout",
    "max_sequence_length",
    "num_segments",
)


def make_tokenizer(checkpoint: Checkpoint) -> SpanBertTokenizer:
    """Returns the tokenizer of a checkpoint.

    Raises:
        InputError: The vocabulary lacks a special piece, or a setting is invalid.
    """
    lowercase = checkpoint.lowercase
    vocabulary = checkpoint.vocabulary or []
    lowercase = looks_lowercased(vocabulary) if lowercase is None else lowercase
    try:
        return SpanBertTokenizer(vocabulary, lowercase=lowercase, **checkpoint.tokenizer_settings)
    except InputError:
        raise
    except (TypeError, ValueError) as error:
        raise InputError(f"{checkpoint.source} has a tokenizer that cannot be used: {first_line(error)}") from error


def to_model(
    checkpoint: Checkpoint,
    kind: str = "auto",
    cls: Any = None,
    given: dict[str, Any] | None = None,
    load_weights: bool = True,
    **overrides: Any,
):
    """Makes a model with a checkpoint's weights.

    Weights and heads that the checkpoint lacks keep their random initial values.

    Args:
        checkpoint: Checkpoint. It has passed `Checkpoint.check`.
        kind: str. `"encoder"`, `"pretrainer"` or one of `TASKS`. `"auto"` makes the task's model if the checkpoint was
            fine-tuned for a task, else the pretrainer if it has a pre-training head, else the encoder.
        cls: Class of the model, a subclass of the kind's; `None`: the kind's own.
        given: Arguments of the model besides its encoder that replace the checkpoint's.
        load_weights: bool. Whether the model gets the checkpoint's weights; else they are random.
        **overrides: Arguments of `SpanBertEncoder` other than sizes, e.g. `dropout`, `dtype`.

    Returns:
        `SpanBertEncoder`, `SpanBertPretrainer` or the task's model, with its tokenizer.

    Raises:
        InputError: The kind is unknown, an override is a size, or the checkpoint cannot become this kind of model.
    """
    fixed = sorted(overrides.keys() & (set(SIZES) - {"dropout", "attention_dropout"}))
    if fixed or kind not in choices.MODELS:
        wrong = f"{fixed[0]}={overrides[fixed[0]]!r}, which the source determines" if fixed else f"kind={kind!r}"
        raise InputError(
            f"Invalid arguments for a model. Expected: one of {', '.join(choices.MODELS)}; no sizes. Received: {wrong}."
        )
    kind = checkpoint.model_kind if kind == "auto" else kind
    settings = _settings_of(checkpoint, kind, given or {})
    sizes = checkpoint.architecture | overrides
    tokenizer = make_tokenizer(checkpoint) if checkpoint.vocabulary else None
    try:
        encoder = SpanBertEncoder(**sizes, tokenizer=tokenizer)
    except (TypeError, ValueError) as error:
        if overrides:  # of the caller
            raise
        raise InputError(f"{checkpoint.source} cannot become an encoder: {first_line(error)}") from error
    model: keras.Model = encoder
    if kind in TASKS:
        model = _task_model(kind, cls or TASKS[kind].model, encoder, settings, checkpoint.source)
    elif kind == "pretrainer":
        table = checkpoint.tensors.get(hugging_face_names.SBO_POSITIONS)
        if table is not None:
            settings = {"max_span_positions": table.shape[0], "position_dim": table.shape[1]} | settings
        if "next_sentence" in checkpoint.heads:
            settings = {"next_sentence": True} | settings
        model = _made(kind, cls or SpanBertPretrainer, encoder, settings, checkpoint.source)
    if load_weights:
        assign(model, checkpoint)
    return model


def _settings_of(checkpoint: Checkpoint, kind: str, given: dict[str, Any]) -> dict[str, Any]:
    """Returns the arguments of a kind of model besides its encoder: as given, the checkpoint's own, or adopted ones.

    Raises:
        InputError: The checkpoint cannot become this kind of model.
    """
    own = dict(checkpoint.head_settings)
    if isinstance(own.get("preprocessor"), dict):
        own["preprocessor"] = _preprocessor(own["preprocessor"], checkpoint.source)
    if kind == (checkpoint.task or "pretrainer"):
        return own | given
    if kind not in TASKS:
        return dict(given)
    own.pop("preprocessor", None)
    settings = TASKS[kind].adopt(checkpoint.task, own)
    if settings is None and DESCRIPTIONS & given.keys():
        settings = {}
    if settings is None:
        problem = checkpoint.head_settings.get("problem_type")
        received = in_words(checkpoint.model_kind) + (f" ({problem})" if problem else "")
        raise InputError(
            f"{checkpoint.source} cannot become {in_words(kind)}. Expected: {TASKS[kind].expected}. "
            f'Received: {received}. Fine-tune its encoder (kind="encoder", convert --model=encoder).'
        )
    return settings | given


def _preprocessor(config: dict[str, Any], source: str):
    try:
        return keras.saving.deserialize_keras_object(config)
    except MemoryError:
        raise
    except Exception as error:  # Keras raises nearly anything for a config that was changed
        raise InputError(f"{source} has settings of a preprocessor that cannot be used: {first_line(error)}") from error


def notes_on_new_head(checkpoint: Checkpoint, kind: str) -> list[str]:
    """Returns a note for the user if the head of a task's model, as `to_model` makes it, is random."""
    if kind == "pretrainer" and not checkpoint.heads:
        return ["The source has no weights for the heads of a pretrainer, so they are random: pre-train the model."]
    if kind not in TASKS or hugging_face_names.any_in(TASKS[kind].head(checkpoint.head_settings), checkpoint.tensors):
        return []
    return [f"The source has no weights for the head of {in_words(kind)}, so they are random: fine-tune the model."]


def pooler_weights(checkpoint: Checkpoint) -> list[np.ndarray] | None:
    """Returns kernel and bias of a checkpoint's pooler, in Keras' layout; `None` without one."""
    found = [checkpoint.tensors.get(weight.name) for weight in hugging_face_names.pooler_table().values()]
    kernel, bias = (value if value is None else value.astype(np.float32) for value in found)
    return None if kernel is None or bias is None else [np.ascontiguousarray(kernel.T), bias]


def _task_model(kind: str, cls: Any, encoder: SpanBertEncoder, settings: dict[str, Any], source: str):
    """Returns a task's model on top of an encoder.

    Raises:
        InputError: There is no vocabulary, or the model rejects the settings.
    """
    length = TASKS[kind].length
    if encoder.tokenizer is None:
        raise InputError(
            f"{source} cannot become {in_words(kind)}: it has no vocabulary. Give its vocab.txt (--vocab_file)."
        )
    if settings.get(length) is not None:  # the position table may have been shortened
        settings = settings | {length: min(settings[length], encoder.max_sequence_length)}
    return _made(kind, cls, encoder, settings, source)


def _made(kind: str, cls: Any, encoder: SpanBertEncoder, settings: dict[str, Any], source: str):
    """Returns a model on top of an encoder. Raises `InputError` if it rejects the settings."""
    try:
        return cls(encoder, **settings)
    except (TypeError, ValueError, ArithmeticError, AttributeError, LookupError) as error:
        raise InputError(f"{source} cannot become {in_words(kind)}: {first_line(error)}") from error


def assign(model, checkpoint: Checkpoint) -> list[str]:
    """Sets the weights of a model that the checkpoint holds, and returns the paths of the remaining ones.

    Args:
        model: A model as `to_model` makes it, with the checkpoint's sizes.
        checkpoint: Checkpoint. It has passed `Checkpoint.check`.

    Raises:
        InputError: The settings of the checkpoint's head belong to tensors of another shape.
    """
    table, fresh = hugging_face_names.pooler_table() | checkpoint.table(), []  # a new classifier takes the pooler
    for weight in model.weights:
        theirs = table.get(weight.path)
        value = checkpoint.tensors.get(theirs.name) if theirs else None
        if theirs and value is not None:
            value = np.asarray(value.T if theirs.transposed else value, np.float32)
            if value.shape != tuple(weight.shape):
                raise InputError(
                    f"{checkpoint.source} cannot be used: the settings of its head give {weight.path} the shape "
                    f"{tuple(weight.shape)}. Received: a tensor of shape {value.shape}. Restore the settings that it "
                    "was written with."
                )
            weight.assign(value)
        elif "seed_generator" not in weight.path:
            fresh.append(weight.path)
    return fresh


def from_model(model: Any) -> Checkpoint:
    """Returns a model as a checkpoint.

    Args:
        model: `SpanBertEncoder`, `SpanBertPretrainer` or a task model.

    Raises:
        InputError: The model is of another class, or it has weights that these classes do not have, as quantized
            and LoRA models do.
    """
    kinds: tuple[Any, ...] = (SpanBertEncoder, SpanBertPretrainer, *TASK_MODELS)
    if not isinstance(model, kinds):
        raise _other_class(type(model).__name__)
    encoder = model if isinstance(model, SpanBertEncoder) else model.encoder
    arrays = {weight.path: np.array(keras.ops.convert_to_numpy(weight.value)) for weight in model.weights}
    tokenizer = encoder.tokenizer
    known = tokenizer is not None and tokenizer.has_vocabulary
    return from_arrays(arrays, describe(model), tokenizer.get_vocabulary() if known else None)


def _other_class(received: str) -> InputError:
    names = ", ".join(kind.__name__ for kind in (SpanBertEncoder, SpanBertPretrainer, *TASK_MODELS))
    return InputError(
        "Only an encoder, a pretrainer or a task model can be converted. "
        f"Expected: one of {names}. Received: {received}."
    )


def describe(model: Any) -> dict[str, Any]:
    """Returns the settings of a model as JSON values: with its weights and its vocabulary, all that it consists of.

    Args:
        model: `SpanBertEncoder`, `SpanBertPretrainer` or a task model.

    Returns:
        dict: `architecture`, `lowercase`, `head_settings` and `tokenizer_settings` of a `Checkpoint`.
    """
    encoder = model if isinstance(model, SpanBertEncoder) else model.encoder
    config, tokenizer = encoder.get_config(), encoder.tokenizer
    known = tokenizer is not None and tokenizer.has_vocabulary
    return {
        "architecture": {name: config[name] for name in SIZES},
        "lowercase": tokenizer.lowercase if known else None,
        "head_settings": _head_settings(model),
        "tokenizer_settings": tokenizer.text_settings if known else {},
    }


def from_arrays(arrays: dict[str, np.ndarray], description: dict[str, Any], vocabulary: list[str] | None) -> Checkpoint:
    """Returns the weights of a model as a checkpoint.

    Args:
        arrays: dict of arrays by the paths of the weights.
        description: dict. What `describe` returned of the model.
        vocabulary: list of str, or `None` without one.

    Raises:
        InputError: There are other weights than those of an encoder, a pretrainer or a task model.
    """
    table = hugging_face_names.encoder_table(description["architecture"]["num_layers"])
    for make in hugging_face_names.HEADS.values():
        table |= make()
    for task in TASKS.values():
        table |= task.head({"pooler": True})
    tensors = {}
    for path, value in arrays.items():
        if "seed_generator" in path:
            continue
        if path not in table:
            raise InputError(
                f"The model cannot be converted. Expected: weights of an encoder, a pretrainer or a task model. "
                f"Received: {path}. Quantized and LoRA models cannot be converted: convert the original model."
            )
        theirs = table[path]
        tensors[theirs.name] = value.T if theirs.transposed else value
    notes = _drop_fresh_heads(tensors)
    return Checkpoint(tensors, vocabulary=vocabulary, kind=OWN_KIND, notes=notes, **description)


def _head_settings(model: Any) -> dict[str, Any]:
    """Returns the settings of a model's head that follow neither from its encoder nor from the tensors' shapes."""
    kinds: tuple[Any, ...] = (SpanBertPretrainer, *TASK_MODELS)
    if not isinstance(model, kinds):
        return {}
    config = model.get_config()
    of_keras = ("name", "trainable", "dtype", "encoder", "layer_state")
    of_tensors = ("max_span_positions", "position_dim") if isinstance(model, SpanBertPretrainer) else ()
    return {name: value for name, value in config.items() if name not in (*of_keras, *of_tensors)}


def _drop_fresh_heads(tensors: dict[str, np.ndarray]) -> list[str]:
    """Drops pre-training heads that were never trained, e.g. those of a converted encoder; returns a note for each.

    Such a head still has its initial values: all biases are 0, and the scales of its normalisation layers are 1.
    """
    notes = []
    for head, make in hugging_face_names.HEADS.items():
        names = [weight.name for weight in make().values()]
        if any(name not in tensors for name in names):  # e.g. the pooler of a classifier alone
            continue
        vectors = [name for name in names if tensors[name].ndim == 1]
        if all((tensors[name] == name.endswith("weight")).all() for name in vectors):
            for name in names:
                del tensors[name]
            notes.append(f"The head {head} was never trained, and is left out.")
    return notes


def read_keras_file(path: str | os.PathLike) -> Checkpoint:
    """Reads a `.keras` file of this package.

    Raises:
        InputError: The file is damaged, or holds a model of another class.
    """
    config = check_keras_file(path)
    if str(config.get("module") or "").partition(".")[0] == "keras":
        raise _other_class(str(config.get("class_name"))[:200])
    try:
        model = keras.saving.load_model(path, compile=False)
    except MemoryError:
        raise
    except Exception as error:  # Keras raises nearly anything for a config that was changed
        raise InputError(f"{path} cannot be loaded as a model of this package: {first_line(error)}") from error
    return from_model(model)


def read_preset(folder: str | os.PathLike) -> Checkpoint:
    """Reads a preset directory of this package: a task's model if it holds one, else its encoder."""
    task = read_settings(Path(folder) / "task.json") or {}
    cls = keras.saving.get_registered_object(task.get("registered_name"))
    if cls in (SpanBertPretrainer, *TASK_MODELS):
        return from_model(cls.from_preset(str(Path(folder))))
    return from_model(SpanBertEncoder.from_preset(str(Path(folder))))
