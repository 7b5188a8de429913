"""What the tests of training share: a stream over random documents, a small model, a step of the backend in use."""

import io
import sys

import keras
import numpy as np
import pytest
from absl import logging

from spanbert_keras.data.batches.batch_stream import BatchStream, CorpusSource
from spanbert_keras.models.encoder import SpanBertEncoder
from spanbert_keras.models.pretrainer import SpanBertPretrainer
from spanbert_keras.preprocessing.masking.span_masker import SpanMasker
from spanbert_keras.preprocessing.packing import plan_packing
from spanbert_keras.preprocessing.row_blocks import cut_blocks
from spanbert_keras.preprocessing.row_stream import RowStream
from spanbert_keras.pretraining.objective import PretrainingObjective
from spanbert_keras.training.backend import make_step
from spanbert_keras.training.cadence import Cadence
from spanbert_keras.training.run.checkpoints import Checkpoints
from spanbert_keras.training.steps.objective import StepSettings, seed_generators
from spanbert_keras.training.steps.optimizers import make_adamw
from spanbert_keras.training.trainer import Trainer
from spanbert_keras.training.trainer_events import Evaluation, TrainerEvents

ROW_LENGTH, ROWS, SEED = 24, 4, (5, 6)


@pytest.fixture(scope="module", autouse=True)
def _plain_graphs(plain_graphs):
    """Runs the graphs of all tests here unoptimized."""


@pytest.fixture(scope="session")
def stream_of(toy_corpus, toy_tokenizer):
    """Function that makes a `BatchStream` of 4 rows x 24 tokens."""

    def make(shuffle=True, rows=ROWS, scheme="span"):
        masker = SpanMasker(tokenizer=toy_tokenizer, scheme=scheme, max_span_positions=4)
        shards = toy_corpus(np.random.default_rng(4).integers(2, 70, 40), seed=2)
        blocks = cut_blocks(shards, toy_tokenizer.word_starts(), ROW_LENGTH)
        plan = plan_packing(blocks.histogram, ROW_LENGTH, masker.settings.budget)
        source = CorpusSource([pieces for pieces, _, _ in shards], RowStream(blocks, plan, SEED, shuffle))
        return BatchStream([source], masker, rows, (toy_tokenizer.cls_token_id, toy_tokenizer.sep_token_id))

    return make


@pytest.fixture(scope="session")
def batch(stream_of):
    """One batch of training text."""
    return stream_of().batch(0)


@pytest.fixture
def make_model(toy_tokenizer):
    """Function that makes a pretrainer of one layer x 16, its weights a function of `seed`."""

    def make(dropout=0.0, seed=1, dtype=None, num_layers=1):
        keras.utils.set_random_seed(seed)
        encoder = SpanBertEncoder(
            vocabulary_size=toy_tokenizer.vocabulary_size(),
            num_layers=num_layers,
            num_heads=2,
            hidden_dim=16,
            intermediate_dim=24,
            dropout=dropout,
            max_sequence_length=ROW_LENGTH,
            tokenizer=toy_tokenizer,
            dtype=dtype,
        )
        return SpanBertPretrainer(encoder, max_span_positions=4, position_dim=6)

    return make


@pytest.fixture(scope="session")
def step_pool():
    """Steps that no test is using, by their settings: compiling one takes seconds."""
    return {}


@pytest.fixture
def make_training_step(make_model, step_pool):
    """Function that makes the step of the backend in use over a small model with the weights of `seed`.

    Steps come from a pool and are reset to their initial state; one test never gets the same step twice.
    """
    taken = []

    def make(optimizer="adamw", learning_rate=1e-2, dropout=0.0, dtype=None, num_layers=1, seed=1, **settings):
        key = (optimizer, dropout, dtype, num_layers, seed, *sorted(settings.items()))
        free = step_pool.setdefault(key, [])
        if not free:
            model = make_model(dropout, seed, dtype, num_layers)
            step = make_step(
                model,
                make_optimizer(optimizer, model.trainable_variables),
                StepSettings(**{"objective": PretrainingObjective(), **settings}),
            )
            free.append((step, [np.array(keras.ops.convert_to_numpy(v.value)) for v in variables_of(step)]))
        step, first = free.pop()
        taken.append((key, (step, first)))
        for variable, value in zip(variables_of(step), first, strict=True):
            variable.assign(value)
        step.optimizer.learning_rate = learning_rate
        return step

    yield make
    for key, entry in taken:
        step_pool[key].append(entry)


