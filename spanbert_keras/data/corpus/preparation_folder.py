"""The folder that a preparation writes: what may be there, what is kept, and what is removed."""

import json
import pathlib
import re
from typing import Any

from absl import logging

from spanbert_keras.data.corpus.preparation_progress import (
    EARLIER_PROGRESS,
    PROGRESS,
    Progress,
    load_progress,
    save_progress,
)
from spanbert_keras.data.corpus.preparation_settings import PreparationSettings
from spanbert_keras.data.shards import shard_format
from spanbert_keras.data.shards.manifest import read_manifest
from spanbert_keras.errors import InputError
from spanbert_keras.files import folder_lock
from spanbert_keras.files.file_entries import is_undamaged
from spanbert_keras.files.writing import clean_leftovers, final_name, is_temporary


def output_folder(settings: PreparationSettings) -> pathlib.Path:
    """Returns where this run writes: the output folder, or its part of it."""
    root = pathlib.Path(settings.output_dir)
    if root.exists() and not root.is_dir():
        raise InputError(f"--output_dir={root} is a file. Expected: a folder, new or empty.")
    index, count = settings.part
    if count == 1:
        return root
    if any((root / name).exists() for name in (shard_format.MANIFEST, PROGRESS, EARLIER_PROGRESS)):
        raise InputError(f"--output_dir={root} holds another corpus, one without parts. Choose another folder.")
    return root / f"part-{index}-of-{count}"


def make_folder(folder: pathlib.Path) -> None:
    """Creates the folder if it is missing."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"--output_dir={folder} cannot be made: {error}. Choose another folder.") from error


def _difference(expected: dict[str, Any], received: dict[str, Any]) -> str:
    """Returns what differs between two identities, in words."""
    for key, value in expected["settings"].items():
        if received.get("settings", {}).get(key) != value:
            return f"{key} {str(received.get('settings', {}).get(key)):.100} there, {value} now"
    if [s["path"] for s in received["sources"]] != [s["path"] for s in expected["sources"]]:
        return f"the input {received['sources'][0]['path']}, ... there, {expected['sources'][0]['path']}, ... now"
    for there, now in zip(received["sources"], expected["sources"], strict=True):
        if there["kind"] != now["kind"]:
            return f"{now['path']} read as {there['kind']} there, as {now['kind']} now"
    return "input files that have changed since" if received["shard"] == expected["shard"] else "another --shard"


def read_finished(folder: pathlib.Path, identity: dict[str, Any]) -> dict[str, Any] | None:
    """Returns the manifest if this preparation is done; raises if the folder holds another corpus.

    Args:
        folder: path of the folder.
        identity: dict. Everything that the corpus depends on.
    """
    if not (folder / shard_format.MANIFEST).is_file():
        return None
    manifest = read_manifest(folder, "Put a copy of it back, choose another --output_dir, or delete the folder.")
    if any(manifest.get(key) != value for key, value in identity.items()):
        raise InputError(
            f"--output_dir={folder} holds another corpus ({_difference(identity, manifest)}). Expected: a new or empty "
            "folder. Choose another, or delete it."
        )
    return manifest


def enter_folder(folder: pathlib.Path, identity: dict[str, Any]) -> Progress:
    """Makes the folder ready, and removes only `prepare`'s own files.

    Args:
        folder: path of the folder, which is locked.
        identity: dict. Everything that the corpus depends on.

    Returns:
        The checkpoint to continue from.

    Raises:
        InputError: the folder holds another preparation, or files that `prepare` did not write.
    """
    saved, is_begun = _saved(folder, identity), any((folder / n).exists() for n in (PROGRESS, EARLIER_PROGRESS))
    kept = {folder_lock.FILE_NAME, PROGRESS, *(saved["files"] if saved else ())}
    if saved and saved["vocabulary"]:
        kept.add(shard_format.VOCABULARY)
    for path in sorted(folder.iterdir()):
        if path.name in kept:
            continue
        if not _is_ours(path.name) or not (is_begun or is_temporary(path.name)):
            raise InputError(
                f"--output_dir={folder} is not empty: it holds {path.name}. Expected: a new or empty folder, or one in "
                "which `prepare` was stopped."
            )
        path.unlink()
    if saved is None:
        saved = {"identity": json.loads(json.dumps(identity)), "vocabulary": None, "files": {}}
        save_progress(folder, saved)
    return saved


def _saved(folder: pathlib.Path, identity: dict[str, Any]) -> Progress | None:
    """Returns the checkpoint of this preparation, `None` if there is none that can be continued.

    Raises:
        InputError: the folder holds another preparation, with finished shards.
    """
    try:
        saved = load_progress(folder)
        if saved is None:
            return None
        is_earlier = not (folder / PROGRESS).is_file()
        if saved["identity"] != identity:
            if not is_earlier and not saved["files"]:
                return None
            raise InputError(
                f"--output_dir={folder} holds another preparation that was stopped "
                f"({_difference(identity, saved['identity'])}). Run that one to its end, choose another folder, or "
                "delete it."
            )
        if is_earlier:
            raise ValueError("it is of an earlier version")
        hashes = [name for name in saved["files"] if name.endswith(".hashes.npy")]
        damaged = [name for name in hashes if not is_undamaged(folder / name, saved["files"][name])]
        if damaged:
            raise ValueError(f"{damaged[0]} is damaged")
        return saved
    except InputError:
        raise
    except (OSError, ValueError) as error:
        logging.warning(
            "The checkpoint in %s cannot be used (%s): the corpus is prepared from its beginning.", folder, error
        )
        return None


def remove_leftovers(folder: pathlib.Path) -> None:
    """Removes what killed preparations left half written in a finished corpus."""
    clean_leftovers(folder, _is_ours)


def _is_ours(name: str) -> bool:
    """Returns whether a stopped preparation may have left a file of this name."""
    name = final_name(name)
    known = (PROGRESS, EARLIER_PROGRESS, shard_format.VOCABULARY, shard_format.UNIGRAM_COUNTS, shard_format.MANIFEST)
    arrays = "|".join(shard_format.SHARD_ARRAYS)
    return name in known or re.fullmatch(rf"(train|heldout|candidate)-\d+\.({arrays})\.npy", name) is not None
