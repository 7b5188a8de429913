"""Tests of which devices JAX takes; the layouts themselves are tested in whole runs."""

import pytest

from spanbert_keras.training.distributed.jax_distribution import _slurm_devices


@pytest.mark.parametrize(
    "environ, replicas, devices",
    [
        ({}, None, None),
        ({}, 2, [0, 1]),
        ({"SLURM_STEP_TASKS_PER_NODE": "1(x4)", "SLURM_GPUS_ON_NODE": "8"}, None, list(range(8))),
        ({"SLURM_STEP_TASKS_PER_NODE": "1", "CUDA_VISIBLE_DEVICES": "4,5,6"}, None, [0, 1, 2]),
        ({"SLURM_STEP_TASKS_PER_NODE": "1(x2)"}, None, None),  # no GPU
        ({"SLURM_STEP_TASKS_PER_NODE": "8(x4)", "SLURM_GPUS_ON_NODE": "8"}, None, None),  # one task a GPU
        ({"SLURM_STEP_TASKS_PER_NODE": "1(x4)", "SLURM_GPUS_ON_NODE": "8"}, 4, list(range(4))),
    ],
)
def test_a_task_that_is_alone_on_its_machine_takes_all_gpus(environ, replicas, devices):
    assert _slurm_devices(environ, replicas) == devices
