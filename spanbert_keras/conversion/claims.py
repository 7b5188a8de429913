"""Compares the sizes that settings claim with the arrays that are there, before anything is allocated."""

import contextlib
import dataclasses
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from spanbert_keras.errors import InputError
from spanbert_keras.files.checksum_file import verify_checksums
from spanbert_keras.files.json_files import read_json
from spanbert_keras.files.keras_files import verify_archive, weights_of

OF_ENCODER = (
    *("vocabulary_size", "num_layers", "num_heads", "hidden_dim", "intermediate_dim", "max_sequence_length"),
    "num_segments",
)
OF_HEADS = ("max_span_positions", "position_dim", "max_span_width", "feature_dim", "hidden_dim", "max_segment_distance")
PACKED = 2  # weights per stored number: int4 puts two into a byte
MAX_DIGITS = 40  # of a number in a message


@dataclasses.dataclass(frozen=True)
class Stored:
    """What a file holds.

    Attributes:
        arrays: int. Number of arrays.
        values: int. Number of all their values.
    """

    arrays: int
    values: int

    @classmethod
    def in_tensors(cls, tensors: dict[str, np.ndarray]) -> "Stored":
        """Returns what a checkpoint holds."""
        return cls(len(tensors), sum(array.size for array in tensors.values()))

    @classmethod
    def in_h5(cls, file: str | os.PathLike | BinaryIO, num_bytes: int, where: str) -> "Stored":
        """Returns what an HDF5 file holds, which may be open.

        Raises:
            InputError: it is damaged, claims more than its own size, or refers to other files.
        """
        import h5py

        sizes: list[tuple[int, int]] = []

        def visit(name: str, item: Any) -> None:
            if isinstance(item, h5py.Dataset):
                if item.external or item.is_virtual:
                    raise InputError(f"{where} is rejected: its weights {name[:200]} are in another file.")
                sizes.append((item.size or 0, item.dtype.itemsize))

        try:
            with h5py.File(file, "r") as found:
                found.visititems(visit)
        except (InputError, MemoryError):
            raise
        except Exception as error:  # h5py raises nearly anything for invalid bytes
            raise InputError(
                f"{where} cannot be read: {str(error)[:200]}. It may have been cut short: copy or download it again."
            ) from error
        if sum(size * itemsize for size, itemsize in sizes) > num_bytes:
            raise InputError(f"{where} is rejected: its weights claim to be larger than the file.")
        return cls(len(sizes), sum(size for size, _ in sizes))


def check_claims(settings: Any, stored: Stored, where: str) -> None:
    """Raises if the model that settings describe is larger than what is stored.

    Args:
        settings: value of JSON. A model's config, with those of its parts at any depth, or the arguments of one.
        stored: what is there.
        where: str. The file, for messages.

    Raises:
        InputError: a size is not a positive whole number, or too large.
    """
    sizes = dict.fromkeys((*OF_ENCODER, "width", *OF_HEADS, "labels", "genres", "ranks"), 0)
    for found in _objects(settings):
        is_encoder = "num_layers" in found
        for name in OF_ENCODER if is_encoder else OF_HEADS:
            if found.get(name) is not None:
                size = _size(found[name], name, stored, where)
                name = "width" if is_encoder and name == "hidden_dim" else name
                sizes[name] = max(sizes[name], size)
        for name in ("labels", "genres"):
            if isinstance(found.get(name), list):
                sizes[name] = max(sizes[name], len(found[name]))
        if isinstance(found.get("lora"), dict):
            ranks = [one.get("rank") for one in found["lora"].values() if isinstance(one, dict)]
            sizes["ranks"] += sum(_size(rank, "rank", stored, where) for rank in ranks)
    if sizes["num_layers"] > stored.arrays:
        raise InputError(
            f"{where} is rejected: it describes a model of {sizes['num_layers']:,} layers. Expected: at most "
            f"{stored.arrays:,}, the number of its arrays."
        )
    weights = _weights(sizes)
    if weights > PACKED * stored.values:
        raise InputError(
            f"{where} is rejected: it describes a model of {float(weights):.3g} weights or more, but holds "
            f"{stored.values:,}. Expected: the settings that belong to these weights."
        )


def _objects(settings: Any) -> Iterator[dict]:
    """Yields every object of a JSON value."""
    rest = [settings]
    while rest:
        value = rest.pop()
        if isinstance(value, dict):
            yield value
        if isinstance(value, dict | list):
            rest += value.values() if isinstance(value, dict) else value


def _size(value: Any, name: str, stored: Stored, where: str) -> int:
    """Returns a size that a file claims."""
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= PACKED * max(stored.values, 1):
        raise InputError(
            f"{where} is rejected: it says {name}={str(value)[:MAX_DIGITS]}. Expected: a whole number from 1 to "
            f"{stored.values:,}, the number of weights that it holds."
        )
    return value


def _weights(sizes: dict[str, int]) -> int:
    """Returns a number of weights that a model of these sizes has at least."""
    width, inner, feature, hidden = (sizes[name] for name in ("width", "intermediate_dim", "feature_dim", "hidden_dim"))
    tables = sizes["vocabulary_size"] + sizes["max_sequence_length"] + sizes["num_segments"] + sizes["labels"]
    total = tables * width + sizes["num_layers"] * (4 * width * width + 2 * width * inner)
    total += sizes["position_dim"] * (sizes["max_span_positions"] + width) + sizes["ranks"] * width
    if feature:  # a coreference resolver
        span = 3 * width + feature
        total += feature * (2 * sizes["max_span_width"] + sizes["max_segment_distance"] + sizes["genres"])
        total += hidden * 4 * span + 3 * span * span
    return total


def verify_preset(folder: Path) -> None:
    """Raises if files of a preset folder are damaged, or if its configs describe a model larger than its weights.

    Raises:
        InputError: see `verify_checksums`, `check_claims` and `Stored.in_h5`; or a config is not a JSON object.
    """
    verify_checksums(folder)
    paths = sorted(folder.glob("*.weights.h5"))
    if not paths:
        return
    every = [Stored.in_h5(path, path.stat().st_size, f"The preset {path}") for path in paths]
    stored = Stored(sum(one.arrays for one in every), sum(one.values for one in every))
    for name in ("config.json", "task.json"):
        with contextlib.suppress(FileNotFoundError):
            check_claims(json_object(folder / name), stored, str(folder / name))


def json_object(path: Path) -> dict[str, Any]:
    """Returns the object in a JSON file.

    Raises:
        FileNotFoundError: it is missing.
        InputError: it cannot be read or is not a JSON object.
    """
    try:
        return read_json(path, dict[str, Any])
    except FileNotFoundError:
        raise
    except (OSError, ValueError) as error:
        raise InputError(f"{path} is not a JSON object: {str(error)[:200]}.") from error


def check_keras_file(path: str | os.PathLike) -> dict[str, Any]:
    """Returns the config of a `.keras` file.

    Raises:
        InputError: the file is damaged, or its config describes a model that is larger than its weights.
    """
    config = verify_archive(path)
    stream, num_bytes = weights_of(path)
    with stream:
        stored = Stored.in_h5(stream, num_bytes, str(path))
    check_claims(config, stored, str(path))
    return config
