"""Reads tensors from torch's pickles without running code that a pickle may contain."""

import argparse
import os
import pickle
import zipfile
from typing import Any

import numpy as np

from spanbert_keras.conversion.formats.pickle_opcodes import opcodes_fault
from spanbert_keras.conversion.formats.torch_arrays import TorchArrays
from spanbert_keras.errors import InputError

CUT_SHORT = "The download may have been cut short: compare its size and download it again."
ZIP = b"PK\x03\x04"  # first bytes of the current format


def read_pickle(path: str | os.PathLike) -> dict[str, Any]:
    """Returns the dict in a file of `torch.save`, with its tensors as arrays.

    The file is opened with `weights_only=True` and a fixed list of harmless classes besides torch's own: those of a
    fairseq training checkpoint's settings (`argparse.Namespace`, NumPy scalars). The checksums of the current format
    are verified, which torch does not do; the legacy format has none.

    Args:
        path: path of a `.bin` or `.pt` file, in the current (zip) or the legacy format.

    Returns:
        dict. Tensors without an array of NumPy, such as sparse ones, are `UnusableTensor`s.

    Raises:
        InputError: torch is not installed; the file is truncated or damaged, needs other classes, does not hold a dict,
            or claims more than it holds.
    """
    try:
        import torch
    except ImportError:
        raise InputError(
            f'{path} is a torch pickle, which only torch can read: pip install "spanbert-keras[torch]". Or use a '
            "folder with model.safetensors."
        ) from None
    fault = opcodes_fault(path, _check_zip(path))
    if fault:
        raise InputError(f"{path} is rejected: {fault}. Expected: a state dict or a training checkpoint.")
    try:
        with torch.serialization.safe_globals(harmless_globals()):
            found = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise InputError(_unpickling_message(path, str(error))) from error
    except MemoryError:
        raise
    except Exception as error:  # Invalid bytes may raise anything, e.g. IndexError or AttributeError.
        raise InputError(f"{path} cannot be read as a whole file: {first_line(error)}. {CUT_SHORT}") from error
    if not isinstance(found, dict):
        raise InputError(f"{path} does not hold a dict of tensors. Received: {type(found).__name__}.")
    arrays = TorchArrays(path, os.path.getsize(path)).of(found)
    return {str(key): value for key, value in arrays.items()}


def _check_zip(path: str | os.PathLike) -> bool:
    """Verifies sizes and checksums of the parts of a zip file; returns whether it is one, by torch's rule.

    Raises:
        InputError: a part is damaged, or larger than the file.
    """
    try:
        with open(path, "rb") as file:
            if file.read(len(ZIP)) != ZIP:
                return False
        with zipfile.ZipFile(path) as archive:
            parts = archive.infolist()
            if sum(part.file_size for part in parts) > os.path.getsize(path):
                raise InputError(
                    f"{path} is rejected: its parts are compressed, or claim to be larger than the file. Expected: a "
                    "file as `torch.save` writes it."
                )
            # Without any checksum: saved with `torch.serialization.set_crc32_options(False)`.
            damaged = archive.testzip() if any(part.CRC for part in parts) else None
    except (InputError, MemoryError):
        raise
    except Exception as error:  # `zipfile` raises nearly anything for invalid bytes
        raise InputError(f"{path} cannot be read as a whole file: {first_line(error)}. {CUT_SHORT}") from error
    if damaged is not None:
        raise InputError(f"{path} is damaged: the checksum of its part {damaged[:80]!r} is wrong. {CUT_SHORT}")
    return True


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
