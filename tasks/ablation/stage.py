"""One step of an ablation: a command with a folder of its own."""

import dataclasses
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any, NotRequired

from typing_extensions import TypedDict

from spanbert_keras import program
from spanbert_keras.files.json_files import read_json
from spanbert_keras.program import InputError


@dataclasses.dataclass(frozen=True)
class Stage:
    """A command to run once.

    Attributes:
        name: str. E.g. `"pretrain/span_2seq"`: its folder in the output directory, and its name in logs.
        module: str. The program: it is run by `python -m module`.
        arguments: tuple of str.
        after: tuple of str. Names of the stages whose results it reads.
        is_finished: function that returns whether its results are there.
        folder: path of the folder with the record of its run; `None` if it has none.
        settings: class of the program's settings, with which its record is compared.
    """

    name: str
    module: str
    arguments: tuple[str, ...]
    after: tuple[str, ...] = ()
    is_finished: Callable[[], bool] = lambda: False
    folder: Path | None = None
    settings: type | None = None

    @property
    def command(self) -> str:
        """The command line for a shell."""
        return shlex.join(["python", "-m", self.module, *self.arguments])

    def check_settings(self) -> None:
        """Raises unless the results that are there are those of these arguments.

        Raises:
            InputError: the record of the run has other settings.
        """
        record = record_of(self.folder) if self.folder is not None else {}
        if self.settings is None or not record.get("flags"):
            return
        planned = program.to_flags(program.parse(self.settings, self.arguments))
        there = self.settings.upgrade(record["flags"])  # type: ignore[attr-defined]
        for name in sorted(planned.keys() - set(self.settings.changeable())):  # type: ignore[attr-defined]
            if there.get(name) != planned[name]:
                raise InputError(
                    f"The results in {self.folder} are of other settings: --{name} was {there.get(name)!r} and is "
                    f"{planned[name]!r} now. Give a new --output_dir, or remove that folder to run it again."
                )


class _Chosen(TypedDict):
    """What is needed of a `sweep.json`."""

    folder: str


class _Record(TypedDict):
    """What is needed of a `run.json`."""

    flags: NotRequired[dict[str, Any] | None]
    facts: NotRequired[dict[str, Any] | None]
    scores: NotRequired[dict[str, dict[str, Any] | None] | None]


def scored_record(folder: Path) -> dict:
    """Returns the record of a fine-tuning run, or of the run that a sweep chose; {} unless it has dev scores."""
    try:
        folder = folder / read_json(folder / "sweep.json", _Chosen)["folder"]
    except (OSError, ValueError):
        if (folder / "sweep.json").exists():
            return {}  # a sweep that is not finished
    record = record_of(folder)
    return record if (record.get("scores") or {}).get("dev") else {}


def record_of(folder: Path) -> dict:
    """Returns the record of the run in a folder, {} if there is none."""
    try:
        return read_json(folder / "run.json", _Record)
    except (OSError, ValueError):
        return {}
