"""What every task brings to fine-tuning alike, and the program around it."""

import dataclasses
import hashlib
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import keras
from absl import logging

import spanbert_keras
from spanbert_keras import program
from spanbert_keras.fine_tuning.settings import FineTuningSettings
from spanbert_keras.fine_tuning.study import FineTuningStudy
from spanbert_keras.program import InputError
from spanbert_keras.training.steps.optimizers import VariableGroup

SHOWN = 5  # things left out that are told one by one


class Task:
    """The part of a `FineTuningTask` that does not depend on the task; a subclass reads files, makes rows and scores.

    Args:
        config: the program's settings.

    Attributes:
        left_out: list of str. A sentence for each bad example, until `tell_left_out`.
    """

    def __init__(self, config: Any):
        self.config = config
        self.left_out: list[str] = []

    def sets(self) -> dict[str, Iterable]:
        """Returns the examples, dataclasses, by the name of their set."""
        raise NotImplementedError

    def facts(self) -> dict[str, Any]:
        """Returns a checksum of each set, without which a run must not continue."""
        return {name: fingerprint(examples) for name, examples in self.sets().items()}

    def variable_groups(self, model, total_steps: int) -> tuple[VariableGroup, ...]:
        """Returns (): all weights are trained alike."""
        return ()

    def load_encoder(self, flag: str) -> tuple[Any, int]:
        """Returns the encoder, and how many pieces a row has: what a flag says, but no more than the encoder reads."""
        encoder, wanted = load_encoder(self.config), getattr(self.config, flag)
        if encoder.max_sequence_length < wanted:
            logging.warning(
                "The encoder reads at most %d pieces: so long are the rows, not --%s=%d.",
                encoder.max_sequence_length, flag, wanted,
            )  # fmt: skip
        return encoder, min(wanted, encoder.max_sequence_length)

    def build(self, model_class: Callable, encoder, **settings):
        """Returns the task's model.

        Raises:
            InputError: the settings make none.
        """
        try:
            return model_class(encoder, **settings)
        except ValueError as error:
            raise InputError(f"No model can be made of --encoder={self.config.encoder}: {error}") from error

    def tell_left_out(self) -> None:
        """Logs what was left out, once."""
        tell_left_out(self.left_out)
        self.left_out = []


def load_encoder(settings: FineTuningSettings):
    """Returns the encoder that --encoder names, with its tokenizer, in the dtype policy in force.

    Raises:
        InputError: it cannot be loaded, or has no tokenizer.
    """
    dropout = settings.dropout
    overrides = {} if dropout is None else {"dropout": dropout, "attention_dropout": dropout}
    policy = keras.mixed_precision.dtype_policy().name
    encoder = spanbert_keras.load_pretrained(settings.encoder, "encoder", dtype=policy, **overrides)
    if encoder.tokenizer is None or not encoder.tokenizer.has_vocabulary:
        raise InputError(f"--encoder={settings.encoder} has no tokenizer. Convert it with its vocab.txt.")
    return encoder


def tell_left_out(sentences: Sequence[str]) -> None:
    """Logs the first of these sentences about bad examples, and how many there are."""
    for sentence in sentences[:SHOWN]:
        logging.warning("Left out: %s", sentence)
    if sentences:
        logging.warning("Left out in all: %d.", len(sentences))


def fingerprint(examples: Iterable) -> str:
    """Returns a checksum of dataclasses, all of their fields in order."""
    digest = hashlib.sha256()
    for example in examples:
        digest.update(repr(dataclasses.astuple(example)).encode("utf-8", "backslashreplace"))
    return digest.hexdigest()[:16]


def fine_tune(config: FineTuningSettings, make_task: Callable) -> None:
    """Fine-tunes, evaluates, and writes everything down; ends with the exit code of what stopped it."""
    code = FineTuningStudy(config, make_task, program.to_flags).run()
    if code:
        logging.info("Stopped; the same command continues %s. Exit code %d.", config.output_dir, code)
        sys.exit(code)
