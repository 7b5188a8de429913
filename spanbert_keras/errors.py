"""The one exception that programs print as a sentence instead of a traceback."""

INPUT_EXIT_CODE = 1  # of a program that ends with an `InputError`


class InputError(ValueError):
    """Something that the user gave cannot be used.

    The message is one clear sentence: what, where (file or flag), what was expected, what was received, what to do.
    Programs print it and end with `INPUT_EXIT_CODE`; in Python it is an ordinary `ValueError`.
    """
