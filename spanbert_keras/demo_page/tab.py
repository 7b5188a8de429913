"""A tab of the page, as plain data: its fields, its example, and the function from what a user writes to HTML."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

from absl import logging

from spanbert_keras.demo_page.markup import error_sentence
from spanbert_keras.errors import InputError

MESSAGE_LENGTH = 200  # characters of another exception's message that the page shows


@dataclasses.dataclass(frozen=True, kw_only=True)
class Field:
    """One input of a tab.

    Attributes:
        kind: `"text"`, several lines; `"line"`, one; `"choice"`, one of `choices`; `"number"`, from `choices[0]` to
            `choices[1]` in steps of `choices[2]`; `"switch"`, yes or no.
        label: str. What the field is called.
        example: str, float or bool. Its value in the tab's example.
        value: str, float or bool. Its value at the start.
        choices: sequence of str or of numbers; see `kind`.
        info: str. A sentence below the label, if any.
    """

    kind: str
    label: str
    example: Any
    value: Any = ""
    choices: Sequence = ()
    info: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tab:
    """What one model of the page does.

    Attributes:
        title: str. Title of the tab.
        about: str. A sentence about what is found.
        button: str. Label of the button that asks the model.
        fields: sequence of `Field`.
        show: function from the values of the fields to HTML. May raise `InputError`.

    Example:

    ```python
    from spanbert_keras.demo_page.tab import Field, Tab

    field = Field(kind="line", label="Name", example="Ann")
    tab = Tab(title="Greeting", about="Greets.", button="Greet", fields=[field], show=lambda name: f"Hello, {name}!")
    tab.answer(*tab.example)  # "Hello, Ann!"
    ```
    """

    title: str
    about: str
    button: str
    fields: Sequence[Field]
    show: Callable[..., str]

    @property
    def example(self) -> tuple:
        """The values of the fields in the example."""
        return tuple(field.example for field in self.fields)

    def answer(self, *values: Any) -> str:
        """Returns the HTML for values of the fields; a user's mistake is a sentence in it.

        A missing optional package is one too: the sentence names the extra to install. Any other exception is logged
        with its traceback, and the sentence has its name.
        """
        try:
            return self.show(*values)
        except (InputError, ImportError) as error:
            return error_sentence(error)
        except Exception as error:
            logging.exception("The tab %s failed.", self.title)
            message = next(iter(str(error).splitlines()), "")
            name = type(error).__name__ + (f": {message[:MESSAGE_LENGTH]}" if message else "")
            return error_sentence(f"The model failed with an error that the demo's terminal shows in full: {name}")


def written(value: str | None, name: str) -> str:
    """Returns what a user wrote into a text field.

    Args:
        value: str or `None`.
        name: str. What the field is called in the middle of a sentence, e.g. `"question"`.

    Raises:
        InputError: nothing but white space.
    """
    if value is None or not value.strip():
        raise InputError(f"The {name} is empty. Write one, or fill in the example.")
    return value
