"""Turns the tensors in what `torch.load` returned into arrays, however the file is made."""

import dataclasses
import os
from typing import Any

import numpy as np

from spanbert_keras.errors import InputError

MAX_NAME = 1_000  # characters of a tensor's name
MAX_DEPTH = 16  # dicts inside each other; training checkpoints have up to 7
MAX_ENTRIES = 200_000  # of all dicts; training checkpoints of large models have a few thousand
SPARE_BYTES = 1 << 26  # of copies, besides the size of the file
DTYPES = (
    "float64 float32 float16 bfloat16 int64 int32 int16 int8 uint8 bool complex64 complex128 uint16 uint32 uint64"
).split()


@dataclasses.dataclass(frozen=True)
class UnusableTensor:
    """Stands for a tensor that NumPy cannot hold.

    Attributes:
        kind: str. What it is, for messages.
    """

    kind: str


class TorchArrays:
    """Converts the tensors in nested dicts to arrays of the same dtype (ml_dtypes for bfloat16).

    A few bytes of a pickle can claim much: a dict may hold itself, or the same dict many times; a tensor may repeat one
    value. Every dict and tensor is converted once, and what the result would make of depth, entries and memory is
    counted before it is made.

    Args:
        path: path of the file, for messages.
        num_bytes: int. Size of the file. Tensors that are stored in another order or repeat their values are copied:
            together, the copies may take up to this size.
    """

    def __init__(self, path: str | os.PathLike, num_bytes: int):
        self.path = path
        self._free_bytes = num_bytes + SPARE_BYTES
        self._dicts: dict[int, tuple[dict, int] | None] = {}  # by identity: (converted, entries); `None`: not yet done
        self._tensors: dict[int, Any] = {}

    def of(self, found: dict) -> dict:
        """Returns a dict with its tensors as arrays, in the dicts inside it too; other values stay as they are.

        Entries whose key is neither text nor a number are left out.

        Raises:
            InputError: dicts are nested too deeply or hold themselves; there are too many entries, a name is too long,
                or the tensors claim more memory than the file can hold.
        """
        return self._converted(found, 0)[0]

    def _converted(self, found: dict, depth: int) -> tuple[dict, int]:
        """Returns the converted dict and its number of entries, those of inner dicts counted wherever they occur."""
        if id(found) in self._dicts:
            known = self._dicts[id(found)]
            if known is None:
                raise self._rejected("one of its dicts holds itself")
            return known
        if depth >= MAX_DEPTH:
            raise self._rejected(f"its dicts are nested more than {MAX_DEPTH} deep")
        self._dicts[id(found)] = None
        converted, entries = {}, 0
        for key, value in found.items():
            if not self._is_name(key):
                continue
            entries += 1
            if isinstance(value, dict):
                converted[key], inside = self._converted(value, depth + 1)
                entries += inside
            else:
                converted[key] = self._value(value)
            if entries > MAX_ENTRIES:
                raise self._rejected(f"it has more than {MAX_ENTRIES:,} entries")
        self._dicts[id(found)] = converted, entries
        return converted, entries

    def _is_name(self, key: Any) -> bool:
        if isinstance(key, str) and len(key) > MAX_NAME:
            raise self._rejected(f"the name {key[:40]!r}... has {len(key):,} characters, more than {MAX_NAME:,}")
        return isinstance(key, str) or isinstance(key, int) and key.bit_length() <= 64

    def _value(self, value: Any) -> Any:
        import torch

        if not isinstance(value, torch.Tensor):
            return value
        if id(value) not in self._tensors:
            self._tensors[id(value)] = self._array(value)
        return self._tensors[id(value)]

    def _array(self, tensor) -> np.ndarray | UnusableTensor:
        import torch

        kind = _unusable_kind(tensor)
        if kind:
            return UnusableTensor(kind)
        tensor = tensor.detach()
        if not tensor.is_contiguous():
            self._free_bytes -= tensor.numel() * tensor.element_size()
            if self._free_bytes < 0:
                raise self._rejected(
                    f"its tensors, such as one of shape {tuple(tensor.shape)}, claim more values than it stores"
                )
            tensor = tensor.contiguous()
        if tensor.dtype != torch.bfloat16:
            return tensor.numpy()
        import ml_dtypes

        return tensor.view(torch.int16).numpy().view(ml_dtypes.bfloat16)

    def _rejected(self, reason: str) -> InputError:
        return InputError(f"{self.path} is rejected: {reason}. Expected: a state dict or a training checkpoint.")


def _unusable_kind(tensor) -> str:
    """Returns the kind of a tensor that has no array; "" for the others."""
    dtype = str(tensor.dtype).removeprefix("torch.")
    kinds = {
        "nested tensor": tensor.is_nested,
        "sparse tensor": "strided" not in str(tensor.layout),
        "quantized tensor": tensor.is_quantized,
        f"tensor on the device {tensor.device.type}": tensor.device.type != "cpu",
        f"tensor of the dtype {dtype}": dtype not in DTYPES,
        "tensor with a pending negation": tensor.is_neg() or tensor.is_conj(),
    }
    return next((kind for kind, is_so in kinds.items() if is_so), "")
