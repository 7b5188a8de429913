"""Extraction of checkpoint files from tar archives."""

import os
import pathlib
import shutil
import tarfile

from spanbert_keras.conversion.formats.torch_pickles import CUT_SHORT, first_line
from spanbert_keras.errors import InputError

MAX_BYTES = 16 * 1024**3  # unpacked; a large model with its optimizer state takes 5 GB
CHECKPOINT_FILES = (
    "config.json",
    "bert_config.json",
    "vocab.txt",
    "tokenizer_config.json",
    "pytorch_model.bin",
    "model.pt",
    "model.safetensors",
    "tokenizer.json",
)


def unpack(path: str | os.PathLike, folder: str | os.PathLike, max_bytes: int = MAX_BYTES) -> list[str]:
    """Extracts the files of a checkpoint from a tar archive into one flat folder, and returns their names.

    Only regular files with known names are extracted, without their folders: paths in the archive are never followed.

    Args:
        path: path of the archive: `.tar`, `.tar.gz` or another format that `tarfile` opens.
        folder: path of an existing folder to extract to.
        max_bytes: int. Largest size of the unpacked archive.

    Raises:
        InputError: the archive is truncated or too large, has a member whose path leads out of the folder, or holds no
            checkpoint.
    """
    extracted: list[str] = []
    total = 0
    try:
        with tarfile.open(path, "r:*") as archive:
            for member in archive:
                _check_member_path(path, member.name)
                name = pathlib.PurePosixPath(member.name).name
                total += member.size
                if total > max_bytes:
                    raise InputError(f"{path} unpacks to more than {max_bytes:,} bytes, the limit.")
                wanted = member.isreg() and not member.issparse() and name in CHECKPOINT_FILES
                source = archive.extractfile(member) if wanted else None
                if source is None:
                    continue
                if name in extracted:
                    raise InputError(f"{path} holds two files {name}. Expected: one checkpoint per archive.")
                with source, open(pathlib.Path(folder) / name, "wb") as target:
                    shutil.copyfileobj(source, target, 1 << 20)
                extracted.append(name)
            _read_rest(path, archive, max_bytes)
    except (InputError, MemoryError):
        raise
    except Exception as error:  # for invalid bytes `tarfile`, `lzma` and the others raise nearly anything
        raise InputError(f"{path} cannot be unpacked: {first_line(error)}. {CUT_SHORT}") from error
    if not extracted:
        raise InputError(f"{path} holds no checkpoint. Expected one of: {', '.join(CHECKPOINT_FILES)}.")
    return extracted


def _read_rest(path, archive: tarfile.TarFile, max_bytes: int) -> None:
    """Reads the rest of the archive: a compressed file is only known to be complete at its end."""
    total = 0
    while archive.fileobj is not None and (block := archive.fileobj.read(1 << 20)):
        total += len(block)
        if total > max_bytes:
            raise InputError(f"{path} unpacks to more than {max_bytes:,} bytes, the limit.")


def _check_member_path(path, name: str) -> None:
    """Raises if a member's path leads out of the folder, even if that member would not be extracted."""
    parts = pathlib.PurePosixPath(name.replace("\\", "/"))
    if parts.is_absolute() or ".." in parts.parts:
        raise InputError(f"{path} cannot be unpacked safely: its member {name!r} leads out of the folder.")
