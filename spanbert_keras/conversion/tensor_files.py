"""Tensors from the files of a folder."""

import os
from pathlib import Path
from typing import Any

import numpy as np

from spanbert_keras.conversion.pickles import CUT_SHORT, read_pickle
from spanbert_keras.conversion.tensor_names import WORDS_AFTER_PREFIX, WRAPPING, canonical, without_compilation
from spanbert_keras.conversion.tokenizer_files import read_settings
from spanbert_keras.errors import InputError

SAFETENSORS, PICKLE = "model.safetensors", "pytorch_model.bin"
POINTER = b"version https://git-lfs"
STATES = ("state_dict", "model_state_dict", "model", "module")  # where training checkpoints keep the model's weights


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


def read_tensors(paths: list[Path], notes: list[str] | None = None) -> dict[str, np.ndarray]:
    """Returns the tensors of safetensors files and pickles together, under canonical names.

    Args:
        paths: the files of one checkpoint.
        notes: list of str or `None`. Takes a sentence on each wrapping that was removed.

    Raises:
        InputError: a file is damaged, cut short, a pointer to one that was not fetched, or has other things in it; or
            there are several models in it.
    """
    notes = [] if notes is None else notes
    tensors: dict[str, np.ndarray] = {}
    for path in paths:
        _check_pointer(path)
        safe = path.suffix == ".safetensors"
        found = read_safetensors(path) if safe else state_of(read_pickle(path), str(path), notes)
        for name, value in found.items():
            if not isinstance(value, np.ndarray):
                raise InputError(f"{path} holds something else than tensors: {name} is a {type(value).__name__}.")
            tensors[str(name)] = value
    where = str(paths[0] if len(paths) == 1 else paths[0].parent)
    return {canonical(name): value for name, value in unwrapped(tensors, where, notes).items()}


def state_of(found: dict[str, Any], where: str = "The file", notes: list[str] | None = None) -> dict[str, Any]:
    """Returns the state dict of a pickle: that of the model where it is an entry of a training checkpoint.

    Args:
        found: dict. Fairseq has the state at `model`, Lightning at `state_dict`, others at `model_state_dict` or
            `module`, beside the states of optimizers.
        where: str. For the sentence.
        notes: list of str or `None`. Takes a sentence on what was chosen and what was left out; none of a fairseq
            checkpoint, the research code's own form.

    Raises:
        InputError: several entries are such states.
    """
    states = [key for key in STATES if isinstance(found.get(key), dict)]
    if not states:
        return found
    if len(states) > 1:
        raise InputError(
            f"{where} holds several models: {', '.join(states)}. Expected: one of {', '.join(STATES)}. Save the one "
            "that you mean on its own."
        )
    others = [str(key) for key in found if key != states[0]]
    if notes is not None and not (states[0] == "model" and "args" in found):
        left_out = f" Left out: {', '.join(others)}." if others else ""
        notes.append(f"The weights are those of its entry `{states[0]}`.{left_out}")
    return state_of(found[states[0]], where, notes)


def unwrapped(tensors: dict[str, Any], where: str, notes: list[str]) -> dict[str, Any]:
    """Returns tensors without what wrappers put before their names: `module.`, `model.` and `_orig_mod.`.

    DataParallel, Lightning and torch.compile do so. A prefix is removed where the word embeddings have it; names
    without it stay as they are.

    Args:
        tensors: dict of arrays.
        where: str. For the sentences.
        notes: list of str. Takes a sentence on what was removed.

    Raises:
        InputError: there are several word embeddings under different prefixes, or two names become one.
    """
    names = {name: without_compilation(name) for name in tensors}
    words = {new: old for old, new in names.items() if WORDS_AFTER_PREFIX.fullmatch(new)}
    prefixes = sorted({WORDS_AFTER_PREFIX.sub(r"\1", new) for new in words})
    if len(prefixes) > 1 and "" not in prefixes:
        raise InputError(
            f"{where} holds several BERT encoders, under {', '.join(map(repr, prefixes))}. Expected: one. Save the "
            "state dict of the one that you mean."
        )
    removed = []
    if len(prefixes) == 1 and WRAPPING.fullmatch(prefixes[0]):
        names = {old: new.removeprefix(prefixes[0]) for old, new in names.items()}
        removed.append(prefixes[0])
    if any(without_compilation(name) != name for name in tensors):
        removed.append("_orig_mod.")
    if len(set(names.values())) < len(names):
        raise InputError(f"{where} holds tensors with and without {' and '.join(removed)} before the same name.")
    if removed:
        notes.append(f"Removed from the names of its tensors: {' and '.join(map(repr, removed))}.")
    return {names[old]: value for old, value in tensors.items()}


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
