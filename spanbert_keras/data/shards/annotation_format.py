"""Annotations of a prepared corpus: a byte for each piece, and `annotations.json`, which describes them.

Beside the shards of a folder (see `shard_format`):

    train-00000.entities.annotation.npy   uint8 (N,): 0 outside of mentions; else bit 0, bit 1 at the first piece of a
                                          mention, and in bits 2-7 the number of its label, 0 for none
    annotations.json                      written last: by name, an `AnnotationEntry`

A name without an entry is not finished, or was written by other means than `annotate`.
"""

import dataclasses
import pathlib
import re
from typing import Any, NotRequired

from typing_extensions import TypedDict

from spanbert_keras.data.shards import shard_format
from spanbert_keras.errors import InputError
from spanbert_keras.files.file_entries import FileEntry, is_undamaged
from spanbert_keras.files.json_files import checked, read_json, write_json
from spanbert_keras.files.known_files import KnownFiles

FORMAT_VERSION = 1
ANNOTATIONS = "annotations.json"
LABEL_SHIFT = 2
MAX_LABELS = 63
AGAIN = "annotate the corpus again (`python -m spanbert_keras.annotate --replace`)"
NAME = re.compile(r"[a-z][a-z0-9_]*")


class AnnotatedShard(FileEntry):
    """What `annotations.json` records of a shard."""

    spans: int
    pieces: int
    missing: NotRequired[int]


_Entry = TypedDict(
    "_Entry",
    {
        "format_version": int,
        "annotator": str,
        "settings": dict[str, Any],
        "from": str,
        "labels": list[str],
        "corpus": str,
        "vocabulary_fingerprint": str,
        "shards": dict[str, AnnotatedShard],
        "counts": dict[str, int],
    },
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class AnnotationEntry:
    """What `annotations.json` records of an annotation.

    Attributes:
        annotator: str. The annotator with its version.
        settings: dict. What else the mentions depend on.
        source: "text" or "pieces". What the annotator read; "from" in the file.
        labels: list of str. Label number i + 1 is entry i.
        corpus: str. Fingerprint of the folder's shards.
        vocabulary: str. Fingerprint of the tokenizer; "vocabulary_fingerprint" in the file.
        shards: dict from the name of a shard to its `bytes`, `sha256`, `spans` (mentions), `pieces` (in mentions) and
            `missing` (documents that the input lacked, without mentions).
        counts: dict from label to its number of mentions.
    """

    annotator: str
    settings: dict[str, Any]
    source: str
    labels: list[str]
    corpus: str
    vocabulary: str
    shards: dict[str, AnnotatedShard] = dataclasses.field(default_factory=dict)
    counts: dict[str, int] = dataclasses.field(default_factory=dict)

    @property
    def missing(self) -> int:
        """Number of documents that the input lacked."""
        return sum(shard.get("missing", 0) for shard in self.shards.values())

    def identity(self) -> dict[str, Any]:
        """Returns what parts of one corpus share, as plain JSON values."""
        return {
            "annotator": self.annotator,
            "settings": self.settings,
            "from": self.source,
            "labels": self.labels,
        }

    def to_json(self) -> dict[str, Any]:
        """Returns the entry as it is written."""
        return {
            "format_version": FORMAT_VERSION,
            **self.identity(),
            "corpus": self.corpus,
            "vocabulary_fingerprint": self.vocabulary,
            "shards": self.shards,
            "counts": self.counts,
        }

    @classmethod
    def from_json(cls, value: Any) -> "AnnotationEntry":
        """Returns the entry that `to_json` wrote; raises `ValueError` for anything else."""
        found = checked(value, _Entry)
        if found["format_version"] != FORMAT_VERSION:
            raise ValueError(f"format version {found['format_version']}, expected {FORMAT_VERSION}")
        return cls(
            annotator=found["annotator"],
            settings=found["settings"],
            source=found["from"],
            labels=found["labels"],
            corpus=found["corpus"],
            vocabulary=found["vocabulary_fingerprint"],
            shards=found["shards"],
            counts=found["counts"],
        )


def annotation_path(stem: pathlib.Path, name: str) -> pathlib.Path:
    """Returns the file of an annotation of a shard: `<shard>.<name>.annotation.npy`.

    Raises:
        ValueError: `name` has other characters than lowercase letters, digits and underscores.
    """
    if not NAME.fullmatch(name):
        raise ValueError(f"`name` must be lowercase letters, digits and underscores. Received: name={name!r}.")
    return stem.with_name(f"{stem.name}.{name}.annotation.npy")


def read_entries(folder: pathlib.Path) -> dict[str, AnnotationEntry]:
    """Returns the finished annotations of a folder of shards by name; none if there is no `annotations.json`.

    Raises:
        InputError: the file is damaged or of another version.
    """
    path = folder / ANNOTATIONS
    if not path.is_file():
        return {}
    try:
        found = read_json(path, dict[str, Any])
        return {name: AnnotationEntry.from_json(value) for name, value in found.items()}
    except (OSError, ValueError) as error:
        raise InputError(f"The file {path} cannot be read ({error}). Delete it and {AGAIN}.") from error


def write_entries(folder: pathlib.Path, entries: dict[str, AnnotationEntry]) -> None:
    """Writes the finished annotations of a folder, atomically."""
    found = {name: entries[name].to_json() for name in sorted(entries)}
    write_json(folder / ANNOTATIONS, found, checksum=True)


def check_entry(folder: pathlib.Path, manifest: dict[str, Any], name: str, entry: AnnotationEntry) -> None:
    """Raises `InputError` if an entry does not belong to the shards beside it, or a file is missing or cut short."""
    check_origin(folder, manifest, name, entry)
    for stem, shard in entry.shards.items():
        shard_format.check_size(annotation_path(folder / stem, name), shard, "annotation", AGAIN)


def check_origin(folder: pathlib.Path, manifest: dict[str, Any], name: str, entry: AnnotationEntry) -> None:
    """Raises `InputError` if an entry does not belong to the shards beside it."""
    if entry.vocabulary != manifest["vocabulary_fingerprint"]:
        raise InputError(
            f"The annotation {name!r} of {folder} was made for another tokenizer. Expected: the vocabulary of the "
            f"corpus, fingerprint {manifest['vocabulary_fingerprint'][:16]}... Received: {entry.vocabulary[:16]}... "
            f"To fix it, {AGAIN}."
        )
    expected = shard_format.fingerprint([manifest])
    stems = [shard_format.shard_stem(shard["split"], shard["index"]) for shard in manifest["shards"]]
    if entry.corpus != expected or set(stems) != set(entry.shards):
        raise InputError(
            f"The annotation {name!r} of {folder} was made for another corpus. Expected: fingerprint "
            f"{expected[:16]}... Received: {entry.corpus[:16]}... To fix it, {AGAIN}."
        )


def check_contents(folder: pathlib.Path, manifest: dict[str, Any], known: KnownFiles | None = None) -> None:
    """Raises `InputError` if any finished annotation of a folder does not fit it or a file is damaged."""
    for name, entry in read_entries(folder).items():
        check_entry(folder, manifest, name, entry)
        for stem, shard in entry.shards.items():
            shard_format.check_content(annotation_path(folder / stem, name), shard, "annotation", AGAIN, known)


def damaged_files(folder: pathlib.Path, name: str, entry: AnnotationEntry) -> list[pathlib.Path]:
    """Returns the files of an annotation that are missing or differ from its entry; reads all of them."""
    paths = {annotation_path(folder / stem, name): shard for stem, shard in entry.shards.items()}
    return [path for path, shard in paths.items() if not is_undamaged(path, shard)]
