"""The one exception that programs print as a sentence instead of a traceback."""


class InputError(ValueError):
    """Something that the user gave cannot be used.

    The message is one clear sentence: what, where (file or flag), what was expected, what was received, what to do.
    Programs print it and end with exit code 1; in Python it is an ordinary `ValueError`.
    """
