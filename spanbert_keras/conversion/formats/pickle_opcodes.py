"""Rejects pickles that make torch's reader hang or fill memory, by their opcodes alone."""

import os
import pickletools
import zipfile
from typing import Any, BinaryIO

MAX_DEPTH = 16  # tuples inside each other; hashing one that holds the next twice takes 2^depth steps
LEGACY_PICKLES = 5  # at the beginning of a file in the legacy format of `torch.save`
# `bytearray(n)` takes n bytes of memory; torch allows it, and no tensor needs it.
ALLOCATING = ("__builtin__ bytearray", "builtins bytearray")
MARK = -1


def opcodes_fault(path: str | os.PathLike, zipped: bool) -> str:
    """Returns why a file of `torch.save` must not be unpickled; "" if nothing speaks against it.

    An invalid pickle has no fault here: torch's reader rejects it.

    Args:
        path: path of the file.
        zipped: bool. Whether it has the current format, a zip file; else the legacy format.
    """
    if not zipped:
        with open(path, "rb") as file:
            faults = [_fault(file) for _ in range(LEGACY_PICKLES)]
        return next(filter(None, faults), "")
    with zipfile.ZipFile(path) as archive:
        for part in archive.infolist():
            if part.filename.endswith("data.pkl"):
                with archive.open(part) as stream:
                    if fault := _fault(stream):  # type: ignore[arg-type]
                        return fault
    return ""


def _fault(stream: BinaryIO) -> str:
    depths, memo = _Stack(), {}
    try:
        for opcode, value, _ in pickletools.genops(stream):
            if opcode.name == "GLOBAL" and value in ALLOCATING:
                return f"it makes a {value.split()[1]}"
            inside = depths.pop(opcode.stack_before)
            depth = inside + 1 if opcode.name.startswith("TUPLE") else 0
            if opcode.name in ("MEMOIZE", "DUP"):
                depth = inside
            if depth > MAX_DEPTH:
                return f"its tuples are nested more than {MAX_DEPTH} deep"
            if opcode.name in ("BINPUT", "LONG_BINPUT", "PUT"):
                memo[value] = depths.top()
            elif opcode.name == "MEMOIZE":
                memo[len(memo)] = depth
            if opcode.name in ("BINGET", "LONG_BINGET", "GET"):
                depth = memo.get(value, 0)
            depths.push(opcode.stack_after, depth)
    except Exception:  # `pickletools` raises nearly anything for invalid bytes; torch's reader says what is wrong
        return ""
    return ""


class _Stack:
    """The stack of an unpickler, with the depth of every tuple (0: another value) and a `MARK` for each mark."""

    def __init__(self):
        self._depths: list[int] = []

    def top(self) -> int:
        return self._depths[-1]

    def pop(self, before: list[Any]) -> int:
        """Removes what an opcode takes, and returns the largest depth among it."""
        deepest = 0
        for kind in reversed(before):
            if kind is pickletools.markobject:
                self._depths.pop()
            elif kind is pickletools.stackslice:
                while self._depths[-1] != MARK:
                    deepest = max(deepest, self._depths.pop())
            else:
                deepest = max(deepest, self._depths.pop())
        return deepest

    def push(self, after: list[Any], depth: int) -> None:
        """Adds what an opcode leaves."""
        for kind in after:
            self._depths.append(MARK if kind is pickletools.markobject else depth)
