"""MUC, B-cubed, CEAF-phi4 and mention detection as in the official scorer of CoNLL-2012, version 8.01.

Clusters are lists of mentions, mentions are pairs of numbers. Only their equality and order count, so spans may be in
words or characters, half-open or not. Letters: K a gold cluster, R a predicted one.
"""

import collections
import dataclasses
from collections.abc import Iterable, Sequence

import numpy as np

from spanbert_keras.program import InputError
from tasks.shared.extras import COREFERENCE, load

MAX_REPEATED_MENTIONS = 10  # the official scorer rejects more

Span = tuple[int, int]
Clusters = Sequence[Sequence[Span]]


@dataclasses.dataclass(frozen=True)
class Figure:
    """Numerators and denominators of one metric, which add up over documents.

    Attributes:
        recall_numerator, recall_denominator, precision_numerator, precision_denominator: float.
    """

    recall_numerator: float = 0.0
    recall_denominator: float = 0.0
    precision_numerator: float = 0.0
    precision_denominator: float = 0.0

    def __add__(self, other: "Figure") -> "Figure":
        return Figure(*(a + b for a, b in zip(dataclasses.astuple(self), dataclasses.astuple(other), strict=True)))

    @property
    def recall(self) -> float:
        """From 0 to 1; 0 where there is nothing to recall."""
        return self.recall_numerator / self.recall_denominator if self.recall_denominator else 0.0

    @property
    def precision(self) -> float:
        """From 0 to 1; 0 where nothing is predicted."""
        return self.precision_numerator / self.precision_denominator if self.precision_denominator else 0.0

    @property
    def f1(self) -> float:
        """From 0 to 1, F1 = 2 P R / (P + R); 0 where both are."""
        total = self.precision + self.recall
        return 2 * self.precision * self.recall / total if total else 0.0

    @property
    def printed(self) -> tuple[float, float, float]:
        """Recall, precision and F1 in per cent as the official scorer prints them: truncated, not rounded."""
        return truncated_percent(self.recall), truncated_percent(self.precision), truncated_percent(self.f1)


@dataclasses.dataclass(frozen=True)
class Scores:
    """The figures of a set of documents.

    Attributes:
        mentions: `Figure`. Predicted mentions that are gold mentions, in any cluster.
        muc, b_cubed, ceaf: `Figure`. The three metrics; `ceaf` is CEAF-phi4, also called CEAFe.
        documents: int. How many were scored.
        repeated_mentions: int. Repetitions of gold mentions; only the first one counts, in the order of clusters.
    """

    mentions: Figure
    muc: Figure
    b_cubed: Figure
    ceaf: Figure
    documents: int
    repeated_mentions: int

    @property
    def average_f1(self) -> float:
        """The mean of the three F1, from 0 to 1: the paper's figure for OntoNotes ("Avg. F1", table 3)."""
        return (self.muc.f1 + self.b_cubed.f1 + self.ceaf.f1) / 3

    @property
    def printed_average_f1(self) -> float:
        """The mean of the three F1 that the official scorer prints, in per cent, as the released code reports it."""
        return (self.muc.printed[2] + self.b_cubed.printed[2] + self.ceaf.printed[2]) / 3

    def summary(self) -> dict[str, float]:
        """Returns recall, precision and F1 in per cent as `muc_recall` (not truncated), `average_f1`, `documents`."""
        result: dict[str, float] = {}
        for name in ("mentions", "muc", "b_cubed", "ceaf"):
            figure = getattr(self, name)
            for key in ("recall", "precision", "f1"):
                result[f"{name}_{key}"] = 100.0 * getattr(figure, key)
        return result | {"average_f1": 100.0 * self.average_f1, "documents": self.documents}


def truncated_percent(share: float) -> float:
    """Returns a share in per cent, truncated to two decimals by the official scorer's own arithmetic.

    Example:

    ```python
    truncated_percent(2 / 3)  # 66.66
    ```
    """
    return int(share * 10000) / 100


def score(documents: Iterable[tuple[Clusters, Clusters]]) -> Scores:
    """Scores predicted clusters against gold ones, with the rules of the official scorer.

    Numerators and denominators are summed over documents before the division. Mentions match when they are equal.
    Clusters of one mention count in B-cubed, CEAF and mention detection, like any other. If a gold mention is predicted
    again, in the same cluster or a later one, the repetition is removed; a predicted mention that is not a gold mention
    counts every time. For gold mentions in several clusters, MUC and B-cubed use the last one. Clusters are ordered by
    their first mention, as the scorer meets them in a file, not by the order given: the order decides which of two
    clusters is the later one, and the last bit of a sum.

    - MUC (Vilain et al., 1995): links. Recall = sum over gold clusters of the links that predicted clusters keep, over
      sum of |K| - 1; precision the same with sides exchanged.
    - B-cubed (Bagga and Baldwin, 1998): mentions. Recall = mean over gold mentions of |K & R| / |K| for their clusters,
      precision of |K & R| / |R| over predicted ones.
    - CEAF-phi4 (Luo, 2005): the best one-to-one assignment of gold to predicted clusters, by the sum of
      phi4 = 2 |K & R| / (|K| + |R|); over the number of gold clusters (recall), of predicted ones (precision).

    Args:
        documents: iterable of (gold clusters, predicted clusters), one per document; a document without predictions
            has the empty list.

    Returns:
        `Scores`.

    Raises:
        InputError: no document, or more than ten repeated gold mentions, which the official scorer rejects as well.
    """
    mentions = muc = b_cubed = ceaf = Figure()
    count = repeated = 0
    for unordered_gold, unordered_predicted in documents:
        gold = _in_order(unordered_gold)
        kept, again = _without_repeats(gold, _in_order(unordered_predicted))
        mentions, muc = mentions + _mentions(gold, kept), muc + _muc(gold, kept)
        b_cubed, ceaf = b_cubed + _b_cubed(gold, kept), ceaf + _ceaf(gold, kept)
        count, repeated = count + 1, repeated + again
    if not count:
        raise InputError("There is nothing to score. Expected: at least one document. Received: none.")
    if repeated > MAX_REPEATED_MENTIONS:
        raise InputError(
            "Too many gold mentions are predicted more than once: the official scorer rejects such files. "
            f"Expected: {MAX_REPEATED_MENTIONS} at most. Received: {repeated}. Predict each mention once."
        )
    return Scores(mentions, muc, b_cubed, ceaf, count, repeated)


