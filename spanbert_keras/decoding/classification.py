"""What a classifier says of a text."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Classification:
    """The class of a text, or of a pair of texts.

    Attributes:
        label: str or `None`. The most probable label; `None` where the model gives a number instead.
        score: float. The label's probability, or the number.
        scores: dict from each label to its probability, in the model's order; they sum to 1. `{}` for a number.
    """

    label: str | None
    score: float
    scores: dict[str, float]
