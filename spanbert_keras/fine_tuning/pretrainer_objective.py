"""The objective of `fine_tune` for a pretrainer. Shape letters: B rows, M masked positions, P pairs of a row."""

from keras import ops

from spanbert_keras.losses.next_sentence_loss import next_sentence_loss
from spanbert_keras.losses.span_bert_loss import span_bert_loss, target_losses, targets_hit

# The targets of each head and their weights.
HEADS = {
    "masked_lm": ("mask_ids", "mask_weights"),
    "span_boundary": ("mask_ids", "span_weights"),
    "next_sentence": ("next_sentence_labels", "pair_weights"),
}


class PretrainerObjective:
    """A pretrainer's loss, divided by the number of targets; see `Objective`, `span_bert_loss`, `next_sentence_loss`.

    Args:
        model: a pretrainer, with `sbo_weight`, `loss_normalization` and, with a next-sentence head, `nsp_weight`.
        weighted: bool. Whether a batch also has `row_weights`, float32 `(B,)`, by which the losses of each row are
            multiplied. The sum is still divided by the number of targets.
    """

    def __init__(self, model, weighted: bool = False):
        self.heads = tuple(head for head, (targets, _) in HEADS.items() if targets in model.target_keys)
        self.count_keys = tuple(HEADS[head][1] for head in self.heads)
        self.score_keys = self.heads
        self.target_keys = (*model.target_keys, *(("row_weights",) if weighted else ()))
        self.evaluation_keys = self.target_keys
        self.sbo_weight = model.sbo_weight
        self.loss_normalization = model.loss_normalization
        self.nsp_weight = model.nsp_weight if "next_sentence" in self.heads else 0.0

    def score(self, outputs, batch):
        """Returns each head's loss for every target, in nats, times the row's weight: float32 `(B, M)`, `(B, P)`."""
        losses = {head: target_losses(outputs[head], batch[HEADS[head][0]]) for head in self.heads}
        if "row_weights" in self.target_keys:
            losses = {head: loss * ops.reshape(batch["row_weights"], (-1, 1)) for head, loss in losses.items()}
        return losses

    def loss(self, scores, batch, counts):
        """Returns the loss of a part of a batch, divided by the targets of the whole batch."""
        return self._loss([scores[head] for head in self.heads], [batch[key] for key in self.count_keys], counts)

    def _loss(self, losses, weights, counts):
        loss = span_bert_loss(
            *losses[:2],
            *weights[:2],
            (counts[0], counts[1]),
            sbo_weight=self.sbo_weight,
            normalization=self.loss_normalization,
        )
        if self.nsp_weight:
            loss = loss + self.nsp_weight * next_sentence_loss(losses[2], weights[2], counts[2])
        return loss

    def predict(self, outputs, batch):
        """Returns sums of every row, float32 `(B,)`: of each head's losses, right predictions, and targets."""
        sums = {}
        for head, losses in self.score(outputs, batch).items():
            targets, weights = (batch[key] for key in HEADS[head])
            right = targets_hit(outputs[head], targets)
            terms = {"loss": losses, "accuracy": right, "targets": ops.ones_like(losses)}
            sums |= {f"{head}_{name}": ops.sum(term * weights, axis=-1) for name, term in terms.items()}
        return sums

    def scores(self, sums: dict[str, float]) -> dict[str, float]:
        """Returns the `loss`, in nats, and loss and accuracy of each head.

        Args:
            sums: dict of what `predict` returns, summed over all rows.
        """
        counts = [sums[f"{head}_targets"] for head in self.heads]
        losses = [ops.reshape(sums[f"{head}_loss"], (1, 1)) for head in self.heads]
        found = {"loss": float(self._loss(losses, [ops.ones((1, 1))] * len(losses), counts))}
        for head, count in zip(self.heads, counts, strict=True):
            found |= {f"{head}_{name}": sums[f"{head}_{name}"] / max(count, 1.0) for name in ("loss", "accuracy")}
        return found
