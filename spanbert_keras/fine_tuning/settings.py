"""Settings that every fine-tuning program shares."""

import dataclasses
import itertools
import math
from typing import Any

from spanbert_keras.errors import InputError
from spanbert_keras.fine_tuning.one_run_settings import OneRunSettings
from spanbert_keras.settings import setting


@dataclasses.dataclass(frozen=True, kw_only=True)
class FineTuningSettings(OneRunSettings):
    """Settings of every fine-tuning program; a program adds its own fields.

    Defaults are those of the paper, appendix B, or of the released code where the paper gives none.
    """

    divergence_advice = "lower --learning_rate, raise --warmup_ratio or use --precision=float32"

    # --- what
    encoder: str = setting(
        "Path of an encoder.keras, a pretrainer.keras, a preset or Hugging Face folder, the folder of a pre-training "
        "run or of one of its checkpoints (runs/x/checkpoints/step_01200000), or hf://owner/name.",
        path=True,
    )
    method: str | None = setting(
        "Name of the encoder in the results table. Default: its path.", default=None, changeable=True
    )
    # --- how
    seed: int = setting(
        "Seed of the new head, data order and dropout; the first of --seeds.", default=42, minimum=0, below=2**31
    )
    dropout: float | None = setting(
        "Dropout rate of the encoder. Default: the encoder's own.", default=None, minimum=0, below=1
    )
    seeds: int = setting(
        "Number of runs with consecutive seeds; their mean and standard deviation are reported.",
        default=1,
        minimum=1,
        changeable=True,
    )
    # --- where
    precision: str = setting(
        "Dtype policy; auto: mixed_float16 on a GPU, float32 on a CPU.",
        default="auto",
        choices=("auto", "float32", "mixed_float16", "mixed_bfloat16"),
    )
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
        super().check()
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
