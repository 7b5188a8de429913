"""Libraries that only some programs need, and that an extra of the package installs."""

import importlib
from typing import Any

from spanbert_keras.program import InputError


def load(module: str, extra: str) -> Any:
    """Returns an imported module.

    Args:
        module: str. Its full name.
        extra: str. The extra that installs it.

    Raises:
        InputError: it is not installed; the sentence names the extra.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise InputError(
            f"{module.partition('.')[0]} cannot be imported: {error}. "
            f'Install the extra: pip install "spanbert-keras[{extra}]".'
        ) from error
