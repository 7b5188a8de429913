"""Settings that classifiers of texts and relations share."""

import dataclasses

from spanbert_keras.fine_tuning.settings import FineTuningSettings
from spanbert_keras.program import setting


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClassificationSettings(FineTuningSettings):
    """Settings of one fine-tuning run of a classifier; a program adds its own.

    Defaults are the paper's, appendix B: rows of 128 tokens, 10 epochs.
    """

    # --- how
    epochs: float = 10.0
    evaluations_per_epoch: int = 1
    class_weights: str = setting(
        "Class weights in the loss: none, or balanced, which is inversely proportional to the number of rows of each "
        "class.",
        default="none",
        choices=("none", "balanced"),
    )
    label_smoothing: float = setting(
        "Share of a target that is spread over all classes.", default=0.0, minimum=0, below=1
    )
    # --- model
    max_sequence_length: int = setting("Tokens per row; at most the encoder's maximum.", default=128, minimum=1)
    pooler: bool = setting(
        "Adds a dense layer with tanh before the linear one, as in the released code; the paper has none. It starts "
        "from the pooler of --encoder if there is one.",
        default=False,
    )
    classifier_dropout: float = setting("Dropout rate before the linear layer.", default=0.1, minimum=0, below=1)
