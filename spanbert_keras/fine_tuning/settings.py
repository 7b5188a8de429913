"""Settings that every fine-tuning program shares."""

import dataclasses
import itertools
import math
from typing import Any

from spanbert_keras.errors import InputError
from spanbert_keras.settings import setting
from spanbert_keras.training.run.run_settings import RunSettings


@dataclasses.dataclass(frozen=True, kw_only=True)
class FineTuningSettings(RunSettings):
    """Settings of every fine-tuning program; a program adds its own fields.

    Defaults are those of the paper, appendix B, or of the released code where the paper gives none.
    """

    # --- what
    encoder: str = setting(
        "Path of an encoder.keras, a pretrainer.keras, a preset or Hugging Face folder, or hf://owner/name.", path=True
    )
    method: str | None = setting(
        "Name of the encoder in the results table. Default: its path.", default=None, changeable=True
    )
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
    dropout: float | None = setting(
        "Dropout rate of the encoder. Default: the encoder's own.", default=None, minimum=0, below=1
    )
    seed: int = setting(
        "Seed of the new head, data order and dropout; the first of --seeds.", default=42, minimum=0, below=2**31
    )
    seeds: int = setting(
        "Number of runs with consecutive seeds; their mean and standard deviation are reported.",
        default=1,
        minimum=1,
        changeable=True,
    )
    evaluations_per_epoch: int = setting("Evaluations on dev per epoch; the best model is kept.", default=10, minimum=1)
    patience: int = setting(
        "Number of evaluations without a better dev score that ends the run early; 0: never.",
        default=0,
        minimum=0,
        changeable=True,
    )
    # --- where
    precision: str = setting(
        "Dtype policy; auto: mixed_float16 on a GPU, float32 on a CPU.",
        default="auto",
        choices=("auto", "float32", "mixed_float16", "mixed_bfloat16"),
    )
    distribution: str = setting(
        "Devices that share each step: one, or all of this machine.",
        default="none",
        choices=("none", "mirrored"),
        changeable=True,
    )
    # --- what is kept and shown
    log_every: int = 20
    checkpoint_minutes: float = 15.0
    # --- sweep (appendix B: five learning rates, two batch sizes)
    sweep: bool = setting(
        "Whether all combinations of the values below are tried; dev scores choose one.", default=False, changeable=True
    )
    sweep_learning_rates: tuple[str, ...] = setting(
        "Learning rates that a sweep tries.", default=("5e-6", "1e-5", "2e-5", "3e-5", "5e-5"), changeable=True
    )
    sweep_batch_sizes: tuple[str, ...] = setting(
        "Batch sizes that a sweep tries.", default=("16", "32"), changeable=True
    )
    sweep_trials: int | None = setting(
        "Maximum number of combinations that a sweep tries. Default: all.", default=None, minimum=1, changeable=True
    )

    def check(self) -> None:
        """Raises `InputError` if settings contradict each other."""
        parts = self.accumulation_steps * (self.replicas or 1)
        if self.batch_size % parts:
            raise InputError(
                f"--batch_size={self.batch_size} must be a multiple of {parts}: accumulation steps times replicas."
            )
        if self.seed + self.seeds > 2**31:
            raise InputError(
                f"--seed={self.seed} with --seeds={self.seeds}: the last seed must be below {2**31}. Lower one of them."
            )
        if self.sweep and self.seeds > 1:
            raise InputError(
                f"--sweep tries one seed for each combination. Received: --seeds={self.seeds}. Sweep first, then give "
                "--seeds with the chosen --learning_rate and --batch_size."
            )
        self.sweep_grid()

    def sweep_axes(self) -> list[list[dict[str, Any]]]:
        """Returns the axes of a sweep: lists of values, each given as the settings that it stands for.

        A program that tries further settings adds axes.
        """
        return [
            [
                {"learning_rate": value}
                for value in parse_numbers("sweep_learning_rates", self.sweep_learning_rates, float)
            ],
            [{"batch_size": value} for value in parse_numbers("sweep_batch_sizes", self.sweep_batch_sizes, int)],
        ]

    def sweep_grid(self) -> list[dict[str, Any]]:
        """Returns the combinations of a sweep, the last axis changing fastest.

        Raises:
            InputError: a value is not a positive number.
        """
        combinations = itertools.product(*self.sweep_axes())
        grid = [{name: value for part in parts for name, value in part.items()} for parts in combinations]
        return grid[: self.sweep_trials]


def parse_numbers(flag: str, texts: tuple[str, ...], kind: type) -> list:
    """Returns the numbers that a flag of a sweep lists.

    Raises:
        InputError: the flag lists nothing, or a value is not a positive number.
    """
    try:
        values = [kind(text) for text in texts]
    except ValueError:
        values = []
    if not values or not all(0 < value < math.inf for value in values):
        raise InputError(f"--{flag} must be positive numbers. Received: {','.join(texts)}.")
    return values
