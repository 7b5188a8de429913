"""The cluster of a run: its workers, and which of them this process is."""

import dataclasses
import os
from collections.abc import Mapping
from typing import Any

from spanbert_keras.errors import InputError
from spanbert_keras.files.json_files import parse_json

EXAMPLE = '{"cluster": {"worker": ["a:12345", "b:12345"]}, "task": {"type": "worker", "index": 0}}'
# Number of processes: of a step of `srun`, of a whole job.
SLURM_COUNTS = ("SLURM_STEP_NUM_TASKS", "SLURM_NTASKS")


@dataclasses.dataclass(frozen=True)
class Cluster:
    """The workers of one run, and which of them this process is.

    Attributes:
        worker: int. Number of this process, 0 to num_workers - 1; worker 0 writes what is written once.
        addresses: tuple of `host:port` of every worker in order, or `None` under Slurm, whose resolver finds them.
        num_workers: int. Number of processes.
    """

    worker: int
    addresses: tuple[str, ...] | None
    num_workers: int


def read_cluster(environ: Mapping[str, str] = os.environ) -> Cluster:
    """Reads the cluster from `TF_CONFIG`, or else from the variables of Slurm.

    `TF_CONFIG` has TensorFlow's format: workers and optionally one chief, which is then worker 0. Reading it needs no
    framework.

    Args:
        environ: environment variables.

    Raises:
        InputError: neither is set, or its value cannot be used.
    """
    if environ.get("TF_CONFIG"):
        return _from_tf_config(environ["TF_CONFIG"])
    if "SLURM_PROCID" in environ:
        return _from_slurm(environ)
    raise InputError(
        "--distribution=multi_worker needs to know which worker this process is. Expected: the environment variable "
        f"TF_CONFIG, e.g. TF_CONFIG='{EXAMPLE}', or a start with Slurm's srun (SLURM_PROCID). Received: neither."
    )


def _tf_config_error(what: str) -> InputError:
    """Returns the error that names a fault of `TF_CONFIG`."""
    return InputError(
        f"The environment variable TF_CONFIG cannot be used: {what}. Expected e.g. TF_CONFIG='{EXAMPLE}'."
    )


def _from_tf_config(text: str) -> Cluster:
    try:
        config = parse_json(text)
    except ValueError as error:
        raise _tf_config_error(f"it is not valid JSON ({error})") from error
    config = config if isinstance(config, dict) else {}
    cluster, task = config.get("cluster"), config.get("task")
    if not isinstance(cluster, dict) or not cluster:
        raise _tf_config_error("it has no `cluster`")
    if not isinstance(task, dict):
        raise _tf_config_error("it has no `task`")
    chiefs, workers = _addresses(cluster, "chief"), _addresses(cluster, "worker")
    addresses = chiefs + workers
    unknown = sorted(set(cluster) - {"chief", "worker"})
    if unknown or len(chiefs) > 1 or not addresses:
        raise _tf_config_error(f"its cluster has {', '.join(sorted(cluster))}; expected workers and at most one chief")
    if len(set(addresses)) != len(addresses):
        raise _tf_config_error("two of its workers have the same address")
    kind, index = task.get("type"), task.get("index")
    own = {"chief": chiefs, "worker": workers}.get(kind) if isinstance(kind, str) else None
    if own is None:
        raise _tf_config_error(f"its task type is {kind!r}; expected worker or chief")
    index = _integer(index)
    if index is None or not 0 <= index < len(own):
        raise _tf_config_error(
            f"its task index is {task.get('index')!r}; the cluster has {len(own)} of type {kind}, counted from 0"
        )
    return Cluster(index if kind == "chief" else len(chiefs) + index, addresses, len(addresses))


def _addresses(cluster: dict[str, Any], kind: str) -> tuple[str, ...]:
    found = cluster.get(kind, [])
    if not isinstance(found, list) or not all(isinstance(address, str) and ":" in address for address in found):
        raise _tf_config_error(f"its {kind} is {found!r}, which is not a list of `host:port`")
    return tuple(found)


def _integer(value: Any) -> int | None:
    """Returns an integer, or the text of one (some launchers quote it), as `int`; `None` for anything else."""
    try:
        return None if isinstance(value, bool | float) else int(value)
    except (TypeError, ValueError):
        return None


def _from_slurm(environ: Mapping[str, str]) -> Cluster:
    worker = _integer(environ["SLURM_PROCID"])
    name = next((name for name in SLURM_COUNTS if name in environ), None)
    count = _integer(environ[name]) if name else None
    if worker is None or count is None or not 0 <= worker < count:
        raise InputError(
            "Slurm's variables do not identify this worker. Expected: SLURM_PROCID from 0 to "
            f"{' or '.join(SLURM_COUNTS)} - 1, as srun sets them. Received: SLURM_PROCID={environ['SLURM_PROCID']!r}, "
            f"{name or SLURM_COUNTS[0]}={environ.get(name or SLURM_COUNTS[0])!r}. "
            f"Start it with srun, or give TF_CONFIG='{EXAMPLE}'."
        )
    return Cluster(worker, None, count)
