"""Attention weights and their gradients. Shape letters: B rows, H heads, Q queries, T tokens, E width of a head."""

from keras import ops

from spanbert_keras.kernels.fusion import fused
from spanbert_keras.kernels.keep_mask import drop

# Added to what is masked. Representable in float16, and past twice the limit of clamped scores: BERT's own -10000 lets
# a masked piece with a score at the limit win over unmasked ones.
MASKED_SCORE = -30000.0
LOWEST = -3e38  # of float32


def _dropped(x, keys, rate):
    """Returns float32 `x` `(B, H, Q, T)` after dropout."""
    shape = ops.shape(x)
    return ops.reshape(drop(ops.reshape(x, (-1, shape[-1])), ops.reshape(keys, (-1,)), rate), shape)


def _masked(scores, mask):
    return ops.cast(scores, "float32") + ops.where(ops.expand_dims(mask, 1), 0.0, MASKED_SCORE)


@fused
def _forward(scores, mask, keys, *, rate):
    """Returns the weights after dropout, and of each row its largest score and log(sum(exp(score - largest))).

    Both `(B, H, Q, 1)`, float32. Apart from each other: what is masked everywhere has scores too large for their sum.
    """
    masked = _masked(scores, mask)
    largest = ops.max(masked, axis=-1, keepdims=True, initial=LOWEST)  # a batch may have no rows
    exponentials = ops.exp(masked - largest)
    total = ops.sum(exponentials, axis=-1, keepdims=True)
    weights = _dropped(exponentials * (1.0 / total), keys, rate)
    return ops.cast(weights, scores.dtype), largest, ops.log(total)


@fused
def _backward(scores, to_dropped, mask, keys, largest, log_totals, inner, *, rate):
    """Returns the weights after dropout and the gradient of the scores.

    `inner` `(B, H, Q, 1)` is the sum of the weights times their gradients over a row, which equals that of the context
    times its gradient (Dao et al., 2022, appendix B).
    """
    weights = ops.exp((_masked(scores, mask) - largest) - log_totals)
    to_weights = _dropped(ops.cast(to_dropped, "float32"), keys, rate)
    dropped = ops.cast(_dropped(weights, keys, rate), scores.dtype)
    return dropped, ops.cast(weights * (to_weights - inner), scores.dtype)


def _transposed(x):
    return ops.swapaxes(x, -1, -2)


def attention_context(query, key, value, mask, keys, *, rate):
    """Returns Dropout(softmax(q k^T)) v and what its gradient needs: the largest scores and the logarithms of sums.

    Args:
        query: float `(B, H, Q, E)`, scaled already.
        key, value: float `(B, H, T, E)`.
        mask: bool `(B, Q, T)`. True where query q may attend to key t.
        keys: uint32 `(B, H, Q)`. Of each query's dropout, from `row_keys`.
        rate: float. Probability of zeroing a weight.

    Returns:
        `(B, H, Q, E)` as `query`, and two of float32 `(B, H, Q, 1)`.
    """
    weights, largest, log_totals = _forward(ops.matmul(query, _transposed(key)), mask, keys, rate=rate)
    return ops.matmul(weights, value), largest, log_totals


def attention_gradients(query, key, value, mask, keys, largest, log_totals, inner, upstream, *, rate):
    """Returns the gradients of `query`, `key` and `value`; the weights are computed again.

    Args:
        query, key, value, mask, keys, rate: as for `attention_context`.
        largest, log_totals: float32 `(B, H, Q, 1)`. What it returned.
        inner: float32 `(B, H, Q, 1)`. The sum of the context times its gradient.
        upstream: as `query`. The gradient of the context.
    """
    scores = ops.matmul(query, _transposed(key))
    to_dropped = ops.matmul(upstream, _transposed(value))
    dropped, to_scores = _backward(scores, to_dropped, mask, keys, largest, log_totals, inner, rate=rate)
    to_key = ops.matmul(_transposed(to_scores), query)
    return ops.matmul(to_scores, key), to_key, ops.matmul(_transposed(dropped), upstream)
