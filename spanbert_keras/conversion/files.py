"""Files that are whole or absent: written under a temporary name, then renamed."""

import contextlib
import errno
import os
import shutil
import uuid
from collections.abc import Callable
from pathlib import Path

from spanbert_keras.errors import InputError

WRITE_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EACCES, errno.EROFS, errno.EIO)


def write_whole(path: str | os.PathLike, write: Callable[[Path], None]) -> None:
    """Calls `write(temporary)` and renames the file or folder that it made to `path`, replacing what was there.

    Where writing fails, what was at `path` is still there and the temporary is gone.

    Args:
        path: the final place; folders above it are made.
        write: makes a file or folder at the path that it is given, which ends like `path`.

    Raises:
        InputError: the disk is full, or cannot be written for another reason.
    """
    path = Path(path)
    temporary = path.with_name(f".{uuid.uuid4().hex[:8]}.{path.name}")
    aside = path.with_name(f".old{temporary.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(temporary)
        if path.is_dir():  # a folder cannot be replaced in one step
            path.rename(aside)
        try:
            os.replace(temporary, path)
        except OSError:
            if aside.is_dir():
                aside.rename(path)
            raise
    except Exception as error:
        reason = _reason(error)
        if reason is None:
            raise
        raise InputError(f"{path} could not be written: {reason}. Mend this and try again.") from error
    finally:
        with contextlib.suppress(OSError):
            shutil.rmtree(aside, ignore_errors=True)
            if temporary.is_dir():
                shutil.rmtree(temporary, ignore_errors=True)
            else:
                temporary.unlink(missing_ok=True)


def _reason(error: Exception) -> str | None:
    """Returns the system's words for why nothing could be written; `None` where that is not what happened."""
    if isinstance(error, OSError):
        return os.strerror(error.errno) if error.errno else str(error)
    if type(error).__module__.startswith("tensorflow"):  # its errors only quote the system's
        return next((reason for reason in map(os.strerror, WRITE_ERRORS) if reason in str(error)), None)
    return None
