"""The objective of `fine_tune` for a pretrainer. Shape letters: B rows, M masked positions."""

from keras import ops

from spanbert_keras.losses.span_bert_loss import span_bert_loss, target_losses

HEADS = {"masked_lm": "mask_weights", "span_boundary": "span_weights"}  # the weights of each head's targets


class PretrainerObjective:
    """A pretrainer's loss, divided by the number of targets; see `Objective` and `span_bert_loss`.

    Args:
        model: a pretrainer, with `sbo_weight` and `loss_normalization`.
        weighted: bool. Whether a batch also has `row_weights`, float32 `(B,)`, by which the losses of each row are
            multiplied. The sum is still divided by the number of targets.
    """

    count_keys = tuple(HEADS.values())
    score_keys = tuple(HEADS)

    def __init__(self, model, weighted: bool = False):
        self.target_keys = (*model.target_keys, *(("row_weights",) if weighted else ()))
        self.evaluation_keys = self.target_keys
        self.sbo_weight = model.sbo_weight
        self.loss_normalization = model.loss_normalization

    def score(self, outputs, batch):
        """Returns the loss of each head at every masked position, in nats, times the row's weight: float32 `(B, M)`."""
        losses = {head: target_losses(outputs[head], batch["mask_ids"]) for head in HEADS}
        if "row_weights" in self.target_keys:
            losses = {head: loss * ops.reshape(batch["row_weights"], (-1, 1)) for head, loss in losses.items()}
        return losses

    def loss(self, scores, batch, counts):
        """Returns the loss of a part of a batch, divided by the targets of the whole batch."""
        return self._loss([scores[head] for head in HEADS], [batch[key] for key in HEADS.values()], counts)

    def _loss(self, losses, weights, counts):
        return span_bert_loss(
            *losses,
            *weights,
            (counts[0], counts[1]),
            sbo_weight=self.sbo_weight,
            normalization=self.loss_normalization,
        )

    def predict(self, outputs, batch):
        """Returns sums of every row, float32 `(B,)`: of each head's losses, right predictions, and targets."""
        sums = {}
        for head, losses in self.score(outputs, batch).items():
            weights = batch[HEADS[head]]
            best = ops.cast(ops.argmax(outputs[head], axis=-1), "int32")
            right = ops.cast(ops.equal(best, ops.cast(batch["mask_ids"], "int32")), "float32")
            terms = {"loss": losses, "accuracy": right, "targets": ops.ones_like(losses)}
            sums |= {f"{head}_{name}": ops.sum(term * weights, axis=-1) for name, term in terms.items()}
        return sums

    def scores(self, sums: dict[str, float]) -> dict[str, float]:
        """Returns the `loss`, in nats, and loss and accuracy of each head.

        Args:
            sums: dict of what `predict` returns, summed over all rows.
        """
        counts = [sums[f"{head}_targets"] for head in HEADS]
        losses = [ops.reshape(sums[f"{head}_loss"], (1, 1)) for head in HEADS]
        found = {"loss": float(self._loss(losses, [ops.ones((1, 1))] * len(HEADS), counts))}
        for head, count in zip(HEADS, counts, strict=True):
            found |= {f"{head}_{name}": sums[f"{head}_{name}"] / max(count, 1.0) for name in ("loss", "accuracy")}
        return found
