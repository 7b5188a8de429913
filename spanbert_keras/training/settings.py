"""One setting of a program: a field of a frozen dataclass, from which `program` makes a flag."""

import dataclasses
from collections.abc import Sequence
from typing import Any


def setting(help: str, *, default: Any = dataclasses.MISSING, choices: Sequence[str] | None = None) -> Any:
    """Returns the dataclass field of one setting.

    Args:
        help: str. The sentence that `--help` shows; units belong here.
        default: the value without a flag; a setting without default must be given.
        choices: strings allowed, or `None` for any.
    """
    return dataclasses.field(default=default, metadata={"help": help, "choices": choices})
