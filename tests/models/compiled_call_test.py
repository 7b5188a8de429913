"""One compiled function for all batches: outputs, number of tracings, and weights that change."""

import keras
import numpy as np
import pytest

from spanbert_keras import SpanBertEncoder
from spanbert_keras.models.compiled_call import CompiledCall

BACKEND = keras.backend.backend()


@pytest.fixture
def encoder(make_encoder):
    return make_encoder(num_layers=1, dropout=0.5)


@pytest.fixture
def traced(monkeypatch):
    """A list that gets an entry whenever an encoder's Python code runs."""
    calls, call = [], SpanBertEncoder.call

    def counted(self, *args, **kwargs):
        calls.append(1)
        return call(self, *args, **kwargs)

    monkeypatch.setattr(SpanBertEncoder, "call", counted)
    return calls


def batch_of(rows, length, dtype="int32"):
    rng = np.random.default_rng([rows, length])
    mask = np.ones((rows, length), dtype)
    mask[0, length // 2 :] = 0
    ids = rng.integers(5, 20, (rows, length)).astype(dtype) * mask
    return {"token_ids": ids, "segment_ids": ids % 3, "padding_mask": mask}


def check(call, encoder, batch, to_numpy):
    expected = to_numpy(encoder(batch, training=False)["sequence_output"])
    found = call(batch)
    assert list(found) == ["sequence_output"] and type(found["sequence_output"]) is np.ndarray
    np.testing.assert_allclose(found["sequence_output"], expected, atol=1e-5)


def test_outputs_are_the_models_without_dropout_in_any_shape(encoder, to_numpy):
    call = CompiledCall(encoder)
    for shape in ((1, 5), (3, 8), (2, 8), (7, 32)):
        check(call, encoder, batch_of(*shape), to_numpy)
    check(call, encoder, batch_of(2, 9, "int64") | {"other": np.zeros(3)}, to_numpy)


def test_the_model_is_traced_once_or_once_for_each_shape(encoder, traced):
    call = CompiledCall(encoder)
    shapes = ((1, 5), (3, 8), (3, 32), (3, 8))
    for shape in shapes:
        call(batch_of(*shape))
    assert len(traced) == {"tensorflow": 1, "jax": 3, "torch": 4}[BACKEND]
    assert call.any_shape == (BACKEND != "jax")
    before = len(traced)
    call.forget_shapes()
    call(batch_of(3, 8))
    assert len(traced) == before + 1


@pytest.mark.parametrize("any_shape", [True, False])
def test_compiled_shapes_of_one_batch_size_and_of_single_rows_are_kept(encoder, monkeypatch, any_shape):
    dropped = []
    call = CompiledCall(encoder)
    call.any_shape = any_shape
    monkeypatch.setattr(call, "forget_shapes", lambda: dropped.append(1))
    for rows in (4, 1, 4, 1, 4):
        call(batch_of(rows, 3))
    assert not dropped
    for rows in (5, 5, 1, 4):
        call(batch_of(rows, 3))
    assert len(dropped) == (0 if any_shape else 2)


def test_weights_that_change_are_used(encoder, randomize, to_numpy):
    call = CompiledCall(encoder)
    before = call(batch_of(2, 6))["sequence_output"]
    randomize(encoder, seed=8, scale=0.3)
    assert abs(call(batch_of(2, 6))["sequence_output"] - before).max() > 0.1
    check(call, encoder, batch_of(2, 6), to_numpy)


def test_weights_that_are_added_are_used(encoder, to_numpy):
    call = CompiledCall(encoder)
    before = call(batch_of(2, 6))["sequence_output"]
    encoder.enable_lora(2)
    for variable in encoder.trainable_variables:
        if "lora" in variable.path:
            variable.assign(np.full(variable.shape, 0.3))
    assert abs(call(batch_of(2, 6))["sequence_output"] - before).max() > 0.1
    check(call, encoder, batch_of(2, 6), to_numpy)


def test_a_model_that_runs_eagerly_is_not_compiled(encoder, traced):
    encoder.compile(run_eagerly=True)
    call = CompiledCall(encoder)
    for _ in range(3):
        call(batch_of(2, 6))
    assert len(traced) == 3 or BACKEND == "jax"


@pytest.mark.parametrize("any_shape, static, single", [(True, False, False), (False, False, True), (True, True, False)])
def test_batches_have_few_shapes_where_each_is_compiled_or_one_is_asked_for(encoder, any_shape, static, single):
    call = CompiledCall(encoder)
    call.any_shape = any_shape
    lengths = [3, 20, 9, 32, 20, 7, 6, 5, 4]
    found = call.batches_of(lengths, 32, 8, static)
    assert sorted(place for part, _, _ in found for place in part.tolist()) == list(range(9))
    assert all(length >= max(lengths[place] for place in part) for part, _, length in found)
    if any_shape and not static:
        assert all(len(part) == rows and rows * length <= 8 * 32 for part, rows, length in found)
        assert [(rows, length) for _, rows, length in found] == [(4, 32), (5, 8)]
    else:
        assert [(rows, length) for _, rows, length in found] == [(8, 32), (1 if single else 8, 8)]
