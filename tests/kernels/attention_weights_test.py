"""Attention of some queries and its gradients against NumPy in float64 and against differences of the loss."""

import keras
import numpy as np
import pytest
from keras import ops

from spanbert_keras.kernels.attention_weights import attention_context, attention_gradients
from spanbert_keras.kernels.keep_mask import keep_mask, row_keys

B, H, Q, T, E = 2, 3, 4, 7, 5

pytestmark = pytest.mark.skipif(keras.backend.backend() == "torch", reason="torch has its own attention")


class Case:
    """Random queries, keys, values and a mask under which one query sees nothing."""

    def __init__(self, rate):
        rng = np.random.default_rng(0)
        self.rate = rate
        self.query = rng.normal(size=(B, H, Q, E)).astype("float32")
        self.key, self.value = (rng.normal(size=(B, H, T, E)).astype("float32") for _ in range(2))
        self.mask = rng.random((B, Q, T)) < 0.6
        self.mask[:, 1] = False
        self.keys = ops.reshape(row_keys(np.array([1, 2]), B * H * Q), (B, H, Q))
        self.upstream = rng.normal(size=(B, H, Q, E)).astype("float32")
        kept = keep_mask(ops.reshape(self.keys, (-1,)), T, rate)
        self.kept = ops.convert_to_numpy(kept).reshape(B, H, Q, T) / (1.0 - rate)

    def slow(self, query, key, value):
        """Returns the context in float64: (B, H, Q, E)."""
        scores = np.einsum("bhqe,bhte->bhqt", query, key)
        seen = np.where(self.mask.any(-1, keepdims=True), self.mask, True)[:, None]  # nothing to see: all, as in BERT
        weights = np.exp(scores - scores.max(-1, keepdims=True)) * seen
        return np.einsum("bhqt,bhte->bhqe", weights / weights.sum(-1, keepdims=True) * self.kept, value)

    @property
    def arrays(self):
        """Query, key and value in float64."""
        return [x.astype("float64") for x in (self.query, self.key, self.value)]


@pytest.fixture(params=[0.0, 0.25])
def case(request):
    return Case(request.param)


def test_the_context_is_that_of_the_definition(case):
    context, largest, log_totals = attention_context(
        case.query, case.key, case.value, case.mask, case.keys, rate=case.rate
    )
    np.testing.assert_allclose(ops.convert_to_numpy(context), case.slow(*case.arrays), atol=5e-3)
    seen = case.mask.any(-1)[:, None, :, None] & np.ones((B, H, Q, 1), bool)
    np.testing.assert_allclose(
        ops.convert_to_numpy(context)[seen[..., 0]], case.slow(*case.arrays)[seen[..., 0]], 2e-5, 2e-6
    )
    masked = np.einsum("bhqe,bhte->bhqt", *case.arrays[:2]) + np.where(case.mask, 0.0, -30000.0)[:, None]
    totals = np.exp(masked - masked.max(-1, keepdims=True)).sum(-1, keepdims=True)
    np.testing.assert_allclose(ops.convert_to_numpy(largest)[seen], masked.max(-1, keepdims=True)[seen], 1e-5, 1e-5)
    np.testing.assert_allclose(ops.convert_to_numpy(log_totals)[seen], np.log(totals)[seen], 1e-5, 1e-5)


def test_gradients_are_differences_of_the_loss(case):
    case.upstream[:, :, 1] = 0.0  # scores of -30000 have few digits left
    context, *totals = attention_context(case.query, case.key, case.value, case.mask, case.keys, rate=case.rate)
    inner = ops.sum(context * case.upstream, axis=-1, keepdims=True)
    found = attention_gradients(
        *(case.query, case.key, case.value, case.mask, case.keys, *totals, inner, case.upstream), rate=case.rate
    )
    rng, step = np.random.default_rng(1), 1e-6
    for place in range(3):
        for _ in range(5):  # along random directions
            arrays, direction = case.arrays, rng.normal(size=case.arrays[place].shape)
            losses = []
            for sign in (1, -1):
                moved = [x + sign * step * direction if i == place else x for i, x in enumerate(arrays)]
                losses.append((case.slow(*moved) * case.upstream).sum())
            expected = (losses[0] - losses[1]) / (2 * step)
            assert (ops.convert_to_numpy(found[place]) * direction).sum() == pytest.approx(expected, rel=1e-3, abs=1e-3)
