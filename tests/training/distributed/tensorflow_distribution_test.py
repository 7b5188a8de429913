"""Tests of TensorFlow's devices: two of one process compute what one does. Those of several: `tests/promises`."""

import json
import os
import subprocess
import sys
import textwrap

import keras
import numpy as np
import pytest

from spanbert_keras.errors import InputError
from spanbert_keras.training.distributed.cluster import Cluster
from spanbert_keras.training.distributed.tensorflow_distribution import mirrored, multi_worker, slurm_addresses

pytestmark = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="the backend is not TensorFlow")

# Logical devices are made once a process: all of these promises are looked at in one of their own.
PROGRAM = """
import json, sys
import keras
import numpy as np
import tensorflow as tf
from spanbert_keras.preprocessing.seeds import dropout_seeds
from spanbert_keras.errors import InputError
from spanbert_keras.models.encoder import SpanBertEncoder
from spanbert_keras.models.pretrainer import SpanBertPretrainer
from spanbert_keras.training.backend import make_distribution, make_step
from spanbert_keras.pretraining.objective import PretrainingObjective
from spanbert_keras.training.steps.objective import StepSettings, seed_generators
from spanbert_keras.training.distributed.distribution import Distribution

tf.config.set_visible_devices([], "GPU")
distribution = make_distribution("mirrored", 2)
batches = dict(np.load(sys.argv[1]))
rows = batches["token_ids"].shape[1]
found = {"replicas": distribution.replicas, "workers": distribution.num_workers, "chief": distribution.is_chief}
found["sum"] = distribution.sum(np.array([1.0, 2.5])).tolist()
found["devices"] = len(tf.config.list_logical_devices("CPU"))
found["again"] = make_distribution("mirrored", 2).replicas


def train(distribution, batches, dropout, parts=1, same_seeds=False, learning_rate=1.0):
    with distribution.scope():
        keras.utils.set_random_seed(3)
        encoder = SpanBertEncoder(
            vocabulary_size=64, num_layers=1, num_heads=2, hidden_dim=16, intermediate_dim=24, dropout=dropout,
            max_sequence_length=24,
        )
        model = SpanBertPretrainer(encoder, max_span_positions=4, position_dim=6, next_sentence=True)
        optimizer = keras.optimizers.SGD(learning_rate)
        optimizer.build(model.trainable_variables)
        objective = PretrainingObjective(nsp_weight=5.0)
        settings = StepSettings(objective=objective, clip_norm=0.5, accumulation_steps=parts)
        step = make_step(model, optimizer, settings, distribution)
    layers = len(seed_generators(model))
    seeds = np.stack([
        np.stack([dropout_seeds((1, 2), k, 0 if same_seeds else replica, parts, layers)
                  for replica in range(distribution.local_replicas)]) for k in range(len(batches["token_ids"]))])
    results = step.to_numpy(step.train(batches, seeds, 1.0, 0, [0.0, 1.0]))
    scored = step.to_numpy(step.evaluate({key: x[0] for key, x in batches.items()}))
    return results, scored, [np.array(v) for v in model.trainable_variables]


def largest(one, other):
    pairs = [(np.asarray(a, float), np.asarray(b, float)) for a, b in zip(one, other, strict=True)]
    return float(max(np.abs(a - b).max() for a, b in pairs))


for parts in (1, 2):
    one = train(Distribution(), batches, 0.0, parts)
    two = train(distribution, batches, 0.0, parts)
    found[f"results_{parts}"] = {key: largest([one[0][key]], [two[0][key]]) for key in one[0]}
    found[f"scores_{parts}"] = {key: largest([one[1][key]], [two[1][key]]) for key in one[1]}
    found[f"weights_{parts}"] = largest(one[2], two[2])
    found["shapes"] = {key: list(x.shape) for key, x in two[0].items()}
found["moved"] = largest(train(distribution, batches, 0.0, 1, learning_rate=0.0)[2], two[2])

# Both replicas have the same rows: they differ by their dropout alone, which is that of their seeds.
half = {key: np.concatenate([x[:, : rows // 2]] * 2, 1) for key, x in batches.items()}
losses = {same: train(distribution, half, 0.3, same_seeds=same)[0]["mlm_losses"] for same in (True, False)}
found["same_dropout"] = largest([losses[True][:, : rows // 2]], [losses[True][:, rows // 2 :]])
found["own_dropout"] = largest([losses[False][:, : rows // 2]], [losses[False][:, rows // 2 :]])

try:
    make_distribution("mirrored")
except InputError as error:
    found["error"] = str(error)
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def found(stream_of, root, tmp_path_factory):
    """What a process with two logical CPU devices found."""
    path = tmp_path_factory.mktemp("mirrored") / "batches.npz"
    batches = [stream_of().batch(k) for k in range(3)]
    arrays = {key: np.stack([batch[key] for batch in batches]) for key in batches[0]}
    shape = (*arrays["token_ids"].shape[:2], 2)  # two pairs a row, of which one is padding in all but the first row
    arrays["pair_positions"] = np.tile(np.array([0, 3], np.int32), (*shape[:2], 1))
    arrays["next_sentence_labels"] = np.random.default_rng(0).integers(0, 2, shape).astype(np.int32)
    arrays["pair_weights"] = np.ones(shape, np.float32)
    arrays["pair_weights"][:, 1:, 1] = 0
    np.savez(path, **arrays)
    command = [sys.executable, "-c", textwrap.dedent(PROGRAM), str(path)]
    done = subprocess.run(command, cwd=root, env=os.environ, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
def test_two_cpu_devices_of_one_process_are_two_replicas_of_one_worker(found):
    assert (found["replicas"], found["workers"], found["chief"], found["devices"]) == (2, 1, True, 2)
    assert found["again"] == 2
    assert found["sum"] == [1.0, 2.5]


@pytest.mark.slow
@pytest.mark.parametrize("parts", [1, 2])
def test_replicas_compute_losses_gradients_and_weights_of_one_device(found, parts):
    assert max(found[f"results_{parts}"].values()) < 2e-4, found[f"results_{parts}"]
    assert found[f"weights_{parts}"] < 2e-4
    assert found["moved"] > 0.01


@pytest.mark.slow
@pytest.mark.parametrize("parts", [1, 2])
def test_replicas_score_the_rows_in_their_order(found, parts):
    assert max(found[f"scores_{parts}"].values()) < 2e-4, found[f"scores_{parts}"]


@pytest.mark.slow
def test_results_have_the_rows_of_both(found):
    steps, rows = 3, 4
    assert found["shapes"]["mlm_losses"][:2] == [steps, rows]
    assert found["shapes"]["loss"] == [steps] and found["shapes"]["votes"] == [2]


@pytest.mark.slow
def test_replicas_have_their_own_dropout(found):
    assert found["same_dropout"] < 1e-4
    assert found["own_dropout"] > 0.01


@pytest.mark.slow
def test_without_a_gpu_the_number_of_cpu_devices_must_be_given(found):
    if "error" in found:  # else the machine has GPUs
        assert "--distribution=mirrored" in found["error"] and "--replicas" in found["error"]


def test_slurm_names_every_task_in_its_own_order():
    environ = {"SLURM_STEP_NODELIST": "node[9-10],gpu3", "SLURM_STEP_TASKS_PER_NODE": "2,1(x2)"}
    assert slurm_addresses(environ) == ["node9:8888", "node9:8889", "node10:8888", "gpu3:8888"]


@pytest.mark.parametrize("replicas, used", [(None, 3), (2, 2)])
def test_a_worker_with_several_gpus_starts_none_before_it_joins_the_cluster(monkeypatch, replicas, used):
    """TensorFlow cannot join once a device is initialised, e.g. by listing the logical devices."""
    import tensorflow as tf

    seen = {}

    class Strategy:
        num_replicas_in_sync = 4 * used

        def __init__(self, cluster_resolver):
            seen.update(
                gpus=cluster_resolver.num_accelerators()["GPU"],
                task=cluster_resolver.task_id,
                workers=cluster_resolver.cluster_spec().as_dict()["worker"],
            )

    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind=None: ["a", "b", "c"])
    monkeypatch.setattr(tf.config, "list_logical_devices", lambda kind=None: pytest.fail("it started the devices"))
    monkeypatch.setattr(tf.config, "set_visible_devices", lambda devices, kind: seen.update(visible=devices))
    monkeypatch.setattr(tf.distribute, "MultiWorkerMirroredStrategy", Strategy)
    addresses = tuple(f"host{i}:1" for i in range(4))
    found = multi_worker(Cluster(2, addresses, 4), replicas)
    assert seen == {"gpus": used, "task": 2, "workers": list(addresses), "visible": ["a", "b", "c"][:used]}
    assert (found.worker, found.num_workers, found.local_replicas, found.is_chief) == (2, 4, used, False)


def test_more_replicas_than_gpus_are_rejected(monkeypatch):
    import tensorflow as tf

    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind=None: ["a", "b"])
    for make in (mirrored, lambda n: multi_worker(Cluster(0, ("a:1", "b:1"), 2), n)):
        with pytest.raises(InputError, match="--replicas=3, but TensorFlow finds 2 GPUs"):
            make(3)
