"""The loss of the classes of spans. Shape letters: B batch, N words, W span widths, C classes."""

from keras import ops


def span_classification_losses(logits, span_labels, span_weights):
    """Returns the cross-entropy of all spans of a row, summed over the spans of a word and averaged over words.

        loss = sum_(i, w) a_iw -log softmax(logits_iw)[t_iw] / max(1, number of words i with any a_iw > 0)

    Most spans are of no class; a mean over spans would make the others negligible, and a sum would weight rows by
    their length.

    Args:
        logits: float `(B, N, W, C)`.
        span_labels: int `(B, N, W)`. The class of each span, at [first word, number of words - 1].
        span_weights: float `(B, N, W)`. a: 1 for a span that counts, else 0.

    Returns:
        float32 `(B,)`, in nats.
    """
    logits, weights = ops.cast(logits, "float32"), ops.cast(span_weights, "float32")
    wanted = ops.one_hot(ops.cast(span_labels, "int32"), logits.shape[-1], dtype="float32")  # (B, N, W, C)
    losses = ops.logsumexp(logits, axis=-1) - ops.sum(logits * wanted, axis=-1)  # (B, N, W)
    words = ops.sum(ops.cast(ops.any(weights > 0, axis=2), "float32"), axis=1)  # (B,)
    return ops.sum(losses * weights, axis=(1, 2)) / ops.maximum(words, 1.0)
