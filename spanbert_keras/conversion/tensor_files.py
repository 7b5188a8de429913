"""Tensors from the files of a folder."""

import os
from pathlib import Path
from typing import Any

import numpy as np

from spanbert_keras.conversion.pickles import CUT_SHORT, read_pickle
from spanbert_keras.conversion.tensor_names import canonical
from spanbert_keras.conversion.tokenizer_files import read_settings
from spanbert_keras.errors import InputError

SAFETENSORS, PICKLE = "model.safetensors", "pytorch_model.bin"
POINTER = b"version https://git-lfs"


def find_tensor_files(folder: Path) -> list[Path]:
    """Returns the files of a Hugging Face folder that hold its tensors, safetensors before pickles; maybe none.

    Raises:
        InputError: a part of a checkpoint in several files is missing.
    """
    for name in (SAFETENSORS, PICKLE):
        if (folder / name).is_file():
            return [folder / name]
        index = read_settings(folder / f"{name}.index.json")
        if index is not None:
            parts = sorted({str(part) for part in index.get("weight_map", {}).values()})
            missing = [part for part in parts if not (folder / os.path.basename(part)).is_file()]
            if missing or not parts:
                raise InputError(f"{folder} lacks parts that {name}.index.json names: {', '.join(missing) or 'all'}.")
            return [folder / os.path.basename(part) for part in parts]
    return []


def read_tensors(paths: list[Path]) -> dict[str, np.ndarray]:
    """Returns the tensors of safetensors files and pickles together, under canonical names.

    Raises:
        InputError: a file is damaged, cut short, a pointer to one that was not fetched, or has other things in it.
    """
    tensors: dict[str, np.ndarray] = {}
    for path in paths:
        _check_pointer(path)
        found = read_safetensors(path) if path.suffix == ".safetensors" else state_of(read_pickle(path))
        for name, value in found.items():
            if not isinstance(value, np.ndarray):
                raise InputError(f"{path} holds something else than tensors: {name} is a {type(value).__name__}.")
            tensors[canonical(name)] = value
    return tensors


def state_of(found: dict[str, Any]) -> dict[str, Any]:
    """Returns the state dict of a pickle: of a fairseq training checkpoint its entry `model`."""
    return found["model"] if isinstance(found.get("model"), dict) else found


def read_safetensors(path: Path) -> dict[str, np.ndarray]:
    """Returns the tensors of one file.

    Raises:
        InputError: it is damaged or cut short.
    """
    import ml_dtypes  # noqa: F401  NumPy then knows bfloat16
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            return {name: file.get_tensor(name) for name in file.keys()}
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path} cannot be read as a whole file: {error}. {CUT_SHORT}") from error


def _check_pointer(path: Path) -> None:
    """Refuses the text that git leaves where a large file was not fetched."""
    with open(path, "rb") as file:
        if file.read(len(POINTER)) == POINTER:
            raise InputError(f"{path} is a pointer of git-lfs, not the file itself. Fetch it with `git lfs pull`.")
