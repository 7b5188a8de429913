"""Phases of a run: parts with their own row length, one after the other."""

import bisect
import dataclasses
import itertools
from collections.abc import Sequence

import numpy as np

from spanbert_keras.errors import InputError

MAX_DIGITS = 12  # of a number in `--phases`


@dataclasses.dataclass(frozen=True)
class Phase:
    """Steps of a run that have one row length.

    Attributes:
        row_length: int. T, tokens of a row with specials.
        steps: int. Updates.
    """

    row_length: int
    steps: int


def parse_phases(text: str) -> tuple[Phase, ...]:
    """Returns the phases of `--phases=128:900000,512:100000`.

    Raises:
        InputError: a phase is not `row length:steps`, both positive.
    """
    phases = []
    for part in text.split(","):
        length, _, steps = part.strip().partition(":")
        digits = length.isdecimal() and steps.isdecimal() and max(len(length), len(steps)) <= MAX_DIGITS
        if not (digits and int(length) and int(steps)):
            raise InputError(
                f"--phases must be row length:steps, separated by commas, such as 128:900000,512:100000. "
                f"Received: {part.strip()!r} in {text!r}."
            )
        phases.append(Phase(int(length), int(steps)))
    return tuple(phases)


class PhasedStream:
    """The batches of a run in phases: batch k is that of its phase, and stays a pure function of (seed, k).

    Batches past the last phase, which a run reads whose rollbacks left batches out, are of the last phase.

    Args:
        streams: sequence of `BatchStream`, one for each phase.
        phases: sequence of `Phase`.
    """

    def __init__(self, streams: Sequence, phases: Sequence[Phase]):
        self.streams = list(streams)
        self.ends = list(itertools.accumulate(phase.steps for phase in phases))

    def part(self, number: int, worker: int, num_workers: int) -> dict[str, np.ndarray]:
        """Returns one worker's rows of batch `number`; see `BatchStream.part`."""
        phase = min(bisect.bisect_right(self.ends, number), len(self.ends) - 1)
        first = self.ends[phase - 1] if phase else 0
        return self.streams[phase].part(number - first, worker, num_workers)
