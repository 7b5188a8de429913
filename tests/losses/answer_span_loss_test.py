"""The loss of question answering against sums written out in NumPy. B 3, T 7, A 4."""

import math

import keras
import numpy as np
import pytest
from keras import ops

from spanbert_keras.losses.answer_span_loss import answer_span_losses

B, T, A = 3, 7, 4
LENGTHS = (7, 5, 6)


@pytest.fixture
def batch():
    rng = np.random.default_rng(7)
    lengths = np.array(LENGTHS)[:, None]
    starts = rng.integers(0, lengths, (B, A)).astype("int32")
    return {
        "start_logits": rng.normal(0.0, 3.0, (B, T)).astype("float32"),
        "end_logits": rng.normal(0.0, 3.0, (B, T)).astype("float32"),
        "padding_mask": (np.arange(T) < lengths).astype("int32"),
        "start_positions": starts,
        "end_positions": np.maximum(starts, rng.integers(0, lengths, (B, A))).astype("int32"),
        "answer_weights": np.array([[1, 0, 0, 0], [1, 1, 0, 1], [0, 1, 1, 0]], "float32"),
    }


def probability(logits, mask, position):
    """Softmax over the pieces of one row, padding left out, in float64."""
    kept = [float(logit) for logit, keep in zip(logits, mask, strict=True) if keep]
    largest = max(kept)
    return math.exp(float(logits[position]) - largest) / sum(math.exp(logit - largest) for logit in kept)


def slow(batch):
    """-1/2 log of the sum over a row's answers of P(start) P(end), answer by answer."""
    losses = []
    for b in range(B):
        total = 0.0
        for a in range(batch["start_positions"].shape[1]):
            if batch["answer_weights"][b, a]:
                start, end = batch["start_positions"][b, a], batch["end_positions"][b, a]
                mask = batch["padding_mask"][b]
                total += probability(batch["start_logits"][b], mask, start) * probability(
                    batch["end_logits"][b], mask, end
                )
        losses.append(-0.5 * math.log(total))
    return losses


def losses_of(batch):
    losses = answer_span_losses(**batch)
    assert keras.backend.standardize_dtype(losses.dtype) == "float32" and tuple(losses.shape) == (B,)
    return ops.convert_to_numpy(losses)


@pytest.mark.parametrize("tensors", [False, True], ids=["numpy", "tensors"])
@pytest.mark.parametrize("position_dtype", ["int32", "int64"])
def test_it_is_half_the_negative_log_probability_of_all_answers_together(batch, tensors, position_dtype):
    expected = slow(batch)
    batch |= {key: batch[key].astype(position_dtype) for key in ("start_positions", "end_positions")}
    given = {key: ops.convert_to_tensor(value) for key, value in batch.items()} if tensors else batch
    np.testing.assert_allclose(losses_of(given), expected, rtol=1e-5)


def test_one_answer_costs_the_mean_of_both_cross_entropies(batch):
    """Section 4.1, by Keras' own cross-entropy over rows without padding."""
    batch |= {key: batch[key][:, :1] for key in ("start_positions", "end_positions")}
    batch |= {"answer_weights": np.ones((B, 1), "float32"), "padding_mask": np.ones((B, T), "int32")}
    parts = [
        keras.losses.sparse_categorical_crossentropy(
            batch[f"{side}_positions"][:, 0], batch[f"{side}_logits"], from_logits=True
        )
        for side in ("start", "end")
    ]
    expected = sum(ops.convert_to_numpy(part) for part in parts) / 2
    np.testing.assert_allclose(losses_of(batch), expected, rtol=1e-5)


def test_several_answers_are_likelier_together_than_each_alone(batch):
    together = losses_of(batch)
    for a in range(A):
        alone = losses_of(batch | {"answer_weights": np.eye(A, dtype="float32")[[a] * B]})
        taken = batch["answer_weights"][:, a] > 0
        assert (together[taken] <= alone[taken] + 1e-6).all()
        assert (together[1] < alone[1] - 1e-3) or not taken[1]


def test_the_same_answer_twice_is_one_log_two_cheaper(batch):
    """Why training rows name each answer once: a repetition counts."""
    batch |= {key: batch[key][:, [0, 0]] for key in ("start_positions", "end_positions")}
    twice = losses_of(batch | {"answer_weights": np.ones((B, 2), "float32")})
    once = losses_of(batch | {"answer_weights": np.array([[1, 0]] * B, "float32")})
    np.testing.assert_allclose(once - twice, [math.log(2) / 2] * B, rtol=1e-4)


