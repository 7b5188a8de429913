"""The one exception that programs print as a sentence instead of a traceback."""


class InputError(ValueError):
    """Input of the user (a flag, a file, an argument) cannot be used.

    The message is one clear sentence: what, where (file or flag), what was expected, what was received, what to do.
    Programs print it and exit with code 1. In Python it is an ordinary `ValueError`.
    """