def _in_order(clusters: Clusters) -> Clusters:
    """Returns clusters by their first mention, mentions by their end, empty clusters left out."""
    mentions = [sorted(cluster, key=lambda span: (span[1], -span[0])) for cluster in clusters if cluster]
    return sorted(mentions, key=min)


def _without_repeats(gold: Clusters, predicted: Clusters) -> tuple[list[list[Span]], int]:
    """Returns predicted clusters without repeated gold mentions, and the number of repetitions."""
    known = {mention for cluster in gold for mention in cluster}
    seen: set[Span] = set()
    kept, repeated = [], 0
    for cluster in predicted:
        rest = []
        for mention in cluster:
            if mention in seen:
                repeated += 1
                continue
            if mention in known:
                seen.add(mention)
            rest.append(mention)
        if rest:
            kept.append(rest)
    return kept, repeated


def _size(clusters: Clusters) -> int:
    return sum(map(len, clusters))


def _distinct(clusters: Clusters) -> set[Span]:
    return {mention for cluster in clusters for mention in cluster}


def _mentions(gold: Clusters, predicted: Clusters) -> Figure:
    known, found = _distinct(gold), _distinct(predicted)
    common = len(known & found)
    return Figure(common, len(known), common, len(found))


def _last_cluster(clusters: Clusters) -> dict[Span, int]:
    """Returns the index of the last cluster that holds each mention."""
    return {mention: i for i, cluster in enumerate(clusters) for mention in cluster}


def _muc(gold: Clusters, predicted: Clusters) -> Figure:
    place = _last_cluster(gold)
    correct = 0
    for cluster in predicted:
        groups = collections.Counter(place[mention] for mention in cluster if mention in place)
        correct += groups.total() - len(groups)  # a group of n mentions keeps n - 1 links
    return Figure(correct, _size(gold) - len(gold), correct, _size(predicted) - len(predicted))


def _b_cubed(gold: Clusters, predicted: Clusters) -> Figure:
    place = _last_cluster(gold)
    holders: dict[Span, list[int]] = collections.defaultdict(list)
    for i, cluster in enumerate(gold):
        for mention in dict.fromkeys(cluster):
            holders[mention].append(i)
    recall = precision = 0.0
    for cluster in predicted:
        common = collections.Counter(i for mention in cluster for i in holders.get(mention, ()))
        for mention in cluster:  # one by one, in the scorer's order: the last bit of a sum decides how 1.6 is printed
            if mention in place:
                i = place[mention]
                recall += common[i] / len(gold[i])
                precision += common[i] / len(cluster)
    return Figure(recall, _size(gold), precision, _size(predicted))


def _ceaf(gold: Clusters, predicted: Clusters) -> Figure:
    place = _last_cluster(predicted)
    pairs = [(i, place[mention]) for i, cluster in enumerate(gold) for mention in cluster if mention in place]
    overlaps = collections.Counter(pairs)
    total = 0.0
    if overlaps:
        rows, columns = np.array(list(overlaps)).T
        sizes = np.array([len(gold[i]) + len(predicted[j]) for i, j in overlaps])
        similarities = 2.0 * np.array(list(overlaps.values())) / sizes
        total = _best_assignment(rows, columns, similarities, len(gold), len(predicted))
    return Figure(total, len(gold), total, len(predicted))


def _best_assignment(
    rows: np.ndarray, columns: np.ndarray, values: np.ndarray, num_rows: int, num_columns: int
) -> float:
    """Returns the largest sum of values of which no two share a row or a column.

    Each connected component of the bipartite graph of rows and columns is solved separately, so that a long document
    with thousands of clusters needs no matrix of all pairs.
    """
    size = num_rows + num_columns
    graph = load("scipy.sparse", COREFERENCE).coo_array((values, (rows, columns + num_rows)), shape=(size, size))
    part = load("scipy.sparse.csgraph", COREFERENCE).connected_components(graph, directed=False)[1][rows]
    order = np.argsort(part, kind="stable")
    assign = load("scipy.optimize", COREFERENCE).linear_sum_assignment
    found = np.zeros(num_rows)
    for chosen in np.split(order, np.flatnonzero(np.diff(part[order])) + 1):
        part_rows, row = np.unique(rows[chosen], return_inverse=True)
        part_columns, column = np.unique(columns[chosen], return_inverse=True)
        dense = np.zeros((len(part_rows), len(part_columns)))
        dense[row, column] = values[chosen]
        best = assign(dense, maximize=True)
        found[part_rows[best[0]]] = dense[best]
    return sum(1.0 - (1.0 - value) for value in found.tolist())  # the scorer's own arithmetic
