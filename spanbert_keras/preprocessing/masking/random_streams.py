"""What the random numbers under a row's seed are used for."""

import enum


@enum.unique
class RandomStream(enum.IntEnum):
    """The purposes of random numbers: the third word of the Philox counter under a row's seed.

    Streams never overlap. A scheme that draws numbers for another purpose adds a stream. The values of the present ones
    must stay: changed, every seed would give other masks.
    """

    SPANS = 1  # length and start of each span
    REPLACEMENTS = 2  # [MASK], random pieces or no change
    RANDOM_PIECES = 3  # the piece that replaces another
    SINGLE_PIECES = 4  # the order in which single pieces are chosen
