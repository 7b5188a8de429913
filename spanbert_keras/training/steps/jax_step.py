"""The training step on JAX. K steps of a call, B rows of this worker."""

import numpy as np
from keras import ops

from spanbert_keras.training.distributed.distribution import Distribution
from spanbert_keras.training.steps.loss_scale import next_scale
from spanbert_keras.training.steps.objective import STEP_KEYS, StepSettings
from spanbert_keras.training.steps.optimizers import clip_in_groups
from spanbert_keras.training.steps.step import Step


class JaxStep(Step):
    """The step on JAX.

    On several devices the arrays are global: weights on all devices, rows split between them. JAX sums over the devices
    by itself, so the gradient that is checked and clipped is the whole batch's, and one dropout mask spans all rows.
    """

    def __init__(self, model, optimizer, settings: StepSettings, distribution: Distribution | None = None):
        import jax

        super().__init__(model, optimizer, settings, distribution)
        self.jax = jax
        places = {id(generator.state): place for place, generator in enumerate(self.generators)}
        self.seed_index = [places.get(id(variable)) for variable in model.non_trainable_variables]
        train_outputs, scores = self._output_shardings()
        # Weights and optimizer state are donated: the update reuses their memory instead of holding both versions.
        self._train = jax.jit(self._train_call, donate_argnums=(0, 2), out_shardings=train_outputs)
        self._evaluate = jax.jit(self._evaluate_call, out_shardings=scores)

    def _output_shardings(self):
        """Returns the shardings of what `train` and `evaluate` return: scores by rows, the rest on every device."""
        if self.distribution.native is None:
            return None, None
        everywhere = self._sharding()
        results = dict.fromkeys(self.objective.score_keys, self._sharding(None, "batch"))
        results |= dict.fromkeys((*STEP_KEYS, "scale", "scale_steps", "votes"), everywhere)
        return (everywhere, everywhere, results), self._sharding("batch")

    def _sharding(self, *axes):
        return self.jax.sharding.NamedSharding(self.distribution.native, self.jax.sharding.PartitionSpec(*axes))

    def _global_array(self, values: np.ndarray, *axes):
        """Returns the array of all workers' rows, of which `values` are this worker's; on one device, `values`."""
        if self.distribution.native is None:
            return values
        return self.jax.make_array_from_process_local_data(self._sharding(*axes), np.asarray(values))

    def _state(self):
        return [[v.value for v in group] for group in self._groups()]

    def _groups(self):
        return self.model.trainable_variables, self.model.non_trainable_variables, self.optimizer.variables

    def train(self, batches: dict[str, np.ndarray], seeds, scale, scale_steps, votes=(0.0,)) -> dict:
        """Updates the model K times (`Step.train`).

        Only the first replica's seeds are used: its dropout masks are drawn for all rows together.
        """
        # One row per local device, as the votes are a global array, too; all but the first are zero.
        own_votes = np.zeros((self.distribution.local_replicas, len(votes)), np.float32)
        own_votes[0] = votes
        trainable, fixed, optimizer_state = self._state()
        trainable, optimizer_state, results = self._train(
            trainable,
            fixed,
            optimizer_state,
            {key: self._global_array(batches[key], None, "batch") for key in self.keys},
            np.asarray(seeds, np.uint32)[:, 0],
            self.jax.numpy.asarray(scale, "float32"),  # from the last call: stays on the device
            self.jax.numpy.asarray(scale_steps, "int32"),
            self._global_array(own_votes, "batch"),
        )
        for variables, values in ((self._groups()[0], trainable), (self._groups()[2], optimizer_state)):
            for variable, value in zip(variables, values, strict=True):
                variable.assign(value)
        return results

    def evaluate(self, batch: dict[str, np.ndarray]) -> dict:
        trainable, fixed, _ = self._state()
        rows = {key: self._global_array(batch[key], "batch") for key in self.evaluation_keys}
        return self._evaluate(trainable, fixed, rows)

    def to_numpy(self, results: dict) -> dict[str, np.ndarray]:
        return {key: _own_rows(value) for key, value in results.items()}

    def start_profile(self, folder: str) -> None:
        self.jax.profiler.start_trace(folder)

    def stop_profile(self) -> None:
        self.jax.profiler.stop_trace()

    def _evaluate_call(self, trainable, fixed, batch):
        outputs, _ = self.model.stateless_call(trainable, fixed, batch, training=False)
        return self.objective.predict(outputs, batch)

    def _part_loss(self, trainable, fixed, part, counts, seeds, scale):
        fixed = [
            value if place is None else seeds[place].astype(value.dtype)
            for value, place in zip(fixed, self.seed_index, strict=True)
        ]
        outputs, _, added = self.model.stateless_call(trainable, fixed, part, training=True, return_losses=True)
        scores = self.objective.score(outputs, part)
        loss = self.objective.loss(scores, part, counts)
        if added:  # from `add_loss` and regularizers; every part adds its share
            loss = loss + sum(ops.sum(ops.cast(x, "float32")) for x in added) / self.settings.accumulation_steps
        return loss * scale, (loss, scores)

    def _summed_gradients(self, trainable, fixed, batch, counts, seeds, scale):
        jax, parts = self.jax, self.settings.accumulation_steps
        gradient = jax.value_and_grad(self._part_loss, has_aux=True)
        if parts == 1:
            (_, (loss, scores)), gradients = gradient(trainable, fixed, batch, counts, seeds[0], scale)
            return loss, gradients, scores

        def body(carry, inputs):
            part, part_seeds = inputs
            (_, (loss, scores)), gradients = gradient(trainable, fixed, part, counts, part_seeds, scale)
            return (carry[0] + loss, jax.tree.map(lambda a, b: a + b, carry[1], gradients)), scores

        start = (jax.numpy.zeros(()), [jax.numpy.zeros_like(value) for value in trainable])
        split = {key: self._swapped(x, self.distribution.replicas, parts) for key, x in batch.items()}
        split = {key: x.reshape(parts, -1, *x.shape[1:]) for key, x in split.items()}
        (loss, gradients), scores = jax.lax.scan(body, start, (split, seeds))
        joined = {key: x.reshape(-1, *x.shape[2:]) for key, x in scores.items()}
        return loss, gradients, {key: self._swapped(x, parts, self.distribution.replicas) for key, x in joined.items()}

    def _swapped(self, x, outer: int, inner: int):
        """Reorders rows from (outer, inner, rest) to (inner, outer, rest): every part has rows of every replica."""
        shape = (outer, inner, x.shape[0] // (outer * inner), *x.shape[1:])
        return x.reshape(shape).swapaxes(0, 1).reshape(x.shape)

    def _train_step(self, fixed, state, inputs):
        trainable, optimizer_state, scale, scale_steps = state
        batch, counts, seeds = inputs
        loss, gradients, scores = self._summed_gradients(trainable, fixed, batch, counts, seeds, scale)
        norm, factors = clip_in_groups(gradients, self.settings.clip_groups, self.settings.clip_norm, scale)
        finite = ops.isfinite(norm)
        clipped = [g * factor.astype(g.dtype) for g, factor in zip(gradients, factors, strict=True)]
        new_trainable, new_state = self.optimizer.stateless_apply(optimizer_state, clipped, trainable)
        keep = lambda new, old: [ops.where(finite, a, b) for a, b in zip(new, old, strict=True)]  # noqa: E731
        results = {**scores, "loss": loss, "gradient_norm": norm, "finite": finite, "scales": scale}
        if self.settings.scale_loss:
            scale, scale_steps = next_scale(scale, scale_steps, finite)
        return (keep(new_trainable, trainable), keep(new_state, optimizer_state), scale, scale_steps), results

    def _train_call(self, trainable, fixed, optimizer_state, batches, seeds, scale, scale_steps, votes):
        weights = [batches[key] for key in self.objective.count_keys]
        counts = ops.stack([x.sum(range(1, x.ndim)) for x in weights], -1)
        state, results = self.jax.lax.scan(
            lambda state, inputs: self._train_step(fixed, state, inputs),
            (trainable, optimizer_state, scale, scale_steps),
            (batches, counts, seeds),
        )
        trainable, optimizer_state, scale, scale_steps = state
        results |= {"scale": scale, "scale_steps": scale_steps, "votes": votes.sum(0)}
        return trainable, optimizer_state, results


def _own_rows(value) -> np.ndarray:
    """Returns an array as NumPy; of a global one, the part that this process holds."""
    shards = getattr(value, "addressable_shards", None)
    if shards is None or value.is_fully_addressable:
        return np.asarray(value)
    if value.is_fully_replicated:
        return np.asarray(shards[0].data)
    axis = next(i for i, s in enumerate(shards[0].data.shape) if s != value.shape[i])
    ordered = sorted(shards, key=lambda shard: shard.index[axis].start or 0)
    return np.concatenate([np.asarray(shard.data) for shard in ordered], axis)
