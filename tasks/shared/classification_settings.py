"""Settings that classifiers of texts and relations share."""

import dataclasses

from spanbert_keras.fine_tuning.settings import FineTuningSettings
from spanbert_keras.program import setting


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClassificationSettings(FineTuningSettings):
    """Settings of one fine-tuning run of a classifier; a program adds its own.

    Defaults are the paper's, appendix B: rows of 128 pieces, 10 epochs.
    """

    # --- how
    epochs: float = setting("Passes over the training rows.", default=10.0, above=0)
    evaluations_per_epoch: int = setting(
        "Evaluations on dev in an epoch; the best model is kept.", default=1, minimum=1
    )
    class_weights: str = setting(
        "Weights of the classes in the loss: none, or balanced, inversely by how many rows they have.",
        default="none",
        choices=("none", "balanced"),
    )
    label_smoothing: float = setting(
        "Share of a target that is spread over all classes.", default=0.0, minimum=0, below=1
    )
    # --- model
    max_sequence_length: int = setting("Pieces of a row; at most what the encoder reads.", default=128, minimum=1)
    pooler: bool = setting(
        "A dense layer with tanh before the linear one, as the released code; the paper has none.", default=False
    )
    classifier_dropout: float = setting("Before the linear layer.", default=0.1, minimum=0, below=1)
