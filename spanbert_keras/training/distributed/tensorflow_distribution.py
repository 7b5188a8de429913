"""Devices and processes of TensorFlow: `tf.distribute`."""

import dataclasses
import functools
import os
from collections.abc import Mapping

import numpy as np

from spanbert_keras.errors import InputError
from spanbert_keras.training.distributed.cluster import Cluster
from spanbert_keras.training.distributed.distribution import Distribution

FIRST_PORT = 8888  # of the first task on a machine under Slurm, as in TensorFlow's resolver


@dataclasses.dataclass(frozen=True)
class TensorFlowDistribution(Distribution):
    """A `tf.distribute` strategy, `native`."""

    def scope(self):
        return self.native.scope()

    def sum(self, values: np.ndarray) -> np.ndarray:
        if self.num_workers == 1:
            return values
        return self._add(np.ravel(values).astype(np.float64)).numpy().reshape(np.shape(values))

    @functools.cached_property
    def _add(self):
        """The collective sum of float64 `(N,)`, compiled once."""
        import tensorflow as tf

        def add(own):
            def once_a_worker():
                first = tf.distribute.get_replica_context().replica_id_in_sync_group % self.local_replicas == 0
                return own * tf.cast(first, own.dtype)

            return self.native.reduce("SUM", self.native.run(once_a_worker), axis=None)

        return tf.function(add, autograph=False, input_signature=[tf.TensorSpec([None], tf.float64)])


def mirrored(replicas: int | None) -> TensorFlowDistribution:
    """Returns `MirroredStrategy` over this machine's GPUs, or over `replicas` logical CPU devices if it has none.

    Args:
        replicas: int or `None`. Number of devices. Defaults to all GPUs.

    Raises:
        InputError: there are fewer GPUs, or no GPU and `replicas` is not given.
    """
    import tensorflow as tf

    gpus = _gpus(replicas)
    if gpus:
        devices = [f"GPU:{i}" for i in range(len(gpus))]
    elif replicas is not None:
        devices = [f"CPU:{i}" for i in range(replicas)]
        _split_cpu(replicas)
    else:
        raise InputError(
            "--distribution=mirrored finds no GPU that TensorFlow can use. Give --replicas=N to try it on N logical "
            "CPU devices, or leave --distribution out."
        )
    return TensorFlowDistribution(local_replicas=len(devices), native=tf.distribute.MirroredStrategy(devices))


def multi_worker(cluster: Cluster, replicas: int | None) -> TensorFlowDistribution:
    """Returns `MultiWorkerMirroredStrategy` over the processes of a cluster, each with the GPUs of its machine.

    Call it before anything uses the devices: TensorFlow can join a cluster only at its start.

    Args:
        cluster: `Cluster`. From `read_cluster`; without addresses Slurm's variables name the hosts.
        replicas: int or `None`. GPUs of each process. Defaults to all. Without a GPU a process has one CPU device.

    Raises:
        InputError: there are fewer GPUs.
    """
    import tensorflow as tf

    gpus = _gpus(replicas)
    if not gpus and replicas not in (None, 1):
        raise InputError(f"--replicas={replicas}, but TensorFlow finds no GPU; a worker then has one CPU device.")
    if gpus:
        tf.config.set_visible_devices(gpus, "GPU")
    resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(
        tf.train.ClusterSpec({"worker": list(cluster.addresses or slurm_addresses(os.environ))}),
        task_type="worker",
        task_id=cluster.worker,
        num_accelerators={"GPU": len(gpus)},
        rpc_layer="grpc",
    )
    strategy = tf.distribute.MultiWorkerMirroredStrategy(cluster_resolver=resolver)
    return TensorFlowDistribution(
        worker=cluster.worker,
        num_workers=cluster.num_workers,
        local_replicas=strategy.num_replicas_in_sync // cluster.num_workers,
        native=strategy,
    )


def slurm_addresses(environ: Mapping[str, str]) -> list[str]:
    """Returns `host:port` of every task of a Slurm step, in the order of SLURM_PROCID.

    Not TensorFlow's `SlurmClusterResolver`: it sorts hosts as text, node10 before node9, and counts GPUs by calling a
    program that machines without GPUs lack. Only its parser of Slurm's lists is used.

    Args:
        environ: environment variables.
    """
    from tensorflow.python.distribute.cluster_resolver import slurm_cluster_resolver as slurm

    hosts = slurm.expand_hostlist(environ["SLURM_STEP_NODELIST"])
    tasks = slurm.expand_tasks_per_node(environ["SLURM_STEP_TASKS_PER_NODE"])
    return [f"{host}:{FIRST_PORT + i}" for host, count in zip(hosts, tasks, strict=True) for i in range(count)]


def device_name() -> str:
    """Returns the model of the device that TensorFlow computes on, "" for a CPU."""
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    return tf.config.experimental.get_device_details(gpus[0]).get("device_name", "") if gpus else ""


def has_accelerator() -> bool:
    """Returns whether TensorFlow computes on something other than the CPU."""
    import tensorflow as tf

    return bool(tf.config.list_physical_devices("GPU") or tf.config.list_physical_devices("TPU"))


def _gpus(replicas: int | None) -> list:
    """Returns the GPUs to use, without initialising them."""
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    if gpus and replicas is not None and replicas > len(gpus):
        raise InputError(f"--replicas={replicas}, but TensorFlow finds {len(gpus)} GPUs on this machine.")
    return gpus[:replicas]


def _split_cpu(parts: int) -> None:
    """Divides the CPU into logical devices."""
    import tensorflow as tf

    cpu = tf.config.list_physical_devices("CPU")[0]
    try:
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * parts)
    except RuntimeError:  # in use already
        if len(tf.config.list_logical_devices("CPU")) < parts:
            raise
