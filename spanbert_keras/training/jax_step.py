"""The training step on JAX."""

import numpy as np
from keras import ops

from spanbert_keras.training.loss_scale import next_scale
from spanbert_keras.training.objective import StepSettings, batch_keys, loss_of, score, seed_generators
from spanbert_keras.training.optimizers import clip_factor, global_norm


class JaxStep:
    """Computes losses and updates of a model with JAX; the interface is `TensorFlowStep`'s.

    Args:
        model: `SpanBertPretrainer`.
        optimizer: built Keras optimizer over the model's trainable variables; it must not clip.
        settings: `StepSettings`.
    """

    def __init__(self, model, optimizer, settings: StepSettings):
        import jax

        self.jax = jax
        self.model = model
        self.optimizer = optimizer
        self.settings = settings
        self.keys = batch_keys(model)
        generators = {id(g.state): i for i, g in enumerate(seed_generators(model))}
        self.seed_index = [generators.get(id(v)) for v in model.non_trainable_variables]
        self._train = jax.jit(self._train_step, donate_argnums=(0, 2))
        self._evaluate = jax.jit(self._evaluate_step)

    def _state(self):
        values = [[v.value for v in group] for group in self._groups()]
        return values

    def _groups(self):
        return self.model.trainable_variables, self.model.non_trainable_variables, self.optimizer.variables

    def train(self, batch: dict[str, np.ndarray], counts, seeds, scale, scale_steps) -> dict:
        """Updates the model once; see `TensorFlowStep.train`."""
        batch = {key: batch[key] for key in self.keys}
        trainable, fixed, optimizer_state = self._state()
        scale = self.jax.numpy.asarray(scale, "float32")  # from the last step: stays on the device
        scale_steps = self.jax.numpy.asarray(scale_steps, "int32")
        trainable, optimizer_state, results = self._train(
            trainable, fixed, optimizer_state, batch, counts, np.asarray(seeds, np.uint32), scale, scale_steps
        )
        for variables, values in ((self._groups()[0], trainable), (self._groups()[2], optimizer_state)):
            for variable, value in zip(variables, values, strict=True):
                variable.assign(value)
        return results

    def evaluate(self, batch: dict[str, np.ndarray]) -> dict:
        """Returns the per-piece scores `(B, M)` of a batch, without dropout."""
        trainable, fixed, _ = self._state()
        return self._evaluate(trainable, fixed, {key: batch[key] for key in self.keys})

    def _evaluate_step(self, trainable, fixed, batch):
        outputs, _ = self.model.stateless_call(trainable, fixed, batch, training=False)
        return score(outputs, batch)

    def _part_loss(self, trainable, fixed, part, counts, seeds, scale):
        fixed = [value if i is None else seeds[i].astype(value.dtype)
                 for value, i in zip(fixed, self.seed_index, strict=True)]  # fmt: skip
        outputs, _ = self.model.stateless_call(trainable, fixed, part, training=True)
        scores = score(outputs, part, self.settings.sbo_weight != 0)
        loss = loss_of(scores, part, counts, self.settings)
        return loss * scale, (loss, scores)

    def _summed_gradients(self, trainable, fixed, batch, counts, seeds, scale):
        jax, steps = self.jax, self.settings.accumulation_steps
        gradient = jax.value_and_grad(self._part_loss, has_aux=True)
        if steps == 1:
            (_, (loss, scores)), gradients = gradient(trainable, fixed, batch, counts, seeds[0], scale)
            return loss, gradients, scores
        parts = {key: x.reshape(steps, x.shape[0] // steps, *x.shape[1:]) for key, x in batch.items()}

        def body(carry, inputs):
            part, part_seeds = inputs
            (_, (loss, scores)), gradients = gradient(trainable, fixed, part, counts, part_seeds, scale)
            return (carry[0] + loss, jax.tree.map(lambda a, b: a + b, carry[1], gradients)), scores

        start = (jax.numpy.zeros(()), [jax.numpy.zeros_like(value) for value in trainable])
        (loss, gradients), scores = jax.lax.scan(body, start, (parts, seeds))
        return loss, gradients, {key: x.reshape(batch["mask_ids"].shape) for key, x in scores.items()}

    def _train_step(self, trainable, fixed, optimizer_state, batch, counts, seeds, scale, scale_steps):
        loss, gradients, scores = self._summed_gradients(trainable, fixed, batch, counts, seeds, scale)
        norm = global_norm(gradients) / scale
        finite = ops.isfinite(norm)
        factor = clip_factor(norm, self.settings.clip_norm) / scale
        new_trainable, new_state = self.optimizer.stateless_apply(
            optimizer_state, [g * factor.astype(g.dtype) for g in gradients], trainable
        )
        keep = lambda new, old: [ops.where(finite, a, b) for a, b in zip(new, old, strict=True)]  # noqa: E731
        if self.settings.scale_loss:
            scale, scale_steps = next_scale(scale, scale_steps, finite)
        results = {
            **scores,
            "loss": loss,
            "gradient_norm": norm,
            "finite": finite,
            "scale": scale,
            "scale_steps": scale_steps,
        }
        return keep(new_trainable, trainable), keep(new_state, optimizer_state), results
