"""Prepared corpora: token shards opened as memory maps."""

import dataclasses
import os
import pathlib
import re
from typing import TYPE_CHECKING, Any

import numpy as np

from spanbert_keras.data.shards import annotation_format, shard_format
from spanbert_keras.data.shards.manifest import read_manifest
from spanbert_keras.data.shards.mention_annotation import MentionAnnotation, open_annotation
from spanbert_keras.data.shards.shard_array import ShardArray
from spanbert_keras.errors import InputError
from spanbert_keras.files.known_files import KnownFiles

if TYPE_CHECKING:
    from spanbert_keras.preprocessing.tokenizer import SpanBertTokenizer

PART_NAME = re.compile(r"part-(\d+)-of-(\d+)")


@dataclasses.dataclass
class TokenSplit:
    """The documents of one split, shard by shard; every array is a `ShardArray`, a memory map where it is used.

    Attributes:
        pieces: list of uint16 or uint32 `(N,)`. Ids of whole documents without special pieces.
        document_starts: list of int64 `(D + 1,)`. First piece of each document, then N.
        line_starts: list of int64 `(L + 1,)`. First piece of each line, then N; holds every document start.
        paths: list of path. The shards' names without endings, after which annotations are named.
    """

    pieces: list[ShardArray]
    document_starts: list[ShardArray]
    line_starts: list[ShardArray]
    paths: list[pathlib.Path]

    @property
    def num_pieces(self) -> int:
        """Number of pieces of all shards."""
        return sum(map(len, self.pieces))

    @property
    def num_documents(self) -> int:
        """Number of documents of all shards."""
        return sum(len(starts) - 1 for starts in self.document_starts)


