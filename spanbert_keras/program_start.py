"""Tells a program that still reads its flags from everything else that imports this package.

A program answers `--help` or a misspelt flag before Keras and its backend are loaded, which takes seconds. So the
package holds no public names until the flags are read (`program.run`). In any other process (an application, a test, a
notebook, a debugger, a worker) they are there from the start, and every savable class is registered.
"""

import contextlib
import importlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from spanbert_keras.standard_streams import LOG_LEVEL, quiet_level, without_start_up_lines

PACKAGE = "spanbert_keras"
PROGRAM = "SPANBERT_KERAS_PROGRAM"  # in the environment of a program and of the processes that it starts
ROOT = Path(__file__).resolve().parent.parent

_flags_are_read = False


def reads_flags() -> bool:
    """Returns whether this process runs one of this package's or repository's programs and still reads its flags."""
    if _flags_are_read:
        return False
    name = started_module()
    folder, _, inside = name.partition(".")
    if folder == PACKAGE:
        return inside.isidentifier() and (ROOT / PACKAGE / f"{inside}.py").is_file()
    # Any other `tasks` or `benchmarks` is an application's own.
    is_checkout = folder in ("tasks", "benchmarks") and (ROOT / "setup.py").is_file()
    main = getattr(sys.modules.get("__main__"), "__file__", None) or ""
    return is_checkout and Path(main).resolve() == ROOT / f"{name.replace('.', '/')}.py"


def started_module() -> str:
    """Returns the module that `python -m` started in this process; "" if it was started in another way."""
    if sys.argv[:1] == ["-m"]:  # the packages around the module are imported, to find it
        return sys.orig_argv[-len(sys.argv)].removeprefix("-m")
    spec = getattr(sys.modules.get("__main__"), "__spec__", None)
    return "" if spec is None else spec.name


def import_public_names() -> None:
    """Gives the package the names that it did not import while the flags of a program were read."""
    global _flags_are_read
    _flags_are_read = True
    package = sys.modules[PACKAGE]
    if not hasattr(package, package.__all__[0]):  # an application that runs a program as a module has them already
        os.environ[PROGRAM] = "1"
        os.environ.setdefault(LOG_LEVEL, quiet_level())
        importlib.reload(package)


@contextlib.contextmanager
def import_context() -> Iterator[None]:
    """Context in which the package imports its names: in programs, without TensorFlow's start-up lines."""
    if PROGRAM not in os.environ:
        yield
        return
    with without_start_up_lines():
        yield
        tensorflow = sys.modules.get("tensorflow")
        if tensorflow is not None:  # it would look for devices at its first operation, and write the rest then
            tensorflow.config.list_physical_devices()
