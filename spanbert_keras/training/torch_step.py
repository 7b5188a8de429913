"""The training step on torch."""

import numpy as np
from keras import ops

from spanbert_keras.training.loss_scale import next_scale
from spanbert_keras.training.objective import (
    SCORE_KEYS,
    StepSettings,
    batch_keys,
    loss_of,
    score,
    seed_generators,
)
from spanbert_keras.training.optimizers import clip_factor, global_norm


class TorchStep:
    """Computes losses and updates of a model with torch; the interface is `TensorFlowStep`'s.

    Args:
        model: `SpanBertPretrainer`.
        optimizer: built Keras optimizer over the model's trainable variables; it must not clip.
        settings: `StepSettings`.
    """

    def __init__(self, model, optimizer, settings: StepSettings):
        import torch

        self.torch = torch
        self.model = model
        self.optimizer = optimizer
        self.settings = settings
        self.keys = batch_keys(model)
        self.variables = list(model.trainable_variables)
        self.generators = seed_generators(model)
        self._forward = torch.compile(model) if settings.compile else model

    def _tensors(self, batch):
        return {key: ops.convert_to_tensor(batch[key]) for key in self.keys}

    def _seed_dropout(self, seeds: np.ndarray) -> None:
        """Makes the dropout of the next forward pass a function of `seeds` `(layers, 2)`.

        Keras' dropout draws from torch's own generator where its layer was made without a seed, else from the layer's.
        """
        for generator, seed in zip(self.generators, seeds, strict=True):
            generator.state.assign(seed)
        if len(seeds):
            self.torch.manual_seed((int(seeds[0, 0]) << 31) | int(seeds[0, 1]))  # 62 bits, on every device

    def train(self, batch: dict[str, np.ndarray], counts, seeds, scale, scale_steps) -> dict:
        """Updates the model once; see `TensorFlowStep.train`."""
        steps = self.settings.accumulation_steps
        rows = len(batch["token_ids"]) // steps
        parameters = [v.value for v in self.variables]
        for parameter in parameters:
            parameter.grad = None
        counts = ops.convert_to_tensor(counts)
        scale, scale_steps = ops.convert_to_tensor(scale, "float32"), ops.convert_to_tensor(scale_steps, "int32")
        loss, collected = 0.0, []
        for step in range(steps):
            self._seed_dropout(np.asarray(seeds[step]).astype(np.int64))
            part = self._tensors({key: batch[key][step * rows : (step + 1) * rows] for key in self.keys})
            scores = score(self._forward(part, training=True), part, self.settings.sbo_weight != 0)
            part_loss = loss_of(scores, part, counts, self.settings)
            (part_loss * scale).backward()  # gradients of the parts add up in place
            loss = loss + part_loss.detach()
            collected.append({key: value.detach() for key, value in scores.items()})
        gradients = [p.new_zeros(p.shape) if p.grad is None else p.grad for p in parameters]
        with self.torch.no_grad():
            norm = global_norm(gradients) / scale
            finite = ops.isfinite(norm)
            if bool(finite):
                factor = clip_factor(norm, self.settings.clip_norm) / scale
                self.optimizer.apply([g * factor.to(g.dtype) for g in gradients], self.variables)
            if self.settings.scale_loss:
                scale, scale_steps = next_scale(scale, scale_steps, finite)
        return {
            **{key: self.torch.cat([scores[key] for scores in collected]) for key in SCORE_KEYS},
            "loss": loss,
            "gradient_norm": norm,
            "finite": finite,
            "scale": scale,
            "scale_steps": scale_steps,
        }

    def evaluate(self, batch: dict[str, np.ndarray]) -> dict:
        """Returns the per-piece scores `(B, M)` of a batch, without dropout."""
        tensors = self._tensors(batch)
        with self.torch.no_grad():
            return score(self._forward(tensors, training=False), tensors)
