"""Checkpoints of a run: all state that the next step depends on."""

import concurrent.futures
import json
import math
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
from absl import logging

from spanbert_keras.errors import InputError
from spanbert_keras.files import checkpoint_files
from spanbert_keras.files.writing import write_atomically


class Checkpoints:
    """Writes and reads the state of a run: weights, optimizer state, step, seeds, loss scale.

    A checkpoint is a folder `step_<number>` with one safetensors file, the same on every backend, and a manifest with
    its checksum. It is written in the background and appears whole or not at all. A write that fails is reported, and
    costs only that checkpoint: earlier ones stay, and training continues.

    Args:
        folder: directory of the checkpoints of one run; no other process writes there.
        keep: int. Number of the newest checkpoints to keep, at least 1; the one of the lowest score is kept, too.
        keep_every: int. Checkpoints whose step is a multiple of this number are kept, too; 0 keeps no others.

    Attributes:
        on_written: called with (step, seconds) once a checkpoint is in place, from the thread that writes it; the
            seconds include copying the variables.
        failures: int. Number of writes that failed.
    """

    def __init__(self, folder: str | os.PathLike, keep: int = 2, keep_every: int = 0):
        self.folder = Path(folder)
        self.keep = keep
        self.keep_every = keep_every
        self.on_written: Callable[[int, float], Any] = lambda step, seconds: None
        self.failures = 0
        self._known: list[int] = []
        self._damaged: set[int] = set()
        self._thread = concurrent.futures.ThreadPoolExecutor(max_workers=1, thread_name_prefix="checkpoints")
        self._writing: concurrent.futures.Future | None = None

    def steps(self) -> list[int]:
        """Returns the steps that have a checkpoint, in ascending order; one still being written is not among them."""
        return checkpoint_files.steps_in(self.folder)

    def scores(self) -> dict[int, float]:
        """Returns the scores of the checkpoints that have one, by step."""
        self.wait()
        found = {}
        for step in self.steps():
            try:
                score = checkpoint_files.read_manifest(self._path(step))["score"]
            except (OSError, ValueError):  # damaged
                continue
            if score is not None and step not in self._damaged:
                found[step] = score
        return found

    def best(self) -> tuple[int, float] | None:
        """Returns step and score of the checkpoint with the lowest score, the first of equals; `None` without any."""
        scores = self.scores()
        return min(scores.items(), key=lambda item: (item[1], item[0])) if scores else None

    def clean(self) -> None:
        """Removes what a killed process left, and restores a checkpoint that it was about to replace."""
        self.wait()
        for name in checkpoint_files.clean(self.folder):
            logging.warning(
                "The checkpoint %s was being replaced when the run was killed; the old one has been restored.", name
            )

    def save(
        self, step: int, model, optimizer, state: dict[str, Any], score: float | None = None, wait: bool = False
    ) -> None:
        """Copies everything, then writes the checkpoint in the background and removes those no longer kept.

        If another one is still being written, waits for it first.

        Args:
            step: int. Updates made.
            model, optimizer: owners of the variables to store, as they are now.
            state: dict of JSON values. The rest of the state.
            score: float or `None`. Lower is better; a value that is not finite counts as `None`.
            wait: bool. Whether to return only when the checkpoint is written, or has failed.
        """
        self.wait()
        began = time.perf_counter()
        state = json.loads(json.dumps(state))  # a copy, equal to what `restore` will return
        score = float(score) if score is not None and math.isfinite(score) else None
        # Copies, since the variables will change; contiguous, since safetensors writes memory in the order it lies.
        arrays = {
            name: np.array(keras.ops.convert_to_numpy(v.value), order="C") for name, v in _named(model, optimizer)
        }
        self._writing = self._thread.submit(self._write, began, arrays, step, state, score)
        if wait:
            self.wait()

    def wait(self) -> None:
        """Waits until nothing is being written; raises the error of the thread, unless it came from the disk."""
        if self._writing is not None:
            concurrent.futures.wait([self._writing])
            writing, self._writing = self._writing, None
            writing.result()

    def restore(self, model, optimizer, step: int | None = None) -> dict[str, Any] | None:
        """Loads a checkpoint into the variables and returns its state with `step`; `None` without any.

        A damaged checkpoint is reported, and the one before it is used. No variable changes unless all can be loaded.

        Args:
            model, optimizer: the same as when saving; the backend may differ.
            step: int or `None`. Loads exactly this checkpoint. Defaults to the newest good one.

        Raises:
            InputError: the checkpoint is of another model, no checkpoint is good, or that of `step` is missing.
        """
        from safetensors import SafetensorError

        self.wait()
        steps = self.steps()
        if step is not None and step not in steps:
            raise InputError(f"{self.folder} has no checkpoint of step {step}. Received: {steps or 'none at all'}.")
        for number in steps[::-1] if step is None else [step]:
            path = self._path(number)
            try:
                values, state = checkpoint_files.read(path, number)
            except (SafetensorError, OSError, ValueError) as error:
                logging.error("The checkpoint %s cannot be used: %s.", path, error)
                self._damaged.add(number)
                problem = error
                continue
            _assign(path, _named(model, optimizer), values)
            if number != steps[-1] and step is None:
                logging.warning("The checkpoint %s is used instead.", path)
            return {"step": number, **state}
        if not steps:
            return None
        if step is not None:
            raise InputError(
                f"The checkpoint {path} cannot be used: {problem}. Put a copy of it back, or choose another: {steps}."
            )
        raise InputError(
            f"None of the {len(steps)} checkpoints in {self.folder} can be used; that of step {number}: {problem}. "
            "Put a copy of one back, or delete the folder to start over."
        )

    def _path(self, step: int) -> Path:
        return checkpoint_files.folder_of(self.folder, step)

    def _write(self, began: float, arrays: dict, step: int, state: dict, score: float | None) -> None:
        """Writes one checkpoint, in the background; an error of the disk is reported and costs only the checkpoint."""
        from safetensors import SafetensorError

        def write(temporary: Path) -> None:
            checkpoint_files.write(temporary, arrays, step, state, score)

        try:
            self._known = [s for s in self.steps() if s not in self._damaged]
            write_atomically(self._path(step), write)
        except (OSError, SafetensorError) as error:
            self.failures += 1
            kept = f"That of step {self._known[-1]} is kept" if self._known else "There is no earlier one"
            logging.error(
                "The checkpoint of step %d could not be written to %s: %s. %s; training continues.",
                step,
                self.folder,
                getattr(error, "strerror", None) or error,
                kept,
            )
            return
        self._damaged.discard(step)
        try:
            self._remove_old(step)
        except OSError as error:
            logging.warning("Old checkpoints in %s could not be removed: %s.", self.folder, error)
        self.on_written(step, time.perf_counter() - began)

    def _remove_old(self, step: int) -> None:
        """Removes checkpoints that are not to be kept, now that the one of `step` is in place."""
        steps, kept = self.steps(), {step}
        scores: dict[int, float | None] = {}
        for number in steps:
            try:
                scores[number] = checkpoint_files.read_manifest(self._path(number))["score"]
            except ValueError:  # damaged: it has no score, and does not count as one of the newest
                continue
            except OSError:  # it may be readable later, and it may be the best
                kept.add(number)
        # After a rollback there may be checkpoints of later steps: those must not push out the ones of this run.
        good = [s for s in steps if s <= step and s in scores and s not in self._damaged]
        kept.update(steps[-self.keep :], good[-self.keep :])
        kept.update(s for s in steps if self.keep_every and s % self.keep_every == 0)
        scored = {s: score for s, score in scores.items() if score is not None and s not in self._damaged}
        if scored:
            kept.add(min(scored, key=lambda s: scored[s]))
        for number in steps:
            if number not in kept:
                checkpoint_files.remove(self._path(number))


