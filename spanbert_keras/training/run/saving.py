"""Saving the models of a run: whole files, or none."""

import functools
import os
from collections.abc import Callable
from pathlib import Path

from spanbert_keras.files import keras_files
from spanbert_keras.files.writing import input_error_if_unwritable, write_atomically


def save_model(model, path: str | os.PathLike) -> None:
    """Writes a `.keras` file, whole or not at all (Keras itself leaves a partial file when writing fails).

    Raises:
        InputError: the disk is full, or cannot be written for another reason.
    """
    _write(path, functools.partial(keras_files.save_model, model))


def save_preset(encoder, folder: str | os.PathLike) -> None:
    """Writes a keras-hub preset directory, whole or not at all.

    Raises:
        InputError: the disk is full, or cannot be written for another reason.
    """

    _write(folder, functools.partial(keras_files.save_preset, encoder))


def _write(path: str | os.PathLike, write: Callable[[Path], None]) -> None:
    with input_error_if_unwritable(path, then="; the same command continues"):
        write_atomically(path, write)