def make_optimizer(name, variables):
    """Returns AdamW, or plain gradient descent whose update is the gradient."""
    if name == "adamw":
        return make_adamw(variables, 1e-2, weight_decay=0.1)
    optimizer = keras.optimizers.SGD(1.0)
    optimizer.build(variables)
    return optimizer


def variables_of(step):
    return [*step.model.variables, *step.optimizer.variables]


@pytest.fixture
def seeds_of():
    """Function that makes one update's dropout seeds for a step: uint32 (parts, layers, 2)."""

    def make(step, number=0):
        shape = (step.settings.accumulation_steps, len(seed_generators(step.model)), 2)
        return np.random.default_rng(number).integers(0, 2**31, shape).astype(np.uint32)

    return make


@pytest.fixture(scope="session")
def train_once():
    """Function that makes one update of a step; returns the results of `train` as arrays, without the steps' axis."""

    def train(step, batch, seeds, scale=1.0, scale_steps=0):
        batches = {key: value[None] for key, value in batch.items()}
        results = step.to_numpy(step.train(batches, seeds[None, None], scale, scale_steps))
        of_steps = {key: value for key, value in results.items() if key not in ("scale", "scale_steps", "votes")}
        assert {len(value) for value in of_steps.values()} == {1}
        return results | {key: value[0] for key, value in of_steps.items()}

    return train


@pytest.fixture
def weights_of():
    """Function that returns copies of a model's weights."""
    return lambda model: [np.array(keras.ops.convert_to_numpy(v.value)) for v in model.trainable_variables]


@pytest.fixture
def make_trainer(make_training_step, stream_of, tmp_path):
    """Function that makes a trainer of 7 steps over a fresh model, with its `log` of events and its `losses`.

    `events` replaces some of its `TrainerEvents`.
    """

    def make(
        folder="checkpoints",
        step=None,
        dropout=0.1,
        callbacks=(),
        events=None,
        guard=None,
        profile_folder=None,
        keep=2,
        **cadence,
    ):
        log, losses = [], []

        def on_log(done, window):
            found = [float(loss) for _, results in window.calls for loss in results["loss"]]
            assert len(found) == done - window.first
            log.append(("log", done, len(found)))
            losses.extend(found)

        def on_evaluate(done):
            log.append(("evaluate", done))
            return Evaluation()

        noting = {
            "on_log": on_log,
            "on_evaluate": on_evaluate,
            "on_encoder": lambda done: log.append(("encoder", done)),
        }
        settings = {"total_steps": 7, "log_every": 100, "evaluate_every": 0, "checkpoint_every": 100} | cadence
        trainer = Trainer(
            step or make_training_step(dropout=dropout),
            stream_of(),
            Cadence(**settings),
            Checkpoints(tmp_path / folder, keep),
            (7, 8),
            guard=guard,
            callbacks=callbacks,
            events=TrainerEvents(**noting | (events or {})),
            profile_folder=profile_folder,
        )
        trainer.log, trainer.losses = log, losses
        return trainer

    return make


# --- what a user sees


@pytest.fixture
def lines(monkeypatch):
    """The log lines of a process without a terminal."""
    found = []
    monkeypatch.setattr(logging, "info", lambda text, *values: found.append(text % values))
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    return found


@pytest.fixture
def terminal(monkeypatch):
    """Function that makes the process's error stream a terminal and returns it; pytest sets its own between phases."""

    class Terminal(io.StringIO):
        def isatty(self):
            return True

    def make():
        stream = Terminal()
        monkeypatch.setattr(sys, "stderr", stream)
        monkeypatch.setenv("TERM", "xterm-256color")
        monkeypatch.setenv("COLUMNS", "150")
        return stream

    return make


@pytest.fixture(scope="session")
def read_events():
    """Function that returns what TensorBoard reads from a folder, by tag and step."""
    from tensorboard.backend.event_processing.plugin_event_accumulator import EventAccumulator
    from tensorboard.util.tensor_util import make_ndarray

    def read(folder):
        found = EventAccumulator(str(folder), size_guidance={"tensors": 0})
        found.Reload()
        return {t: {e.step: make_ndarray(e.tensor_proto) for e in found.Tensors(t)} for t in found.Tags()["tensors"]}

    return read
