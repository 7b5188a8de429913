"""Checkpoints of a run: everything that makes the next step what it would have been."""

import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

import keras
import numpy as np

from spanbert_keras.errors import InputError
from spanbert_keras.training.files import write_atomically

FOLDER_NAME = re.compile(r"step_(\d+)$")
FILE_NAME = "state.safetensors"


class Checkpoints:
    """Writes and reads the state of a run: weights, optimizer state, step, seeds, loss scale.

    A checkpoint is a folder `step_<number>` with one safetensors file, the same on every backend; it appears whole or
    not at all, and the last `keep` are kept.

    Args:
        folder: where the checkpoints of one run are.
        keep: int. How many are kept.
    """

    def __init__(self, folder: str | os.PathLike, keep: int = 2):
        self.folder = Path(folder)
        self.keep = keep

    def steps(self) -> list[int]:
        """Returns the steps that have a checkpoint, ascending."""
        if not self.folder.is_dir():
            return []
        matches = (FOLDER_NAME.match(entry.name) for entry in self.folder.iterdir())
        return sorted(int(match.group(1)) for match in matches if match)

    def save(self, step: int, model, optimizer, state: dict[str, Any]) -> None:
        """Writes a checkpoint and removes the oldest.

        Args:
            step: int. Updates made.
            model, optimizer: their variables are stored.
            state: dict of JSON values: the rest of the state.
        """
        from safetensors.numpy import save_file

        arrays = {name: np.array(keras.ops.convert_to_numpy(v.value)) for name, v in _named(model, optimizer)}
        metadata = {"state": json.dumps({"step": step, **state})}

        def write(temporary: Path) -> None:
            temporary.mkdir(parents=True)
            save_file(arrays, temporary / FILE_NAME, metadata=metadata)

        write_atomically(self.folder / f"step_{step:08d}", write)
        for old in self.steps()[: -self.keep]:
            shutil.rmtree(self.folder / f"step_{old:08d}", ignore_errors=True)

    def restore(self, model, optimizer, step: int | None = None) -> dict[str, Any] | None:
        """Loads a checkpoint into the variables and returns its state with `step`; `None` without any.

        Args:
            model, optimizer: as at saving; the backend may differ.
            step: int or `None`. Which one; the last by default.

        Raises:
            InputError: the file is damaged or of another model.
        """
        from safetensors import SafetensorError, safe_open

        steps = self.steps()
        if not steps:
            return None
        path = self.folder / f"step_{steps[-1] if step is None else step:08d}" / FILE_NAME
        named = _named(model, optimizer)
        try:
            with safe_open(path, framework="numpy") as file:
                stored = set(file.keys())
                wrong = sorted(stored ^ {name for name, _ in named})
                if wrong:
                    raise InputError(
                        f"The checkpoint {path} is of another model: {len(wrong)} weights differ, e.g. {wrong[0]}."
                    )
                values = [file.get_tensor(name) for name, _ in named]
                state = json.loads((file.metadata() or {})["state"])
                state["step"], state["scale"], state["scale_steps"] = (
                    int(state["step"]), float(state["scale"]), int(state["scale_steps"]),
                )  # fmt: skip
        except InputError:
            raise
        except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
            raise InputError(
                f"The checkpoint {path} cannot be read: {error}. Delete its folder to continue from the one before."
            ) from error
        for (name, variable), value in zip(named, values, strict=True):
            if tuple(value.shape) != tuple(variable.shape):
                raise InputError(
                    f"The checkpoint {path} is of another model: {name} has shape {tuple(value.shape)} there "
                    f"and {tuple(variable.shape)} here."
                )
        for (_, variable), value in zip(named, values, strict=True):
            variable.assign(value)
        return state


def _named(model, optimizer) -> list[tuple[str, Any]]:
    """Returns every stored variable with a name that does not depend on the backend."""
    weights = [(f"model/{v.path}", v) for v in model.weights]
    # Keras does not name optimizer variables uniquely; their order is the same on every backend.
    state = [(f"optimizer/{i:05d}", v) for i, v in enumerate(optimizer.variables)]
    return weights + state
