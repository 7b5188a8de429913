"""The pre-training loss. Shape letters: B batch, M masked positions, V vocabulary."""

from keras import ops

from spanbert_keras.errors import shown
from spanbert_keras.kernels.cross_entropy import fused_cross_entropy, is_largest
from spanbert_keras.kernels.fusion import on_tensorflow_or_jax

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
    if on_tensorflow_or_jax():
        rows = ops.reshape(logits, (-1, logits.shape[-1]))
        return ops.reshape(fused_cross_entropy(rows, ops.reshape(target_ids, (-1,))), ops.shape(target_ids))
    picked = ops.take_along_axis(logits, ops.expand_dims(target_ids, -1), axis=-1)
    return ops.logsumexp(logits, axis=-1) - ops.squeeze(picked, -1)


def targets_hit(logits, target_ids):
    """Returns whether the piece of the largest logit is the target, as 0 or 1, for every masked position.

    Args:
        logits: float32 `(B, M, V)`.
        target_ids: int `(B, M)`. Original piece ids.

    Returns:
        float32 `(B, M)`.
    """
    target_ids = ops.cast(target_ids, "int32")
    if on_tensorflow_or_jax():  # Keras' `argmax` tells 0.0 from -0.0, in several passes
        rows = ops.reshape(logits, (-1, logits.shape[-1]))
        hits = ops.reshape(is_largest(rows, ops.reshape(target_ids, (-1,))), ops.shape(target_ids))
    else:
        hits = ops.equal(ops.cast(ops.argmax(logits, axis=-1), "int32"), target_ids)
    return ops.cast(hits, "float32")


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
