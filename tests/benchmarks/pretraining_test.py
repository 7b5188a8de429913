"""The race of pre-training steps: sides, turns and the table."""

import keras
import numpy as np
import pytest

from benchmarks import pretraining
from benchmarks.pretraining import SIDES, Config, Side, SideProcess, make_step, table
from benchmarks.shared.pretraining_sides import Sizes
from spanbert_keras.errors import InputError
from spanbert_keras.training.monitoring.flops import Shape, step_flops

TINY = {"vocabulary_size": 40, "num_layers": 1, "num_heads": 2, "hidden_dim": 8, "sequence_length": 16, "batch_rows": 2}
SIZES = Sizes(**TINY)

pytestmark = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="each side chooses its own backend")


@pytest.fixture(autouse=True)
def _float32_afterwards():
    yield
    keras.config.set_dtype_policy("float32")


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["ours", "keras_hub", "transformers", "research"])
@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16"])
def test_every_side_learns_its_batch(kind, precision):
    backend = "torch" if kind in ("transformers", "research") else "tensorflow"
    step = make_step(Side(kind, backend, precision), SIZES)
    losses = [step() for _ in range(30)]
    assert np.isfinite(losses).all() and losses[-1] < losses[0]


def test_the_products_of_a_step_are_computed():
    step = make_step(Side("matmul"), SIZES)
    assert np.isfinite(step())


def test_the_table_has_ratios_of_turns_and_shares_of_the_matmul_rate():
    config = Config(**TINY)
    seconds = {"ours MLM+SBO float32": [1.0, 2.0], "ours MLM float32": [0.5, 4.0], "matmul float32": [0.25, 1.0]}
    rows = table(config, seconds, dict.fromkeys(seconds, 2 * 10**9))
    assert rows[0] == ["ours MLM+SBO float32", "21", "1.00 (1.00 to 1.00)", "38%", "2.0"]
    assert rows[1][1:3] == ["14", "1.25 (0.50 to 2.00)"] and rows[2][3] == "-"
    shape = Shape(**TINY, intermediate_dim=32, predictions=3)
    part = step_flops(shape, False) / step_flops(shape, True)
    assert rows[1][3] == f"{np.median([part * 0.25 / 0.5, part * 1.0 / 4.0]):.0%}"
    with pytest.raises(InputError, match="did not run"):
        table(config, {"matmul float32": [1.0]}, {"matmul float32": 1})


def test_sides_are_chosen_by_parts_of_their_names():
    assert Config(sides=("keras-hub MLM float32",)).chosen == [
        *("ours MLM+SBO float32", "keras-hub MLM float32", "keras-hub MLM float32 XLA", "keras-hub MLM float32 jax")
    ]
    assert Config().chosen == list(SIDES)
    with pytest.raises(InputError, match="--reference must be one of ours MLM float32, "):
        Config(reference="mine")


@pytest.mark.slow
def test_a_side_runs_in_a_process_of_its_own_and_a_failure_is_one_sentence(capsys):
    config = Config(**TINY, sides=("matmul float32",), turns=2, steps=2)
    seconds, peaks = pretraining.race(config)
    assert seconds.keys() == {"ours MLM+SBO float32", "matmul float32"} == peaks.keys()
    assert all(len(times) == 2 and min(times) > 0 for times in seconds.values()) and min(peaks.values()) > 10**7
    with pytest.raises(InputError, match="The side ours MLM float32 failed: "):
        SideProcess("ours MLM float32", Config(**TINY | {"num_heads": 3}))
