"""The training step on TensorFlow. K steps of a call, B rows of this worker."""

import keras
import numpy as np
from keras import ops

from spanbert_keras.training.distributed.distribution import Distribution
from spanbert_keras.training.steps.loss_scale import next_scale
from spanbert_keras.training.steps.objective import STEP_KEYS, StepSettings, added_losses
from spanbert_keras.training.steps.optimizers import clip_in_groups
from spanbert_keras.training.steps.step import Step


class TensorFlowStep(Step):
    """The step on TensorFlow, on the replicas of a `tf.distribute` strategy."""

    def __init__(self, model, optimizer, settings: StepSettings, distribution: Distribution | None = None):
        import tensorflow as tf

        super().__init__(model, optimizer, settings, distribution)
        self.tf = tf
        self.strategy = self.distribution.native or tf.distribute.get_strategy()
        if self.distribution.replicas > 1:
            # `apply` gets gradients that are summed already; Keras would sum them over the replicas again.
            optimizer._all_reduce_sum_gradients = list
        compiled = True if settings.compile else None
        self._gradients = tf.function(self._gradients_of_part, jit_compile=compiled, autograph=False)
        self._scores = tf.function(self._scores_of_part, jit_compile=compiled, autograph=False)
        self._train: dict = {}  # by the shapes of a row; one for all under () unless shapes are static
        self._evaluate = tf.function(self._evaluate_call, autograph=False)

    def train(self, batches: dict[str, np.ndarray], seeds, scale, scale_steps, votes=(0.0,)) -> dict:
        tf = self.tf
        shapes = tuple(batches[key].shape[2:] for key in self.keys) if self.settings.static_shapes else ()
        if shapes not in self._train:
            self._train[shapes] = tf.function(self._train_call, autograph=False, reduce_retracing=True)
        return self._train[shapes](
            {key: tf.convert_to_tensor(batches[key]) for key in self.keys},
            tf.convert_to_tensor(np.asarray(seeds, np.int64)),
            tf.convert_to_tensor(scale, tf.float32),
            tf.convert_to_tensor(scale_steps, tf.int32),
            tf.convert_to_tensor(np.asarray(votes, np.float32)),
        )

    def evaluate(self, batch: dict[str, np.ndarray]) -> dict:
        return self._evaluate({key: self.tf.convert_to_tensor(batch[key]) for key in self.evaluation_keys})

    def to_numpy(self, results: dict) -> dict[str, np.ndarray]:
        return {key: np.asarray(value) for key, value in results.items()}

    def start_profile(self, folder: str) -> None:
        self.tf.profiler.experimental.start(folder)

    def stop_profile(self) -> None:
        self.tf.profiler.experimental.stop()

    def _replica(self):
        """Returns the number of the replica being computed, among those of this worker."""
        return self.tf.distribute.get_replica_context().replica_id_in_sync_group % self.distribution.local_replicas

    def _own_rows(self, batch):
        """Returns this replica's rows of a worker's batch."""
        replicas = self.distribution.local_replicas
        if replicas == 1:
            return batch

        def share_of(x):
            sizes = [-1 if size is None else size for size in x.shape[1:]]  # rows may have several lengths
            return self.tf.reshape(x, (replicas, x.shape[0] // replicas, *sizes))[self._replica()]

        return {key: share_of(x) for key, x in batch.items()}

    def _local(self, value):
        """Returns the values of this worker's replicas."""
        return self.strategy.experimental_local_results(value)

    def _joined(self, value):
        """Returns the rows of this worker's replicas one after the other."""
        values = self._local(value)
        return values[0] if len(values) == 1 else self.tf.concat(values, 0)

    def _evaluate_call(self, batch):
        scores = self.strategy.run(lambda: self._scores(self._own_rows(batch)))
        return {key: self._joined(value) for key, value in scores.items()}

    def _scores_of_part(self, part):
        return self.objective.predict(self.model(part, training=False), part)

    def _gradients_of_part(self, part, counts, seeds, scale):
        tf = self.tf
        states = [(g.state, tf.cast(seeds[i], g.state.dtype)) for i, g in enumerate(self.generators)]
        with tf.GradientTape() as tape:
            with keras.StatelessScope(state_mapping=states, collect_losses=True) as scope:
                scores = self.objective.score(self.model(part, training=True), part)
            # Every part of every replica adds its share, so that all together add the mean.
            share = 1.0 / (self.settings.accumulation_steps * self.strategy.num_replicas_in_sync)
            loss = self.objective.loss(scores, part, counts) + share * added_losses(self.model, scope.losses)
            scaled = loss * scale
        gradients = tape.gradient(
            scaled, [v.value for v in self.variables], unconnected_gradients=tf.UnconnectedGradients.ZERO
        )
        # The embedding's gradient is sparse as a lookup table, but dense in sum, as the heads share its weights.
        return loss, [tf.convert_to_tensor(g) for g in gradients], scores

    def _gradients_in_parts(self, batch, counts, seeds, scale):
        """Returns loss, gradients and scores of a replica's rows, computed in `accumulation_steps` parts."""
        tf, steps, keys = self.tf, self.settings.accumulation_steps, self.objective.score_keys
        if steps == 1:
            return self._gradients(batch, counts, seeds[0], scale)
        parts = {key: tf.reshape(x, (steps, x.shape[0] // steps, *x.shape[1:])) for key, x in batch.items()}

        def body(i, loss, gradients, collected):
            part_loss, part_gradients, part_scores = self._gradients(
                {key: x[i] for key, x in parts.items()}, counts, seeds[i], scale
            )
            summed = [a + b for a, b in zip(gradients, part_gradients, strict=True)]
            written = [c.write(i, part_scores[key]) for c, key in zip(collected, keys, strict=True)]
            return i + 1, loss + part_loss, summed, written

        start = (
            tf.constant(0),
            tf.constant(0.0),
            [tf.zeros(v.shape, v.dtype) for v in self.variables],
            [tf.TensorArray(tf.float32, steps) for _ in keys],
        )
        _, loss, gradients, collected = tf.while_loop(lambda i, *_: i < steps, body, start, parallel_iterations=1)
        return loss, gradients, {k: c.concat() for k, c in zip(keys, collected, strict=True)}

    def _summed_gradients(self, batch, counts, seeds, scale):
        """Returns loss, gradients, their norm, clip factors, and scores; all but the scores are global."""
        loss, gradients, scores = self._gradients_in_parts(self._own_rows(batch), counts, seeds[self._replica()], scale)
        if self.distribution.replicas > 1:
            loss, *gradients = self.tf.distribute.get_replica_context().all_reduce("SUM", [loss, *gradients])
        norm, factors = clip_in_groups(gradients, self.settings.clip_groups, self.settings.clip_norm, scale)
        return loss, gradients, norm, factors, scores

    def _totals(self, batches, votes):
        """Returns the denominators of each global batch's loss `(K, counts)` and the summed votes `(N,)`."""
        tf = self.tf
        weights = [batches[key] for key in self.objective.count_keys]
        own = tf.stack([tf.reduce_sum(x, list(range(1, x.shape.rank))) for x in weights], -1)
        if self.distribution.num_workers == 1:
            return own, votes
        once_a_worker = lambda: [x * tf.cast(self._replica() == 0, x.dtype) for x in (own, votes)]  # noqa: E731
        return [self.strategy.reduce("SUM", x, axis=None) for x in self.strategy.run(once_a_worker)]

    def _update(self, gradients, factors):
        if hasattr(self.optimizer, "apply_scaled"):
            self.optimizer.apply_scaled(gradients, factors, self.variables)
            return
        clipped = [g * self.tf.cast(factor, g.dtype) for g, factor in zip(gradients, factors, strict=True)]
        self.optimizer.apply(clipped, self.variables)

    def _train_step(self, batch, counts, seeds, scale, scale_steps):
        """Makes one update, across the replicas: sum first, then check, then clip, then update."""
        loss, gradients, norm, factors, scores = self.strategy.run(
            self._summed_gradients, args=(batch, counts, seeds, scale)
        )
        loss, norm = self._local(loss)[0], self._local(norm)[0]
        finite = ops.isfinite(norm)

        def update():
            self.strategy.run(self._update, args=(gradients, factors))
            return True

        self.tf.cond(finite, update, lambda: False)
        results = {key: self._joined(value) for key, value in scores.items()}
        results |= {"loss": loss, "gradient_norm": norm, "finite": finite, "scales": scale}
        if self.settings.scale_loss:
            scale, scale_steps = next_scale(scale, scale_steps, finite)
        return results, scale, scale_steps

    def _train_call(self, batches, seeds, scale, scale_steps, votes):
        tf = self.tf
        counts, votes = self._totals(batches, votes)
        steps = tf.shape(seeds)[0]
        names = (*self.objective.score_keys, *STEP_KEYS)
        arrays = [tf.TensorArray(tf.bool if name == "finite" else tf.float32, steps) for name in names]

        def body(k, scale, scale_steps, arrays):
            batch = {key: x[k] for key, x in batches.items()}
            results, scale, scale_steps = self._train_step(batch, counts[k], seeds[k], scale, scale_steps)
            return k + 1, scale, scale_steps, [a.write(k, results[n]) for a, n in zip(arrays, names, strict=True)]

        start = (tf.constant(0), scale, scale_steps, arrays)
        _, scale, scale_steps, arrays = tf.while_loop(lambda k, *_: k < steps, body, start, parallel_iterations=1)
        results = {name: array.stack() for name, array in zip(names, arrays, strict=True)}
        return results | {"scale": scale, "scale_steps": scale_steps, "votes": votes}
