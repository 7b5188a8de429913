"""What a classifier says of a text."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Classification:
    """The class, the classes or the numbers of a text, or of a pair of texts.

    Attributes:
        label: str or `None`. The most probable label; with several labels for each text, the most probable of them even
            if it is below the threshold. `None` where the model gives numbers instead.
        score: float or `None`. The label's probability, or the number; `None` where there are several numbers.
        scores: dict from each label to its probability, in the model's order. They sum to 1, but for a model with
            several labels for each text, where each label has a probability of its own. Of numbers: dict from each
            name to its number, `{}` for a single number without a name.
        labels: tuple of str. The labels that the text has: `label` alone, or with several labels for each text those
            whose probability reaches the model's threshold, in the model's order. `()` for numbers.
    """

    label: str | None
    score: float | None
    scores: dict[str, float]
    labels: tuple[str, ...] | None = None

    def __post_init__(self):
        if self.labels is None:
            object.__setattr__(self, "labels", () if self.label is None else (self.label,))
