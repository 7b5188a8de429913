"""The losses of classification and regression. Shape letters: B batch, C classes."""

from keras import ops


def classification_losses(logits, label_targets):
    """Returns the cross-entropy of every row with its target distribution.

        loss = -sum_c t_c log softmax(logits)_c

    A target is 1 at the label of the row; label smoothing spreads a part of it over all classes, and a class weight
    multiplies it.

    Args:
        logits: float `(B, C)`.
        label_targets: float `(B, C)`.

    Returns:
        float32 `(B,)`, in nats.
    """
    logits = ops.cast(logits, "float32")
    log_probabilities = logits - ops.logsumexp(logits, axis=-1, keepdims=True)
    return -ops.sum(ops.cast(label_targets, "float32") * log_probabilities, axis=-1)


def regression_losses(predictions, label_targets):
    """Returns the squared error of every row.

    Args:
        predictions: float `(B, 1)`.
        label_targets: float `(B, 1)`.

    Returns:
        float32 `(B,)`.
    """
    errors = ops.cast(predictions, "float32") - ops.cast(label_targets, "float32")
    return ops.square(errors)[:, 0]
