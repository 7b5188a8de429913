"""What every backend's step computes: loss and per-piece scores. B rows, M masked positions."""

import dataclasses
from typing import Any

import numpy as np
from keras import ops

from spanbert_keras.losses.span_bert_loss import span_bert_loss, target_losses

TARGET_KEYS = ("mask_ids", "mask_weights", "span_weights")
SCORE_KEYS = ("mlm_losses", "sbo_losses", "mlm_correct", "sbo_correct")  # of every masked position
STEP_KEYS = ("loss", "gradient_norm", "finite", "scales")  # of every update


@dataclasses.dataclass(frozen=True, kw_only=True)
class StepSettings:
    """What a training step needs to know beside the batch.

    Attributes:
        sbo_weight: float. Weight of the span boundary objective; 0 trains by the masked LM alone and skips the head.
        loss_normalization: `"targets"` or `"separate"` (`span_bert_loss`).
        clip_norm: float or `None`. Global gradient norm at most.
        accumulation_steps: int. Parts in which a batch is computed one after the other.
        compile: bool. XLA on TensorFlow (forward and backward pass), `torch.compile` on torch; JAX always compiles.
        scale_loss: bool. Dynamic loss scaling, for float16.
    """

    sbo_weight: float = 1.0
    loss_normalization: str = "targets"
    clip_norm: float | None = 1.0
    accumulation_steps: int = 1
    compile: bool = False
    scale_loss: bool = False


def batch_keys(model) -> tuple[str, ...]:
    """Returns the entries of a batch that a step reads."""
    return (*model.input_keys, *TARGET_KEYS)


def target_counts(batch: dict[str, np.ndarray]) -> np.ndarray:
    """Returns float32 `(2,)`: the MLM and SBO targets of a whole batch."""
    return np.array([batch["mask_weights"].sum(), batch["span_weights"].sum()], np.float32)


def score(outputs, batch, span_boundary: bool = True):
    """Returns, for every masked position, both losses in nats and whether each head is right: float32 `(B, M)` each.

    Without `span_boundary` the second head's scores are zeros and compiled steps do not compute the head at all.
    """
    scores: dict[str, Any] = {}
    for short, name in (("mlm", "masked_lm"), ("sbo", "span_boundary")):
        if short == "sbo" and not span_boundary:
            scores |= {key: ops.zeros_like(scores["mlm_losses"]) for key in ("sbo_losses", "sbo_correct")}
            break
        logits = outputs[name]
        scores[f"{short}_losses"] = target_losses(logits, batch["mask_ids"])
        best = ops.cast(ops.argmax(logits, axis=-1), "int32")
        scores[f"{short}_correct"] = ops.cast(ops.equal(best, batch["mask_ids"]), "float32")
    return scores


def score_and_predict(outputs, batch):
    """Returns the scores, and what each head thinks most likely: `mlm_best`, `sbo_best`, int32 `(B, M)`."""
    best = {
        f"{short}_best": ops.cast(ops.argmax(outputs[name], axis=-1), "int32")
        for short, name in (("mlm", "masked_lm"), ("sbo", "span_boundary"))
    }
    return score(outputs, batch) | best


def loss_of(scores, batch, counts, settings: StepSettings):
    """Returns the (part of the) loss of a batch that is divided by the *whole* batch's counts: parts add up."""
    return span_bert_loss(
        scores["mlm_losses"],
        scores["sbo_losses"],
        batch["mask_weights"],
        batch["span_weights"],
        (counts[0], counts[1]),
        sbo_weight=settings.sbo_weight,
        normalization=settings.loss_normalization,
    )


def seed_generators(model) -> list:
    """Returns the seed generators of a model's dropout layers, in a fixed order."""
    found = {}
    for layer in model._flatten_layers():
        for generator in getattr(layer, "_seed_generators", []):
            found[id(generator)] = generator
    return list(found.values())