class TokenShards:
    """A prepared corpus.

    Opening reads manifests and checks that every file is there with the size, dtype and length that the manifest says;
    pieces stay on the disk. `verify` reads everything once and compares checksums.

    Args:
        directory: path of a folder that `prepare` wrote. Also a folder of all the parts `part-0-of-4`, ...
            that `prepare --shard=i/n` wrote: they are one corpus, with the documents of a run without `--shard`.

    Attributes:
        manifest: dict. Format version, counts, settings, report; of all parts together, each part's own in "parts".
        unigram_counts: int64 `(V,)`. How often each piece occurs in the training split.
        fingerprint: str. 64 hexadecimal digits that name the content of the corpus.
        parts: list of (path, dict). Its folders with their manifests; one folder if it has no parts.

    Raises:
        InputError: no prepared corpus there, an unfinished one, a missing part, a file that is missing or cut short,
            parts that were prepared with different settings.

    Example:

    ```python
    from spanbert_keras.data.corpus.preparation_settings import PreparationSettings
    from spanbert_keras.data.corpus.prepare_corpus import prepare_corpus
    from spanbert_keras.data.shards.token_shards import TokenShards

    with open("text.txt", "w") as file:
        file.write("A first document.\\n\\nAnother document.\\n\\nThe last document.\\n")
    prepare_corpus(PreparationSettings(input=("text.txt",), train_vocabulary=60, output_dir="shards"))
    shards = TokenShards("shards")
    first = shards.split("train").pieces[0][:10]
    shards.tokenizer().detokenize(first)
    ```
    """

    def __init__(self, directory: str | os.PathLike):
        self.directory = pathlib.Path(directory)
        folders = _part_folders(self.directory)
        manifests = [read_manifest(folder) for folder in folders]
        _check_parts_agree(folders, manifests)
        self.parts = list(zip(folders, manifests, strict=True))
        for folder, manifest in self.parts:
            for name, entry in manifest["files"].items():
                shard_format.check_size(folder / name, entry)
        self._heldout_candidate = _chosen_candidate(manifests)
        self._splits = {split: self._open_split(split) for split in shard_format.SPLITS}
        for split, opened in self._splits.items():
            if not opened.num_pieces:
                raise InputError(
                    f"The corpus {self.directory} has no document in its {split} split. Expected: at least two "
                    "different documents, one of them held out. Give `prepare` more text, or a lower --heldout_share."
                )
        self.unigram_counts = self._count_unigrams()
        self.manifest = manifests[0] if len(manifests) == 1 else _merged(manifests)
        self.fingerprint = shard_format.fingerprint(manifests)

    def split(self, name: str) -> TokenSplit:
        """Returns the `TokenSplit` named "train" or "heldout"."""
        if name not in self._splits:
            raise ValueError(f"`name` must be one of {shard_format.SPLITS}. Received: name={name!r}.")
        return self._splits[name]

    def tokenizer(self) -> "SpanBertTokenizer":
        """Returns the tokenizer with which the corpus was prepared, from its own copy of the vocabulary."""
        from spanbert_keras.preprocessing.tokenizer import SpanBertTokenizer

        folder, manifest = self.parts[0]
        settings = manifest.get("tokenizer_settings", {})
        try:
            return SpanBertTokenizer(folder / shard_format.VOCABULARY, lowercase=manifest["lowercase"], **settings)
        except TypeError as error:
            raise InputError(
                f"The manifest {folder / shard_format.MANIFEST} has tokenizer settings that do not exist: {error}. "
                "Prepare the corpus again."
            ) from error

    def check_vocabulary(self, tokenizer: "SpanBertTokenizer") -> None:
        """Raises unless the corpus was prepared with this tokenizer."""
        expected, received = self.manifest["vocabulary_fingerprint"], tokenizer.fingerprint()
        if expected != received:
            raise InputError(
                f"The corpus {self.directory} was prepared with another vocabulary than the model's. Expected: "
                f"{tokenizer.vocabulary_size():,} pieces, fingerprint {received[:16]}... Received: "
                f"{self.manifest['vocabulary_size']:,} pieces, fingerprint {expected[:16]}... "
                "Prepare the corpus again with the model's vocab.txt and --lowercase setting."
            )

    def verify(self, annotations: bool = True, known: KnownFiles | None = None) -> None:
        """Reads every file once and compares its SHA-256 with the recorded one.

        Args:
            annotations: bool. Whether to verify the annotations, too.
            known: `KnownFiles` or `None`. With it, files that this machine has read are not read again.

        Raises:
            InputError: a file is damaged; the message names it.
        """
        for folder, manifest in self.parts:
            for name, entry in manifest["files"].items():
                shard_format.check_content(folder / name, entry, known=known)
        if annotations:
            self.verify_annotations(known)

    def verify_annotations(self, known: KnownFiles | None = None) -> None:
        """Does for the annotations alone what `verify` does."""
        for folder, manifest in self.parts:
            annotation_format.check_contents(folder, manifest, known)

    def annotations(self, name: str) -> MentionAnnotation:
        """Returns an annotation that `annotate` has finished; the size of every file is checked.

        Args:
            name: str. `"entities"` or `"noun_phrases"`.

        Raises:
            InputError: the corpus has no such annotation (the message has the command that makes it), it was made for
                another corpus or tokenizer, or a file is missing or cut short.
        """
        return open_annotation(self.directory, self.parts, name)

    def _open_split(self, split: str) -> TokenSplit:
        """Opens the shards of a split; a held-out candidate goes where `_chosen_candidate` says."""
        opened = TokenSplit([], [], [], [])
        for part, (folder, manifest) in enumerate(self.parts):
            dtype = shard_format.piece_dtype(manifest["vocabulary_size"])
            for shard in manifest["shards"]:
                actual = shard["split"]
                if actual == shard_format.CANDIDATE:
                    actual = "heldout" if part == self._heldout_candidate else "train"
                if actual == split:
                    stem = folder / shard_format.shard_stem(shard["split"], shard["index"])
                    pieces, documents, lines = (
                        ShardArray(stem.with_name(f"{stem.name}.{array}.npy"), kind, length)
                        for array, kind, length in (
                            ("pieces", dtype, shard["pieces"]),
                            ("documents", np.int64, shard["documents"] + 1),
                            ("lines", np.int64, shard["lines"] + 1),
                        )
                    )
                    opened.pieces.append(pieces)
                    opened.document_starts.append(documents)
                    opened.line_starts.append(lines)
                    opened.paths.append(stem)
        return opened

    def _count_unigrams(self) -> np.ndarray:
        """Returns the training split's counts; a candidate counts where it was not chosen to be held out."""
        size = self.parts[0][1]["vocabulary_size"]
        counts = np.zeros(size, np.int64)
        for part, (folder, manifest) in enumerate(self.parts):
            counts += shard_format.open_array(folder / shard_format.UNIGRAM_COUNTS, np.int64, size)
            for shard in manifest["shards"] if part != self._heldout_candidate else ():
                if shard["split"] == shard_format.CANDIDATE:
                    name = shard_format.shard_file(shard["split"], shard["index"], "pieces")
                    dtype = shard_format.piece_dtype(size)
                    counts += np.bincount(shard_format.open_array(folder / name, dtype), minlength=size)
        return counts


