"""Settings that every fine-tuning program shares."""

import dataclasses
import itertools
import math
from typing import Any

from spanbert_keras.errors import InputError
from spanbert_keras.settings import Settings, setting


@dataclasses.dataclass(frozen=True, kw_only=True)
class FineTuningSettings(Settings):
    """What every fine-tuning program can be told; a program adds its own fields.

    Defaults are the paper's, appendix B, and the released code's where the paper is silent.
    """

    # --- what
    encoder: str = setting(
        "encoder.keras, pretrainer.keras, a preset or Hugging Face folder, or hf://owner/name.", path=True
    )
    output_dir: str = setting(
        "Where the run lives: the model, checkpoints, TensorBoard logs, run.json.", path=True, changeable=True
    )
    method: str | None = setting(
        "What the results table calls the encoder. Its path by default.", default=None, changeable=True
    )
    # --- how
    learning_rate: float = setting("Peak learning rate.", default=2e-5, above=0)
    batch_size: int = setting("Rows in a step.", default=32, minimum=1)
    epochs: float = setting("Passes over the training rows.", default=4.0, above=0)
    warmup_ratio: float = setting(
        "Share of the steps in which the rate rises.", default=0.1, minimum=0, below=1, formerly=("warmup_share",)
    )
    weight_decay: float = setting("Decoupled decay; not of biases and layer norms.", default=0.01, minimum=0)
    clip_norm: float = setting("Global gradient norm at most; 0 does not clip.", default=1.0, minimum=0)
    dropout: float | None = setting(
        "Of hidden states and attention. The encoder's by default.", default=None, minimum=0, below=1
    )
    seed: int = setting("First seed: head, order, dropout.", default=42, minimum=0, below=2**31)
    seeds: int = setting(
        "Runs with so many seeds, one after the other; mean and deviation are told.",
        default=1,
        minimum=1,
        changeable=True,
    )
    evaluations_per_epoch: int = setting(
        "Evaluations on dev in an epoch; the best model is kept.", default=10, minimum=1
    )
    patience: int = setting(
        "Ends after so many evaluations without a better dev score; 0 never.", default=0, minimum=0, changeable=True
    )
    # --- where
    precision: str = setting(
        "Dtype policy; `auto` is mixed_float16 on a GPU and float32 on a processor.",
        default="auto",
        choices=("auto", "float32", "mixed_float16", "mixed_bfloat16"),
    )
    distribution: str = setting(
        "Devices that share a step.", default="none", choices=("none", "mirrored"), changeable=True
    )
    replicas: int | None = setting(
        "Devices, or logical processors where there is no GPU. All GPUs.", default=None, minimum=1, changeable=True
    )
    accumulation_steps: int = setting(
        "Parts in which a step is computed one after the other.", default=1, minimum=1, changeable=True
    )
    compile: str = setting(
        "XLA (TensorFlow) or torch.compile.", default="auto", choices=("auto", "on", "off"), changeable=True
    )
    # --- what is kept and shown
    log_every: int = setting("Steps between log points.", default=20, minimum=1, changeable=True)
    checkpoint_minutes: float = setting(
        "A checkpoint is written when the last is so old; 0 never.", default=15.0, minimum=0, changeable=True
    )
    preemption_exit_code: int = setting(
        "Exit code after SIGTERM or SIGUSR1.", default=75, minimum=1, below=256, changeable=True
    )
    # --- sweep (appendix B: five learning rates, two batch sizes)
    sweep: bool = setting(
        "Tries all combinations of the values below; needs the extra `sweep`.", default=False, changeable=True
    )
    sweep_learning_rates: tuple[str, ...] = setting(
        "The rates.", default=("5e-6", "1e-5", "2e-5", "3e-5", "5e-5"), changeable=True
    )
    sweep_batch_sizes: tuple[str, ...] = setting("The batch sizes.", default=("16", "32"), changeable=True)
    sweep_trials: int | None = setting(
        "At most so many combinations. All by default.", default=None, minimum=1, changeable=True
    )

    def check(self) -> None:
        """Raises `InputError` if settings contradict each other."""
        parts = self.accumulation_steps * (self.replicas or 1)
        if self.batch_size % parts:
            raise InputError(
                f"--batch_size={self.batch_size} must be a multiple of {parts}: accumulation steps times replicas."
            )
        if self.sweep and self.seeds > 1:
            raise InputError(
                f"--sweep tries one seed for each combination. Received: --seeds={self.seeds}. Sweep first, then give "
                "--seeds with the chosen --learning_rate and --batch_size."
            )
        self.sweep_grid()

    def sweep_axes(self) -> list[list[dict[str, Any]]]:
        """Returns what a sweep combines: each value of an axis as the settings that it stands for.

        A program with more to try adds axes.
        """
        return [
            [{"learning_rate": value} for value in numbers("sweep_learning_rates", self.sweep_learning_rates, float)],
            [{"batch_size": value} for value in numbers("sweep_batch_sizes", self.sweep_batch_sizes, int)],
        ]

    def sweep_grid(self) -> list[dict[str, Any]]:
        """Returns the combinations of a sweep, the last axis changing fastest.

        Raises:
            InputError: a value is no positive number.
        """
        combinations = itertools.product(*self.sweep_axes())
        grid = [{name: value for part in parts for name, value in part.items()} for parts in combinations]
        return grid[: self.sweep_trials]


def numbers(flag: str, texts: tuple[str, ...], kind: type) -> list:
    """Returns the numbers that a flag of a sweep lists.

    Raises:
        InputError: there are none, or one is not positive.
    """
    try:
        values = [kind(text) for text in texts]
    except ValueError:
        values = []
    if not values or not all(0 < value < math.inf for value in values):
        raise InputError(f"--{flag} must be positive numbers. Received: {','.join(texts)}.")
    return values