def _named(model, optimizer) -> list[tuple[str, Any]]:
    """Returns every stored variable with a name that does not depend on the backend."""
    weights = [(f"model/{v.path}", v) for v in model.weights]
    # Keras does not name optimizer variables uniquely; their order is the same on every backend.
    state = [(f"optimizer/{i:05d}", v) for i, v in enumerate(optimizer.variables)]
    return weights + state


def _assign(path: Path, named: list[tuple[str, Any]], values: dict[str, np.ndarray]) -> None:
    """Sets the variables, after checking that names, shapes and dtypes agree.

    Raises:
        InputError: they do not; no variable has changed.
    """
    wrong = sorted(set(values) ^ {name for name, _ in named})
    if wrong:
        raise InputError(f"The checkpoint {path} is of another model: {len(wrong)} weights differ, e.g. {wrong[0]}.")
    for name, variable in named:
        there, here = tuple(values[name].shape), tuple(variable.shape)
        if there != here:
            raise InputError(f"The checkpoint {path} is of another model: {name} has shape {there} there, {here} here.")
        stored, own = values[name].dtype.name, keras.backend.standardize_dtype(variable.value.dtype)
        # Integers are wider on some backends than on others.
        if stored != own and not (keras.backend.is_int_dtype(stored) and keras.backend.is_int_dtype(own)):
            raise InputError(f"The checkpoint {path} is of another model: {name} is {stored} there and {own} here.")
    for name, variable in named:
        variable.assign(values[name])
