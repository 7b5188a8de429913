"""Signals for child processes, and their end."""

import os
import signal
import subprocess
import sys
import time

import pytest

from spanbert_keras.training.distributed import child_processes
from spanbert_keras.training.distributed.child_processes import end_processes, passed_on_signals

STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True); time.sleep(60)"
)
PLAIN = "import time; print('ready', flush=True); time.sleep(60)"


@pytest.mark.parametrize(
    ("sent", "noted"),
    [("SIGTERM", "SIGTERM"), ("SIGINT", "SIGINT"), ("SIGUSR1", "SIGUSR1"), ("SIGHUP", "SIGTERM")],
)
def test_signals_are_noted_and_handlers_are_put_back(sent, noted):
    number = signal.Signals[sent]
    before = signal.signal(number, signal.SIG_DFL)  # in the background of a shell some are ignored
    try:
        with passed_on_signals() as received:
            os.kill(os.getpid(), number)
            time.sleep(0.01)
            assert received == [signal.Signals[noted]]
        assert signal.getsignal(number) is signal.SIG_DFL
    finally:
        signal.signal(number, before)


def test_an_ignored_signal_stays_ignored():
    before = signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    try:
        with passed_on_signals() as received:
            os.kill(os.getpid(), signal.SIGUSR1)
            assert received == []
    finally:
        signal.signal(signal.SIGUSR1, before)


@pytest.mark.parametrize(("program", "code"), [(PLAIN, -signal.SIGTERM), (STUBBORN, -signal.SIGKILL)])
def test_processes_end_by_sigterm_or_else_by_sigkill(monkeypatch, program, code):
    monkeypatch.setattr(child_processes, "TERMINATE_SECONDS", 0.5)
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, process_group=0)
    assert process.stdout.readline() == b"ready\n"
    end_processes([process])
    assert process.poll() == code
    process.stdout.close()
    end_processes([process])  # it has ended
