"""The corpora of a run: opened, mixed, and cut into packed rows."""

import dataclasses
import functools
import math
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from spanbert_keras.data.annotations.kept_mentions import open_mentions
from spanbert_keras.data.batches.batch_stream import BatchStream, CorpusSource
from spanbert_keras.data.batches.block_cache import cached_blocks
from spanbert_keras.data.batches.row_settings import RowSettings
from spanbert_keras.data.pairs.pair_copies import PairCopies
from spanbert_keras.data.pairs.pair_index import PairIndex, cached_pairs
from spanbert_keras.data.pairs.pair_shares import PairShares
from spanbert_keras.data.pairs.pair_stream import PairStream
from spanbert_keras.data.pairs.unit_index import cached_units
from spanbert_keras.data.shards.token_shards import TokenShards
from spanbert_keras.errors import InputError
from spanbert_keras.files.known_files import known_files
from spanbert_keras.preprocessing.masking.schemes import SCHEMES
from spanbert_keras.preprocessing.philox import fold
from spanbert_keras.preprocessing.row_blocks import SPECIALS_PER_BLOCK, SPECIALS_PER_PAIR, Blocks, cut_shards
from spanbert_keras.preprocessing.row_planner import RowPlanner
from spanbert_keras.preprocessing.row_stream import RowStream
from spanbert_keras.preprocessing.seeds import CORPUS, HELD_OUT, MIXTURE


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

    def stream(
        self, split: str, masker, rows: RowSettings, batch_rows: int, seed, entity_labels: Sequence[str] = ()
    ) -> BatchStream:
        """Returns the batches of a split.

        Args:
            split: `"train"`: shuffled, new masks every epoch; `"heldout"`: in a fixed order, with fixed masks.
            masker: `SpanMasker`.
            rows: `RowSettings`.
            batch_rows: int. B.
            seed: two integers of 32 bits. The held-out split does not depend on it.
            entity_labels: sequence of str. Labels of the named entities that the masker reads; see `kept_table`.

        Raises:
            InputError: a corpus has no text in the split, no second document for pairs of segments, or lacks the
                annotation that the masker's scheme needs.
        """
        annotation = SCHEMES[masker.settings.scheme].annotation
        training = split == "train"
        seed = seed if training else (HELD_OUT, HELD_OUT)
        specials = SPECIALS_PER_BLOCK if rows.segments == 1 else SPECIALS_PER_PAIR
        budget = functools.partial(masker.settings.budget, num_specials=specials)
        planner = RowPlanner(rows.max_sequence_length, budget, rows.packing, specials)
        sources = []
        for number, (shards, weight) in enumerate(zip(self.shards, self.weights, strict=True)):
            part = shards.split(split)
            own_seed = fold(seed, CORPUS, number)
            own_rows: RowStream | PairStream
            if rows.segments == 1:
                blocks = self._blocks(shards, split, rows)
                if not len(blocks):
                    raise InputError(f"The corpus {shards.directory} has no text in its {split} split.")
                plan = planner.plan(blocks.histogram)
                own_rows = RowStream(blocks, plan, own_seed, training, rows.mask_copies)
            else:
                copies = self._pairs(shards, split, rows)
                own_rows = PairStream(copies, planner, own_seed, training, rows.mask_copies)
            annotations = None if annotation is None else open_mentions(shards, split, annotation, entity_labels)
            sources.append(CorpusSource(part.pieces, own_rows, weight, annotations))
        special_ids = (self.tokenizer.cls_token_id, self.tokenizer.sep_token_id)
        return BatchStream(sources, masker, batch_rows, special_ids, fold(seed, MIXTURE))

    def _blocks(self, shards: TokenShards, split: str, rows: RowSettings) -> Blocks:
        part = shards.split(split)
        word_starts = shards.tokenizer().word_starts()

        def cut() -> Iterator:
            files = zip(part.pieces, part.document_starts, part.line_starts, strict=True)
            return cut_shards(files, word_starts, rows.max_sequence_length, rows.cut)

        name = f"{shards.fingerprint[:16]}-{split}-{rows.max_sequence_length}-{rows.cut}"
        return cached_blocks(self.cache, name, rows.max_sequence_length, cut)

    def _pairs(self, shards: TokenShards, split: str, rows: RowSettings) -> PairCopies:
        """Returns the pairs of a split; held-out text has one copy. Segments never leave the split."""
        part = shards.split(split)
        if part.num_documents < 2:
            raise InputError(
                f"The {split} split of the corpus {shards.directory} has one document, but next-sentence pairs need "
                "two documents. Give `prepare` more text, or another --heldout_share; or use --segments=1."
            )
        mark = f"{shards.fingerprint[:16]}-{split}"
        units = cached_units(self.cache, f"{mark}-{rows.pair_units}", part, shards.tokenizer(), rows.pair_units)
        length, rate = rows.max_sequence_length, float(rows.short_sequence_rate)

        def make(copy: int) -> PairIndex:
            name = f"{mark}-{length}-{rows.pair_units}-{rate!r}-copy{copy}"
            return cached_pairs(self.cache, name, units, length, rate, copy)

        return PairCopies(make, rows.pair_copies if split == "train" else 1)

    def left_out_pieces(self, split: str, rows: RowSettings) -> int:
        """Returns how many pieces of a split are in no block: words longer than a whole row. Pairs cut such words."""
        if rows.segments == 2:
            return 0
        return sum(self._blocks(shards, split, rows).left_out_pieces for shards in self.shards)

    def pair_shares(self, split: str, rows: RowSettings) -> list[PairShares]:
        """Returns the statistics of the pairs of each corpus, taken from the first copy.

        Raises:
            InputError: a corpus has one document in the split.
        """
        copies = [self._pairs(shards, split, dataclasses.replace(rows, pair_copies=1)) for shards in self.shards]
        return [PairShares.of_index(one.index(0), rows.pair_units) for one in copies]

    def check_pair_shares(self, split: str, rows: RowSettings) -> None:
        """Raises `InputError` if too many pairs of a corpus are random; see `PairShares.check`."""
        for shards, shares in zip(self.shards, self.pair_shares(split, rows), strict=True):
            shares.check(str(shards.directory), rows.max_sequence_length)


def open_corpora(
    text: str, cache: str | os.PathLike, prepare: Callable[[str], str], compare_again: bool = False
) -> Corpora:
    """Opens the corpora named by `--corpus`; raw text is prepared first.

    Every file is read once and compared with its checksum, but not if this machine has done so before and the file has
    not changed since (`KnownFiles`).

    Args:
        text: str. The flag's value.
        cache: path. Folder for block indices.
        prepare: function. Prepares the raw text at a path and returns the folder of its shards.
        compare_again: bool. Whether to read all files, whatever is known of them.

    Raises:
        InputError: a corpus is missing, damaged, or of another vocabulary than the first.
    """
    shards, weights = [], []
    for path, weight in parse_corpora(text):
        is_raw = not is_prepared(path)
        opened = TokenShards(prepare(path) if is_raw else path)
        with known_files(cache, opened.fingerprint[:16], compare_again) as known:
            if is_raw:  # `prepare` has compared all but the annotations
                opened.verify_annotations(known)
            else:
                opened.verify(known=known)
        shards.append(opened)
        weights.append(weight)
    return Corpora(shards, weights, cache)
