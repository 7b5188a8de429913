"""The objective of pre-training. B rows, M masked positions, P pairs of a row."""

import dataclasses
from typing import Any

from keras import ops

from spanbert_keras.losses.next_sentence_loss import next_sentence_loss
from spanbert_keras.losses.span_bert_loss import span_bert_loss, target_losses, targets_hit

SCORE_KEYS = ("mlm_losses", "sbo_losses", "mlm_correct", "sbo_correct")  # of every masked position
PAIR_SCORE_KEYS = ("nsp_losses", "nsp_correct")  # of every pair


@dataclasses.dataclass(frozen=True)
class PretrainingObjective:
    """Masked language modelling, the span boundary objective and next-sentence prediction; see `Objective`.

    Attributes:
        sbo_weight: float. Weight of the span boundary objective; 0 trains only the masked LM and skips the head.
        loss_normalization: `"targets"` or `"separate"` (`span_bert_loss`).
        nsp_weight: float. Weight of next-sentence prediction; 0 leaves it out, and batches have no pairs.
    """

    sbo_weight: float = 1.0
    loss_normalization: str = "targets"
    nsp_weight: float = 0.0

    @property
    def target_keys(self) -> tuple[str, ...]:
        pairs = ("next_sentence_labels", "pair_weights") if self.nsp_weight else ()
        return ("mask_ids", "mask_weights", "span_weights", *pairs)

    @property
    def evaluation_keys(self) -> tuple[str, ...]:
        return self.target_keys

    @property
    def count_keys(self) -> tuple[str, ...]:
        return ("mask_weights", "span_weights", *(("pair_weights",) if self.nsp_weight else ()))

    @property
    def score_keys(self) -> tuple[str, ...]:
        return (*SCORE_KEYS, *(PAIR_SCORE_KEYS if self.nsp_weight else ()))

    def score(self, outputs, batch, all_heads: bool = False):
        """Returns both losses in nats and whether each head is right, for every masked position: float32 `(B, M)`.

        If the span boundary head is not trained, its scores are zeros and compiled steps do not compute it, unless
        `all_heads`. With `nsp_weight` the same is returned for every pair: float32 `(B, P)`.
        """
        scores: dict[str, Any] = {}
        for short, name in (("mlm", "masked_lm"), ("sbo", "span_boundary")):
            if short == "sbo" and self.sbo_weight == 0 and not all_heads:
                scores |= {key: ops.zeros_like(scores["mlm_losses"]) for key in ("sbo_losses", "sbo_correct")}
                break
            logits = outputs[name]
            scores |= _losses_and_hits(short, logits, batch["mask_ids"])
        if self.nsp_weight:
            scores |= _losses_and_hits("nsp", outputs["next_sentence"], batch["next_sentence_labels"])
        return scores

    def predict(self, outputs, batch):
        """Returns all scores, and the prediction of each head: `mlm_best`, `sbo_best`, int32 `(B, M)`."""
        best = {
            f"{short}_best": ops.cast(ops.argmax(outputs[name], axis=-1), "int32")
            for short, name in (("mlm", "masked_lm"), ("sbo", "span_boundary"))
        }
        return self.score(outputs, batch, all_heads=True) | best

    def loss(self, scores, batch, counts):
        """Returns the loss of a part of a batch, divided by the *whole* batch's MLM and SBO targets and pairs."""
        loss = span_bert_loss(
            scores["mlm_losses"],
            scores["sbo_losses"],
            batch["mask_weights"],
            batch["span_weights"],
            (counts[0], counts[1]),
            sbo_weight=self.sbo_weight,
            normalization=self.loss_normalization,
        )
        if self.nsp_weight:
            loss = loss + self.nsp_weight * next_sentence_loss(scores["nsp_losses"], batch["pair_weights"], counts[2])
        return loss


def _losses_and_hits(short: str, logits, targets) -> dict[str, Any]:
    """Returns the loss of every target in nats and whether its logit is the largest: `<short>_losses`, `_correct`."""
    return {f"{short}_losses": target_losses(logits, targets), f"{short}_correct": targets_hit(logits, targets)}
