"""The loss of extractive question answering. Shape letters: B batch, T tokens, A answers."""

from keras import ops

PADDING_LOGIT = -1e9  # in float32; its softmax is 0


def answer_span_losses(start_logits, end_logits, padding_mask, start_positions, end_positions, answer_weights):
    """Returns the loss of every row: half the negative log-likelihood of its answer's start and end.

        loss = -1/2 log sum_a P(start_a) P(end_a)

    With one answer this is (CE_start + CE_end) / 2, the loss of the paper's section 4.1; with several it is the
    negative log of the probability that they have together. Padding has probability 0, so a row's loss does not depend
    on how far it is padded (the released code lets padding take part).

    Args:
        start_logits, end_logits: float `(B, T)`.
        padding_mask: int `(B, T)`. 0 at padding.
        start_positions, end_positions: int `(B, A)`. First and last piece of each answer; 0, 0 ([CLS]) for none.
        answer_weights: float `(B, A)`. 1 for an answer, 0 at padding; at least one 1 per row.

    Returns:
        float32 `(B,)`, in nats.
    """
    log_likelihood = _log_probabilities(start_logits, padding_mask, start_positions)  # (B, A)
    log_likelihood += _log_probabilities(end_logits, padding_mask, end_positions)  # (B, A)
    absent = (1.0 - ops.cast(answer_weights, "float32")) * PADDING_LOGIT
    return -0.5 * ops.logsumexp(log_likelihood + absent, axis=-1)


def _log_probabilities(logits, padding_mask, positions):
    """Returns the log-probabilities of `positions` under a softmax over the pieces, float32 `(B, A)`."""
    padding = ops.equal(padding_mask, 0)
    logits = ops.where(padding, PADDING_LOGIT, ops.cast(logits, "float32"))
    picked = ops.take_along_axis(logits, ops.cast(positions, "int32"), axis=-1)
    return picked - ops.logsumexp(logits, axis=-1, keepdims=True)
