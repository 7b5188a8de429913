"""The loss of next-sentence prediction against numbers worked out by hand and sums in NumPy. B 3, P 2."""

import keras
import numpy as np
import pytest

from spanbert_keras.losses.next_sentence_loss import next_sentence_loss
from spanbert_keras.losses.span_bert_loss import target_losses

B, P = 3, 2


def loss_of(logits, labels, weights):
    """Returns the loss of rows of one pair each."""
    columns = (np.array(values, kind)[:, None] for values, kind in ((logits, "float32"), (labels, "int32")))
    return float(next_sentence_loss(target_losses(*columns), np.array(weights, "float32")[:, None]))


@pytest.mark.parametrize(
    "logits, label, expected",
    [((0, 0), 0, 0.693147), ((0, 0), 1, 0.693147), ((2, 0), 0, 0.126928), ((2, 0), 1, 2.126928)],
)
def test_the_loss_of_one_pair(logits, label, expected):
    assert loss_of([logits], [label], [1]) == pytest.approx(expected, abs=1e-6)


def test_padding_counts_for_nothing():
    assert loss_of([(2, 0), (2, 0), (9, 9)], [0, 1, 0], [1, 1, 0]) == pytest.approx(1.126928, abs=1e-6)
    assert loss_of([(2, 0)], [1], [0]) == 0.0  # not NaN


@pytest.fixture
def pairs():
    rng = np.random.default_rng(3)
    return rng.exponential(1.0, (B, P)).astype("float32"), np.array([[1, 1], [1, 0], [1, 1]], "float32")


@pytest.mark.parametrize("tensors", [False, True], ids=["numpy", "tensors"])
def test_it_is_the_mean_over_pairs(pairs, tensors):
    given = [keras.ops.convert_to_tensor(value) for value in pairs] if tensors else pairs
    loss = next_sentence_loss(*given)
    assert keras.backend.standardize_dtype(loss.dtype) == "float32" and tuple(loss.shape) == ()
    expected = sum(float(pairs[0][b, p]) for b in range(B) for p in range(P) if pairs[1][b, p]) / 5
    assert float(loss) == pytest.approx(expected, rel=1e-6)


def test_parts_divided_by_the_whole_batchs_pairs_add_up(pairs):
    parts = [[values[rows] for values in pairs] for rows in (slice(0, 2), slice(2, 3))]
    total = sum(float(next_sentence_loss(*part, count=5)) for part in parts)
    assert total == pytest.approx(float(next_sentence_loss(*pairs)), rel=1e-6)
    assert abs(sum(float(next_sentence_loss(*part)) for part in parts) - total) > 0.1  # so the count does matter
