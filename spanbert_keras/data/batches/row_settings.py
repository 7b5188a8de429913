"""Settings of the rows of a run."""

import dataclasses

from spanbert_keras.data.pairs.segment_pairs import MIN_ROW_LENGTH
from spanbert_keras.errors import InputError


@dataclasses.dataclass(frozen=True)
class RowSettings:
    """How text becomes rows.

    Args:
        max_sequence_length: int. T, with [CLS] and [SEP].
        cut: `"word"` or `"line"`. Where a document may be cut into blocks, with one segment.
        segments: 1 or 2. Blocks, [CLS] A [SEP], or pairs of segments, [CLS] A [SEP] B [SEP].
        pair_units: `"line"` or `"sentence"`. The units that the segments of pairs consist of.
        short_sequence_rate: float. Share of documents whose pairs are shorter than a row.
        pair_copies: int. Number of different sets of pairs: epoch e uses copy e modulo this number.
        mask_copies: int. Number of different masks per block or pair, likewise. 0: new masks in every epoch.
        packing: bool. Whether short blocks or pairs share a row.

    Raises:
        InputError: a row is too short for two segments.
    """

    max_sequence_length: int
    cut: str = "word"
    segments: int = 1
    pair_units: str = "line"
    short_sequence_rate: float = 0.0
    pair_copies: int = 1
    mask_copies: int = 0
    packing: bool = True

    def __post_init__(self) -> None:
        if self.segments == 2 and self.max_sequence_length < MIN_ROW_LENGTH:
            raise InputError(
                f"--max_sequence_length={self.max_sequence_length} is too short for two segments. Expected: at least "
                f"{MIN_ROW_LENGTH}, for [CLS] A [SEP] B [SEP]."
            )
