"""A small file with the checksums of the others in a model's folder. Other programs ignore it."""

import fnmatch
import os
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from typing_extensions import TypedDict

from spanbert_keras.errors import InputError
from spanbert_keras.files.checkpoint_files import sha256_of
from spanbert_keras.files.json_files import checked, read_json, write_json

NAME = "checksums.json"
PRESET_FILES = (
    *("config.json", "metadata.json", "tokenizer.json", "task.json", "preprocessor.json", "model*.weights.h5"),
    *("model.weights.json", "task*.weights.h5", "task.weights.json", "assets/**/*"),
)
TOKENIZER_FILES = ("tokenizer.json", "preprocessor.json", "assets/**/*")  # of a preset


class _Entry(TypedDict):
    bytes: int
    sha256: str


class _Content(TypedDict):
    format: int
    files: dict[str, _Entry]


def write_checksums(folder: str | os.PathLike, patterns: Iterable[str]) -> None:
    """Writes `checksums.json` into a folder, or adds to it.

    Args:
        folder: path of the folder.
        patterns: patterns of the files that were just written, as in `Path.glob`. Checksums of others stay.
    """
    folder = Path(folder)
    try:
        others = read_json(folder / NAME, _Content)["files"]
    except (OSError, ValueError):
        others = {}
    paths = sorted({path for pattern in patterns for path in folder.glob(pattern) if path.is_file()})
    files = {
        path.relative_to(folder).as_posix(): {"bytes": path.stat().st_size, "sha256": sha256_of(path)}
        for path in paths
        if path.name != NAME
    }
    write_json(folder / NAME, {"format": 1, "files": others | files}, checksum=True)


def verify_checksums(folder: str | os.PathLike, patterns: Iterable[str] = ("*",)) -> None:
    """Raises if a file differs from the one that was written; a folder without `checksums.json` passes.

    Files that it does not list, and listed ones that are missing, are not compared.

    Args:
        folder: path of the folder.
        patterns: patterns of the files to compare, as in `fnmatch`.

    Raises:
        InputError: a file, or `checksums.json` itself, is damaged or was changed.
    """
    folder = Path(folder)
    try:
        content = read_json(folder / NAME)
        if not (isinstance(content, dict) and content.keys() >= _Content.__required_keys__):
            return  # another program's file of this name
        checked(content, _Content)
    except FileNotFoundError:
        return
    except (OSError, ValueError) as error:
        raise InputError(
            f"{folder / NAME} is damaged: {str(error)[:200]}. Restore the folder, or remove this file to read the "
            "others without checking them."
        ) from error
    for name, expected in content["files"].items():
        path = folder / name
        if not any(fnmatch.fnmatch(name, pattern) for pattern in patterns):
            continue
        if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts or not os.path.isfile(path):
            continue
        if path.stat().st_size != expected["bytes"] or sha256_of(path) != expected["sha256"]:
            raise InputError(
                f"{str(path)[:300]} is not the file that was written: its checksum differs from that in {NAME}. It is "
                f"damaged, or was changed since. Restore it, or remove {NAME} if the change is intended."
            )
