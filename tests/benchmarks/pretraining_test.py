"""The race of pre-training steps: sides, turns and the table."""

import keras
import numpy as np
import pytest

from benchmarks import pretraining
from benchmarks.pretraining import SIDES, Config, Result, Side, SideProcess, make_step, table
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
    config, whole, products = Config(**TINY), [1.0, 2.0], [0.25, 1.0]
    results = [
        Result("ours MLM+SBO float32", whole, whole, products, 2 * 10**9),
        Result("ours MLM float32", [0.5, 4.0], whole, products, 10**9),
        Result("matmul float32", products, whole, products, 10**9),
        Result("ours MLM bfloat16", [0.5, 0.5], whole, [], 10**9),
    ]
    rows = table(config, results)
    assert rows[0] == ["ours MLM+SBO float32", "21", "1.00 (1.00 to 1.00)", "38%", "2.0"]
    assert rows[1][1:3] == ["14", "1.25 (0.50 to 2.00)"] and rows[2][3] == rows[3][3] == "-"
    shape = Shape(**TINY, intermediate_dim=32, predictions=3)
    part = step_flops(shape, False) / step_flops(shape, True)
    assert rows[1][3] == f"{np.median([part * 0.25 / 0.5, part * 1.0 / 4.0]):.0%}"


def test_a_few_sides_take_turns_with_the_reference_and_the_products_of_their_precision(monkeypatch):
    groups = []

    def record(config, names):
        groups.append(names)
        return [Result(name, [1.0], [1.0], [], 1) for name in names]

    monkeypatch.setattr(pretraining, "_race_group", record)
    results = pretraining.race(Config(sides=("ours MLM float32", "ours MLM bfloat16", "matmul"), at_once=1))
    reference = "ours MLM+SBO float32"
    assert groups == [
        [reference, "ours MLM float32", "matmul float32"],
        [reference, "ours MLM bfloat16", "matmul bfloat16", "matmul float32"],
    ]
    assert [result.name for result in results] == [*groups[0], "ours MLM bfloat16", "matmul bfloat16"]


def test_sides_are_chosen_by_parts_of_their_names():
    assert Config(sides=("keras-hub MLM float32",)).chosen == [
        *("ours MLM+SBO float32", "keras-hub MLM float32", "keras-hub MLM float32 XLA", "keras-hub MLM float32 jax")
    ]
    assert Config().chosen == list(SIDES)
    with pytest.raises(InputError, match="--reference must be one of ours MLM float32, "):
        Config(reference="mine")


def test_the_picture_shows_the_sides_without_the_products(monkeypatch, tmp_path, capsys):
    pytest.importorskip("matplotlib")
    drawn = []
    results = [Result(name, [1.0], [2.0], [], 1) for name in ("ours MLM+SBO float32", "matmul float32")]
    monkeypatch.setattr(pretraining, "race", lambda config: results)
    monkeypatch.setattr(pretraining, "draw_race", lambda *given: drawn.append(given))
    path = str(tmp_path / "race.png")
    pretraining.main(Config(**TINY, picture=path))
    (given,) = drawn
    assert given[:3] == (path, {"ours MLM+SBO float32": [2.0]}, "ours MLM+SBO float32")
    assert "1 layers of width 8, 2 rows of 16 tokens" in given[3]
    assert "matmul float32" in capsys.readouterr().out


@pytest.mark.slow
def test_a_side_runs_in_a_process_of_its_own_and_a_failure_is_one_sentence(capsys):
    config = Config(**TINY, sides=("matmul float32",), turns=2, steps=2)
    results = pretraining.race(config)
    assert [result.name for result in results] == ["ours MLM+SBO float32", "matmul float32"]
    for result in results:
        assert len(result.seconds) == 2 and min(result.seconds) > 0 and result.peak > 10**7
    assert results[0].reference == results[0].seconds and results[0].matmul == results[1].seconds
    with pytest.raises(InputError, match="The side ours MLM float32 failed: "):
        SideProcess("ours MLM float32", Config(**TINY | {"num_heads": 3}))
