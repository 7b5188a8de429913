"""Settings of one fine-tuning run."""

import dataclasses

from spanbert_keras.errors import InputError
from spanbert_keras.settings import setting
from spanbert_keras.training.run.run_settings import RunSettings


@dataclasses.dataclass(frozen=True, kw_only=True)
class OneRunSettings(RunSettings):
    """Settings of one fine-tuning run, whatever its model and its data are.

    Defaults are those of the paper, appendix B, or of the released code where the paper gives none.
    """

    divergence_advice = "lower --learning_rate or raise --warmup_ratio"  # if the loss is not finite

    # --- how
    learning_rate: float = 2e-5
    batch_size: int = setting("Rows per step.", default=32, minimum=1)
    epochs: float = setting("Number of passes over the training rows.", default=4.0, above=0)
    warmup_ratio: float = setting(
        "Share of the steps over which the learning rate rises.",
        default=0.1,
        minimum=0,
        below=1,
        formerly=("warmup_share",),
    )
    weight_decay: float = 0.01
    seed: int = setting("Seed of data order and dropout.", default=42, minimum=0, below=2**31)
    evaluations_per_epoch: int = setting("Evaluations on dev per epoch; the best model is kept.", default=10, minimum=1)
    patience: int = setting(
        "Number of evaluations without a better dev score that ends the run early; 0: never.",
        default=0,
        minimum=0,
        changeable=True,
    )
    # --- where
    distribution: str = setting(
        "Devices that share each step: one, or all of this machine.",
        default="none",
        choices=("none", "mirrored"),
        changeable=True,
    )
    # --- what is kept and shown
    log_every: int = 20
    checkpoint_minutes: float = 15.0

    def check(self) -> None:
        """Raises `InputError` if settings contradict each other."""
        parts = self.accumulation_steps * (self.replicas or 1)
        if self.batch_size % parts:
            raise InputError(
                f"--batch_size={self.batch_size} must be a multiple of {parts}: accumulation steps times replicas."
            )
