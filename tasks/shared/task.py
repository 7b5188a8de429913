"""The part of a fine-tuning task that all tasks share, and the program around it."""

import dataclasses
import hashlib
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from absl import logging

import spanbert_keras
from spanbert_keras import program
from spanbert_keras.fine_tuning.settings import FineTuningSettings
from spanbert_keras.program import InputError

if TYPE_CHECKING:
    from spanbert_keras.fine_tuning.objective import ExampleObjective

MAX_LOGGED = 5  # left-out examples that are logged one by one


class Task:
    """The part of a `FineTuningTask` that all tasks share; a subclass reads files, makes rows and scores.

    Args:
        config: the program's settings.

    Attributes:
        left_out: list of str. A sentence for each bad example, until `log_left_out`.
    """

    task_learning_rate: float | None = None  # all weights have the same one

    def __init__(self, config: Any):
        self.config = config
        self.left_out: list[str] = []

    def sets(self) -> dict[str, Iterable]:
        """Returns the examples (dataclasses) by the name of their set."""
        raise NotImplementedError

    def facts(self) -> dict[str, Any]:
        """Returns a checksum of each set; a run only continues with the same ones."""
        return {name: fingerprint(examples) for name, examples in self.sets().items()}

    def objective(self, model) -> "ExampleObjective":
        """Returns the objective: the mean of the examples' losses."""
        from spanbert_keras.fine_tuning.objective import ExampleObjective

        return ExampleObjective(model)

    def load_encoder(self, flag: str) -> tuple[Any, int]:
        """Returns the encoder, and the tokens per row: the value of a flag, but at most the encoder's maximum."""
        encoder, wanted = load_encoder(self.config), getattr(self.config, flag)
        if encoder.max_sequence_length < wanted:
            logging.warning(
                "The encoder reads at most %d tokens: rows have this length, not --%s=%d.",
                encoder.max_sequence_length,
                flag,
                wanted,
            )
        return encoder, min(wanted, encoder.max_sequence_length)

    def build(self, model_class: Callable, encoder, **settings):
        """Returns the task's model.

        Raises:
            InputError: the settings are not valid for a model.
        """
        try:
            return model_class(encoder, **settings)
        except ValueError as error:
            raise InputError(f"The model cannot be built on --encoder={self.config.encoder}: {error}") from error

    def log_left_out(self) -> None:
        """Logs what was left out, once."""
        log_left_out(self.left_out)
        self.left_out = []


def load_encoder(settings: FineTuningSettings):
    """Returns the encoder that --encoder names, with its tokenizer, in the current dtype policy.

    Raises:
        InputError: it cannot be loaded, or has no tokenizer.
    """
    import keras

    dropout = settings.dropout
    overrides = {} if dropout is None else {"dropout": dropout, "attention_dropout": dropout}
    policy = keras.mixed_precision.dtype_policy().name
    encoder = spanbert_keras.load_pretrained(settings.encoder, "encoder", dtype=policy, **overrides)
    if encoder.tokenizer is None or not encoder.tokenizer.has_vocabulary:
        raise InputError(f"--encoder={settings.encoder} has no tokenizer. Convert it with its vocab.txt.")
    return encoder


def log_left_out(sentences: Sequence[str]) -> None:
    """Logs the first of these sentences about bad examples, and their number."""
    for sentence in sentences[:MAX_LOGGED]:
        logging.warning("Left out: %s", sentence)
    if sentences:
        logging.warning("Examples left out in total: %d.", len(sentences))


def fingerprint(examples: Iterable) -> str:
    """Returns a checksum of dataclasses, all of their fields in order."""
    digest = hashlib.sha256()
    for example in examples:
        digest.update(repr(dataclasses.astuple(example)).encode("utf-8", "backslashreplace"))
    return digest.hexdigest()[:16]


def fine_tune(config: FineTuningSettings, make_task: Callable) -> None:
    """Fine-tunes, evaluates, and writes the results; if it is stopped, ends with the exit code of the reason."""
    from spanbert_keras.fine_tuning.study import FineTuningStudy

    code = FineTuningStudy(config, make_task, program.to_flags).run()
    if code:
        logging.info("Stopped with exit code %d. The same command resumes %s.", code, config.output_dir)
        sys.exit(code)
