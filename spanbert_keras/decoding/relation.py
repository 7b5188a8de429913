"""What an extractor says of two entities."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Relation:
    """The relation of a subject to an object.

    Attributes:
        label: str. The most probable one of the model's relations, perhaps that there is none.
        score: float. Its probability.
        scores: dict from each relation to its probability, in the model's order; they sum to 1.
    """

    label: str
    score: float
    scores: dict[str, float]
