"""Checks of the numbers that constructors and methods take, before anything is allocated."""

import math
from numbers import Integral, Real
from typing import Any

from spanbert_keras.errors import InputError, shown

MAX_SIZE = 2**31 - 1  # of anything that is counted: positions and ids are int32
MAX_PIECES = 10**7  # of a vocabulary
MAX_WIDTH = 2**20  # of a layer, and of a row of tokens


def whole_number(name: str, value: Any, minimum: int = 1, maximum: int = MAX_SIZE) -> int:
    """Returns an argument that is a whole number as an int; NumPy's integers are accepted.

    Args:
        name: str. The argument's name, for the message.
        value: what was given.
        minimum, maximum: int. The lowest and the highest value allowed.

    Raises:
        InputError: it is not a whole number, or out of range.
    """
    is_whole = isinstance(value, Integral) and not isinstance(value, bool)
    if not is_whole or not minimum <= value <= maximum:
        names_both = maximum < MAX_SIZE or is_whole and value > maximum
        limits = f"from {minimum:,} to {maximum:,}" if names_both else f"of at least {minimum:,}"
        raise InputError(f"`{name}` must be a whole number {limits}. Received: {name}={shown(value)}.")
    return int(value)


def real_number(
    name: str, value: Any, minimum: float = -math.inf, maximum: float = math.inf, below: float = math.inf
) -> float:
    """Returns an argument that is a finite number as a float; NumPy's numbers are accepted.

    Args:
        name: str. The argument's name, for the message.
        value: what was given.
        minimum, maximum: float. The lowest and the highest value allowed.
        below: float. The value must be less.

    Raises:
        InputError: it is not a number, not finite, or out of range.
    """
    try:
        number = float(value) if isinstance(value, Real) and not isinstance(value, bool) else math.nan
    except OverflowError:
        number = math.inf
    if not math.isfinite(number) or not minimum <= number <= maximum or number >= below:
        limits = [f"at least {minimum:g}"] if minimum > -math.inf else []
        limits += [f"at most {maximum:g}"] if maximum < math.inf else []
        limits += [f"below {below:g}"] if below < math.inf else []
        expected = f"a number, {' and '.join(limits)}" if limits else "a finite number"
        raise InputError(f"`{name}` must be {expected}. Received: {name}={shown(value)}.")
    return number


def dropout_rate(name: str, value: Any) -> float:
    """Returns an argument that is a probability of zeroing, from 0 to below 1; `InputError` for anything else."""
    return real_number(name, value, minimum=0, below=1)


def list_of_names(name: str, value: Any) -> tuple[str, ...]:
    """Returns an argument that is a sequence of strings as a tuple. Raises `InputError` for anything else."""
    try:
        names = (None,) if isinstance(value, str | bytes) else tuple(value)
    except TypeError:
        names = (None,)
    if not all(isinstance(one, str) for one in names):
        raise InputError(f"`{name}` must be a list of strings. Received: {name}={shown(value)}.")
    return tuple(map(str, names))  # NumPy's strings become plain ones


def one_of(name: str, value: Any, choices: tuple[str, ...]) -> str:
    """Returns an argument that is one of some strings. Raises `InputError` for anything else."""
    if not isinstance(value, str) or value not in choices:
        raise InputError(f"`{name}` must be one of {', '.join(choices)}. Received: {name}={shown(value)}.")
    return value
