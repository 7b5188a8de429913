"""Arrays of shards, mapped into memory while they are used: a corpus may have more of them than a process may map."""

import collections
import pathlib
import weakref
from typing import Any

import numpy as np

from spanbert_keras.data.shards import shard_format

MAX_MAPPED = 16_384  # arrays; Linux allows a process 65,530 maps (vm.max_map_count)


class ShardArray:
    """A one-dimensional `.npy` file, checked when it is opened, and read like the array in it.

    The memory map is made at the first use, and given up when `MAX_MAPPED` others were made after it.

    Args:
        path: path of the file.
        dtype: dtype of the array.
        length: int. Number of its values.

    Raises:
        InputError: not a whole `.npy` file, or not of this dtype or length.

    Example:

    ```python
    import numpy as np

    from spanbert_keras.data.shards.shard_array import ShardArray

    np.save("pieces.npy", np.arange(5, dtype=np.uint16))
    ShardArray("pieces.npy", np.uint16, 5)[1:3]  # memmap([1, 2], dtype=uint16)
    ```
    """

    _mapped: "collections.deque[weakref.ref[ShardArray]]" = collections.deque()

    def __init__(self, path, dtype: Any, length: int):
        self.path, self.dtype, self.length = pathlib.Path(path), np.dtype(dtype), length
        self._array: np.ndarray | None = None
        shard_format.open_array(self.path, self.dtype, self.length)

    def _values(self) -> np.ndarray:
        array = self._array
        if array is None:
            array = self._array = shard_format.open_array(self.path, self.dtype, self.length)
            self._mapped.append(weakref.ref(self))
            if len(self._mapped) > MAX_MAPPED:
                first = self._mapped.popleft()()
                if first is not None:
                    first._array = None  # the map ends with the last slice of it
        return array

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index):
        return self._values()[index]

    def __getattr__(self, name: str) -> Any:
        """Returns what the array has: `shape`, `tolist`, `sum`, ..."""
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._values(), name)

    def __reduce__(self):
        return ShardArray, (self.path, self.dtype, self.length)

    def __array__(self, dtype=None, copy=None) -> np.ndarray:
        values = self._values()
        return np.array(values, dtype) if copy else np.asarray(values, dtype)
