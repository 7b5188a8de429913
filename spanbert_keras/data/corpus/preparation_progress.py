"""The checkpoint of a preparation: what was prepared so far, and from what."""

import io
import json
import pathlib
import zipfile
from typing import Any, NotRequired

import numpy as np
from typing_extensions import TypedDict

from spanbert_keras.data.shards.manifest import ShardEntry
from spanbert_keras.files.file_entries import FileEntry
from spanbert_keras.files.json_files import read_json, write_json

PROGRESS = "progress.json"
EARLIER_PROGRESS = "progress.npz"  # of versions that had no checksum in it
MAX_BYTES = 1 << 32  # the input may have millions of files


class WriterState(TypedDict):
    """The state of a `CorpusWriter` between two shards."""

    position: list[int]
    shards: list[ShardEntry]
    unit: int
    has_heldout: bool
    candidate_hash: int | None
    candidate_pieces: list[int]
    candidate_lines: list[int]
    counts: list[list[int]]
    unigram_counts: list[int]


class Progress(TypedDict):
    """What `progress.json` holds: before the first shard is finished, no `writer`."""

    identity: dict[str, Any]
    vocabulary: FileEntry | None
    files: dict[str, FileEntry]
    writer: NotRequired[WriterState]


def save_progress(folder: pathlib.Path, progress: Progress) -> None:
    """Writes a checkpoint, atomically; it carries its checksum."""
    write_json(folder / PROGRESS, progress, checksum=True, indent=None)


def load_progress(folder: pathlib.Path) -> Progress | None:
    """Returns the checkpoint in a folder, `None` without one.

    Of an earlier version's, only the identity is read: its shards are to be made again.

    Raises:
        ValueError: it is damaged.
        OSError: it cannot be read.
    """
    if (folder / PROGRESS).is_file():
        return read_json(folder / PROGRESS, Progress, MAX_BYTES)
    if not (folder / EARLIER_PROGRESS).is_file():
        return None
    try:
        with zipfile.ZipFile(folder / EARLIER_PROGRESS) as file:
            if file.getinfo("state.npy").compress_type != zipfile.ZIP_STORED:
                raise ValueError("it is compressed")
            content = file.read("state.npy")
        state = np.load(io.BytesIO(content), allow_pickle=False)
        identity = json.loads(state.tobytes())["identity"]
    except Exception as error:  # the modules for zip files and arrays raise nearly anything for damaged ones
        raise ValueError(f"{type(error).__name__}: {str(error)[:100]}") from error
    return {"identity": identity if isinstance(identity, dict) else {}, "vocabulary": None, "files": {}}
