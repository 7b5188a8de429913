"""Repairs a prepared corpus: damaged files are made again from the input, and no others."""

import pathlib
from collections.abc import Callable, Collection
from typing import Any

from absl import logging

from spanbert_keras.data.corpus.preparation_folder import remove_leftovers
from spanbert_keras.data.shards import shard_format
from spanbert_keras.errors import InputError
from spanbert_keras.files.file_entries import is_undamaged
from spanbert_keras.files.known_files import KnownFiles


def damaged_files(folder: pathlib.Path, manifest: dict[str, Any], known: KnownFiles | None = None) -> list[str]:
    """Returns the names of files that are missing or differ from the manifest; reads all that are not known."""
    compare = is_undamaged if known is None else known.is_undamaged
    return [name for name, entry in manifest["files"].items() if not compare(folder / name, entry)]


def repair_corpus(
    folder: pathlib.Path,
    manifest: dict[str, Any],
    damaged: Collection[str],
    make_vocabulary: Callable[[], Any],
    make_arrays: Callable[[Collection[str]], Any],
) -> None:
    """Makes the damaged files of a finished corpus again.

    Args:
        folder: path of the corpus, which is locked.
        manifest: dict. The corpus' manifest.
        damaged: names of the files, as `damaged_files` returns them.
        make_vocabulary: function without arguments that writes the vocabulary.
        make_arrays: function that writes the files of the given names, with the vocabulary in the folder.

    Raises:
        InputError: they are not what they were.
    """
    logging.warning("%d files of %s are damaged, e.g. %s; they are made again.", len(damaged), folder, [*damaged][0])
    remove_leftovers(folder)
    if shard_format.VOCABULARY in damaged:
        make_vocabulary()
    arrays = [name for name in damaged if name != shard_format.VOCABULARY]
    if arrays:
        make_arrays(arrays)
    still = [name for name in damaged if not is_undamaged(folder / name, manifest["files"][name])]
    if still:
        raise InputError(
            f"The corpus file {folder / still[0]} is damaged, and what was made again is different, e.g. because the "
            "version of a package is. Copy the file again, or delete the folder and prepare the corpus again."
        )
