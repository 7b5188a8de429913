"""The corpora of a run: opened, mixed, and cut into packed rows."""

import dataclasses
import math
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

from spanbert_keras.data.batches.batch_stream import BatchStream, CorpusSource
from spanbert_keras.data.batches.block_cache import cached_blocks
from spanbert_keras.data.shards.token_shards import TokenShards
from spanbert_keras.errors import InputError
from spanbert_keras.preprocessing.packing import plan_packing
from spanbert_keras.preprocessing.philox import fold
from spanbert_keras.preprocessing.row_blocks import cut_blocks
from spanbert_keras.preprocessing.row_stream import RowStream
from spanbert_keras.preprocessing.seeds import CORPUS, HELD_OUT, MIXTURE

MAX_PADDING_SHARE = 0.05
SLACKS = (0.06, 0.12, 0.25, 0.5, 1.0)  # masked pieces per row above those of one full block, tried in turn


def parse_corpora(text: str) -> list[tuple[str, float]]:
    """Returns the corpora of `--corpus=a:0.7,b:0.3` as (path, weight); without a weight it is 1.

    Raises:
        InputError: nothing is named, or a weight is not positive.
    """
    corpora = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        path, colon, tail = part.rpartition(":")
        try:
            weight = float(tail)
        except ValueError:
            path, colon, weight = part, "", 1.0
        if not colon:
            path, weight = part, 1.0
        if not path:
            raise InputError(f"--corpus: {part!r} names no path. Expected: path or path:weight, separated by commas.")
        if not 0 < weight < math.inf:
            raise InputError(f"--corpus: the weight of {path} must be positive. Received: {weight}.")
        corpora.append((path, weight))
    if not corpora:
        raise InputError("--corpus names no corpus. Expected: a prepared folder, raw text, or `embedded`.")
    return corpora


def is_prepared(path: str) -> bool:
    """Returns whether `path` is a folder that `prepare` wrote (whole, or parts of `--shard=i/n`)."""
    folder = Path(path)
    return (folder / "manifest.json").is_file() or any(folder.glob("part-*-of-*/manifest.json"))


@dataclasses.dataclass(frozen=True)
class Corpora:
    """Prepared corpora with one vocabulary.

    Attributes:
        shards: list of `TokenShards`.
        weights: list of float. Shares of the rows, relative to each other.
        cache: path. Folder for block indices.
    """

    shards: list[TokenShards]
    weights: list[float]
    cache: str | os.PathLike

    def __post_init__(self):
        first = self.shards[0]
        vocabulary = first.tokenizer().fingerprint()
        for other in self.shards[1:]:
            if other.tokenizer().fingerprint() != vocabulary:
                raise InputError(
                    f"The corpora {first.directory} and {other.directory} were prepared with different vocabularies. "
                    "Prepare both with one --vocabulary."
                )

    @property
    def tokenizer(self):
        """The tokenizer that all were prepared with."""
        return self.shards[0].tokenizer()

    @property
    def unigram_counts(self) -> np.ndarray:
        """int64 `(V,)`: how often each piece occurs in the training splits, weighted as the corpora are mixed."""
        if len(self.shards) == 1:
            return self.shards[0].unigram_counts
        total = sum(int(s.unigram_counts.sum()) for s in self.shards)
        shares = np.array(self.weights) / sum(self.weights)
        mixed = sum(
            share * one.unigram_counts / max(1, one.unigram_counts.sum())
            for share, one in zip(shares, self.shards, strict=True)
        )
        return np.round(mixed * total).astype(np.int64)

    @property
    def shares(self) -> list[float]:
        """Share of the rows of each corpus; they add up to 1."""
        return [round(weight / sum(self.weights), 9) for weight in self.weights]

    @property
    def fingerprint(self) -> str:
        """A name for the content of all corpora, in order."""
        return "+".join(s.fingerprint[:16] for s in self.shards)

    def stream(self, split: str, masker, max_sequence_length: int, cut: str, batch_rows: int, seed) -> BatchStream:
        """Returns the batches of a split.

        Args:
            split: `"train"`: shuffled, new masks every epoch; `"heldout"`: in a fixed order, with fixed masks.
            masker: `SpanMasker`.
            max_sequence_length: int. T.
            cut: `"word"` or `"line"`.
            batch_rows: int. B.
            seed: two integers of 32 bits. The held-out split does not depend on it.

        Raises:
            InputError: a corpus has no text in the split.
        """
        training = split == "train"
        seed = seed if training else (HELD_OUT, HELD_OUT)
        sources = []
        for number, (shards, weight) in enumerate(zip(self.shards, self.weights, strict=True)):
            pieces, blocks = self._blocks(shards, split, max_sequence_length, cut)
            if not len(blocks):
                raise InputError(f"The corpus {shards.directory} has no text in its {split} split.")
            plan = _plan(blocks, max_sequence_length, masker)
            own_seed = fold(seed, CORPUS, number)
            sources.append(CorpusSource(pieces, RowStream(blocks, plan, own_seed, shuffle=training), weight))
        special_ids = (self.tokenizer.cls_token_id, self.tokenizer.sep_token_id)
        return BatchStream(sources, masker, batch_rows, special_ids, fold(seed, MIXTURE))

    def _blocks(self, shards: TokenShards, split: str, max_sequence_length: int, cut: str):
        part = shards.split(split)
        word_starts = shards.tokenizer().word_starts()

        def make():
            files = zip(part.pieces, part.document_starts, part.line_starts, strict=True)
            return cut_blocks(list(files), word_starts, max_sequence_length, cut)

        name = f"{shards.fingerprint[:16]}-{split}-{max_sequence_length}-{cut}"
        return part.pieces, cached_blocks(self.cache, name, make)

    def left_out_pieces(self, split: str, max_sequence_length: int, cut: str) -> int:
        """Returns how many pieces of a split are in no block: words longer than a whole row."""
        return sum(self._blocks(s, split, max_sequence_length, cut)[1].left_out_pieces for s in self.shards)


def _plan(blocks, max_sequence_length: int, masker):
    """Returns the packing with the least slack that pads little.

    Every block rounds its masked pieces up, and short blocks reach the limit of masked pieces before the row is
    full: then more are allowed.
    """
    for slack in SLACKS:
        plan = plan_packing(blocks.histogram, max_sequence_length, masker.settings.budget, slack)
        if plan.padding_share < MAX_PADDING_SHARE:
            break
    return plan


def open_corpora(text: str, cache: str | os.PathLike, prepare: Callable[[str], str]) -> Corpora:
    """Opens the corpora named by `--corpus`; raw text is prepared first.

    Args:
        text: str. The flag's value.
        cache: path. Folder for block indices.
        prepare: function. Prepares the raw text at a path and returns the folder of its shards.

    Raises:
        InputError: a corpus is missing, damaged, or of another vocabulary than the first.
    """
    shards, weights = [], []
    for path, weight in parse_corpora(text):
        opened = TokenShards(path if is_prepared(path) else prepare(path))
        opened.verify()
        shards.append(opened)
        weights.append(weight)
    return Corpora(shards, weights, cache)
