"""Fine-tuning from Python: what the programs do, for a model and examples in memory."""

import contextlib
import dataclasses
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras

from spanbert_keras.errors import InputError
from spanbert_keras.fine_tuning.given_rows import given_rows
from spanbert_keras.fine_tuning.model_run import train_model
from spanbert_keras.fine_tuning.model_task import ModelTask
from spanbert_keras.fine_tuning.one_run_settings import OneRunSettings
from spanbert_keras.fine_tuning.run import FineTuningRun
from spanbert_keras.settings import setting, to_flags
from spanbert_keras.training.run.run_process import RunProcess


@dataclasses.dataclass(frozen=True)
class FineTuned:
    """What `fine_tune` returns.

    Attributes:
        model: the model, with the best weights.
        scores: dict of the best model's scores by name; {} if nothing was evaluated.
        best_step: int. Updates after which the model was the best.
        steps: int. Updates made; fewer than planned if `patience` ended training.
        path: `Path` of the saved model.
    """

    model: Any
    scores: dict[str, float]
    best_step: int
    steps: int
    path: Path


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Settings(OneRunSettings):
    """The arguments of `fine_tune` that are plain values."""

    evaluations_per_epoch: int = setting("Evaluations per epoch; 0: none.", default=1, minimum=0)
    task_learning_rate: float | None = setting("Learning rate beside the encoder.", default=None, above=0)


def fine_tune(
    model,
    train,
    validation=None,
    output_dir: str | os.PathLike = "runs/fine_tune",
    *,
    epochs: float = 4,
    batch_size: int | None = None,
    learning_rate: float | None = None,
    warmup_ratio: float = 0.1,
    weight_decay: float = 0.01,
    clip_norm: float = 1.0,
    task_learning_rate: float | None = None,
    seed: int = 42,
    evaluate: Callable[[Any], dict[str, float]] | None = None,
    select_by: str | None = None,
    evaluations_per_epoch: int = 1,
    patience: int = 0,
    accumulation_steps: int = 1,
    compile: str = "auto",
    attention: str = "auto",
    recompute: str = "none",
    distribution: str = "none",
    replicas: int | None = None,
    log_every: int = 20,
    checkpoint_minutes: float = 15.0,
    preemption_exit_code: int = 75,
) -> FineTuned:
    """Fine-tunes a task model as the programs do, and leaves the best weights in it.

    Rows of similar length are batched, and the learning rate rises and falls linearly (AdamW). `output_dir` gets the
    model (`text_classifier.keras` and so on), checkpoints, TensorBoard logs and `run.json`. An interrupted run
    continues when the same call is made again, in the same process or in another one, with the batches, dropout and
    optimizer state that come next; a finished run is not repeated: its weights are loaded. Precision is that of the
    model's dtype policy. Without a terminal for the progress bar, `absl.logging.set_verbosity("info")` shows
    log lines.

    Ctrl-C, SIGTERM and SIGUSR1 end training after the step being made, and a checkpoint is written. Whenever training
    does not finish, the model gets back the weights that it had before. In a thread other than the main one there are
    no signals to receive.

    Args:
        model: a task model, or a function without arguments that makes one, which is called after `seed` is set and in
            the scope of the distribution.
        train: raw examples `x`, or (x, y), or (x, y, sample_weight), as for the model's `fit`, but in memory; or
            `ExampleRows`. The loss of a row is multiplied by its weight, and the sum divided by the number of rows.
        validation: the same, or `None`. Its scores are the `"loss"` and, of a classifier with single labels, the
            `"accuracy"`, of a pretrainer those of both heads.
        output_dir: path of the run's folder.
        epochs: float. Passes over the training rows.
        batch_size: int. Rows of a step. `None`: the model's `raw_batch_size` (`32`; of a coreference resolver `1`).
        learning_rate: float. Its peak. `None`: the model's `default_learning_rate` (`2e-5`; of a pretrainer `1e-4`).
        warmup_ratio: float. Share of the steps over which the learning rate rises.
        weight_decay: float. Decoupled weight decay of all weights but biases and layer norms.
        clip_norm: float. Largest global norm of the gradient; `0`: no clipping.
        task_learning_rate: float. Initial learning rate of all layers but the encoder, which then have no warm-up and
            no weight decay and are clipped apart; the released code of coreference resolution has `1e-4` to `3e-4`.
            `None`: that of the encoder.
        seed: int. Seed of the order of the rows and of dropout.
        evaluate: function of the model that returns further scores, a dict of numbers.
        select_by: name of the score by which the best model is chosen: the highest, but of `"loss"` the lowest. `None`:
            the first score of `evaluate`, without it the loss on `validation`. With neither, the last model is kept.
        evaluations_per_epoch: int. Evaluations in an epoch.
        patience: int. Evaluations without a better score after which training ends; `0`: never.
        accumulation_steps: int. Parts in which a batch is computed, one after the other.
        compile: `"on"`, `"off"` or `"auto"`: XLA (TensorFlow) or `torch.compile`; `"auto"`: on accelerators.
        attention: `"reference"`, `"fused"` or `"auto"`: see `SelfAttention`.
        recompute: `"none"`, `"attention"` or `"blocks"`: see `EncoderBlock`.
        distribution: `"none"`, or `"mirrored"`: all devices of this machine share every step. On TensorFlow and JAX;
            `model` must be a function.
        replicas: int. Number of devices. `None`: all.
        log_every: int. Steps between the points in TensorBoard.
        checkpoint_minutes: float. Age of the last checkpoint at which another is written; `0`: only for a better model.
        preemption_exit_code: int. Exit code after SIGTERM or SIGUSR1.

    Returns:
        `FineTuned`: `model`, `scores`, `best_step`, `steps` and the `path` of the saved model.

    Raises:
        InputError: an example or an argument cannot be used, `output_dir` holds a run of another model, of other
            examples or of other arguments, or the loss is not finite.
        ValueError: the model has no preprocessor for raw examples.
        KeyboardInterrupt, SystemExit: Ctrl-C, or one of the other signals, came.

    Example:

    ```python
    import tempfile

    from spanbert_keras import SpanBertEncoder, SpanBertTextClassifier, SpanBertTokenizer, fine_tune

    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "moving", "dull", "film", "."]
    tokenizer = SpanBertTokenizer(vocabulary)
    encoder = SpanBertEncoder(len(vocabulary), 1, 2, 8, 16, max_sequence_length=32, tokenizer=tokenizer)
    classifier = SpanBertTextClassifier(encoder, labels=["negative", "positive"])
    texts, labels = ["a dull film .", "a moving film ."], ["negative", "positive"]
    with tempfile.TemporaryDirectory() as folder:
        run = fine_tune(classifier, (texts, labels), (texts, labels), folder, epochs=2, learning_rate=1e-3)
    list(run.scores)  # ["loss", "accuracy"]
    run.steps  # 2
    ```

    Reference: Joshi et al., 2020, section 4.3 and appendix B.
    """
    given = dict(locals())
    with _messages_name_arguments():
        settings = _settings_of(given)
        with RunProcess(settings.output_dir, distribution, replicas, preemption_exit_code) as process:
            made = _made_model(model, settings, process)
            _check_loss(made)
            settings = dataclasses.replace(
                settings,
                batch_size=made.raw_batch_size if batch_size is None else batch_size,
                learning_rate=made.default_learning_rate if learning_rate is None else learning_rate,
            )
            train, validation = (given_rows(made, given[name], name) for name in ("train", "validation"))
            task = ModelTask(made, train, validation, settings.batch_size, evaluate, select_by, task_learning_rate)
            run = FineTuningRun(settings, to_flags(settings), task, process, Path(settings.output_dir))
            record = train_model(run, made)
        scores = record["scores"]["dev"]
        return FineTuned(made, scores, record["best_step"], record["finished_steps"], run.model_path)


