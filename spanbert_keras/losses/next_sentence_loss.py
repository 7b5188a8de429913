"""The loss of next-sentence prediction. Shape letters: B batch, P pairs of a row."""

from keras import ops


def next_sentence_loss(pair_losses, pair_weights, count=None):
    """Returns the mean loss of the pairs of a batch, or a part's share of it.

    Args:
        pair_losses: float32 `(B, P)`. From `target_losses`, of logits `(B, P, 2)`.
        pair_weights: float32 `(B, P)`. 1 for a pair, 0 at padding.
        count: float scalar: pairs of the *global* batch, of which the arguments may be a part (a micro-batch, a
            replica's share); parts then simply add up. Defaults to that of the arguments.

    Returns:
        float32 scalar, in nats; 0 without pairs.

    Example:

    ```python
    import numpy as np
    from spanbert_keras.losses.next_sentence_loss import next_sentence_loss

    pair_losses, pair_weights = np.array([[1.0, 3.0], [5.0, 9.0]]), np.array([[1.0, 1.0], [1.0, 0.0]])
    float(next_sentence_loss(pair_losses, pair_weights))  # 3.0: the last entry is padding
    ```

    Reference: Devlin et al., 2019.
    """
    pair_losses, pair_weights = (ops.cast(x, "float32") for x in (pair_losses, pair_weights))
    count = ops.sum(pair_weights) if count is None else ops.cast(count, "float32")
    return ops.sum(pair_losses * pair_weights) / ops.maximum(count, 1.0)
