"""Runs the stages of an ablation as processes, one after the other."""

import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from absl import logging

from spanbert_keras.files.json_files import read_json, write_json
from spanbert_keras.program import InputError
from spanbert_keras.training.distributed.child_processes import end_processes, passed_on_signals
from tasks.ablation.stage import Stage

STOPPED_EXIT_CODES = (75, 130)  # preempted, interrupted: the same command continues
POLL_SECONDS = 0.1
LEFT_OUT = "left out"
SHOWN_LINES = 3  # of a failed stage's output


class Stopped(Exception):
    """Raised when a signal ended a stage.

    Args:
        code: int. Exit code of the stage.
    """

    def __init__(self, code: int):
        super().__init__(f"stopped with exit code {code}")
        self.code = code


def run_stages(stages: Sequence[Stage], folder: Path, failed: dict[str, str]) -> None:
    """Runs the stages that are not finished, in order; one that needs a failed one is left out.

    The output of each is appended to `logs/<name>.log` in the folder. SIGINT, SIGTERM and SIGUSR1 are passed on.

    Args:
        stages: sequence of `Stage`, each after those whose results it reads.
        folder: `Path`. The output directory.
        failed: dict from the name of each stage that failed or was left out to a sentence; added to.

    Raises:
        Stopped: a signal ended a stage.
        InputError: a log cannot be written.
    """
    for number, stage in enumerate(stages, 1):
        missing = [name for name in stage.after if name in failed]
        if missing:
            failed[stage.name] = f"{LEFT_OUT}, since {missing[0]} failed"
        elif stage.is_finished():
            logging.info("%d/%d %s is finished.", number, len(stages), stage.name)
        else:
            logging.info("%d/%d %s: %s", number, len(stages), stage.name, stage.command)
            sentence = _run(stage, folder)
            if sentence:
                logging.error("%s %s", stage.name, sentence)
                failed[stage.name] = sentence


def check_arguments(stage: Stage, folder: Path) -> None:
    """Raises `InputError` if a finished stage without a record of its own was run with other arguments."""
    try:
        recorded = read_json(_arguments_file(stage, folder), list[str])
    except (OSError, ValueError):
        return  # started by other means
    if stage.folder is None and recorded != list(stage.arguments):
        raise InputError(
            f"The results of {stage.name} in {folder} were made with {' '.join(recorded)}. Expected: "
            f"{' '.join(stage.arguments)}. Give a new --output_dir."
        )


def _arguments_file(stage: Stage, folder: Path) -> Path:
    return folder / "logs" / f"{stage.name}.json"


def _run(stage: Stage, folder: Path) -> str | None:
    """Runs one stage; returns a sentence if it failed."""
    began = time.monotonic()
    log = folder / "logs" / f"{stage.name}.log"
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        output = open(log, "ab")
        begin = output.tell()
        write_json(_arguments_file(stage, folder), list(stage.arguments))
    except OSError as error:
        raise InputError(f"The log {log} cannot be written: {error.strerror}.") from error
    processes: list[subprocess.Popen] = []
    with output, passed_on_signals() as received:
        try:
            process = subprocess.Popen(
                [sys.executable, "-m", stage.module, *stage.arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                process_group=0,  # Ctrl-C reaches this process alone, which passes it on once
            )
            processes.append(process)
            sent: list[int] = []
            while process.poll() is None:
                while received:
                    sent.append(received.pop(0))
                    process.send_signal(sent[-1])
                time.sleep(POLL_SECONDS)
        finally:
            end_processes(processes)
    code = process.returncode
    sent += received  # one that came when the stage had ended
    if sent:  # no other stage begins, also if this one ended well
        raise Stopped(code if code in STOPPED_EXIT_CODES else 128 + sent[0])
    if code in STOPPED_EXIT_CODES:
        raise Stopped(code)
    if code:
        how = f"exit code {code}" if code > 0 else f"signal {signal.Signals(-code).name}"
        return f"failed ({how}): {_end_of(log, begin)} The whole output is in {log}."
    if not stage.is_finished():
        return f"ended without results. Its output is in {log}."
    logging.info("%s took %.0f s.", stage.name, time.monotonic() - began)
    return None


def _end_of(log: Path, begin: int) -> str:
    """Returns the sentence with which a program ended, or the last lines of its output after `begin` bytes."""
    text = log.read_bytes()[begin:].decode(errors="replace")
    lines = [line for line in text.splitlines() if line.strip()]
    errors = [line for line in lines[-20:] if line.startswith("Error: ")]
    return errors[-1].removeprefix("Error: ") if errors else " / ".join(lines[-SHOWN_LINES:])
