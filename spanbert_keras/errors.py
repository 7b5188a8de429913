"""The one exception that programs print as a sentence instead of a traceback."""

import reprlib
from typing import Any

INPUT_EXIT_CODE = 1  # of a program that ends with an `InputError`
LONGEST_VALUE = 200  # characters of a name or value that a message quotes
LONGEST_MESSAGE = 2000  # characters


class InputError(ValueError):
    """Input of the user (a flag, a file, an argument) cannot be used.

    The message is one clear sentence: what, where (file or flag), what was expected, what was received, what to do.
    Programs print it and end with `INPUT_EXIT_CODE`; in Python it is an ordinary `ValueError`. Long names and values in
    it are cut; see `short_message`.

    Args:
        what: str. The message, or its part before the hint.
        hint: str. What to do, where the caller may know better: a program names its flag instead of an argument.
    """

    def __init__(self, what: str = "", hint: str = ""):
        super().__init__(short_message(f"{what} {hint}" if hint else what))
        self.what = what
        self.hint = hint


def short_message(message: str) -> str:
    """Returns a message in which every word has at most `LONGEST_VALUE` characters, the message `LONGEST_MESSAGE`.

    The middle of what is longer is left out: a path keeps its beginning and its end, a message its advice.
    """
    if len(message) > LONGEST_VALUE:
        message = " ".join(_without_middle(word, LONGEST_VALUE) for word in message.split(" "))
    return _without_middle(message, LONGEST_MESSAGE)


def shown(value: Any, limit: int = LONGEST_VALUE) -> str:
    """Returns the `repr` of a value for an error message, with at most `limit` characters, in one line.

    Containers are abridged before they are written out, so that a huge or endless one costs nothing.
    """
    text = _SHORT.repr(value)
    return _without_middle(" ".join(text.split()) if "\n" in text else text, limit)


class _Short(reprlib.Repr):
    """`reprlib` with room for short values, and with integers that Python does not write out."""

    def __init__(self):
        super().__init__()
        self.maxstring = self.maxother = self.maxlong = LONGEST_VALUE
        self.maxlist = self.maxtuple = self.maxdict = self.maxset = 8

    def repr_int(self, value, level):
        if abs(value) >= 1 << 1024:
            return f"an integer of {value.bit_length():,} bits"
        return super().repr_int(value, level)


_SHORT = _Short()


def _without_middle(text: str, limit: int) -> str:
    """Returns a text, or its beginning and its end if it is longer than the limit."""
    if len(text) <= limit:
        return text
    first = (limit - 3) // 2
    return f"{text[:first]}...{text[len(text) - (limit - 3 - first) :]}"
