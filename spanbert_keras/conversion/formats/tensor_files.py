"""Reads tensors from the files of a folder."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from typing_extensions import TypedDict

from spanbert_keras.conversion.foreign_keys import read_settings
from spanbert_keras.conversion.formats.torch_arrays import MAX_NAME, UnusableTensor
from spanbert_keras.conversion.formats.torch_pickles import CUT_SHORT, first_line, read_pickle
from spanbert_keras.conversion.hugging_face_names import (
    INNER_WRAPPING,
    WORDS_AFTER_PREFIX,
    canonical,
    is_wrapping,
    without_inner_wrapping,
)
from spanbert_keras.errors import InputError
from spanbert_keras.files.json_files import checked

SAFETENSORS, PICKLE = "model.safetensors", "pytorch_model.bin"
LFS_POINTER = b"version https://git-lfs"
STATES = (
    "state_dict",
    "model_state_dict",
    "model",
    "module",
)  # entries of training checkpoints that hold the model's weights


class _Index(TypedDict):
    weight_map: dict[str, str]


def find_tensor_files(folder: Path) -> list[Path]:
    """Returns the files of a Hugging Face folder that hold its tensors, safetensors before pickles; may be empty.

    Raises:
        InputError: a file of a sharded checkpoint is missing, or its index is damaged.
    """
    for name in (SAFETENSORS, PICKLE):
        if (folder / name).is_file():
            return [folder / name]
        index = read_settings(folder / f"{name}.index.json")
        if index is not None:
            parts = _parts(index, folder / f"{name}.index.json")
            missing = [part for part in parts if not os.path.isfile(folder / os.path.basename(part))]
            if missing or not parts:
                raise InputError(f"{folder} lacks files that {name}.index.json lists: {', '.join(missing) or 'all'}.")
            return [folder / os.path.basename(part) for part in parts]
    return []


def _parts(index: dict[str, Any], path: Path) -> list[str]:
    """Returns the names of the files in the index of a sharded checkpoint."""
    try:
        return sorted(set(checked(index, _Index)["weight_map"].values()))
    except ValueError as error:
        raise InputError(f"{path} is damaged: {error}. Expected: the file of each tensor, by name.") from error


def read_tensors(paths: list[Path], notes: list[str] | None = None) -> dict[str, np.ndarray]:
    """Returns the tensors of all given safetensors files and pickles, under canonical names.

    Args:
        paths: list of paths. All files of one checkpoint.
        notes: list of str or `None`. A note is appended for each removed prefix.

    Raises:
        InputError: a file is damaged, truncated or a git-lfs pointer, or holds several models or values other than
            tensors.
    """
    notes = [] if notes is None else notes
    tensors: dict[str, np.ndarray] = {}
    for path in paths:
        _check_pointer(path)
        safe = path.suffix == ".safetensors"
        found = read_safetensors(path) if safe else state_of(read_pickle(path), str(path), notes)
        for name, value in found.items():
            if not isinstance(value, np.ndarray):
                kind = value.kind if isinstance(value, UnusableTensor) else type(value).__name__
                raise InputError(f"{path} must hold only ordinary tensors. Received: {str(name)[:200]} is a {kind}.")
            if len(name) > MAX_NAME:
                raise InputError(f"{path} is rejected: the name {name[:40]!r}... has {len(name):,} characters.")
            tensors[str(name)] = value
    where = str(paths[0] if len(paths) == 1 else paths[0].parent)
    return {canonical(name): value for name, value in unwrapped(tensors, where, notes).items()}


def state_of(found: dict[str, Any], where: str = "The file", notes: list[str] | None = None) -> dict[str, Any]:
    """Returns the state dict in a pickle; in a training checkpoint, the model's.

    Args:
        found: dict. Content of the pickle. Training checkpoints have the model's state at `model` (fairseq),
            `state_dict` (Lightning), `model_state_dict` or `module`, next to optimizer states; otherwise it is the one
            entry that holds a BERT.
        where: str. The file, for messages.
        notes: list of str or `None`. A note is appended on the chosen entry and those left out, except for fairseq
            checkpoints, the format of the research code.

    Raises:
        InputError: several entries are states of models, or no entry has tensors.
    """
    with_bert = [] if _word_embedding_names(found) else [key for key, value in found.items() if _holds_bert(value)]
    named = [key for key in STATES if isinstance(found.get(key), dict)]
    states = [key for key in named if key in with_bert] or with_bert or named
    if not states:
        kinds = {type(value) for value in found.values()}
        if dict in kinds and np.ndarray not in kinds and not _word_embedding_names(found):
            entries = ", ".join(f"{key} ({type(value).__name__})" for key, value in found.items())
            raise InputError(
                f"{where} holds no tensors, and no entry with the tensors of a BERT. Expected: a state dict, or an "
                f"entry with one, such as `state_dict`. Received: {entries[:200]}. Save only the model's "
                "`state_dict()`."
            )
        return found
    if len(states) > 1:
        raise InputError(
            f"{where} holds several models: {', '.join(states)}. Expected: one model. Save the "
            "one you want to a separate file."
        )
    others = [str(key) for key in found if key != states[0]]
    if notes is not None and not (states[0] == "model" and "args" in found):
        left_out = f" Left out: {', '.join(others)}." if others else ""
        notes.append(f"The weights come from its entry `{states[0]}`.{left_out}")
    return state_of(found[states[0]], where, notes)


def _word_embedding_names(names: Iterable) -> dict[str, str]:
    """Returns the names of word embeddings under any prefix, each with its form without inner wrappings."""
    plain = {str(name): without_inner_wrapping(str(name)) for name in names}
    return {name: new for name, new in plain.items() if WORDS_AFTER_PREFIX.fullmatch(new)}


def _holds_bert(value: Any) -> bool:
    """Returns whether an entry of a checkpoint is, or contains, a state dict of a BERT."""
    return isinstance(value, dict) and (bool(_word_embedding_names(value)) or any(map(_holds_bert, value.values())))


def unwrapped(tensors: dict[str, Any], where: str, notes: list[str]) -> dict[str, Any]:
    """Returns tensors without the prefixes that wrappers add to their names, e.g. `module.`, `model.` and `_orig_mod.`.

    DataParallel, Lightning, torch.compile, FSDP and models that hold a BERT in an attribute add them. The
    prefix of the word embeddings is removed from all names that have it; other names stay unchanged.

    Args:
        tensors: dict of arrays.
        where: str. The file, for messages.
        notes: list of str. A note on the removed prefixes is appended.

    Raises:
        InputError: word embeddings have several different prefixes, or two names become the same.
    """
    names = {name: without_inner_wrapping(name) for name in tensors}
    prefixes = sorted({WORDS_AFTER_PREFIX.sub(r"\1", new) for new in _word_embedding_names(tensors).values()})
    if len(prefixes) > 1 and "" not in prefixes:
        raise InputError(
            f"{where} holds several BERT encoders, under {', '.join(map(repr, prefixes))}. Expected: one. Save the "
            "state dict of the one you want."
        )
    removed = []
    if len(prefixes) == 1 and is_wrapping(prefixes[0]):
        names = {old: new.removeprefix(prefixes[0]) for old, new in names.items()}
        removed.append(prefixes[0])
    removed += sorted({part for name in tensors for part in INNER_WRAPPING.findall(name)})
    if len(set(names.values())) < len(names):
        raise InputError(f"{where} holds tensors with and without {' and '.join(removed)} in front of the same name.")
    if removed:
        notes.append(f"Prefixes removed from the names of its tensors: {' and '.join(map(repr, removed))}.")
    return {names[old]: value for old, value in tensors.items()}


def read_safetensors(path: Path) -> dict[str, np.ndarray]:
    """Returns the tensors of one file.

    Raises:
        InputError: it is damaged or truncated.
    """
    import ml_dtypes  # noqa: F401  registers bfloat16 with NumPy
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            return {name: file.get_tensor(name) for name in file.keys()}
    except (SafetensorError, OSError, KeyError, TypeError, ValueError, AttributeError) as error:  # the last: dtypes
        raise InputError(f"{path} cannot be read as a whole file: {first_line(error)}. {CUT_SHORT}") from error


def _check_pointer(path: Path) -> None:
    """Raises if a file is the pointer that git-lfs leaves in place of a file that was not fetched."""
    try:
        with open(path, "rb") as file:
            head = file.read(len(LFS_POINTER))
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}. Expected: a file with tensors.") from error
    if head == LFS_POINTER:
        raise InputError(f"{path} is a git-lfs pointer, not the file itself. Fetch it with `git lfs pull`.")
