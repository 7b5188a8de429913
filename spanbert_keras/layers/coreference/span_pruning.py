"""Pruning: the spans of a text that are kept. Shape letters: B batch, T tokens, W span widths, S spans kept.

A grid `(B, T, W)` has a span's score at [its first piece, its width - 1].
"""

from keras import ops

NO_RANK = -1  # lower than every rank


def prune_spans(scores, valid, limits, max_spans: int):
    """Returns the best spans that do not cross, as a greedy choice by score makes them.

    From the best candidate to the worst, one is kept unless it partly overlaps a kept one (one inside another may
    stay), until `limits` are kept. The choice is made in rounds instead of one by one: a candidate that beats all
    undecided ones that it crosses is kept, and those that cross it are out. That is the same choice, and a round is a
    few operations on whole grids, on any device. Of equal scores the first span in the text is the better one.

    If fewer than `limits` candidates do not cross, only those are kept (the released code then reads past its list).

    Args:
        scores: float `(B, T, W)`.
        valid: bool `(B, T, W)`. Which spans are candidates; none may end past T.
        limits: int `(B,)`. Most spans to keep of each row.
        max_spans: int. S, the largest limit.

    Returns:
        starts, widths: int32 `(B, S)`. First piece, and number of pieces less one, sorted by first and last piece;
            0 at padding.
        kept: bool `(B, S)`. Which entries are spans; the others come last.

    Reference: Joshi et al., 2019 (BERT for coreference), after Lee et al., 2017, section 5.
    """
    tokens, widths = scores.shape[1:]
    if tokens is None:
        tokens = ops.shape(scores)[1]
    ranks = _ranks(ops.where(valid, ops.cast(scores, "float32"), -float("inf")), valid)
    flat_ranks = ops.reshape(ranks, (-1, tokens * widths))
    limits = ops.expand_dims(ops.cast(limits, "int32"), -1)  # (B, 1)

    def unfinished(undecided, chosen):
        highest = ops.max(ops.where(undecided, flat_ranks, NO_RANK), axis=-1, keepdims=True)
        above = ops.sum(ops.cast(ops.logical_and(chosen, flat_ranks > highest), "int32"), axis=-1, keepdims=True)
        return ops.any(ops.logical_and(highest > NO_RANK, above < limits))

    def one_round(undecided, chosen):
        contenders = ops.reshape(ops.where(undecided, flat_ranks, NO_RANK), ops.shape(ranks))
        beaten = ops.reshape(_best_crossing(contenders), ops.shape(flat_ranks))
        winners = ops.logical_and(undecided, flat_ranks > beaten)
        marks = ops.reshape(ops.where(winners, flat_ranks, NO_RANK), ops.shape(ranks))
        out = ops.reshape(_best_crossing(marks), ops.shape(flat_ranks)) > NO_RANK
        undecided = ops.logical_and(undecided, ops.logical_not(ops.logical_or(winners, out)))
        return undecided, ops.logical_or(chosen, winners)

    start = flat_ranks > NO_RANK
    _, chosen = ops.while_loop(unfinished, one_round, (start, ops.zeros_like(start)))

    best, _ = ops.top_k(ops.where(chosen, flat_ranks, NO_RANK), max_spans)  # (B, S), best first
    within = ops.expand_dims(ops.arange(max_spans, dtype="int32"), 0) < limits
    worst = ops.min(ops.where(ops.logical_and(within, best > NO_RANK), best, tokens * widths), axis=-1, keepdims=True)
    chosen = ops.logical_and(chosen, flat_ranks >= worst)
    return _in_order(chosen, max_spans, tokens, widths)


def _ranks(scores, valid):
    """Returns the rank of each candidate of a row, int32 `(B, T, W)`, higher for better; -1 for the others."""
    flat = ops.reshape(scores, (ops.shape(scores)[0], -1))
    worse = ops.argsort(ops.argsort(-flat, axis=-1), axis=-1)  # how many are better
    order = ops.shape(flat)[1] - 1 - worse
    return ops.where(valid, ops.cast(ops.reshape(order, ops.shape(scores)), "int32"), NO_RANK)


def _in_order(chosen, max_spans, tokens, widths):
    """Returns starts, widths and which entries are spans, each `(B, S)`, of chosen candidates `(B, T * W)`."""
    places = ops.expand_dims(ops.arange(tokens * widths, dtype="int32"), 0)
    keys, _ = ops.top_k(ops.where(chosen, -places, -tokens * widths), max_spans)  # ascending places
    kept = keys > -tokens * widths
    places = ops.where(kept, -keys, 0)
    return places // widths, places % widths, kept


def _best_crossing(grid):
    """Returns for every span the highest entry among the spans that partly overlap it, `(B, T, W)`.

    (s, e) crosses spans that begin inside and end after it, s < s' <= e < e', and the mirror image, s' < s <= e' < e.
    """
    widths = grid.shape[-1]
    columns = [grid[:, :, w] for w in range(widths)]  # w is the width less one, e - s
    by_end = [_shifted(columns[w], -w) for w in range(widths)]  # the same, at the span's last piece
    # The best of the spans from a piece (to a piece) that are at least that wide.
    no_rank = ops.full_like(columns[0], NO_RANK)
    from_start, to_end = [no_rank] * (widths + 1), [no_rank] * (widths + 1)
    for w in reversed(range(widths)):
        from_start[w] = ops.maximum(columns[w], from_start[w + 1])
        to_end[w] = ops.maximum(by_end[w], to_end[w + 1])
    after, before, best = no_rank, no_rank, [no_rank]
    for w in range(1, widths):
        # Begin at s + 1 and end after e; or what the span from s + 1 to e finds, whose end is the same.
        after = _shifted(ops.maximum(from_start[w], after), 1)
        # End at e - 1 and begin before s; or what the span from s to e - 1 finds.
        before = ops.maximum(before, _shifted(to_end[w], w - 1))
        best.append(ops.maximum(after, before))
    return ops.stack(best, axis=-1)


def _shifted(column, by: int):
    """Returns `(B, T)` with the entry at t + by at t; what lies outside has no rank."""
    if by > 0:
        return ops.pad(column, ((0, 0), (0, by)), constant_values=NO_RANK)[:, by:]
    return ops.pad(column, ((0, 0), (-by, 0)), constant_values=NO_RANK)[:, :by] if by else column
