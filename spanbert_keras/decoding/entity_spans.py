"""Which of the likely spans are entities. Shape letters: N words, W span widths, C labels, S entities."""

import numpy as np

from spanbert_keras.decoding.greedy_spans import greedy_spans


def entity_spans(
    probabilities: np.ndarray, valid: np.ndarray, nested: bool, min_score: float = 0.0
) -> list[tuple[int, int, int, float]]:
    """Returns the entities of a text.

    A span is a candidate if one of the labels is its likeliest class. From the likeliest candidate to the least likely,
    one is an entity unless it crosses an earlier one; without `nested` unless it shares a word with one.

    Args:
        probabilities: float `(N, W, C + 1)`. Of each class of the span at [its first word, its width - 1]; class 0 is
            "no entity".
        valid: bool `(N, W)`. Which spans may be entities; none may end past N.
        nested: bool. Whether an entity may be inside another.
        min_score: float. Lowest probability of an entity.

    Returns:
        List of (first word, last word (inclusive), place of the label, probability), in the order of the text, outer
        ones before those inside them.
    """
    scores = probabilities[..., 1:].max(axis=-1)
    likely = valid & (scores > probabilities[..., 0]) & (scores >= min_score)
    choose = greedy_spans if nested else _disjoint_spans
    starts, ends = choose(scores, likely, int(likely.sum()))
    order = np.lexsort((-ends, starts))
    classes = probabilities[starts, ends - starts, 1:].argmax(axis=-1)
    of_spans = scores[starts, ends - starts]
    return [(int(starts[i]), int(ends[i]), int(classes[i]), float(of_spans[i])) for i in order]


def _disjoint_spans(scores: np.ndarray, valid: np.ndarray, limit: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns the highest-scoring spans of which no two share a word; see `greedy_spans`."""
    words, widths = scores.shape
    candidates = np.flatnonzero(valid)
    candidates = candidates[np.argsort(-scores.reshape(-1)[candidates], kind="stable")]
    taken = np.zeros(words, bool)
    kept = []
    for place in candidates.tolist()[:limit]:
        start, width = divmod(place, widths)
        if not taken[start : start + width + 1].any():
            taken[start : start + width + 1] = True
            kept.append(place)
    places = np.sort(np.array(kept, np.int64))
    return places // widths, places // widths + places % widths