def _splits_of(manifest: dict[str, Any]) -> set[str]:
    return {shard["split"] for shard in manifest["shards"]}


def _part_folders(directory: pathlib.Path) -> list[pathlib.Path]:
    """Returns the folders with a manifest: the corpus itself, or all the parts of it."""
    if not directory.is_dir():
        raise InputError(f"The corpus {directory} does not exist. Expected: a folder that `prepare` wrote.")
    if (directory / shard_format.MANIFEST).is_file():
        return [directory]
    found = {}
    for path in directory.iterdir():
        match = PART_NAME.fullmatch(path.name)
        if match and path.is_dir():
            found[int(match[1]), int(match[2])] = path
    if not found:
        raise InputError(
            f"The folder {directory} holds no finished corpus. Expected: {shard_format.MANIFEST}, which `prepare` "
            "writes last. Received: none; run `prepare` (again: a run that was stopped continues)."
        )
    totals = sorted({total for _, total in found})
    if len(totals) > 1:
        kinds = " and of ".join(map(str, totals))
        raise InputError(f"The folder {directory} holds parts of several corpora: of {kinds}.")
    total = totals[0]
    missing = [i for i in range(total) if (i, total) not in found or not _has_manifest(found[i, total])]
    if missing:
        raise InputError(
            f"The corpus {directory} is not complete. Expected: {total} finished parts. Received: "
            f"{total - len(missing)}; run `prepare` with --shard={missing[0]}/{total} (again)."
        )
    return [found[i, total] for i in range(total)]


def _has_manifest(folder: pathlib.Path) -> bool:
    return (folder / shard_format.MANIFEST).is_file()


def _check_parts_agree(folders: list[pathlib.Path], manifests: list[dict[str, Any]]) -> None:
    """Raises if parts were prepared from different input or with different settings."""
    for folder, manifest in zip(folders, manifests, strict=True):
        for key in ("vocabulary_fingerprint", "settings", "sources"):
            if manifest[key] != manifests[0][key]:
                raise InputError(
                    f"The parts {folders[0]} and {folder} do not belong to one corpus. Expected: the same {key}. "
                    f"Received: {str(manifests[0][key]):.200} and {str(manifest[key]):.200}."
                )


def _chosen_candidate(manifests: list[dict[str, Any]]) -> int | None:
    """Returns the part whose candidate is held out: that of the smallest hash, and only if no document is held out."""
    if any("heldout" in _splits_of(manifest) for manifest in manifests):
        return None
    hashes = [
        (shard["smallest_hash"], part)
        for part, manifest in enumerate(manifests)
        for shard in manifest["shards"]
        if shard["split"] == shard_format.CANDIDATE
    ]
    return min(hashes)[1] if hashes else None


def _merged(manifests: list[dict[str, Any]]) -> dict[str, Any]:
    """Returns one manifest for several parts: what they share, counts added up, each part's own in "parts"."""
    shared = {k: manifests[0][k] for k in manifests[0] if k not in ("files", "shards", "totals", "reports", "shard")}
    totals = {key: sum(manifest["totals"].get(key, 0) for manifest in manifests) for key in manifests[0]["totals"]}
    return {**shared, "totals": totals, "parts": manifests}
