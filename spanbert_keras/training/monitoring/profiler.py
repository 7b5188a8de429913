"""A profile of a few training steps."""

from pathlib import Path

from absl import logging

from spanbert_keras.training.steps.step import Step

WARM_UP_STEPS = 10  # left out: the first calls compile


class Profiler:
    """Records what the devices do, once per run and soon after its start.

    Args:
        step: `Step`.
        folder: where the profile is written; `None` records nothing.
        num_steps: int. Steps to record, at least; 0 records nothing.
    """

    def __init__(self, step: Step, folder: Path | None, num_steps: int):
        self.step = step
        self.folder = folder
        self.num_steps = num_steps
        self._last_step: int | None = None  # the step at which recording stops, while recording
        self._is_done = folder is None or not num_steps

    def before_call(self, start: int, first: int, steps_per_call: int) -> None:
        """Starts recording with the first call after the warm-up.

        Args:
            start: int. Step at which training started or continued.
            first: int. First step of the call that is about to be made.
            steps_per_call: int. Steps of a call, at most.
        """
        warm = start + WARM_UP_STEPS
        if not self._is_done and self._last_step is None and warm <= first < warm + steps_per_call:
            self._last_step = first + self.num_steps
            self.step.start_profile(str(self.folder))

    def after_call(self, done: int, results: dict) -> None:
        """Stops recording if enough steps were made.

        Args:
            done: int. Updates made.
            results: dict. What the call returned.
        """
        if self._last_step is not None and done >= self._last_step:
            self.step.to_numpy(results)  # a call returns before the device has computed it: wait for that
            self.stop()

    def stop(self) -> None:
        """Writes the profile, if one is being recorded."""
        if self._last_step is not None:
            self._last_step, self._is_done = None, True
            self.step.stop_profile()
            logging.info("A profile is in %s, for TensorBoard's profiler plugin.", self.folder)
