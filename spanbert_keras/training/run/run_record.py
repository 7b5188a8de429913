"""`run.json`: the settings of a run, and how it ended."""

import importlib.metadata
import os
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
from typing_extensions import TypedDict

from spanbert_keras.errors import InputError
from spanbert_keras.files.json_files import read_json, write_json

FILE_NAME = "run.json"
MOST_NAMED = 4  # differences from the recorded run in a message
PACKAGES = ("keras", "keras-hub", "tensorflow", "jax", "torch", "tokenizers", "numpy", "safetensors")


class _Record(TypedDict):
    flags: dict[str, Any]
    facts: dict[str, Any]


def versions() -> dict[str, str]:
    """Returns the versions of Python, of this package and of the packages that it computes with."""
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
        upgrade: Callable[[dict[str, Any]], dict[str, Any]] = dict,
    ) -> dict[str, Any]:
        """Starts a record, or checks that the existing one is of the same run; returns it.

        Args:
            flags: dict of every setting by name.
            facts: dict of everything else that identifies the run, e.g. the fingerprint of the corpus.
            changeable: tuple of names. Settings and facts that may differ when a run continues.
            upgrade: function that returns the flags of a record of an earlier version as this one would write them.

        Raises:
            InputError: the directory holds another run.
        """
        record = {"flags": flags, "facts": facts, "versions": versions(), "started": _now(), "scores": {}}
        if self.path.is_file():
            found = self._read()
            found["flags"] = upgrade(found["flags"])
            self._check_same(found, flags, facts, changeable)
            record = found | {"flags": flags, "versions": versions()}
        try:
            write_json(self.path, record, checksum=True)
        except OSError as error:
            raise InputError(f"--output_dir={self.path.parent} cannot be written to: {error}.") from error
        return record

    def _read(self) -> dict[str, Any]:
        """Returns the existing record; raises if the file does not hold one."""
        try:
            return read_json(self.path, _Record)
        except (OSError, ValueError) as error:
            raise InputError(
                f"The file {self.path} is not the record of a run, or is damaged: {error}. Put a copy of it back, give "
                "another --output_dir, or remove it."
            ) from error

    def _check_same(self, found: dict, flags: dict, facts: dict, changeable: tuple[str, ...]) -> None:
        changed = [
            f"{kind}{name} was {old.get(name)!r} there and is {new[name]!r} now"
            for kind, old, new in (("--", found["flags"], flags), ("", found["facts"], facts))
            for name in sorted(new)
            if name not in changeable and old.get(name) != new[name]
        ]
        if changed:
            more = f"; and {len(changed) - MOST_NAMED} more" if len(changed) > MOST_NAMED else ""
            raise InputError(
                f"The output directory {self.path.parent} holds another run: {'; '.join(changed[:MOST_NAMED])}{more}. "
                f"Give another --output_dir, or the former value{'s' if len(changed) > 1 else ''}."
            )

    def update(self, **entries: Any) -> None:
        """Adds or replaces entries of the record.

        Raises:
            InputError: the record cannot be read or written, e.g. the disk is full; it stays as it was.
        """
        record = self._read() | entries | {"updated": _now()}
        try:
            write_json(self.path, record, checksum=True)
        except OSError as error:
            raise InputError(
                f"The file {self.path} cannot be written: {error}. Free some space, and run the same command again."
            ) from error


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
