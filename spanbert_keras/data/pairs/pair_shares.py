"""Statistics of segment pairs: the share of random pairs, and how much of the text the pairs use."""

import dataclasses

import numpy as np

from spanbert_keras.data.pairs.pair_index import PairIndex
from spanbert_keras.errors import InputError

MAX_RANDOM_SHARE = 0.65


@dataclasses.dataclass(frozen=True)
class PairShares:
    """Statistics of the pairs of one corpus.

    Attributes:
        random: float. Share of the pairs whose second segment is from another document.
        used: float. Pieces in all pairs, divided by the pieces of the corpus. Random segments use some text twice.
        unit_pieces: float. Mean number of pieces per line or sentence.
        units: `"line"` or `"sentence"`. The units that segments consist of.
    """

    random: float
    used: float
    unit_pieces: float
    units: str

    @classmethod
    def of_index(cls, index: PairIndex, units: str) -> "PairShares":
        """Returns the statistics of an index."""
        pieces = int((np.arange(len(index.histogram)) * index.histogram).sum())
        return cls(
            random=index.random_pairs / max(1, len(index)),
            used=pieces / index.corpus_pieces,
            unit_pieces=index.corpus_pieces / index.corpus_units,
            units=units,
        )

    def __str__(self) -> str:
        return (
            f"next-sentence labels: {100 * self.random:.1f} % random, {self.used:.2f} pieces used per piece of the "
            "corpus"
        )

    def check(self, corpus: str, max_sequence_length: int) -> None:
        """Raises `InputError` if the share of random pairs is above 0.65.

        A chunk of a single unit makes a random pair. Where lines are long paragraphs, or documents have few lines, most
        chunks are a single line: the label is then easy to guess, and much of the text is discarded.

        Args:
            corpus: str. Path of the corpus, for the message.
            max_sequence_length: int. T, for the message.
        """
        if self.random <= MAX_RANDOM_SHARE:
            return
        cure = (
            "Cut lines into sentences with --pair_units=sentence"
            if self.units == "line"
            else "Use longer rows or documents"
        )
        raise InputError(
            f"The corpus {corpus} is not suited for next-sentence prediction: its {self.units}s have "
            f"{self.unit_pieces:.0f} pieces on average, and a row holds {max_sequence_length}. Expected: at most "
            f"{100 * MAX_RANDOM_SHARE:.0f} % random pairs. Received: {100 * self.random:.1f} %, with {self.used:.2f} "
            f"pieces used per piece of the corpus. {cure}, or accept this with --allow_skewed_pairs."
        )
