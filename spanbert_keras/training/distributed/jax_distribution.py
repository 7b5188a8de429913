"""Devices of JAX: one mesh over those of this machine, or of all processes."""

import dataclasses
import os
from collections.abc import Mapping

import numpy as np

from spanbert_keras.errors import InputError
from spanbert_keras.training.distributed.cluster import Cluster
from spanbert_keras.training.distributed.distribution import Distribution

HEARTBEAT_SECONDS = 45  # silence after which JAX gives a process up; its default is 100 s


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
        # As bits: JAX would round the numbers to float32.
        bits = np.ascontiguousarray(np.ravel(values), np.float64).view(np.uint32)
        gathered = np.ascontiguousarray(multihost_utils.process_allgather(bits))
        return gathered.view(np.float64).sum(0).reshape(np.shape(values))


def mirrored(replicas: int | None) -> Distribution:
    """Returns this machine's GPUs, or `replicas` logical CPU devices if it has none.

    Args:
        replicas: int or `None`. Number of devices. Defaults to all GPUs.

    Raises:
        InputError: there are fewer devices, or no GPU and `replicas` is not given.
    """
    import jax

    if replicas:
        jax.config.update("jax_num_cpu_devices", replicas)  # before JAX looks for devices
    if jax.default_backend() == "cpu" and replicas is None:
        raise InputError(
            "--distribution=mirrored finds no GPU that JAX can use. Give --replicas=N to try it on N logical CPU "
            "devices, or leave --distribution out."
        )
    if replicas and replicas > jax.local_device_count():
        raise InputError(f"--replicas={replicas}, but JAX finds {jax.local_device_count()} devices on this machine.")
    return _data_parallel(0, 1, jax.devices()[:replicas])


def multi_worker(cluster: Cluster, replicas: int | None) -> Distribution:
    """Returns the devices of all processes of a cluster.

    Args:
        cluster: `Cluster`. From `read_cluster`; without addresses JAX asks Slurm.
        replicas: int or `None`. Number of devices of each process. Defaults to all that JAX gives it.
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
    """Returns the GPUs of a task; `None` leaves the choice to JAX: the GPU with the task's number on its machine.

    A task that is alone on its machine takes all GPUs there; JAX by itself would give it the first only.
    """
    count = replicas
    if count is None and set(environ.get("SLURM_STEP_TASKS_PER_NODE", "").split("(")[0].split(",")) == {"1"}:
        visible = [device for device in environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if device]
        count = len(visible) or int(environ.get("SLURM_GPUS_ON_NODE", 0))
    return list(range(count)) if count else None


def _data_parallel(worker: int, num_workers: int, devices: list) -> Distribution:
    """Makes Keras keep every weight on all devices, and returns the distribution over them."""
    import jax
    import keras

    keras.distribution.set_distribution(
        keras.distribution.DataParallel(devices=[f"{d.platform}:{d.id}" for d in devices], auto_shard_dataset=False)
    )
    mesh = jax.sharding.Mesh(np.array(devices), ("batch",))
    return _JaxDistribution(worker, num_workers, len(devices) // num_workers, mesh)


def device_name() -> str:
    """Returns the model of the device that JAX computes on, "" for a CPU."""
    import jax

    return jax.devices()[0].device_kind if has_accelerator() else ""


def has_accelerator() -> bool:
    """Returns whether JAX computes on something other than the CPU."""
    import jax

    return jax.default_backend() != "cpu"
