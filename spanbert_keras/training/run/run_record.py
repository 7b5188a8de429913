"""`run.json`: what a run is, and how it ended."""

import importlib.metadata
import os
import platform
import time
from pathlib import Path
from typing import Any

import keras

from spanbert_keras.errors import InputError
from spanbert_keras.files.writing import read_json, write_json

FILE_NAME = "run.json"
PACKAGES = ("keras", "keras-hub", "tensorflow", "jax", "torch", "tokenizers", "numpy", "safetensors")


def versions() -> dict[str, str]:
    """Returns the versions of Python, of this package and of those it computes with."""
    found = {"python": platform.python_version(), "backend": keras.backend.backend()}
    for name in ("spanbert-keras", *PACKAGES):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


class RunRecord:
    """Reads and writes the record of one output directory.

    Args:
        output_dir: the run's directory.
    """

    def __init__(self, output_dir: str | os.PathLike):
        self.path = Path(output_dir) / FILE_NAME

    def begin(
        self,
        flags: dict[str, Any],
        facts: dict[str, Any],
        changeable: tuple[str, ...],
        former_names: dict[str, str] | None = None,
    ) -> dict[str, Any]:
        """Starts a record, or checks that the one found is of the same run, and returns it.

        Args:
            flags: every setting by name.
            facts: what else makes the run what it is, e.g. the corpus fingerprint.
            changeable: settings that may differ when a run continues.
            former_names: dict from the name that a setting had in an earlier version to its name now.

        Raises:
            InputError: the directory holds another run.
        """
        record = {"flags": flags, "facts": facts, "versions": versions(), "started": _now(), "scores": {}}
        if self.path.is_file():
            found = self._read()
            found["flags"] = {(former_names or {}).get(name, name): value for name, value in found["flags"].items()}
            self._check_same(found, flags, facts, changeable)
            record = found | {"flags": flags, "versions": versions()}
        try:
            write_json(self.path, record)
        except OSError as error:
            raise InputError(f"--output_dir={self.path.parent} cannot be written to: {error}.") from error
        return record

    def _read(self) -> dict[str, Any]:
        """Returns the record found; refuses a file that is none."""
        try:
            found = read_json(self.path)
            if isinstance(found["flags"], dict) and isinstance(found["facts"], dict):
                return found
        except (OSError, ValueError, KeyError, TypeError):
            pass
        raise InputError(f"The file {self.path} is not the record of a run. Give another --output_dir, or remove it.")

    def _check_same(self, found: dict, flags: dict, facts: dict, changeable: tuple[str, ...]) -> None:
        for kind, old, new in (("--", found["flags"], flags), ("", found["facts"], facts)):
            for name in sorted(new):
                if name not in changeable and old.get(name) != new[name]:
                    raise InputError(
                        f"The output directory {self.path.parent} holds another run: {kind}{name} was "
                        f"{old.get(name)!r} there and is {new[name]!r} now. Give another --output_dir, or that value."
                    )

    def update(self, **entries: Any) -> None:
        """Adds or replaces entries of the record.

        Raises:
            InputError: the record cannot be read or written, e.g. the disk is full; it stays as it was.
        """
        record = self._read() | entries | {"updated": _now()}
        try:
            write_json(self.path, record)
        except OSError as error:
            raise InputError(
                f"The file {self.path} cannot be written: {error}. Make room, and start the same command again."
            ) from error


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
