"""The one exception that programs print as a sentence instead of a traceback."""

INPUT_EXIT_CODE = 1  # of a program that ends with an `InputError`


class InputError(ValueError):
    """Input of the user (a flag, a file, an argument) cannot be used.

    The message is one clear sentence: what, where (file or flag), what was expected, what was received, what to do.
    Programs print it and end with `INPUT_EXIT_CODE`; in Python it is an ordinary `ValueError`.

    Args:
        what: str. The message, or its part before the hint.
        hint: str. What to do, where the caller may know better: a program names its flag instead of an argument.
    """

    def __init__(self, what: str = "", hint: str = ""):
        super().__init__(f"{what} {hint}" if hint else what)
        self.what = what
        self.hint = hint