def _settings_of(given: dict[str, Any]) -> _Settings:
    """Returns the arguments of `fine_tune` that are plain values, checked."""
    if given["distribution"] != "none" and isinstance(given["model"], keras.Model):
        raise InputError(
            "With a `distribution` the model's variables must be made in its scope. Expected: a function that makes "
            f"the model. Received: `{type(given['model']).__name__}`."
        )
    if given["evaluate"] is None and given["validation"] is None:
        if given["patience"] or given["select_by"]:
            raise InputError("`patience` and `select_by` need scores. Expected: `validation` or `evaluate`.")
        given = given | {"evaluations_per_epoch": 0}
    names = {field.name for field in dataclasses.fields(_Settings)}
    return _Settings(**{name: given[name] for name in names if given[name] is not None})


def _made_model(model, settings: OneRunSettings, process: RunProcess):
    """Returns the model: as given, or made in the scope of the distribution."""
    if isinstance(model, keras.Model):
        return model
    keras.utils.set_random_seed(settings.seed)
    with process.distribution.scope():
        return model()


def _check_loss(model) -> None:
    """Raises `InputError` if the model was compiled with another loss than its own, which alone is minimised here."""
    if not model._loss_is_own:
        raise InputError(
            f"`fine_tune` minimises the own loss of `{type(model).__name__}`. Expected: a model compiled without "
            "`loss`. Received: one with; `fit` minimises that."
        )


@contextlib.contextmanager
def _messages_name_arguments():
    """Lets errors name arguments as they are in Python: `seed`, where a program has `--seed`."""
    try:
        yield
    except InputError as error:
        raise type(error)(re.sub(r"--(?=[a-z])", "", str(error))) from error
