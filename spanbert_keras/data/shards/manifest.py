"""Reading the manifest of a prepared corpus, whatever the file holds."""

import pathlib
from typing import Any, NotRequired

from typing_extensions import TypedDict

from spanbert_keras.data.shards import shard_format
from spanbert_keras.errors import InputError
from spanbert_keras.files.file_entries import FileEntry
from spanbert_keras.files.json_files import checked, read_json

MAX_BYTES = 1 << 32  # a corpus may have millions of files
MAX_VOCABULARY = 1 << 31  # ids are uint32 at most


class ShardEntry(TypedDict):
    """What a manifest records of a shard."""

    split: str
    index: int
    pieces: int
    documents: int
    lines: int
    smallest_hash: NotRequired[int]


class SourceEntry(TypedDict):
    """What a manifest records of a file of the input."""

    path: str
    kind: str
    bytes: int
    reason: NotRequired[str]


class Counts(TypedDict):
    """Counts of a file of the input, or of all; there may be more."""

    documents: int
    kept_documents: int
    empty_documents: int
    duplicate_documents: int
    undecodable_bytes: int
    pieces: int
    kept_pieces: int
    unknown_pieces: int


class Manifest(TypedDict):
    """What a manifest records of a prepared folder."""

    format_version: int
    vocabulary_size: int
    vocabulary_fingerprint: str
    lowercase: bool
    tokenizer_settings: NotRequired[dict[str, Any]]
    settings: dict[str, Any]
    shard: list[int]
    sources: list[SourceEntry]
    modified: NotRequired[list[int]]
    totals: Counts
    reports: list[Counts]
    shards: list[ShardEntry]
    files: dict[str, FileEntry]


def read_manifest(folder: pathlib.Path, again: str = "Prepare the corpus again.") -> dict[str, Any]:
    """Returns the manifest of a folder.

    Args:
        folder: path of the folder.
        again: str. What the user does, for messages.

    Raises:
        InputError: the file cannot be read, differs from its checksum, has another format version, or contradicts
            itself.
    """
    path = folder / shard_format.MANIFEST
    try:
        found = read_json(path, dict[str, Any], MAX_BYTES)
        version = found.get("format_version")
        if version == shard_format.FORMAT_VERSION:
            fault = _fault(checked(found, Manifest))
            if fault:
                raise ValueError(fault)
            return found
    except (OSError, ValueError) as error:
        raise InputError(f"The manifest {path} cannot be read ({error}). {again}") from error
    raise InputError(
        f"The manifest {path} is not of this version. Expected: format version {shard_format.FORMAT_VERSION}. "
        f"Received: {version!r:.60}. {again}"
    )


def _fault(manifest: Manifest) -> str:
    """Returns what is wrong with the values of a manifest; `""` if nothing is."""
    if not 0 < manifest["vocabulary_size"] <= MAX_VOCABULARY:
        return f"vocabulary_size is {manifest['vocabulary_size']!r:.60}"
    if not manifest["sources"] or len(manifest["sources"]) != len(manifest["reports"]):
        return f"it has {len(manifest['sources'])} sources and {len(manifest['reports'])} reports"
    needed = {shard_format.VOCABULARY, shard_format.UNIGRAM_COUNTS}
    for shard in manifest["shards"]:
        if shard["split"] not in (*shard_format.SPLITS, shard_format.CANDIDATE):
            return f"a shard has the split {shard['split']!r:.60}"
        if any(not 0 <= shard[name] < 2**62 for name in ("index", "pieces", "documents", "lines")):  # type: ignore[literal-required]
            return f"a shard has the sizes {str(shard)[:200]}"
        if shard["split"] == shard_format.CANDIDATE and "smallest_hash" not in shard:
            return "a shard of a candidate has no hash"
        needed |= {shard_format.shard_file(shard["split"], shard["index"], name) for name in shard_format.SHARD_ARRAYS}
    if needed != manifest["files"].keys():
        return f"its files and its shards differ in {sorted(needed ^ manifest['files'].keys())[0][:100]!r}"
    return ""
