"""Reads tensors from torch's pickles without running code that a pickle may contain."""

import argparse
import os
import pickle
from typing import Any

import numpy as np

from spanbert_keras.errors import InputError

CUT_SHORT = "The download may have been cut short: compare its size and download it again."


def read_pickle(path: str | os.PathLike) -> dict[str, Any]:
    """Returns the dict in a file of `torch.save`, with its tensors as arrays.

    The file is opened with `weights_only=True` and a fixed list of harmless classes besides torch's own: those of a
    fairseq training checkpoint's settings (`argparse.Namespace`, NumPy scalars).

    Args:
        path: path of a `.bin` or `.pt` file, in the current (zip) or the legacy format.

    Raises:
        InputError: torch is not installed; the file is truncated, needs other classes, or does not hold a dict.
    """
    try:
        import torch
    except ImportError:
        raise InputError(
            f'{path} is a torch pickle, which only torch can read: pip install "spanbert-keras[torch]". Or use a '
            "folder with model.safetensors."
        ) from None
    try:
        with torch.serialization.safe_globals(harmless_globals()):
            found = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise InputError(_unpickling_message(path, str(error))) from error
    except Exception as error:  # Invalid bytes may raise anything, e.g. IndexError or AttributeError.
        raise InputError(f"{path} cannot be read as a whole file: {first_line(error)}. {CUT_SHORT}") from error
    if not isinstance(found, dict):
        raise InputError(f"{path} does not hold a dict of tensors. Received: {type(found).__name__}.")
    return {str(key): _as_arrays(value) for key, value in found.items()}


def harmless_globals() -> list:
    """Returns the classes and functions allowed in addition to torch's own. They only hold values."""
    scalar = np.float64(0.0).__reduce__()[0]
    kinds = {type(np.dtype(kind)) for kind in ("float64", "float32", "float16", "int64", "int32", "int16", "bool")}
    # Files written before NumPy 2 use the function's old module; `encode` turns their text into bytes.
    old_name = (scalar, "numpy.core.multiarray.scalar")
    return [argparse.Namespace, scalar, old_name, np.dtype, *sorted(kinds, key=str), _encode()]


def _encode():
    import codecs

    return codecs.encode


def _unpickling_message(path, message: str) -> str:
    """Returns the error message for a pickle. torch's own buries the name of the class in advice."""
    for mark in ("Unsupported global: GLOBAL ", "Trying to load unsupported GLOBAL ", "Unsupported class "):
        if mark in message:
            wanted = message.split(mark, 1)[1].split()[0]
            return (
                f"{path} is rejected: besides tensors it needs {wanted}, and unpickling that could run any code. "
                "Expected: a state dict or a fairseq checkpoint."
            )
    return f"{path} cannot be read as a pickle of tensors, as written by torch.save. {CUT_SHORT}"


def first_line(error: BaseException) -> str:
    """Returns the first line of another library's error message, to be quoted in ours."""
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__


def _as_arrays(value: Any) -> Any:
    """Replaces tensors by arrays of the same dtype (ml_dtypes for bfloat16); other values stay unchanged."""
    if isinstance(value, dict):
        return {key: _as_arrays(entry) for key, entry in value.items()}
    if type(value).__module__.split(".")[0] != "torch" or not hasattr(value, "detach"):
        return value
    tensor = value.detach().contiguous()
    if str(tensor.dtype) != "torch.bfloat16":
        return tensor.numpy()
    import ml_dtypes
    import torch

    return tensor.view(torch.int16).numpy().view(ml_dtypes.bfloat16)
