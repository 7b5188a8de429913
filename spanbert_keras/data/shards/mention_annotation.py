"""A finished annotation of a prepared corpus, opened as memory maps."""

import dataclasses
import hashlib
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from spanbert_keras.data.shards import annotation_format
from spanbert_keras.data.shards.shard_array import ShardArray
from spanbert_keras.errors import InputError
from spanbert_keras.preprocessing.masking.schemes import SCHEMES


@dataclasses.dataclass(frozen=True, eq=False)
class MentionAnnotation:
    """The mentions of a corpus, as `annotate` wrote them.

    Attributes:
        name: str. `"entities"` or `"noun_phrases"`.
        labels: tuple of str. Label number i + 1 is entry i.
        annotator: str. The annotator with its version.
        fingerprint: str. 64 hexadecimal digits that name the content.
        missing: int. Documents that the annotator's input lacked: they have no mentions.
        files: dict from the path of a shard, without endings, to the path of its bytes.
    """

    name: str
    labels: tuple[str, ...]
    annotator: str
    fingerprint: str
    missing: int
    files: dict[pathlib.Path, pathlib.Path]

    def open(self, stems: Sequence[pathlib.Path], lengths: Sequence[int]) -> list[ShardArray]:
        """Returns the bytes of these shards, uint8 `(N,)`; see `annotation_format`.

        Raises:
            InputError: a file holds another array, or one of another length than its shard.
        """
        return [ShardArray(self.files[stem], np.uint8, length) for stem, length in zip(stems, lengths, strict=True)]


def open_annotation(
    directory: pathlib.Path, parts: Sequence[tuple[pathlib.Path, dict[str, Any]]], name: str
) -> MentionAnnotation:
    """Opens an annotation of a corpus, and checks that it belongs to it and that every file has its size.

    Args:
        directory: path of the corpus, for messages.
        parts: the folders of the corpus with their manifests.
        name: str.

    Raises:
        InputError: the corpus or one of its parts has no such annotation, or one that was made for another corpus or
            tokenizer; a file is missing or cut short; parts were annotated in different ways.
    """
    lines: list[str] = []
    missing = 0
    files: dict[pathlib.Path, pathlib.Path] = {}
    first = None
    for folder, manifest in parts:
        entry = annotation_format.read_entries(folder).get(name)
        if entry is None:
            raise InputError(_missing(directory, folder, manifest, name))
        annotation_format.check_entry(folder, manifest, name, entry)
        first = first or entry
        if entry.identity() != first.identity():
            raise InputError(
                f"The parts of {directory} have different annotations {name!r}. Expected: {first.annotator} "
                f"{first.settings} everywhere. Received: {entry.annotator} {entry.settings} in {folder}. "
                f"To fix it, {annotation_format.AGAIN}."
            )
        missing += entry.missing
        for stem, shard in sorted(entry.shards.items()):
            files[folder / stem] = annotation_format.annotation_path(folder / stem, name)
            lines.append(f"{len(lines)} {stem} {shard['sha256']}")
    if first is None:
        raise ValueError("`parts` must hold at least one folder. Received: none.")
    content = "\n".join([name, *first.labels, "", *lines]).encode("utf-8", "surrogatepass")
    fingerprint = hashlib.sha256(content).hexdigest()
    return MentionAnnotation(name, tuple(first.labels), first.annotator, fingerprint, missing, files)


def _missing(directory: pathlib.Path, folder: pathlib.Path, manifest: dict[str, Any], name: str) -> str:
    """Returns the message of a corpus without the annotation: the command that makes it."""
    users = " and ".join(f"--scheme={scheme}" for scheme, law in SCHEMES.items() if law.annotation == name)
    sources = ",".join(source["path"] for source in manifest.get("sources", ())) or "..."
    where = f"The corpus {directory}" if folder == directory else f"The part {folder} of the corpus"
    return (
        f"{where} has no finished annotation {name!r}{f', which {users} needs' if users else ''}. Run `python -m "
        f"spanbert_keras.annotate --corpus={directory} --annotations={name} --annotator=spacy:en_core_web_sm "
        f"--input={sources}`; a run that was stopped continues."
    )
