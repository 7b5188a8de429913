"""The training step on JAX, and its devices. K steps of a call, B rows of this worker."""

import dataclasses
import os
from collections.abc import Mapping

import numpy as np
from keras import ops

from spanbert_keras.errors import InputError
from spanbert_keras.training.cluster import Cluster
from spanbert_keras.training.distribution import Distribution
from spanbert_keras.training.loss_scale import next_scale
from spanbert_keras.training.objective import STEP_KEYS, StepSettings, batch_keys, seed_generators
from spanbert_keras.training.optimizers import clip_in_groups

HEARTBEAT_SECONDS = 45  # JAX's own limit for a silent process; by default it waits for 100 s


class JaxStep:
    """Computes losses and updates of a model with JAX; the interface is `TensorFlowStep`'s.

    On several devices the arrays are global: weights on all, rows shared out. JAX sums over the devices by itself, so
    the gradient that is checked and clipped is the whole batch's, and one dropout mask spans all rows.

    Args:
        model: `SpanBertPretrainer` or a task model, made after the distribution.
        optimizer: built Keras optimizer over the model's trainable variables; it must not clip.
        settings: `StepSettings`.
        distribution: `Distribution`.
    """

    def __init__(self, model, optimizer, settings: StepSettings, distribution: Distribution | None = None):
        import jax

        self.jax = jax
        self.model = model
        self.optimizer = optimizer
        self.settings = settings
        self.objective = settings.objective
        self.distribution = distribution or Distribution()
        self.keys = batch_keys(model, self.objective)
        self.evaluation_keys = (*model.input_keys, *self.objective.evaluation_keys)
        generators = {id(g.state): i for i, g in enumerate(seed_generators(model))}
        self.seed_index = [generators.get(id(v)) for v in model.non_trainable_variables]
        train_outputs, scores = self._output_shardings()
        self._train = jax.jit(self._train_call, donate_argnums=(0, 2), out_shardings=train_outputs)
        self._evaluate = jax.jit(self._evaluate_call, out_shardings=scores)

    def _output_shardings(self):
        """Returns where the results of `train` and of `evaluate` are: scores by rows, all else everywhere."""
        if self.distribution.native is None:
            return None, None
        everywhere = self._sharding()
        results = dict.fromkeys(self.objective.score_keys, self._sharding(None, "batch"))
        results |= dict.fromkeys((*STEP_KEYS, "scale", "scale_steps", "votes"), everywhere)
        return (everywhere, everywhere, results), self._sharding("batch")

    def _sharding(self, *axes):
        return self.jax.sharding.NamedSharding(self.distribution.native, self.jax.sharding.PartitionSpec(*axes))

    def _shared_out(self, values: np.ndarray, *axes):
        """Returns an array of all workers' rows, of which `values` are this one's; on one device, `values`."""
        if self.distribution.native is None:
            return values
        return self.jax.make_array_from_process_local_data(self._sharding(*axes), np.asarray(values))

    def _state(self):
        return [[v.value for v in group] for group in self._groups()]

    def _groups(self):
        return self.model.trainable_variables, self.model.non_trainable_variables, self.optimizer.variables

    def train(self, batches: dict[str, np.ndarray], seeds, scale, scale_steps, votes=(0.0,)) -> dict:
        """Updates the model K times; see `TensorFlowStep.train`.

        Only the first replica's seeds are used: what it drops is drawn for all rows together.
        """
        own_votes = np.zeros((self.distribution.local_replicas, len(votes)), np.float32)
        own_votes[0] = votes
        trainable, fixed, optimizer_state = self._state()
        trainable, optimizer_state, results = self._train(
            trainable,
            fixed,
            optimizer_state,
            {key: self._shared_out(batches[key], None, "batch") for key in self.keys},
            np.asarray(seeds, np.uint32)[:, 0],
            self.jax.numpy.asarray(scale, "float32"),  # from the last call: stays on the device
            self.jax.numpy.asarray(scale_steps, "int32"),
            self._shared_out(own_votes, "batch"),
        )
        for variables, values in ((self._groups()[0], trainable), (self._groups()[2], optimizer_state)):
            for variable, value in zip(variables, values, strict=True):
                variable.assign(value)
        return results

    def evaluate(self, batch: dict[str, np.ndarray]) -> dict:
        """Returns the objective's predictions for this worker's rows, without dropout."""
        trainable, fixed, _ = self._state()
        rows = {key: self._shared_out(batch[key], "batch") for key in self.evaluation_keys}
        return self._evaluate(trainable, fixed, rows)

    def to_numpy(self, results: dict) -> dict[str, np.ndarray]:
        """Returns the results of `train` or `evaluate` as arrays; of those shared out, this worker's rows."""
        return {key: _own_rows(value) for key, value in results.items()}

    def start_profile(self, folder: str) -> None:
        """Starts to record what the devices do."""
        self.jax.profiler.start_trace(folder)

    def stop_profile(self) -> None:
        """Ends the record and writes it into its folder."""
        self.jax.profiler.stop_trace()

    def _evaluate_call(self, trainable, fixed, batch):
        outputs, _ = self.model.stateless_call(trainable, fixed, batch, training=False)
        return self.objective.predict(outputs, batch)

    def _part_loss(self, trainable, fixed, part, counts, seeds, scale):
        fixed = [value if i is None else seeds[i].astype(value.dtype)
                 for value, i in zip(fixed, self.seed_index, strict=True)]  # fmt: skip
        outputs, _, added = self.model.stateless_call(trainable, fixed, part, training=True, return_losses=True)
        scores = self.objective.score(outputs, part)
        loss = self.objective.loss(scores, part, counts)
        if added:  # of `add_loss` and regularizers; every part adds its share
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
        return trainable, optimizer_state, results | {
            "scale": scale, "scale_steps": scale_steps, "votes": votes.sum(0),
        }  # fmt: skip


