"""Arguments of models that read text: a single item, or several in any kind of list."""

from collections.abc import Mapping, Sequence, Set
from numbers import Integral
from typing import Any

import numpy as np

from spanbert_keras.errors import InputError, shown
from spanbert_keras.preprocessing.tokenizer_inputs import plain_array


def plain(value: Any) -> Any:
    """Returns a NumPy array or scalar, or a tensor of TensorFlow's, as lists or a Python scalar; anything else
    unchanged."""
    if type(value).__module__.startswith("tensorflow") and hasattr(value, "numpy"):
        value = plain_array(np.asarray(value.numpy()))
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value


def is_range(value: Any) -> bool:
    """Returns whether a value is a pair of integers, (start, end)."""
    value = plain(value)
    return isinstance(value, Sequence) and len(value) == 2 and all(isinstance(place, Integral) for place in value)


def given_list(values: Any, name: str, expected: str = "a str or a list of them", kinds: tuple = (str,)):
    """Returns the items that were given as a list, and whether it was a single one.

    Args:
        values: one of `kinds`, or a list, tuple, NumPy array, pandas series, generator or other iterable.
        name: str. Name of the argument, for the error message.
        expected: str. Description of valid values, for the error message.
        kinds: tuple of types. The types of a single item.

    Returns:
        (list, bool).

    Raises:
        InputError: `values` is neither; also a dict, set, bytes or table, whose members have no order or are not texts.
    """
    values = plain(values)
    if isinstance(values, kinds):
        return [values], True
    unordered = isinstance(values, bytes | bytearray | Mapping | Set) or getattr(values, "ndim", 1) != 1
    if unordered or not hasattr(values, "__iter__"):
        shown = repr(values)
        shown = shown if len(shown) <= 40 and "\n" not in shown else type(values).__name__
        raise InputError(f"`{name}` must be {expected}. Received: {shown}.")
    return list(values), False


def given_texts(values: Any, name: str, of_one: str) -> tuple[list[str], bool]:
    """Returns the texts that were given, and whether it was a single one; see `given_list`.

    Args:
        values: str, or an iterable of them.
        name: str. Name of the argument.
        of_one: str. Name of a single text, for the error message.

    Raises:
        InputError: something is not a str.
    """
    texts, single = given_list(values, name)
    for number, text in enumerate(texts):
        if not isinstance(text, str):
            raise InputError(f"The {of_one} {number} must be a str. Received: {type(text).__name__}.")
    return texts, single


def text_columns(given: list) -> tuple[list[str], list[str] | None]:
    """Returns the first texts, and the second ones if pairs of texts were given, else `None`.

    Raises:
        InputError: something is neither a str nor a pair of them, or both are mixed.
    """
    for number, one in enumerate(given):
        is_pair = isinstance(one, Sequence) and len(one) == 2 and all(isinstance(text, str) for text in one)
        if not (isinstance(one, str) or is_pair):
            raise InputError(f"Text {number} must be a str or a pair of them. Received: {shown(one)}.")
    pairs = [not isinstance(one, str) for one in given]
    if any(pairs) and not all(pairs):
        raise InputError(
            "Texts and pairs of texts cannot be classified together. "
            f"Expected: one kind. Received: {pairs.count(False)} texts and {pairs.count(True)} pairs."
        )
    if not any(pairs):
        return given, None
    return [first for first, _ in given], [second for _, second in given]
