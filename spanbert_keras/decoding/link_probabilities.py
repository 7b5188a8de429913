"""How sure a resolver is of its links. Shape letters: S spans, A antecedents."""

import numpy as np


def sure_links(
    best: np.ndarray, scores: np.ndarray, antecedents: np.ndarray, min_score: float = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the links whose probability reaches a limit, and the probability of each.

    The probability that a span refers to a chain: the softmax over all antecedents of the span and the dummy, summed
    over those in the chain of its best antecedent. This is what training maximizes for the gold chains. Links are
    decided in the order of the text, so a link that is left out changes the chains that later spans are linked to.

    Args:
        best: int `(S,)`. Place of each span's best antecedent; -1 if the dummy is better.
        scores: float `(S, A)`. Scores of the antecedents; the dummy's is 0. -inf at padding.
        antecedents: int `(S, A)`. Places among the S spans, before the span itself; -1 at padding.
        min_score: float. Lowest probability of a link.

    Returns:
        links: int64 `(S,)`, as `best` without the links that are left out.
        probabilities: float64 `(S,)`, 0 for a span without a link.

    Example:

    ```python
    import numpy as np

    from spanbert_keras.decoding.link_probabilities import sure_links

    scores, antecedents = np.array([[-np.inf], [1.0]]), np.array([[-1], [0]])
    links, probabilities = sure_links(np.array([-1, 0]), scores, antecedents)
    probabilities.tolist()  # [0.0, 0.7310585786300049]
    ```

    Reference: Lee et al., 2017, section 3; Joshi et al., 2019.
    """
    scores = np.asarray(scores, np.float64)
    largest = scores.max(axis=1, initial=0.0)  # (S,)
    weights = np.exp(scores - largest[:, np.newaxis])
    shares = weights / (weights.sum(axis=1) + np.exp(-largest))[:, np.newaxis]  # (S, A)
    links, probabilities = np.array(best, np.int64), np.zeros(len(best))
    heads = np.append(np.arange(len(best)), -1)  # the first span of each one's chain; the last entry is for padding
    for place in np.flatnonzero(links >= 0).tolist():
        head = heads[links[place]]
        probability = float(shares[place][heads[antecedents[place]] == head].sum())
        if probability >= min_score:
            heads[place], probabilities[place] = head, probability
        else:
            links[place] = -1
    return links, probabilities
