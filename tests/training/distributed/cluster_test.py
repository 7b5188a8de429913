"""Tests of which worker a process is."""

import json

import pytest

from spanbert_keras.errors import InputError
from spanbert_keras.training.distributed.cluster import EXAMPLE, Cluster, read_cluster

TWO = ["a:1", "b:1"]


def tf_config(cluster, kind="worker", index=0):
    return {"TF_CONFIG": json.dumps({"cluster": cluster, "task": {"type": kind, "index": index}})}


def test_tf_config_gives_this_worker_and_the_addresses_of_all():
    assert read_cluster(tf_config({"worker": TWO}, index=1)) == Cluster(1, ("a:1", "b:1"), 2)
    assert read_cluster(tf_config({"worker": TWO}, index="1")).worker == 1


@pytest.mark.parametrize("kind, index, worker", [("chief", 0, 0), ("worker", 0, 1), ("worker", 1, 2)])
def test_a_chief_is_worker_0(kind, index, worker):
    cluster = {"worker": TWO, "chief": ["c:1"]}
    assert read_cluster(tf_config(cluster, kind, index)) == Cluster(worker, ("c:1", "a:1", "b:1"), 3)


def test_slurms_variables_give_the_worker_and_their_number():
    assert read_cluster({"SLURM_PROCID": "2", "SLURM_NTASKS": "4"}) == Cluster(2, None, 4)


def test_slurms_step_counts_more_than_its_job():
    assert read_cluster({"SLURM_PROCID": "0", "SLURM_NTASKS": "8", "SLURM_STEP_NUM_TASKS": "4"}).num_workers == 4


def test_tf_config_wins_over_slurm():
    slurm = {"SLURM_PROCID": "2", "SLURM_NTASKS": "4"}
    assert read_cluster(tf_config({"worker": TWO}) | slurm).num_workers == 2
    assert read_cluster({"TF_CONFIG": ""} | slurm).num_workers == 4


def test_without_either_the_error_has_an_example_that_works():
    with pytest.raises(InputError, match="SLURM_PROCID.*Received: neither") as error:
        read_cluster({})
    assert f"TF_CONFIG='{EXAMPLE}'" in str(error.value)
    assert read_cluster({"TF_CONFIG": EXAMPLE}) == Cluster(0, ("a:12345", "b:12345"), 2)


@pytest.mark.parametrize(
    "environ, words",
    [
        ({"TF_CONFIG": "{"}, "not valid JSON"),
        ({"TF_CONFIG": "[1]"}, "no `cluster`"),
        ({"TF_CONFIG": '{"task": {"type": "worker", "index": 0}}'}, "no `cluster`"),
        ({"TF_CONFIG": '{"cluster": {"worker": ["a:1"]}}'}, "no `task`"),
        (tf_config({"worker": []}), "at most one chief"),
        (tf_config({"worker": "a:1"}), "its worker is 'a:1', which is not a list"),
        (tf_config({"worker": ["a", "b"]}), "which is not a list of `host:port`"),
        (tf_config({"worker": ["a:1", "a:1"]}), "the same address"),
        (tf_config({"worker": TWO, "chief": TWO}), "at most one chief"),
        (tf_config({"worker": TWO, "ps": ["p:1"]}), "its cluster has ps, worker"),
        (tf_config({"worker": TWO, "evaluator": ["e:1"]}), "its cluster has evaluator, worker"),
        (tf_config({"worker": TWO}, "ps"), "type is 'ps'"),
        (tf_config({"worker": TWO}, "evaluator"), "type is 'evaluator'"),
        (tf_config({"worker": TWO}, None), "type is None"),
        (tf_config({"worker": TWO}, ["worker"]), "type is"),
        (tf_config({"worker": TWO}, "chief"), "has 0 of type chief"),
        (tf_config({"worker": TWO}, index=2), "index is 2; the cluster has 2 of type worker"),
        (tf_config({"worker": TWO}, index=-1), "index is -1"),
        (tf_config({"worker": TWO}, index=None), "index is None"),
        (tf_config({"worker": TWO}, index=1.5), "index is 1.5"),
    ],
)
def test_a_broken_tf_config_is_rejected_with_its_fault_and_an_example(environ, words):
    with pytest.raises(InputError) as error:
        read_cluster(environ)
    assert words in str(error.value) and EXAMPLE in str(error.value)


@pytest.mark.parametrize(
    "environ, words",
    [
        ({"SLURM_PROCID": "0"}, "SLURM_STEP_NUM_TASKS=None"),
        ({"SLURM_PROCID": "4", "SLURM_NTASKS": "4"}, "SLURM_PROCID='4', SLURM_NTASKS='4'"),
        ({"SLURM_PROCID": "x", "SLURM_NTASKS": "4"}, "SLURM_PROCID='x'"),
    ],
)
def test_slurm_variables_that_contradict_each_other_are_rejected(environ, words):
    with pytest.raises(InputError) as error:
        read_cluster(environ)
    assert words in str(error.value) and EXAMPLE in str(error.value)
