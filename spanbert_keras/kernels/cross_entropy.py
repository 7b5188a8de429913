"""Cross-entropy over the vocabulary, fused. Shape letters: N rows, V vocabulary."""

from keras import ops

from spanbert_keras.kernels.fusion import fused


def _is_target(logits, target_ids):
    places = ops.arange(ops.shape(logits)[-1], dtype="int32")
    return ops.equal(ops.expand_dims(places, 0), ops.expand_dims(target_ids, 1))  # (N, V)


@fused
def _forward(logits, target_ids):
    """Returns the losses and log(sum(exp(logits))), `(N,)` each."""
    largest = ops.max(logits, axis=-1, keepdims=True)
    total = ops.sum(ops.exp(logits - largest), axis=-1)
    picked = ops.sum(ops.where(_is_target(logits, target_ids), logits, 0.0), axis=-1)
    log_total = ops.log(total) + ops.squeeze(largest, -1)
    return log_total - picked, log_total


@fused
def _backward(logits, target_ids, log_total, upstream):
    """Returns the gradient of the logits, softmax - one-hot, times that of the losses."""
    softmax = ops.exp(logits - ops.expand_dims(log_total, 1))
    return (softmax - ops.cast(_is_target(logits, target_ids), "float32")) * ops.expand_dims(upstream, 1)


@fused
def is_largest(logits, target_ids):
    """Returns whether each row's target is the first of its largest logits, bool `(N,)`."""
    picked = ops.take_along_axis(logits, ops.expand_dims(target_ids, 1), axis=1)
    places = ops.expand_dims(ops.arange(ops.shape(logits)[-1], dtype="int32"), 0)
    before = ops.less(places, ops.expand_dims(target_ids, 1))
    return ops.all(ops.where(before, ops.less(logits, picked), ops.less_equal(logits, picked)), axis=-1)


@ops.custom_gradient
def fused_cross_entropy(logits, target_ids):
    """Returns -log P(target) of every row; nothing of the logits' size is kept for the gradient but the logits.

    Args:
        logits: float32 `(N, V)`.
        target_ids: int32 `(N,)`.

    Returns:
        float32 `(N,)`, in nats.
    """
    losses, log_total = _forward(logits, target_ids)

    def gradient(*arguments, upstream=None):
        return _backward(logits, target_ids, log_total, arguments[0] if upstream is None else upstream), None

    return losses, gradient