@dataclasses.dataclass(frozen=True)
class _JaxDistribution(Distribution):
    """All devices of all processes in one mesh, `native`."""

    @property
    def seed_replicas(self) -> range:
        return range(self.local_replicas)  # the same on every worker: one mask is drawn for all rows

    def sum(self, values: np.ndarray) -> np.ndarray:
        from jax.experimental import multihost_utils

        if self.num_workers == 1:
            return values
        bits = np.ascontiguousarray(np.ravel(values), np.float64).view(np.uint32)  # JAX would round to float32
        gathered = np.ascontiguousarray(multihost_utils.process_allgather(bits))
        return gathered.view(np.float64).sum(0).reshape(np.shape(values))


def mirrored(replicas: int | None) -> Distribution:
    """Returns this machine's devices, or so many logical processors where it has none; see `tensorflow_distribution`.

    Raises:
        InputError: there are fewer devices, or none but the processor and `replicas` is not given.
    """
    import jax

    if replicas:
        jax.config.update("jax_num_cpu_devices", replicas)  # before JAX looks for devices
    if jax.default_backend() == "cpu" and replicas is None:
        raise InputError(
            "--distribution=mirrored finds no GPU that JAX can use. Give --replicas=N to rehearse on N logical "
            "processors, or leave --distribution out."
        )
    if replicas and replicas > jax.local_device_count():
        raise InputError(f"--replicas={replicas}, but JAX finds {jax.local_device_count()} devices on this machine.")
    return _data_parallel(0, 1, jax.devices()[:replicas])


def multi_worker(cluster: Cluster, replicas: int | None) -> Distribution:
    """Returns the devices of all processes of a cluster.

    Args:
        cluster: from `read_cluster`; without addresses JAX asks Slurm.
        replicas: int or `None`. Devices of each process; all that JAX gives it by default.
    """
    import jax

    jax.config.update("jax_num_cpu_devices", replicas or 1)
    address: dict = {"local_device_ids": _slurm_devices(os.environ, replicas)}
    if cluster.addresses is not None:
        address |= {"coordinator_address": cluster.addresses[0], "num_processes": cluster.num_workers}
        address |= {"process_id": cluster.worker, "cluster_detection_method": "deactivate"}
        address["local_device_ids"] = None if replicas is None else list(range(replicas))
    jax.distributed.initialize(**address, heartbeat_timeout_seconds=HEARTBEAT_SECONDS)
    return _data_parallel(cluster.worker, cluster.num_workers, jax.devices())


def _slurm_devices(environ: Mapping[str, str], replicas: int | None) -> list[int] | None:
    """Returns the GPUs of a task, or `None`: the one whose number is the task's on its machine, as JAX has it.

    A task that is alone on its machine takes all of it, where JAX by itself would give it the first GPU.
    """
    count = replicas
    if count is None and set(environ.get("SLURM_STEP_TASKS_PER_NODE", "").split("(")[0].split(",")) == {"1"}:
        visible = [device for device in environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if device]
        count = len(visible) or int(environ.get("SLURM_GPUS_ON_NODE", 0))
    return list(range(count)) if count else None


def _data_parallel(worker: int, num_workers: int, devices: list) -> Distribution:
    """Makes Keras put every weight on all devices, and returns them as a distribution."""
    import jax
    import keras

    keras.distribution.set_distribution(
        keras.distribution.DataParallel(devices=[f"{d.platform}:{d.id}" for d in devices], auto_shard_dataset=False)
    )
    mesh = jax.sharding.Mesh(np.array(devices), ("batch",))
    return _JaxDistribution(worker, num_workers, len(devices) // num_workers, mesh)


def device_name() -> str:
    """Returns the model of the device that JAX computes on, "" for a processor."""
    import jax

    return jax.devices()[0].device_kind if has_accelerator() else ""


def has_accelerator() -> bool:
    """Says whether JAX computes on something other than the processor."""
    import jax

    return jax.default_backend() != "cpu"


def _own_rows(value) -> np.ndarray:
    """Returns an array, or of a global one the part that this process holds."""
    shards = getattr(value, "addressable_shards", None)
    if shards is None or value.is_fully_addressable:
        return np.asarray(value)
    if value.is_fully_replicated:
        return np.asarray(shards[0].data)
    axis = next(i for i, s in enumerate(shards[0].data.shape) if s != value.shape[i])
    ordered = sorted(shards, key=lambda shard: shard.index[axis].start or 0)
    return np.concatenate([np.asarray(shard.data) for shard in ordered], axis)
