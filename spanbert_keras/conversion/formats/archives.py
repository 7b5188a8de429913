"""Files out of an archive, and nothing else."""

import os
import pathlib
import shutil
import tarfile
import zlib

from spanbert_keras.conversion.formats.pickles import CUT_SHORT
from spanbert_keras.errors import InputError

MAX_BYTES = 16 * 1024**3  # unpacked; a large model with its optimizer has 5 GB
WANTED = ("config.json", "bert_config.json", "vocab.txt", "tokenizer_config.json", "pytorch_model.bin", "model.pt",
          "model.safetensors", "tokenizer.json")  # fmt: skip


def unpack(path: str | os.PathLike, folder: str | os.PathLike, max_bytes: int = MAX_BYTES) -> list[str]:
    """Copies the files of a checkpoint out of a tar archive into one flat folder, and returns their names.

    Only regular files of known names are taken, under their last name; no path of the archive is followed.

    Args:
        path: `.tar`, `.tar.gz` or another form that `tarfile` opens.
        folder: exists.
        max_bytes: int. Refuses archives that unpack to more.

    Raises:
        InputError: the archive is cut short, names a place outside, is too large, or holds no such file.
    """
    taken: list[str] = []
    total = 0
    try:
        with tarfile.open(path, "r:*") as archive:
            for member in archive:
                _check_place(path, member.name)
                name = pathlib.PurePosixPath(member.name).name
                total += member.size
                if total > max_bytes:
                    raise InputError(f"{path} unpacks to more than {max_bytes:,} bytes, and is refused.")
                source = archive.extractfile(member) if member.isreg() and name in WANTED else None
                if source is None:
                    continue
                if name in taken:
                    raise InputError(f"{path} holds two files {name}. Expected: one checkpoint an archive.")
                with source, open(pathlib.Path(folder) / name, "wb") as target:
                    shutil.copyfileobj(source, target, 1 << 20)
                taken.append(name)
            _read_rest(path, archive, max_bytes)
    except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
        raise InputError(f"{path} cannot be unpacked: {error}. {CUT_SHORT}") from error
    if not taken:
        raise InputError(f"{path} holds no checkpoint. Expected one of: {', '.join(WANTED)}.")
    return taken


def _read_rest(path, archive: tarfile.TarFile, max_bytes: int) -> None:
    """Reads what follows the last member: only at its end does a compressed file show that it is whole."""
    total = 0
    while archive.fileobj is not None and (block := archive.fileobj.read(1 << 20)):
        total += len(block)
        if total > max_bytes:
            raise InputError(f"{path} unpacks to more than {max_bytes:,} bytes, and is refused.")


def _check_place(path, name: str) -> None:
    """Refuses names that lead out of the folder, also of files that would not be taken."""
    parts = pathlib.PurePosixPath(name.replace("\\", "/"))
    if parts.is_absolute() or ".." in parts.parts:
        raise InputError(f"{path} is refused: its member {name!r} leads out of the folder that it is unpacked to.")
