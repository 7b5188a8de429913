"""Losses and hits per word piece, summed by the kind of mask and by the length of the span."""

import numpy as np

KINDS = ("masked", "replaced", "kept")
LENGTH_BINS = ((1, 1), (2, 2), (3, 4), (5, 8), (9, 16), (17, None))  # word pieces


def unigram_losses(unigram_counts: np.ndarray) -> np.ndarray:
    """Returns -log P(piece), with P from the piece counts of a corpus plus one each: float64 `(V,)`, in nats."""
    counts = np.asarray(unigram_counts, np.float64) + 1.0
    return np.log(counts.sum()) - np.log(counts)


def piece_kinds(batch: dict[str, np.ndarray], mask_token_id: int) -> dict[str, np.ndarray]:
    """Returns a bool `(B, M)` for each kind: the piece was replaced by [MASK], by another piece, or kept."""
    seen = np.take_along_axis(batch["token_ids"], batch["mask_positions"], axis=1)
    masked = seen == mask_token_id
    kept = (seen == batch["mask_ids"]) & ~masked
    return {"masked": masked, "replaced": ~masked & ~kept, "kept": kept}


def span_lengths(batch: dict[str, np.ndarray]) -> np.ndarray:
    """Returns the length in pieces of the span that each masked piece belongs to, int `(B, M)`."""
    return batch["right_positions"] - batch["left_positions"] - 1


def length_name(low: int, high: int | None) -> str:
    """Returns the label of a bin of span lengths, e.g. `"3-4"`."""
    return f"{low}+" if high is None else str(low) if low == high else f"{low}-{high}"


HEADS = (("mlm", "masked_lm"), ("sbo", "span_boundary"))
GROUPS = ("all", *KINDS, *(f"length_{length_name(low, high)}" for low, high in LENGTH_BINS))


class PieceScores:
    """Sums the scores per word piece over batches, and returns their means.

    Args:
        mask_token_id: int. Id of [MASK].
        unigram: float `(V,)`. Loss of each piece if it is predicted by its frequency alone (`unigram_losses`): the
            baseline.
        span_boundary: bool. Whether the span boundary head is trained; otherwise it has no scores.

    Attributes:
        totals: float64 `(heads, groups, 4)`: for each head and group (all, kinds, span lengths) the number of pieces,
            and the sums of their losses, hits and unigram losses. Totals of several workers can be summed.
    """

    def __init__(self, mask_token_id: int, unigram: np.ndarray, span_boundary: bool = True):
        self.mask_token_id = mask_token_id
        self.unigram = unigram
        self.heads = HEADS if span_boundary else HEADS[:1]
        self.totals = np.zeros((len(self.heads), len(GROUPS), 4))

    def add(self, batch: dict[str, np.ndarray], scores: dict[str, np.ndarray]) -> None:
        """Adds one batch.

        Args:
            batch: a batch as `BatchStream` gives it.
            scores: `mlm_losses`, `sbo_losses`, `mlm_correct`, `sbo_correct`, float `(B, M)` each.
        """
        weights = {"masked_lm": batch["mask_weights"], "span_boundary": batch["span_weights"]}
        lengths = span_lengths(batch)
        groups = {"all": np.ones_like(lengths, bool), **piece_kinds(batch, self.mask_token_id)}
        for low, high in LENGTH_BINS:
            groups[f"length_{length_name(low, high)}"] = (lengths >= low) & (lengths <= (high or lengths.max()))
        unigram = self.unigram[batch["mask_ids"]]
        for i, (short, head) in enumerate(self.heads):
            for j, name in enumerate(GROUPS):
                w = weights[head] * groups[name]
                values = (w, w * scores[f"{short}_losses"], w * scores[f"{short}_correct"], w * unigram)
                self.totals[i, j] += [value.sum(dtype=np.float64) for value in values]

    def summary(self) -> dict[str, float]:
        """Returns means by tag, losses in nats and accuracies as shares, without empty groups.

        Tags: `masked_lm/loss`, `masked_lm/accuracy`, `masked_lm/unigram_loss`, the same for `span_boundary`; with the
        suffix `_<group>` for kinds (`masked`, `replaced`, `kept`) and span lengths (`length_3-4`).
        """
        means = {}
        for (_, head), of_head in zip(self.heads, self.totals.tolist(), strict=True):
            for group, (count, loss, correct, unigram) in zip(GROUPS, of_head, strict=True):
                if count > 0:
                    suffix = "" if group == "all" else f"_{group}"
                    means[f"{head}/loss{suffix}"] = loss / count
                    means[f"{head}/accuracy{suffix}"] = correct / count
                    means[f"{head}/unigram_loss{suffix}"] = unigram / count
        return means
