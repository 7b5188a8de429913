"""The loss of coreference resolution. Shape letters: B batch, S spans, A antecedents."""

from keras import ops

PADDING_SCORE = -1e9  # what the model's layers give to padding antecedents


def antecedent_losses(antecedent_scores, antecedents, clusters, kept):
    """Returns the loss of every document: the negative log-likelihood of the gold antecedents, summed over its spans.

        loss = sum_i log sum_j exp s(i, j) - log sum_(j in gold_i) exp s(i, j)

    The gold antecedents of a span are the kept earlier spans of its cluster, all together; the dummy antecedent if it
    has none. Gold mentions that were not kept do not count.

    Args:
        antecedent_scores: float `(B, S, A + 1)`. The dummy's score, 0, comes first; about -1e9 at padding.
        antecedents: int `(B, S, A)`. Places among the S spans.
        clusters: int `(B, S)`. Number of each span's gold cluster, 0 for none.
        kept: bool or int `(B, S)`. Which entries are spans.

    Returns:
        float32 `(B,)`, in nats. A sum, not a mean (released code).

    Reference: Lee et al., 2017, section 6.
    """
    scores = ops.cast(antecedent_scores, "float32")
    spans, count = antecedents.shape[1:]
    of_antecedents = ops.take_along_axis(clusters, ops.reshape(antecedents, (-1, spans * count)), axis=1)
    of_antecedents = ops.reshape(of_antecedents, (-1, spans, count))
    of_spans = ops.expand_dims(clusters, -1)
    real = scores[:, :, 1:] > PADDING_SCORE / 2
    gold = ops.logical_and(ops.logical_and(ops.equal(of_antecedents, of_spans), of_spans > 0), real)
    without = ops.logical_not(ops.any(gold, axis=-1, keepdims=True))
    gold = ops.concatenate([without, gold], axis=-1)
    losses = ops.logsumexp(scores, axis=-1) - ops.logsumexp(ops.where(gold, scores, PADDING_SCORE), axis=-1)
    return ops.sum(ops.where(ops.cast(kept, "bool"), losses, 0.0), axis=-1)
