"""Files of Keras' form: verified before Keras reads them, and the same bytes for the same model."""

import contextlib
import io
import json
import os
import re
import shutil
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from spanbert_keras.errors import InputError
from spanbert_keras.files.json_files import parse_json
from spanbert_keras.files.writing import check_space, final_name, temporary_path

CONFIG, WEIGHTS = "config.json", "model.weights.h5"
MAX_CONFIG_BYTES = 1 << 26
OTHER_BYTES = 4_000_000  # of a preset besides its weights: vocabulary, settings, and 3 KB of HDF5 per weight
MAX_RATIO, SPARE_BYTES = 16, 1 << 26  # of the size of all members to that of the archive; Keras compresses nothing


def verify_archive(path: str | os.PathLike) -> dict[str, Any]:
    """Verifies the checksums of all members of a `.keras` file, which Keras does not, and returns its config.

    Raises:
        InputError: it is not a whole `.keras` file, is damaged, or claims to be far larger than it is.
    """
    if not zipfile.is_zipfile(path):
        raise InputError(f"{path} is not a complete .keras file: it was cut short or damaged. Copy or save it again.")
    try:
        with zipfile.ZipFile(path) as archive:
            sizes = {member.filename: member.file_size for member in archive.infolist()}
            if sum(sizes.values()) > MAX_RATIO * os.path.getsize(path) + SPARE_BYTES:
                raise InputError(f"{path} is rejected: its parts claim to be far larger than the file.")
            damaged = archive.testzip()
            if damaged is not None:
                raise InputError(f"{path} is damaged: the checksum of {damaged[:200]!r} is wrong. Copy it again.")
            if not sizes.keys() >= {CONFIG, WEIGHTS} or sizes[CONFIG] > MAX_CONFIG_BYTES:
                raise InputError(f"{path} is not a .keras file. Expected: {CONFIG} and {WEIGHTS} in it.")
            return parse_json(archive.read(CONFIG), dict[str, Any])
    except (InputError, MemoryError):
        raise
    except Exception as error:  # `zipfile` raises nearly anything for invalid bytes
        raise InputError(f"{path} is damaged: {str(error)[:200]}. Copy or save it again.") from error


def weights_of(path: str | os.PathLike) -> tuple[BinaryIO, int]:
    """Returns the HDF5 file inside a `.keras` file as an open stream, and its size in bytes."""
    with zipfile.ZipFile(path) as archive:
        member = archive.getinfo(WEIGHTS)
        if member.compress_type != zipfile.ZIP_STORED:
            return io.BytesIO(archive.read(member)), member.file_size
    file = open(path, "rb")
    file.seek(member.header_offset)
    header = file.read(30)
    begin = member.header_offset + 30 + sum(int.from_bytes(header[i : i + 2], "little") for i in (26, 28))
    return io.BufferedReader(_Part(file, begin, member.file_size)), member.file_size


def save_model(model, path: str | os.PathLike) -> None:
    """Writes a `.keras` file that is the same, byte for byte, for every equal model.

    Keras writes the time, addresses of objects, and names that count the layers of the process.

    Args:
        model: Keras model.
        path: path that ends with `.keras`. On an error, a partial file may remain there.
    """
    path = Path(path)
    with _plain_names(model):
        model.save(path)
    rewritten = temporary_path(path.with_name(final_name(path.name)))
    try:
        with zipfile.ZipFile(path) as source, zipfile.ZipFile(rewritten, "w") as target:
            for member in source.infolist():
                plain = zipfile.ZipInfo(member.filename)  # of 1980, readable by everybody
                plain.external_attr, plain.file_size = 0o644 << 16, member.file_size
                if member.filename in EDITED:
                    target.writestr(plain, EDITED[member.filename](source.read(member)))
                    continue
                with source.open(member) as content, target.open(plain, "w") as copy:
                    shutil.copyfileobj(content, copy, 1 << 20)
        os.replace(rewritten, path)
    finally:
        rewritten.unlink(missing_ok=True)


def save_preset(encoder, folder: str | os.PathLike) -> None:
    """Writes a keras-hub preset directory.

    Raises:
        OSError: the disk is full.
    """
    folder = Path(folder)
    folder.mkdir(parents=True)
    check_space(folder / "space", 4 * encoder.count_params() + OTHER_BYTES)
    encoder.save_to_preset(str(folder))


@contextlib.contextmanager
def _plain_names(model) -> Iterator[None]:
    """Removes the numbers of names that Keras counted, such as `dropout_12`, during the block."""
    roots: list[Any] = [
        root for root in (model, getattr(model, "preprocessor", None)) if hasattr(root, "_flatten_layers")
    ]
    parts = [layer for root in roots for layer in root._flatten_layers()]
    optimizer = getattr(model, "optimizer", None)
    while optimizer is not None:  # that of a loss scale holds another one
        parts.append(optimizer)
        optimizer = getattr(optimizer, "inner_optimizer", None)
    names = [(part, part.name) for part in {id(part): part for part in parts}.values()]
    try:
        for part, name in names:
            base, _, number = name.rpartition("_")
            if number.isdecimal() and base == _snake_case(type(part).__name__):
                part.name = base
        yield
    finally:
        for part, name in names:
            part.name = name


def _snake_case(name: str) -> str:
    """Returns the name that Keras gives to the first layer of a class."""
    spaced = re.sub(r"([a-z])([A-Z])", r"\1_\2", re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", re.sub(r"\W+", "", name)))
    return spaced.lower()


def _with_counted_objects(content: bytes) -> bytes:
    """Returns the config with 1, 2, ... instead of addresses of shared objects."""
    config = json.loads(content)
    numbers: dict[int, int] = {}
    rest = [config]
    while rest:
        value = rest.pop()
        if isinstance(value, dict) and "shared_object_id" in value:
            value["shared_object_id"] = numbers.setdefault(value["shared_object_id"], len(numbers) + 1)
        if isinstance(value, dict | list):
            rest += value.values() if isinstance(value, dict) else value
    return json.dumps(config).encode()


def _without_date(content: bytes) -> bytes:
    return json.dumps(json.loads(content) | {"date_saved": "1980-01-01@00:00:00"}).encode()


EDITED: dict[str, Callable[[bytes], bytes]] = {CONFIG: _with_counted_objects, "metadata.json": _without_date}


class _Part(io.RawIOBase):
    """Some consecutive bytes of a file. Seeking in a member of `zipfile` would read it again from its beginning."""

    def __init__(self, file: BinaryIO, begin: int, size: int):
        self._file, self._begin, self._size, self._place = file, begin, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._place = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._place, os.SEEK_END: self._size}[whence]
        return self._place

    def tell(self) -> int:
        return self._place

    def readinto(self, buffer: Any) -> int:
        self._file.seek(self._begin + self._place)
        content = self._file.read(max(0, min(len(buffer), self._size - self._place)))
        buffer[: len(content)] = content
        self._place += len(content)
        return len(content)

    def close(self) -> None:
        self._file.close()
        super().close()
