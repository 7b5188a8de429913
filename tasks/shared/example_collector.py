"""The examples of a file as they are read: a bad one ends the reading, or is left out with a sentence."""

from collections.abc import Callable
from typing import Any

from spanbert_keras.program import InputError

LEAVE_OUT = "Correct the file, or leave bad examples out with --skip_bad_examples."


class ExampleCollector:
    """Collects good examples, and a sentence for each bad one.

    Args:
        path: str. Path of the file, for messages.
        skip_bad: bool. Whether bad examples are left out; otherwise the first one raises.
        hint: function of the error of a bad example that returns what to do about it. It is called only before
            raising, so that it may look at the whole file.

    Attributes:
        examples: list of the good examples, in the file's order.
        left_out: list of str. A sentence for each bad example.
    """

    def __init__(self, path: str, skip_bad: bool, hint: Callable[[InputError], str] = lambda error: LEAVE_OUT):
        self.path = path
        self.skip_bad = skip_bad
        self.examples: list[Any] = []
        self.left_out: list[str] = []
        self._hint = hint
        self._places: dict[str, str] = {}

    def add(self, make: Callable[[], Any], place: str | None = None) -> None:
        """Adds the example that `make` returns, unless it raises `InputError`.

        Args:
            make: function that returns an example.
            place: str or `None`. Place of the example in the file, if ids must be unique.

        Raises:
            InputError: the example is bad or repeats an id, and bad examples are not left out.
        """
        try:
            example = make()
            if place is not None and example.id in self._places:
                raise InputError(
                    f"{self.path}, {place}: the id {example.id!r} is that of {self._places[example.id]} already. "
                    "Expected: unique ids."
                )
        except InputError as error:
            self.leave_out(error)
            return
        if place is not None:
            self._places[example.id] = place
        self.examples.append(example)

    def leave_out(self, error: InputError) -> None:
        """Notes what is wrong with a bad example, or raises it with the hint."""
        self.left_out.append(str(error))
        if not self.skip_bad:
            raise InputError(str(error), self._hint(error)) from error
