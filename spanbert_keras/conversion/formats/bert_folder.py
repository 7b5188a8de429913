"""Reads the files beside a checkpoint's tensors: BERT's configuration and its tokenizer."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from spanbert_keras.conversion.checkpoint import Checkpoint, architecture_of
from spanbert_keras.conversion.foreign_keys import CONFIG, check_keys, read_settings
from spanbert_keras.conversion.formats.tokenizer_files import read_tokenizer_files

CONFIGS = ("config.json", "bert_config.json")


def read_config(folder: str | os.PathLike) -> dict[str, Any] | None:
    """Returns BERT's configuration from a folder, or `None` if the folder has no configuration file."""
    return read_settings(_config_path(folder))


def _config_path(folder: str | os.PathLike) -> Path:
    """Returns the path of a folder's configuration file; the first possible one if there is none."""
    paths = [Path(folder) / name for name in CONFIGS]
    return next((path for path in paths if path.is_file()), paths[0])


def checkpoint_of(
    tensors: dict[str, np.ndarray],
    folder: str | os.PathLike,
    config: dict[str, Any],
    kind: str,
    source: str,
    notes: Sequence[str] = (),
) -> Checkpoint:
    """Returns a checkpoint of tensors, a configuration and a folder's tokenizer. It has no settings of a head.

    Args:
        tensors: dict of arrays by canonical names.
        folder: path of the folder with the tokenizer's files.
        config: dict. Contents of `config.json`; {} without one.
        kind: str. Description of the source, see `Checkpoint`.
        source: str. Where the tensors were read from, for error messages.
        notes: sequence of str. Notes for the user so far. Those on the configuration and the tokenizer follow them.

    Raises:
        InputError: the tensors are not of a BERT encoder, or a setting is not supported.
    """
    on_config = check_keys(config, CONFIG, str(_config_path(folder)))
    architecture = architecture_of(tensors, source, config)
    tokenizer = read_tokenizer_files(folder)
    return Checkpoint(
        tensors,
        architecture,
        tokenizer.vocabulary,
        tokenizer.lowercase,
        kind,
        notes=[*notes, *on_config, *tokenizer.notes],
        tokenizer_settings=tokenizer.settings,
        source=source,
    )
