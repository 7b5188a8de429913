"""Reads the checkpoints of a pre-training run.

They hold weights; the rest of the model is in `run.json` and `vocab.txt` of the run's folder.
"""

from pathlib import Path
from typing import Any

from typing_extensions import TypedDict

from spanbert_keras.conversion.checkpoint import Checkpoint
from spanbert_keras.conversion.claims import Stored, check_claims
from spanbert_keras.conversion.foreign_keys import read_settings
from spanbert_keras.conversion.formats.own_models import from_arrays, make_tokenizer, read_keras_file
from spanbert_keras.conversion.formats.tokenizer_files import read_lines
from spanbert_keras.errors import InputError
from spanbert_keras.files import checkpoint_files
from spanbert_keras.files.json_files import checked

KERAS_FILES = ("pretrainer.keras", "encoder.keras")  # the models in the folder of a run
CHECKPOINTS = "checkpoints"
WEIGHTS = "model/"  # names of the model's arrays; the others are the optimizer's
DESCRIPTION = ("architecture", "lowercase", "head_settings", "tokenizer_settings")  # as `describe` returns it

LOSS_SETTINGS = ("sbo_weight", "loss_normalization")


class _Architecture(TypedDict):
    """The arguments of the encoder."""

    vocabulary_size: int
    num_layers: int
    num_heads: int
    hidden_dim: int
    intermediate_dim: int
    dropout: float
    attention_dropout: float | None
    max_sequence_length: int
    num_segments: int


class _Description(TypedDict):
    architecture: _Architecture
    lowercase: bool | None
    head_settings: dict[str, Any]
    tokenizer_settings: dict[str, Any]


class _Facts(TypedDict):
    vocabulary_fingerprint: str


class _Record(TypedDict):
    model: _Description
    facts: _Facts


def is_of_run(path: Path) -> bool:
    """Returns whether a path is the folder of a run or one of its checkpoints."""
    return (path / "run.json").is_file() or run_checkpoint(path) is not None


def run_checkpoint(path: Path) -> Path | None:
    """Returns the folder of a checkpoint; `None` for anything else.

    Args:
        path: that folder, a file in it, or the folder of a run, of which it is the newest.
    """
    path = path.absolute()
    folder = path.parent if path.is_file() else path
    if checkpoint_files.FOLDER_NAME.fullmatch(folder.name) and (folder / checkpoint_files.MANIFEST).is_file():
        return folder
    steps = checkpoint_files.steps_in(path / CHECKPOINTS) if (path / "run.json").is_file() else []
    return checkpoint_files.folder_of(path / CHECKPOINTS, steps[-1]) if steps else None


def checkpoint_of_step(run: Path, step: int) -> Path:
    """Returns the folder of the checkpoint of a step.

    Args:
        run: the folder of the run.
        step: int.

    Raises:
        InputError: the run has no such checkpoint.
    """
    steps = checkpoint_files.steps_in(run / CHECKPOINTS)
    if step not in steps:
        expected = _listed(steps) if steps else "the folder of a run that has checkpoints"
        raise InputError(f"{run} has no checkpoint of this step. Expected: {expected}. Received: --step={step}.")
    return checkpoint_files.folder_of(run / CHECKPOINTS, step)


def read_run_checkpoint(folder: Path) -> Checkpoint:
    """Reads the model of a training checkpoint; the optimizer's state is left out.

    Args:
        folder: the checkpoint's folder, `<run>/checkpoints/step_<number>`.

    Raises:
        InputError: the checkpoint is damaged, or its run does not describe the model.
    """
    from safetensors import SafetensorError

    step, run = int(folder.name.removeprefix("step_")), folder.parent.parent
    try:
        arrays, _ = checkpoint_files.read(folder, step, WEIGHTS)
    except (SafetensorError, OSError, ValueError) as error:
        others = [other for other in checkpoint_files.steps_in(folder.parent) if other != step]
        raise InputError(
            f"The checkpoint {folder} cannot be used: {error}. Put a copy of it back, or choose another step: "
            f"{_listed(others) or 'there is no other'}."
        ) from error
    arrays = {name.removeprefix(WEIGHTS): value for name, value in arrays.items()}
    description, vocabulary = _model_of(run, folder)
    check_claims(description, Stored.in_tensors(arrays), str(run / "run.json"))
    checkpoint = from_arrays(arrays, description, vocabulary)
    checkpoint.notes.insert(0, f"The model is that of step {step:,}; the optimizer's state is left out.")
    return checkpoint


def _model_of(run: Path, folder: Path) -> tuple[dict[str, Any], list[str] | None]:
    """Returns the description and the vocabulary of the model that a run trains.

    Raises:
        InputError: the run's folder does not describe its model, or has a vocabulary of another run.
    """
    record = read_settings(run / "run.json")
    if record is None:
        raise InputError(
            f"{folder} is a checkpoint without its run. Expected: run.json in {run}, which describes the model. "
            "Received: no such file. Keep a checkpoint in the folder of its run."
        )
    if "model" not in record:
        return _model_of_earlier_version(run, record)
    vocabulary = read_lines(run / "vocab.txt") if (run / "vocab.txt").is_file() else None
    try:
        description = {**checked(record, _Record)["model"]}
        description = {name: description[name] for name in DESCRIPTION}
        expected = record["facts"]["vocabulary_fingerprint"]
    except ValueError as error:
        raise InputError(f"{run / 'run.json'} is damaged: {error}.") from error
    if (
        vocabulary is not None
        and make_tokenizer(Checkpoint({}, vocabulary=vocabulary, **description)).fingerprint() != expected
    ):
        raise InputError(
            f"{run / 'vocab.txt'} is not the vocabulary of this run. Expected: the fingerprint {expected[:16]}..., as "
            "in its run.json. Received: another one. Restore the file, or remove it and give --vocab_file."
        )
    return description, vocabulary


def _model_of_earlier_version(run: Path, record: dict[str, Any]) -> tuple[dict[str, Any], list[str] | None]:
    """Returns the same for a run whose record does not describe the model: as in the run's own `.keras` file."""
    file = next((run / name for name in KERAS_FILES if (run / name).is_file()), None)
    flags = record.get("flags")
    if file is None or not isinstance(flags, dict):
        raise InputError(
            f"{run / 'run.json'} does not describe a pre-training model. Expected: the run of `pretrain`, by this "
            "version or with an encoder.keras beside run.json. Give the same `pretrain` command again: it adds the "
            "description. Of a fine-tuning run, use the model that it saves at its end."
        )
    saved = read_keras_file(file)
    description = {name: getattr(saved, name) for name in DESCRIPTION}
    of_loss = {name: flags[name] for name in LOSS_SETTINGS if name in flags}
    return description | {"head_settings": of_loss | saved.head_settings}, saved.vocabulary


def _listed(steps: list[int]) -> str:
    """Returns steps in words: the newest ones if there are many."""
    shown = ", ".join(map(str, steps[-8:]))
    return f"one of {len(steps)}, the last of which are {shown}" if len(steps) > 8 else shown
