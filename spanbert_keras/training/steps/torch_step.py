"""The training step on torch. K steps of a call, B rows."""

import numpy as np
from keras import ops

from spanbert_keras.training.distributed.distribution import Distribution
from spanbert_keras.training.steps.loss_scale import next_scale
from spanbert_keras.training.steps.objective import StepSettings, target_counts
from spanbert_keras.training.steps.optimizers import clip_in_groups
from spanbert_keras.training.steps.step import Step


class TorchStep(Step):
    """The step on torch, on one device."""

    def __init__(self, model, optimizer, settings: StepSettings, distribution: Distribution | None = None):
        import torch

        super().__init__(model, optimizer, settings, distribution)
        self.torch = torch
        self._forward = torch.compile(model) if settings.compile else model

    def _tensors(self, batch, keys):
        return {key: ops.convert_to_tensor(batch[key]) for key in keys}

    def _seed_dropout(self, seeds: np.ndarray) -> None:
        """Makes the dropout of the next forward pass a function of `seeds` `(layers, 2)`.

        A dropout layer made without a seed draws from torch's own generator, one made with a seed from the layer's.
        """
        for generator, seed in zip(self.generators, seeds, strict=True):
            generator.state.assign(seed)
        if len(seeds):
            self.torch.manual_seed((int(seeds[0, 0]) << 31) | int(seeds[0, 1]))  # 62 bits, on every device

    def train(self, batches: dict[str, np.ndarray], seeds, scale, scale_steps, votes=(0.0,)) -> dict:
        scale, scale_steps = ops.convert_to_tensor(scale, "float32"), ops.convert_to_tensor(scale_steps, "int32")
        collected = []
        for k in range(len(batches["token_ids"])):
            batch = {key: batches[key][k] for key in self.keys}
            results, scale, scale_steps = self._train_step(batch, seeds[k][0], scale, scale_steps)
            collected.append(results)
        stacked = {key: self.torch.stack([results[key] for results in collected]) for key in collected[0]}
        return stacked | {"scale": scale, "scale_steps": scale_steps, "votes": np.asarray(votes, np.float32)}

    def _train_step(self, batch, seeds, scale, scale_steps):
        """Makes one update: sum first, then check, then clip, then update."""
        loss, gradients, scores = self._summed_gradients(batch, seeds, scale)
        used = scale
        with self.torch.no_grad():
            norm, factors = clip_in_groups(gradients, self.settings.clip_groups, self.settings.clip_norm, scale)
            finite = ops.isfinite(norm)
            if bool(finite):
                clipped = [g * factor.to(g.dtype) for g, factor in zip(gradients, factors, strict=True)]
                self.optimizer.apply(clipped, self.variables)
            if self.settings.scale_loss:
                scale, scale_steps = next_scale(scale, scale_steps, finite)
        results = {**scores, "loss": loss, "gradient_norm": norm, "finite": finite, "scales": used}
        return results, scale, scale_steps

    def _summed_gradients(self, batch, seeds, scale):
        """Returns loss, gradients and scores of a batch, computed in `accumulation_steps` parts."""
        steps = self.settings.accumulation_steps
        rows = len(batch["token_ids"]) // steps
        parameters = [v.value for v in self.variables]
        for parameter in parameters:
            parameter.grad = None
        counts = ops.convert_to_tensor(target_counts(batch, self.objective))
        loss, collected = 0.0, []
        for step in range(steps):
            self._seed_dropout(np.asarray(seeds[step]).astype(np.int64))
            part = self._tensors({key: x[step * rows : (step + 1) * rows] for key, x in batch.items()}, self.keys)
            scores = self.objective.score(self._forward(part, training=True), part)
            part_loss = self.objective.loss(scores, part, counts)
            added = self.model.losses  # from `add_loss` and regularizers; every part adds its share
            if added:
                part_loss = part_loss + sum(ops.sum(ops.cast(x, "float32")) for x in added) / steps
            (part_loss * scale).backward()  # gradients of the parts add up in place
            loss = loss + part_loss.detach()
            collected.append({key: value.detach() for key, value in scores.items()})
        gradients = [p.new_zeros(p.shape) if p.grad is None else p.grad for p in parameters]
        return loss, gradients, {key: self.torch.cat([s[key] for s in collected]) for key in self.objective.score_keys}

    def to_numpy(self, results: dict) -> dict[str, np.ndarray]:
        return {key: np.asarray(ops.convert_to_numpy(value)) for key, value in results.items()}

    def evaluate(self, batch: dict[str, np.ndarray]) -> dict:
        tensors = self._tensors(batch, self.evaluation_keys)
        with self.torch.no_grad():
            return self.objective.predict(self._forward(tensors, training=False), tensors)

    def start_profile(self, folder: str) -> None:
        self._profile = self.torch.profiler.profile(
            on_trace_ready=self.torch.profiler.tensorboard_trace_handler(folder)
        )
        self._profile.start()

    def stop_profile(self) -> None:
        self._profile.stop()
