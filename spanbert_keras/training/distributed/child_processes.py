"""Processes that a program starts: signals are passed on to them, and they end with it."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator

TERMINATE_SECONDS = 10.0  # from SIGTERM to SIGKILL


@contextlib.contextmanager
def passed_on_signals() -> Iterator[list[int]]:
    """Yields a list that collects the signals to pass on; outside the main thread it stays empty."""
    received: list[int] = []
    passed_on = {number: number for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)}
    passed_on[signal.SIGHUP] = signal.SIGTERM  # the terminal closed
    previous = {}
    try:
        for number in passed_on:
            if signal.getsignal(number) is signal.SIG_IGN:  # `nohup`; the workers inherit it
                continue
            previous[number] = signal.signal(number, lambda n, frame: received.append(passed_on[signal.Signals(n)]))
    except ValueError:
        pass  # not in the main thread
    try:
        yield received
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def end_processes(processes: list[subprocess.Popen]) -> None:
    """Ends the processes that still run: SIGTERM to the group of each, then SIGKILL if that does not help.

    Args:
        processes: list of `Popen`, each started with `process_group=0`.
    """
    deadline = time.monotonic() + TERMINATE_SECONDS
    for number in (signal.SIGTERM, signal.SIGKILL):
        for process in processes:
            if process.poll() is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, number)
        for process in processes:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(None if number == signal.SIGKILL else max(0.0, deadline - time.monotonic()))
