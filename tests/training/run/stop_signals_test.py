"""Tests of the signals that end a run, sent to this very process."""

import os
import signal
import threading

import pytest

from spanbert_keras.training.run.stop_signals import INTERRUPT, PREEMPT, StopSignals

NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)


def send(number):
    os.kill(os.getpid(), number)


@pytest.fixture
def signals():
    with StopSignals(77) as entered:
        entered.deferred = True
        yield entered


@pytest.mark.parametrize(
    "number, kind, code",
    [(signal.SIGINT, INTERRUPT, 130), (signal.SIGTERM, PREEMPT, 77), (signal.SIGUSR1, PREEMPT, 77)],
)
def test_a_deferred_signal_is_remembered(signals, number, kind, code):
    assert signals.received is None
    send(number)
    assert (signals.received, signals.exit_code()) == (kind, code)


def test_a_second_ctrl_c_ends_at_once(signals):
    send(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        send(signal.SIGINT)


@pytest.mark.parametrize(
    "first, second", [("SIGTERM", "SIGTERM"), ("SIGUSR1", "SIGTERM"), ("SIGTERM", "SIGINT"), ("SIGINT", "SIGTERM")]
)
def test_a_second_signal_of_another_kind_changes_nothing(signals, first, second):
    send(getattr(signal, first))
    received = signals.received
    send(getattr(signal, second))  # the first decides the exit code
    assert signals.received == received


@pytest.mark.parametrize("number, code", [(signal.SIGTERM, 77), (signal.SIGUSR1, 77)])
def test_with_nothing_to_save_preemption_ends_at_once_with_its_code(signals, number, code):
    signals.deferred = False
    with pytest.raises(SystemExit) as end:
        send(number)
    assert end.value.code == code


def test_with_nothing_to_save_ctrl_c_ends_at_once(signals):
    signals.deferred = False
    with pytest.raises(KeyboardInterrupt):
        send(signal.SIGINT)
    assert signals.received == INTERRUPT


def test_handlers_are_restored():
    before = [signal.getsignal(number) for number in NUMBERS]
    with pytest.raises(OSError, match="inside"), StopSignals() as entered:
        assert [signal.getsignal(number) for number in NUMBERS] == [entered._handle] * 3
        raise OSError("inside")
    assert [signal.getsignal(number) for number in NUMBERS] == before


def test_in_another_thread_nothing_is_handled():
    before, found = [signal.getsignal(number) for number in NUMBERS], []

    def work():
        with StopSignals() as entered:
            found.append((entered.received, [signal.getsignal(number) for number in NUMBERS]))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [(None, before)]
