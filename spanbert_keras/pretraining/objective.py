"""The objective of pre-training. B rows, M masked positions."""

import dataclasses
from typing import Any

from keras import ops

from spanbert_keras.losses.span_bert_loss import span_bert_loss, target_losses

SCORE_KEYS = ("mlm_losses", "sbo_losses", "mlm_correct", "sbo_correct")  # of every masked position


@dataclasses.dataclass(frozen=True)
class PretrainingObjective:
    """Masked language modelling and the span boundary objective; see `Objective`.

    Attributes:
        sbo_weight: float. Weight of the span boundary objective; 0 trains only the masked LM and skips the head.
        loss_normalization: `"targets"` or `"separate"` (`span_bert_loss`).
    """

    sbo_weight: float = 1.0
    loss_normalization: str = "targets"
    target_keys = ("mask_ids", "mask_weights", "span_weights")
    evaluation_keys = target_keys
    count_keys = ("mask_weights", "span_weights")
    score_keys = SCORE_KEYS

    def score(self, outputs, batch, all_heads: bool = False):
        """Returns both losses in nats and whether each head is right, for every masked position: float32 `(B, M)`.

        If the span boundary head is not trained, its scores are zeros and compiled steps do not compute it, unless
        `all_heads`.
        """
        scores: dict[str, Any] = {}
        for short, name in (("mlm", "masked_lm"), ("sbo", "span_boundary")):
            if short == "sbo" and self.sbo_weight == 0 and not all_heads:
                scores |= {key: ops.zeros_like(scores["mlm_losses"]) for key in ("sbo_losses", "sbo_correct")}
                break
            logits = outputs[name]
            scores[f"{short}_losses"] = target_losses(logits, batch["mask_ids"])
            best = ops.cast(ops.argmax(logits, axis=-1), "int32")
            scores[f"{short}_correct"] = ops.cast(ops.equal(best, batch["mask_ids"]), "float32")
        return scores

    def predict(self, outputs, batch):
        """Returns all scores, and the prediction of each head: `mlm_best`, `sbo_best`, int32 `(B, M)`."""
        best = {
            f"{short}_best": ops.cast(ops.argmax(outputs[name], axis=-1), "int32")
            for short, name in (("mlm", "masked_lm"), ("sbo", "span_boundary"))
        }
        return self.score(outputs, batch, all_heads=True) | best

    def loss(self, scores, batch, counts):
        """Returns the loss of a part of a batch, divided by the *whole* batch's MLM and SBO targets."""
        return span_bert_loss(
            scores["mlm_losses"],
            scores["sbo_losses"],
            batch["mask_weights"],
            batch["span_weights"],
            (counts[0], counts[1]),
            sbo_weight=self.sbo_weight,
            normalization=self.loss_normalization,
        )
