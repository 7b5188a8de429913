"""One setting of a program: a field of a frozen dataclass, from which `program` makes a flag."""

import dataclasses
import os
from collections.abc import Sequence
from typing import Any


def setting(
    help: str, *, default: Any = dataclasses.MISSING, choices: Sequence[str] | None = None, path: bool = False
) -> Any:
    """Returns the dataclass field of one setting.

    Args:
        help: str. The sentence that `--help` shows; units belong here.
        default: the value without a flag; a setting without default must be given.
        choices: strings allowed, or `None` for any.
        path: bool. Whether it is a path, or several: `Settings` then expands `~` and `$HOME` in it.
    """
    marks = {"path": True} if path else {}
    return dataclasses.field(default=default, metadata={"help": help, "choices": choices, **marks})


class Settings:
    """Base of the dataclasses of settings: expands `~` and environment variables in those that are paths.

    So `--output_dir=~/runs` works where no shell expands it: after `=`, inside lists, in flag files, and in Python.
    """

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):  # type: ignore[arg-type]
            value = getattr(self, field.name)
            if field.metadata.get("path") and value is not None:
                expanded = tuple(map(expand, value)) if isinstance(value, tuple | list) else expand(value)
                object.__setattr__(self, field.name, expanded)


def expand(text: str | os.PathLike) -> str:
    """Returns a path, or several separated by commas, with `~` and variables such as `$HOME` replaced.

    What cannot be replaced stays: an undefined variable, an unknown user, a name such as `hf://owner/name`.
    """
    parts = os.path.expandvars(os.fspath(text)).split(",")
    blanks = [part[: len(part) - len(part.lstrip())] for part in parts]
    return ",".join(blank + os.path.expanduser(part.lstrip()) for blank, part in zip(blanks, parts, strict=True))
