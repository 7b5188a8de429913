"""The training step on TensorFlow."""

import keras
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


class TensorFlowStep:
    """Computes losses and updates of a model with TensorFlow, one compiled function for each.

    Randomness is an input: the seeds of all dropout layers come with the call.

    Args:
        model: `SpanBertPretrainer`.
        optimizer: built Keras optimizer over the model's trainable variables; it must not clip.
        settings: `StepSettings`.
    """

    def __init__(self, model, optimizer, settings: StepSettings):
        import tensorflow as tf

        self.tf = tf
        self.model = model
        self.optimizer = optimizer
        self.settings = settings
        self.variables = list(model.trainable_variables)
        self.generators = seed_generators(model)
        self.keys = batch_keys(model)
        compiled = True if settings.compile else None
        self._gradients = tf.function(self._gradients_of_part, jit_compile=compiled, autograph=False)
        self._train = tf.function(self._train_step, autograph=False)
        self._evaluate = tf.function(self._evaluate_step, jit_compile=compiled, autograph=False)

    def train(self, batch: dict[str, np.ndarray], counts, seeds, scale, scale_steps) -> dict:
        """Updates the model once.

        Args:
            batch: dict of arrays, `(B, T)` and `(B, M)`; B is a multiple of the accumulation steps.
            counts: float32 `(2,)`. Targets of the batch (`target_counts`).
            seeds: uint32 `(accumulation steps, dropout layers, 2)`.
            scale, scale_steps: state of the loss scale; pass back what the last call returned.

        Returns:
            dict: per-piece scores `(B, M)`, `loss`, `gradient_norm`, `finite`, `scale`, `scale_steps`, as tensors.
        """
        tf = self.tf
        batch = {key: tf.convert_to_tensor(batch[key]) for key in self.keys}
        seeds = tf.convert_to_tensor(np.asarray(seeds, np.int64))
        return self._train(batch, tf.constant(counts), seeds, tf.constant(scale, tf.float32),
                           tf.constant(scale_steps, tf.int32))  # fmt: skip

    def evaluate(self, batch: dict[str, np.ndarray]) -> dict:
        """Returns the per-piece scores `(B, M)` of a batch, without dropout."""
        return self._evaluate({key: self.tf.convert_to_tensor(batch[key]) for key in self.keys})

    def _evaluate_step(self, batch):
        return score(self.model(batch, training=False), batch)

    def _gradients_of_part(self, part, counts, seeds, scale):
        tf = self.tf
        states = [(g.state, tf.cast(seeds[i], g.state.dtype)) for i, g in enumerate(self.generators)]
        with tf.GradientTape() as tape:
            with keras.StatelessScope(state_mapping=states):
                scores = score(self.model(part, training=True), part, self.settings.sbo_weight != 0)
            loss = loss_of(scores, part, counts, self.settings)
            scaled = loss * scale
        gradients = tape.gradient(
            scaled, [v.value for v in self.variables], unconnected_gradients=tf.UnconnectedGradients.ZERO
        )
        # The embedding's gradient is sparse where it looks pieces up; it is tied to the heads, so dense in sum.
        return loss, [tf.convert_to_tensor(g) for g in gradients], scores

    def _summed_gradients(self, batch, counts, seeds, scale):
        """Returns loss, gradients and scores of the whole batch, computed in `accumulation_steps` parts."""
        tf, steps = self.tf, self.settings.accumulation_steps
        if steps == 1:
            return self._gradients(batch, counts, seeds[0], scale)
        parts = {key: tf.reshape(x, (steps, x.shape[0] // steps, *x.shape[1:])) for key, x in batch.items()}

        def body(i, loss, gradients, collected):
            part_loss, part_gradients, part_scores = self._gradients(
                {key: x[i] for key, x in parts.items()}, counts, seeds[i], scale
            )
            summed = [a + b for a, b in zip(gradients, part_gradients, strict=True)]
            return i + 1, loss + part_loss, summed, [c.write(i, part_scores[k]) for c, k in zip(collected, SCORE_KEYS, strict=True)]  # fmt: skip # noqa: E501

        start = (
            tf.constant(0),
            tf.constant(0.0),
            [tf.zeros(v.shape, v.dtype) for v in self.variables],
            [tf.TensorArray(tf.float32, steps) for _ in SCORE_KEYS],
        )
        _, loss, gradients, collected = tf.while_loop(lambda i, *_: i < steps, body, start, parallel_iterations=1)
        shape = batch["mask_ids"].shape
        return loss, gradients, {k: tf.reshape(c.stack(), shape) for k, c in zip(SCORE_KEYS, collected, strict=True)}

    def _train_step(self, batch, counts, seeds, scale, scale_steps):
        tf = self.tf
        loss, gradients, scores = self._summed_gradients(batch, counts, seeds, scale)
        # Sum first, then check, then clip, then update (Keras alone would clip before the sum over replicas).
        norm = global_norm(gradients) / scale
        finite = ops.isfinite(norm)
        factor = clip_factor(norm, self.settings.clip_norm) / scale

        def update():
            self.optimizer.apply([g * tf.cast(factor, g.dtype) for g in gradients], self.variables)
            return True

        tf.cond(finite, update, lambda: False)
        if self.settings.scale_loss:
            scale, scale_steps = next_scale(scale, scale_steps, finite)
        return {
            **scores,
            "loss": loss,
            "gradient_norm": norm,
            "finite": finite,
            "scale": scale,
            "scale_steps": scale_steps,
        }
