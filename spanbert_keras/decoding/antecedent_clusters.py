"""Clusters from links between spans. Shape letters: S spans."""

from collections.abc import Sequence


def antecedent_clusters(antecedents: Sequence[int]) -> list[list[int]]:
    """Returns the clusters that the links of a document form, by their first span.

    Args:
        antecedents: int `(S,)`. Place of the earlier span that each span is linked to, -1 for none.

    Returns:
        list of clusters, each an ascending list of at least two places.

    Example: `antecedent_clusters([-1, -1, 0, 1, 2])` is `[[0, 2, 4], [1, 3]]`.

    Reference: Lee et al., 2017.
    """
    clusters: dict[int, list[int]] = {}
    heads: list[int] = []
    for place, antecedent in enumerate(antecedents):
        head = place if antecedent < 0 else heads[antecedent]
        heads.append(head)
        clusters.setdefault(head, []).append(place)
    return [cluster for cluster in clusters.values() if len(cluster) > 1]