def test_padding_answers_change_nothing_at_any_position(batch):
    expected = losses_of(batch)
    absent = batch["answer_weights"] == 0
    for position in (0, T - 1):
        changed = {key: np.where(absent, position, batch[key]) for key in ("start_positions", "end_positions")}
        np.testing.assert_array_equal(losses_of(batch | changed), expected)


@pytest.mark.parametrize("filled_with", [0.0, 50.0, -50.0])
def test_padding_of_any_length_and_content_changes_nothing(batch, filled_with):
    expected = losses_of(batch)
    longer = dict(batch)
    for key in ("start_logits", "end_logits"):
        padded = np.pad(batch[key], ((0, 0), (0, 6)), constant_values=filled_with)
        longer[key] = np.where(np.arange(T + 6) < np.array(LENGTHS)[:, None], padded, filled_with).astype("float32")
    longer["padding_mask"] = np.pad(batch["padding_mask"], ((0, 0), (0, 6)))
    np.testing.assert_allclose(losses_of(longer), expected, rtol=1e-6)


def test_a_shift_of_all_logits_changes_nothing(batch):
    expected = losses_of(batch)
    np.testing.assert_allclose(losses_of(batch | {"end_logits": batch["end_logits"] + 9.0}), expected, rtol=1e-4)


def test_uniform_logits_cost_the_logarithm_of_the_rows_length(batch):
    batch |= {key: np.zeros((B, T), "float32") for key in ("start_logits", "end_logits")}
    batch["answer_weights"] = np.eye(A, dtype="float32")[[0] * B]
    np.testing.assert_allclose(losses_of(batch), np.log(LENGTHS), rtol=1e-6)


def gradients(start_logits, end_logits, batch):
    """Returns the gradients of the summed losses by both logits, float64."""

    def total(pair):
        return ops.sum(answer_span_losses(*pair, **{k: v for k, v in batch.items() if "logits" not in k}))

    pair = [ops.convert_to_tensor(logits) for logits in (start_logits, end_logits)]
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape() as tape:
            tape.watch(pair)
            loss = total(pair)
        found = tape.gradient(loss, pair)
    elif keras.backend.backend() == "jax":
        import jax

        found = jax.grad(total)(pair)
    else:
        pair = [logits.requires_grad_() for logits in pair]
        total(pair).backward()
        found = [logits.grad for logits in pair]
    return [np.asarray(ops.convert_to_numpy(ops.cast(gradient, "float32")), np.float64) for gradient in found]


def test_gradients_are_the_differences_of_two_softmaxes(batch):
    """d loss / d start_t = (P(t) - P(t | an answer)) / 2, and 0 at padding."""
    start_gradients, end_gradients = gradients(batch["start_logits"], batch["end_logits"], batch)
    for side, found in (("start", start_gradients), ("end", end_gradients)):
        expected = np.zeros((B, T))
        for b in range(B):
            mask, joint = batch["padding_mask"][b], np.zeros(T)
            for a in np.flatnonzero(batch["answer_weights"][b]):
                start, end = batch["start_positions"][b, a], batch["end_positions"][b, a]
                joint[start if side == "start" else end] += probability(
                    batch["start_logits"][b], mask, start
                ) * probability(batch["end_logits"][b], mask, end)
            every = [probability(batch[f"{side}_logits"][b], mask, t) if mask[t] else 0.0 for t in range(T)]
            expected[b] = (np.array(every) - joint / joint.sum()) / 2
        np.testing.assert_allclose(found, expected, atol=2e-6)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("scale", [1.0, 4e3])
def test_losses_and_gradients_of_half_precision_logits_are_finite_and_right(batch, dtype, scale):
    halves = [ops.cast(ops.convert_to_tensor(batch[f"{side}_logits"] * scale), dtype) for side in ("start", "end")]
    exact = [ops.convert_to_numpy(ops.cast(half, "float32")) for half in halves]
    given = batch | {"start_logits": halves[0], "end_logits": halves[1]}
    same = losses_of(batch | {"start_logits": exact[0], "end_logits": exact[1]})
    np.testing.assert_allclose(losses_of(given), same, rtol=1e-6)
    found = gradients(*halves, batch)
    for gradient, expected in zip(found, gradients(*exact, batch), strict=True):
        assert np.isfinite(gradient).all() and np.abs(gradient).max() > 0.1
        np.testing.assert_allclose(gradient, expected, atol=5e-3)
