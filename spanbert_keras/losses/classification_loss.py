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


def multi_label_losses(logits, label_targets):
    """Returns the binary cross-entropy of every row, the mean over its labels.

        loss = -mean_c [ t_c log sigmoid(x_c) + (1 - t_c) log(1 - sigmoid(x_c)) ]

    The mean over rows is that of `torch.nn.BCEWithLogitsLoss` over all entries, which transformers takes for
    `multi_label_classification`.

    Args:
        logits: float `(B, C)`.
        label_targets: float `(B, C)`, 1 for each label that the row has, else 0.

    Returns:
        float32 `(B,)`, in nats.
    """
    logits, targets = ops.cast(logits, "float32"), ops.cast(label_targets, "float32")
    losses = ops.softplus(logits) - targets * logits  # = -t log s(x) - (1 - t) log s(-x), finite for every x
    return ops.mean(losses, axis=-1)


def regression_losses(predictions, label_targets):
    """Returns the squared error of every row, the mean over its targets (as in transformers).

    Args:
        predictions: float `(B, C)`; C is 1 for a single number.
        label_targets: float `(B, C)`.

    Returns:
        float32 `(B,)`.
    """
    errors = ops.cast(predictions, "float32") - ops.cast(label_targets, "float32")
    return ops.mean(ops.square(errors), axis=-1)
