"""A run that was stopped, in any way, ends as if it had not been."""

import random
import signal
import time

import keras
import numpy as np
import pytest

from spanbert_keras.data.batches.batch_stream import BatchStream, CorpusSource
from spanbert_keras.preprocessing.masking.span_masker import SpanMasker
from spanbert_keras.preprocessing.packing import plan_packing
from spanbert_keras.preprocessing.row_blocks import cut_blocks
from spanbert_keras.preprocessing.row_stream import RowStream
from spanbert_keras.pretraining.objective import PretrainingObjective
from spanbert_keras.training.cadence import Cadence
from spanbert_keras.training.distributed.distribution import Distribution
from spanbert_keras.training.run.checkpoints import Checkpoints
from spanbert_keras.training.steps.objective import StepSettings
from spanbert_keras.training.trainer import Trainer

pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="started on TensorFlow; one of these runs moves to JAX"
)


@pytest.fixture
def whole(finished_run):
    """A run that nothing disturbed, with dropout."""
    return finished_run(dropout=0.1)


def test_a_run_that_was_preempted_continues_bit_for_bit(whole, start, check_same_bits):
    stopped = start("stopped", dropout=0.1, steps_per_call=1)
    stopped.wait_for("step 17/50")
    stopped.send(signal.SIGTERM)
    assert stopped.wait() == 75
    assert "The same command resumes" in stopped.text()
    check_same_bits(whole, start("stopped", dropout=0.1).finish())


@pytest.mark.slow
def test_the_preemption_exit_code_is_what_the_flag_says(start):
    stopped = start("stopped", preemption_exit_code=99)
    stopped.wait_for("step 2/50")
    stopped.send(signal.SIGUSR1)
    assert stopped.wait() == 99


@pytest.mark.slow
def test_a_damaged_checkpoint_is_reported_and_the_one_before_it_is_used(whole, start, check_same_bits):
    stopped = start("stopped", dropout=0.1)
    stopped.wait_for("step 34/50")
    stopped.send(signal.SIGTERM)
    stopped.wait()
    newest = sorted((stopped.folder / "checkpoints").glob("step_*"))[-1] / "state.safetensors"
    content = bytearray(newest.read_bytes())
    content[len(content) // 2] ^= 1
    newest.write_bytes(content)
    again = start("stopped", dropout=0.1).finish()
    assert f"{newest.parent.name} cannot be used" in again.text() and "is used instead" in again.text()
    check_same_bits(whole, again)


@pytest.mark.slow
def test_thirty_kills_leave_no_trace(start, check_same_bits):
    """SIGKILL at random moments, with a checkpoint under way most of the time."""
    settings = {"dropout": 0.1, "num_layers": 1, "steps": 400, "checkpoint_every": 2, "warmup_steps": 5, "eval_rows": 4}
    whole = start("whole", **settings).finish()
    moments, kills, attempts = random.Random(0), 0, 0
    run = start("killed", **settings)
    while kills < 30:
        attempts += 1
        assert attempts < 80, "too many attempts ended before they were killed"
        wanted = run.text().count("written in") + moments.randint(1, 3)  # it comes further than the last time
        end = time.monotonic() + 120
        while run.code is None and run.text().count("written in") < wanted and time.monotonic() < end:
            time.sleep(0.002)
        time.sleep(moments.uniform(0, 0.05))  # some of a few steps and of as many checkpoints
        if run.code is not None:
            break
        run.send(signal.SIGKILL)
        run.wait()
        kills += 1
        run = start("killed", **settings)
    assert kills == 30
    run.finish()
    leftovers = [p.name for p in (run.folder / "checkpoints").iterdir() if not p.name.startswith("step_")]
    assert leftovers == []
    check_same_bits(whole, run)


@pytest.mark.slow
def test_a_run_begun_on_tensorflow_continues_on_jax(finished_run, start, losses_of, weights_in):
    pytest.importorskip("jax")
    whole = finished_run()
    moved = start("moved")
    moved.wait_for("step 20/50")
    moved.send(signal.SIGTERM)
    assert moved.wait() == 75
    again = start("moved", environ={"KERAS_BACKEND": "jax"}, fresh=True).finish()
    assert "Continuing after step" in again.text()
    np.testing.assert_allclose(losses_of(again), losses_of(whole), rtol=1e-4)
    first, second = weights_in(whole), weights_in(again)
    for name in (name for name in first if name.startswith("model/") and "seed" not in name):
        if not name.endswith("attention/key/bias"):
            error = np.linalg.norm(first[name] - second[name])
            assert error <= 1e-3 * max(np.linalg.norm(first[name]), 1e-2 * np.sqrt(first[name].size)), name


class CountingStep:
    """A training step that computes nothing, over a model of one layer."""

    def __init__(self):
        self.model = keras.Sequential([keras.layers.Input((2,)), keras.layers.Dense(1), keras.layers.Dropout(0.1)])
        self.optimizer = keras.optimizers.SGD(0.1)
        self.optimizer.build(self.model.trainable_variables)
        self.settings = StepSettings(objective=PretrainingObjective())
        self.distribution = Distribution()
        self.updates = 0

    def train(self, batches, seeds, scale, scale_steps, votes=None):
        count = len(batches["token_ids"])
        self.updates += count
        results = {"loss": np.ones(count), "gradient_norm": np.ones(count), "finite": np.ones(count, bool)}
        return results | {"scale": scale, "scale_steps": scale_steps, "votes": votes}

    def to_numpy(self, results):
        return {key: np.asarray(value) for key, value in results.items()}


class AskedStream:
    """A stream that notes which batches it is asked for."""

    def __init__(self):
        self.asked = []

    def part(self, number, worker, workers):
        self.asked.append(number)
        return {"token_ids": np.zeros((2, 4), np.int32)}


def test_start_up_does_not_look_at_the_batches_before(tmp_path):
    """Batch k is computed from k: training that resumes at step 10^9 asks for that batch first."""
    start, step, stream = 10**9, CountingStep(), AskedStream()
    cadence = Cadence(total_steps=start + 2, evaluate_every=0)
    trainer = Trainer(step, stream, cadence, Checkpoints(tmp_path), (7, 8))
    assert trainer.run(start) == "finished"
    assert stream.asked == [start, start + 1]
    assert step.updates == 2 and trainer.checkpoints.steps() == [start + 2]


def test_a_batch_far_into_training_takes_no_longer_than_the_first(toy_corpus, toy_tokenizer):
    masker = SpanMasker(tokenizer=toy_tokenizer, max_span_positions=4)
    shards = toy_corpus(np.random.default_rng(4).integers(2, 70, 40), seed=2)
    blocks = cut_blocks(shards, toy_tokenizer.word_starts(), 24)
    rows = RowStream(blocks, plan_packing(blocks.histogram, 24, masker.settings.budget), (5, 6), True)
    special_ids = (toy_tokenizer.cls_token_id, toy_tokenizer.sep_token_id)
    stream = BatchStream([CorpusSource([pieces for pieces, _, _ in shards], rows)], masker, 4, special_ids)

    def seconds(first):
        """Returns the least of five, each of another batch."""
        taken = []
        for number in range(first, first + 5):
            began = time.perf_counter()
            stream.batch(number)
            taken.append(time.perf_counter() - began)
        return min(taken)

    stream.batch(0)  # warm-up: creates what is made once
    assert seconds(10**9) < 20 * seconds(0)
