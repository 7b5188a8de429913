"""Opens `.npy` files that may be damaged: the header is compared with the file and with what the reader expects."""

import math
import os

import numpy as np
from numpy.lib import format as npy_format
from numpy.typing import DTypeLike


def open_npy(path: str | os.PathLike, dtype: DTypeLike, length: int | None = None) -> np.ndarray:
    """Returns the one-dimensional array of a file as a read-only memory map.

    Args:
        path: path of the file.
        dtype: dtype that it must have.
        length: int or `None`. Number of values that it must have; `None` for any number.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is not a `.npy` file, holds an array of another type or length, or its size is not the one that
            its header claims. The message is a part of a sentence.
    """
    with open(path, "rb") as file:
        try:
            version = npy_format.read_magic(file)
            read_header = npy_format.read_array_header_1_0 if version == (1, 0) else npy_format.read_array_header_2_0
            shape, _, found = read_header(file)
        except OSError:
            raise
        except Exception as error:  # NumPy evaluates the header as Python: nearly anything can be raised
            message = str(error).partition("\n")[0][:100]
            raise ValueError(f"its header is damaged ({type(error).__name__}: {message})") from None
        begin, size = file.tell(), os.fstat(file.fileno()).st_size
    expected = f"{np.dtype(dtype).name} ({'any length' if length is None else f'{length:,}'},)"
    if len(shape) != 1 or found != np.dtype(dtype) or (length is not None and shape[0] != length):
        raise ValueError(f"it holds the wrong array. Expected: {expected}. Received: {str(found)[:60]} {shape}")
    if size != begin + math.prod(shape) * found.itemsize:
        raise ValueError(f"its size differs from its header's. Expected: {shape[0]:,} values. Received: {size:,} bytes")
    if not shape[0]:
        return np.empty(shape, found)
    return np.memmap(path, found, "r", begin, shape)
