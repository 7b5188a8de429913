"""Pre-trains SpanBERT: raw text or prepared shards in, a saved model out.

python -m spanbert_keras.pretrain --flagfile=configs/tiny.flags
"""

import dataclasses
import sys
from pathlib import Path

from absl import logging

from spanbert_keras import program
from spanbert_keras.pretraining.config import Config
from spanbert_keras.training.distributed.local_workers import run_local_workers


def main(config: Config) -> None:
    """Trains, evaluates and writes all results; if something stops the run, exits with its code."""
    if config.local_workers:
        alone = dataclasses.replace(config, local_workers=0)
        sys.exit(
            run_local_workers(program.to_arguments(alone), config.local_workers, Path(config.output_dir) / "workers")
        )
    code = pretrain(config)
    if code:
        logging.info("Stopped with exit code %d. The same command resumes %s.", code, config.output_dir)
        sys.exit(code)


def pretrain(config: Config, callbacks=()) -> int:
    """Runs pre-training as the command line does, with callbacks.

    Args:
        config: `Config`.
        callbacks: sequence of `keras.callbacks.Callback`; a batch is one call to the device, an epoch is the
            time between two evaluations.

    Returns:
        0 if finished, else an exit code: 130 after Ctrl-C, `preemption_exit_code` after SIGTERM or SIGUSR1. A
        checkpoint was written, and the same settings continue the run.

    Raises:
        InputError: a setting, a file or the output directory cannot be used.
    """
    from spanbert_keras.pretraining.run import PretrainingRun
    from spanbert_keras.training.backend import configure_devices
    from spanbert_keras.training.run.run_process import RunProcess

    if config.dry_run:
        configure_devices()
        PretrainingRun(config, RunProcess(config.output_dir)).print_cost()
        return 0
    with RunProcess(
        config.output_dir, config.distribution, config.replicas, config.preemption_exit_code, config.deterministic
    ) as process:
        run = PretrainingRun(config, process)
        process.signals.check()
        outcome = run.train(callbacks)
        if outcome.status != "finished":
            return process.signals.exit_code(outcome.status)
        run.finish(outcome)
    return 0


if __name__ == "__main__":
    program.run(main, Config)
