"""One checkpoint on disk: a folder with the variables, and a manifest with their checksum."""

import datetime
import hashlib
import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from typing_extensions import TypedDict

from spanbert_keras.files.json_files import read_json, write_json
from spanbert_keras.files.writing import clean_leftovers, temporary_path

FILE_NAME = "state.safetensors"
MANIFEST = "manifest.json"
FOLDER_NAME = re.compile(r"step_(\d{8,})")


class _Entry(TypedDict):
    bytes: int
    sha256: str


_Files = TypedDict("_Files", {"state.safetensors": _Entry})


class _Manifest(TypedDict):
    step: int
    state: dict[str, Any]
    score: float | None
    files: _Files


def folder_of(folder: Path, step: int) -> Path:
    """Returns the folder of one checkpoint among all checkpoints of a run."""
    return folder / f"step_{step:08d}"


def steps_in(folder: Path) -> list[int]:
    """Returns the steps that have a checkpoint, in ascending order; one still being written is not among them."""
    if not folder.is_dir():
        return []
    matches = (FOLDER_NAME.fullmatch(entry.name) for entry in folder.iterdir() if entry.is_dir())
    return sorted(int(match.group(1)) for match in matches if match)


def write(folder: Path, arrays: dict[str, np.ndarray], step: int, state: dict[str, Any], score: float | None) -> None:
    """Writes the folder of a checkpoint with its two files.

    Args:
        folder: the checkpoint's folder, which must not exist yet.
        arrays: dict of contiguous arrays by name.
        step: int. Updates made.
        state: dict of JSON values. The rest of the state.
        score: float or `None`. Score of the evaluation at this step; lower is better.

    Raises:
        OSError, safetensors.SafetensorError: the disk is full, or cannot be written for another reason.
    """
    from safetensors.numpy import save_file

    folder.mkdir(parents=True)
    path = folder / FILE_NAME
    save_file(arrays, path, metadata={"state": _state_text(step, state)})
    # The checksum is computed from the file, which is still in the page cache: the bytes from `safetensors.numpy.save`
    # would be a second copy of gigabytes in memory.
    files = {FILE_NAME: {"bytes": path.stat().st_size, "sha256": sha256_of(path)}}
    saved = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    manifest = {"step": step, "state": state, "score": score, "saved": saved, "files": files}
    write_json(folder / MANIFEST, manifest, checksum=True)


def read(folder: Path, step: int, prefix: str = "") -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Returns the arrays and the state of a checkpoint, after checking that they are exactly what was written.

    Args:
        folder: the checkpoint's folder.
        step: int. The step in the folder's name.
        prefix: str. Only arrays whose names begin with it are loaded.

    Raises:
        ValueError, OSError, safetensors.SafetensorError: it is damaged or cannot be read.
    """
    from safetensors import safe_open

    manifest = read_manifest(folder)
    path, expected = folder / FILE_NAME, manifest["files"][FILE_NAME]
    if manifest["step"] != step:
        raise ValueError(f"{MANIFEST} belongs to step {manifest['step']}")
    if not path.is_file():
        raise ValueError(f"{FILE_NAME} is missing")
    size = path.stat().st_size
    if size != expected["bytes"]:
        raise ValueError(f"{FILE_NAME} has {size} bytes, not the {expected['bytes']} that were written")
    if sha256_of(path) != expected["sha256"]:
        raise ValueError(f"the checksum of {FILE_NAME} differs from that of the file that was written")
    with safe_open(path, framework="numpy") as file:
        # The checksummed file holds the state, too: a changed digit in the manifest is noticed.
        if (file.metadata() or {}).get("state") != _state_text(step, manifest["state"]):
            raise ValueError(f"the state in {MANIFEST} differs from that in {FILE_NAME}")
        names = [name for name in file.keys() if name.startswith(prefix)]
        return {name: file.get_tensor(name) for name in names}, manifest["state"]


def read_manifest(folder: Path) -> dict[str, Any]:
    """Returns the manifest of a checkpoint: its step, state, score (finite or `None`) and files.

    Raises:
        ValueError: it is missing or damaged.
        OSError: it cannot be read.
    """
    try:
        manifest = read_json(folder / MANIFEST, _Manifest)
    except FileNotFoundError as error:
        raise ValueError(f"{MANIFEST} is missing") from error
    except ValueError as error:
        raise ValueError(f"{MANIFEST} is damaged ({type(error).__name__}: {error})") from error
    score = manifest["score"]
    found = {name: manifest[name] for name in _Manifest.__annotations__}
    return found | {"score": score if score is not None and np.isfinite(score) else None}


def sha256_of(path: Path) -> str:
    """Returns the SHA-256 of a file's bytes, hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def remove(folder: Path) -> None:
    """Removes a checkpoint; if killed while removing, it leaves no partial one under the checkpoint's name."""
    aside = temporary_path(folder)
    folder.rename(aside)
    shutil.rmtree(aside, ignore_errors=True)


def clean(folder: Path) -> list[str]:
    """Removes what killed processes left among the checkpoints, and restores those that were about to be replaced.

    Args:
        folder: directory of all checkpoints of a run; no other process may be writing there.

    Returns:
        list of str. Names of the restored checkpoints.
    """
    return clean_leftovers(folder, FOLDER_NAME.fullmatch)


def _state_text(step: int, state: dict[str, Any]) -> str:
    return json.dumps({"step": step, **state})
