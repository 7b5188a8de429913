"""Pruning in NumPy: the spans that are kept, chosen one by one. Shape letters: T tokens, W span widths, S spans."""

import numpy as np


def greedy_spans(scores: np.ndarray, valid: np.ndarray, limit: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns the highest-scoring spans that do not cross each other.

    Spans are taken by their scores, the highest first. One that crosses a kept span is left out: they overlap, and
    neither contains the other.

    Args:
        scores: float `(T, W)`. Score of the span at [its first piece, its width - 1].
        valid: bool `(T, W)`. Which spans are candidates; none may end past T.
        limit: int. Most spans to keep. Of equal scores the first span in the text is the better one.

    Returns:
        starts, ends: int64 `(S,)`. First and last piece (inclusive), sorted.

    Reference: Joshi et al., 2019 (BERT for coreference), after Lee et al., 2017, section 5.
    """
    tokens, widths = scores.shape
    candidates = np.flatnonzero(valid)
    candidates = candidates[np.argsort(-scores.reshape(-1)[candidates], kind="stable")]
    latest_end = np.full(tokens, -1)  # of the kept spans that begin at a piece
    earliest_start = np.full(tokens, tokens)  # of those that end at one
    kept: list[int] = []
    for place in candidates.tolist():
        if len(kept) >= limit:
            break
        start, width = divmod(place, widths)
        end = start + width
        if width and (latest_end[start + 1 : end + 1].max() > end or earliest_start[start:end].min() < start):
            continue
        latest_end[start] = max(latest_end[start], end)
        earliest_start[end] = min(earliest_start[end], start)
        kept.append(place)
    places = np.sort(np.array(kept, np.int64))
    return places // widths, places // widths + places % widths
