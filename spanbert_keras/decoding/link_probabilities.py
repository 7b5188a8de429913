"""How sure a resolver is of its links. Shape letters: S spans, A antecedents."""

from collections.abc import Sequence

import numpy as np


def link_probabilities(scores: np.ndarray, antecedents: np.ndarray, clusters: Sequence[Sequence[int]]) -> np.ndarray:
    """Returns the probability that a span of a cluster refers to an earlier one of it.

    The softmax over all antecedents of a span and the dummy, summed over those in the span's cluster: what training
    maximizes for the gold clusters.

    Args:
        scores: float `(S, A)`. Scores of the antecedents; the dummy's is 0. -inf at padding.
        antecedents: int `(S, A)`. Places among the S spans; -1 at padding.
        clusters: sequence of sequences of places.

    Returns:
        float64 `(S,)`; 0 for the first span of a cluster, and for one that is in no cluster.

    Example:

    ```python
    import numpy as np

    from spanbert_keras.decoding.link_probabilities import link_probabilities

    scores, antecedents = np.array([[-np.inf], [0.0]]), np.array([[-1], [0]])
    link_probabilities(scores, antecedents, [[0, 1]]).tolist()  # [0.0, 0.5]: as likely as no antecedent
    ```

    Reference: Lee et al., 2017, section 3; Joshi et al., 2019.
    """
    count = len(antecedents)
    cluster_of = np.full(count + 1, -1)  # the last for padding
    for number, places in enumerate(clusters):
        cluster_of[list(places)] = number
    scores = np.asarray(scores, np.float64)
    largest = scores.max(axis=1, initial=0.0)  # (S,)
    weights = np.exp(scores - largest[:, np.newaxis])
    same = (cluster_of[antecedents] == cluster_of[:count, np.newaxis]) & (antecedents >= 0)
    same &= cluster_of[:count, np.newaxis] >= 0
    return (weights * same).sum(axis=1) / (weights.sum(axis=1) + np.exp(-largest))
