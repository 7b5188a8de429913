"""The pre-training loss. Shape letters: B batch, M masked positions, V vocabulary."""

import keras
from keras import ops

from spanbert_keras.errors import shown

NORMALIZATIONS = ("targets", "separate")


def target_losses(logits, target_ids):
    """Returns -log P(target) of every masked position.

    Args:
        logits: float32 `(B, M, V)`.
        target_ids: int `(B, M)`. Original piece ids.

    Returns:
        float32 `(B, M)`, in nats.
    """
    logits, target_ids = ops.cast(logits, "float32"), ops.cast(target_ids, "int32")
    if keras.backend.backend() == "tensorflow":
        return _target_losses_with_gradient(logits, target_ids)
    picked = ops.take_along_axis(logits, ops.expand_dims(target_ids, -1), axis=-1)
    return ops.logsumexp(logits, axis=-1) - ops.squeeze(picked, -1)


@ops.custom_gradient
def _target_losses_with_gradient(logits, target_ids):
    """`target_losses` that keeps the exponentials for its gradient, softmax - one-hot.

    Fewer passes over (B, M, V) than TensorFlow's own operation and its gradient make.
    """
    width = logits.shape[-1]
    rows = ops.reshape(logits, (-1, width))
    ids = ops.reshape(target_ids, (-1,))
    largest = ops.max(rows, axis=-1, keepdims=True)
    exponentials = ops.exp(rows - largest)
    total = ops.sum(exponentials, axis=-1, keepdims=True)
    places = ops.stack([ops.arange(ops.shape(rows)[0]), ids], axis=-1)
    losses = ops.log(total) + largest - ops.take_along_axis(rows, ops.expand_dims(ids, -1), axis=-1)

    def gradient(*arguments, upstream=None):
        upstream = ops.reshape(arguments[0] if upstream is None else upstream, (-1, 1))
        softmax = exponentials * (upstream / total)
        of_target = ops.take_along_axis(softmax, ops.expand_dims(ids, -1), axis=-1) - upstream
        rows_gradient = ops.scatter_update(softmax, places, ops.squeeze(of_target, -1))
        return ops.reshape(rows_gradient, ops.shape(logits)), None

    return ops.reshape(losses, ops.shape(target_ids)), gradient


def span_bert_loss(
    mlm_losses, sbo_losses, mask_weights, span_weights, counts=None, *, sbo_weight=1.0, normalization="targets"
):
    """Returns the loss of a batch, or of a part of one: L(x_i) = L_MLM(x_i) + L_SBO(x_i) for each masked piece.

    With `normalization="targets"` (paper, section 3.2) the sum of all MLM losses and `sbo_weight` times the sum of all
    SBO losses is divided by the number of MLM targets. `"separate"` is the released code's form: each sum divided by
    its own count, that of the SBO plus one.

    Args:
        mlm_losses: float32 `(B, M)`. From `target_losses`.
        sbo_losses: float32 `(B, M)`. From `target_losses`.
        mask_weights: float32 `(B, M)`. 1 where a piece is masked, 0 at padding.
        span_weights: float32 `(B, M)`. 1 where a piece has an SBO target.
        counts: pair of float scalars: MLM and SBO targets of the *global* batch, of which the arguments may be a part
            (a micro-batch, a replica's share); parts then simply add up. Defaults to those of the arguments.
        sbo_weight: float. Weight of the SBO. Defaults to `1.0` (section 3.2).
        normalization: `"targets"` or `"separate"`.

    Returns:
        float32 scalar, in nats.

    Raises:
        ValueError: an unknown `normalization`.

    Example:

    ```python
    import numpy as np
    from spanbert_keras import span_bert_loss

    mlm_losses = np.array([[3.0, 5.0, 9.0]])
    sbo_losses = np.array([[2.0, 4.0, 9.0]])
    mask_weights = np.array([[1.0, 1.0, 0.0]])  # the third entry is padding
    span_weights = np.array([[1.0, 0.0, 0.0]])  # the second piece has no SBO target
    float(span_bert_loss(mlm_losses, sbo_losses, mask_weights, span_weights))  # 5.0
    ```

    Reference: Joshi et al., 2020, section 3.2.
    """
    if normalization not in NORMALIZATIONS:
        raise ValueError(
            f"`normalization` must be one of {NORMALIZATIONS}. Received: normalization={shown(normalization)}."
        )
    mlm_losses, sbo_losses, mask_weights, span_weights = (
        ops.cast(x, "float32") for x in (mlm_losses, sbo_losses, mask_weights, span_weights)
    )
    if counts is None:
        counts = (ops.sum(mask_weights), ops.sum(span_weights))
    mlm_targets, sbo_targets = (ops.cast(count, "float32") for count in counts)
    mlm = ops.sum(mlm_losses * mask_weights)
    sbo = ops.sum(sbo_losses * span_weights)
    denominator = ops.maximum(mlm_targets, 1.0)  # a batch without targets has loss 0, not NaN
    if normalization == "targets":
        return (mlm + sbo_weight * sbo) / denominator
    return mlm / denominator + sbo_weight * sbo / (sbo_targets + 1.0)
