"""Imports of optional libraries, with the extra to install in the error."""

import importlib
from typing import Any

from spanbert_keras.program import InputError

CLASSIFICATION = "classification"
COREFERENCE = "coreference"
ENTITIES = "entities"


def load(module: str, extra: str) -> Any:
    """Returns an imported module.

    Args:
        module: str. Full name of the module.
        extra: str. The extra of setup.py that installs it, such as `CLASSIFICATION`.

    Raises:
        InputError: the module cannot be imported. The message names the extra.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise InputError(
            f"{module.partition('.')[0]} cannot be imported: {error}. "
            f'Install the extra: pip install "spanbert-keras[{extra}]".'
        ) from error
