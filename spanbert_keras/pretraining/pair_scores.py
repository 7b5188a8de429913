"""Loss and accuracy of next-sentence prediction, beside the share of random pairs. B rows, P pairs of a row."""

import numpy as np


class PairScores:
    """Sums the scores per pair over batches, and returns their means.

    Attributes:
        totals: float64 `(4,)`: the number of pairs, the sums of their losses and hits, and the number of random pairs.
            Totals of several workers can be summed. 0 where no next-sentence head is trained.
    """

    def __init__(self):
        self.totals = np.zeros(4)

    def add(self, batch: dict[str, np.ndarray], scores: dict[str, np.ndarray]) -> None:
        """Adds one batch.

        Args:
            batch: a batch with `next_sentence_labels` and `pair_weights` `(B, P)`.
            scores: `nsp_losses`, `nsp_correct`, float `(B, P)` each; without them nothing is added.
        """
        if "nsp_losses" not in scores:
            return
        weights = batch["pair_weights"]
        values = (1.0, scores["nsp_losses"], scores["nsp_correct"], batch["next_sentence_labels"])
        self.totals += [(weights * value).sum(dtype=np.float64) for value in values]

    def summary(self) -> dict[str, float]:
        """Returns means by tag; {} without pairs.

        Tags: `next_sentence/loss` in nats, `next_sentence/accuracy`, `next_sentence/random_share`, and
        `next_sentence/majority_accuracy`, that of always predicting the more frequent label: the baseline.
        """
        count, loss, correct, random = self.totals.tolist()
        if not count:
            return {}
        share = random / count
        return {
            "next_sentence/loss": loss / count,
            "next_sentence/accuracy": correct / count,
            "next_sentence/random_share": share,
            "next_sentence/majority_accuracy": max(share, 1.0 - share),
        }
