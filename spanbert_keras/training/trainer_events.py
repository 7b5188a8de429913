"""What a program does at the events of training."""

import dataclasses
from collections.abc import Callable
from typing import Any

from spanbert_keras.training.cadence import LogWindow


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """The result of an evaluation.

    Attributes:
        loss: float or `None`. Lower is better; the checkpoint of the lowest loss is kept as the best.
        end: bool. Whether training ends after this step, though more steps are planned.
    """

    loss: float | None = None
    end: bool = False


def _ignore(*arguments) -> None:
    """Default of the events that return nothing."""


def _no_evaluation(step: int) -> Evaluation:
    return Evaluation()


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainerEvents:
    """Functions that the training loop calls; by default nothing happens.

    Attributes:
        on_log: called with (step, `LogWindow`) whose results are arrays.
        on_evaluate: called with (step); returns an `Evaluation`.
        on_encoder: called with (step) when the encoder is to be saved.
        on_step: called with (step) after every call to the device, for a progress bar.
        on_rollback: called with (step) from which training continues.
    """

    on_log: Callable[[int, LogWindow], Any] = _ignore
    on_evaluate: Callable[[int], Evaluation] = _no_evaluation
    on_encoder: Callable[[int], Any] = _ignore
    on_step: Callable[[int], Any] = _ignore
    on_rollback: Callable[[int], Any] = _ignore
