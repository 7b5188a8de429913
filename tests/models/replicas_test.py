"""Raw examples on the replicas of a TensorFlow strategy: what Keras gets wrong is rejected, the rest is as on one."""

import subprocess
import sys
import types

import keras
import pytest

from spanbert_keras.models.replicas import check_replicas, devices_of_a_batch

BACKEND = keras.backend.backend()
ON_TENSORFLOW = pytest.mark.skipif(BACKEND != "tensorflow", reason="strategies are TensorFlow's")
TRAIN = """
import keras, numpy as np, tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
from spanbert_keras import SpanBertEncoder, SpanBertTextClassifier, SpanBertTokenizer

tokenizer = SpanBertTokenizer(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefgh"])
texts = ["a b c", "d e f g", "h a b", "c"] * 4
weights = np.linspace(0.5, 2.0, 15)

def train(strategy):
    keras.utils.set_random_seed(3)
    with strategy.scope():
        encoder = SpanBertEncoder(13, 1, 2, 8, 16, 0.0, max_sequence_length=16, tokenizer=tokenizer)
        model = SpanBertTextClassifier(encoder, ["x", "y"], dropout=0.0)
        model.compile(keras.optimizers.SGD(0.5))
    model.fit(texts[:15], [0, 1, 0, 1] * 3 + [0, 1, 0], sample_weight=weights, batch_size=4, shuffle=False, verbose=0)
    loss = model.evaluate(texts[:15], [0, 1, 0, 1] * 3 + [0, 1, 0], batch_size=4, verbose=0)
    return [loss, *model.predict(texts[:15], batch_size=4, verbose=0)["logits"].ravel()]

one, two = train(tf.distribute.OneDeviceStrategy("CPU:0")), train(tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]))
assert len(one) == len(two) == 31
np.testing.assert_allclose(two, one, rtol=1e-4, atol=1e-5)
print("done")
"""


def test_there_is_one_device_without_a_distribution():
    model = types.SimpleNamespace(distribute_strategy=types.SimpleNamespace(num_replicas_in_sync=1))
    assert devices_of_a_batch(model) == 1
    check_replicas(model)


@pytest.mark.skipif(BACKEND != "jax", reason="Keras distributes on JAX")
def test_devices_are_those_along_the_batch():
    mesh = keras.distribution.DeviceMesh((1, 1), ["model", "rows"], keras.distribution.list_devices("cpu")[:1])
    layout = keras.distribution.LayoutMap(mesh)
    keras.distribution.set_distribution(keras.distribution.ModelParallel(layout_map=layout, batch_dim_name="rows"))
    try:
        assert devices_of_a_batch(None) == 1
        mesh = types.SimpleNamespace(shape=(3, 5), axis_names=["model", "rows"])
        keras.distribution.distribution()._device_mesh = mesh
        assert devices_of_a_batch(None) == 5
    finally:
        keras.distribution.set_distribution(None)


class MirroredStrategy:
    num_replicas_in_sync = 2


class MultiWorkerMirroredStrategy:
    num_replicas_in_sync = 2


def model_with(optimizer=None, strategy=None, steps_per_execution=1, jit_compile=False, target="label_targets"):
    return types.SimpleNamespace(
        distribute_strategy=strategy or MirroredStrategy(),
        optimizer=optimizer or keras.optimizers.Adam(),
        steps_per_execution=steps_per_execution,
        jit_compile=jit_compile,
        target_keys=(target,),
    )


@ON_TENSORFLOW
@pytest.mark.parametrize(
    "given, problem",
    [
        ({"optimizer": keras.optimizers.Adam(global_clipnorm=1.0)}, r"clips the gradient of each replica.*\(global_cl"),
        ({"optimizer": keras.optimizers.Adam(clipnorm=1.0)}, r"clips the gradient of each replica.*\(clipnorm\)"),
        ({"optimizer": keras.optimizers.Adam(clipvalue=1.0)}, r"clips the gradient of each replica.*\(clipvalue\)"),
        (
            {"optimizer": keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam(clipnorm=1.0))},
            "clips the gradient of each replica",
        ),
        (
            {"optimizer": keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam())},
            "looks for overflow on the first",
        ),
        ({"optimizer": keras.optimizers.Adam(gradient_accumulation_steps=2)}, "fails with gradient_accumulation_steps"),
        ({"steps_per_execution": 2}, "fails with steps_per_execution=2"),
        ({"jit_compile": True}, "fails with jit_compile=True"),
        ({"strategy": MultiWorkerMirroredStrategy()}, "does not train on several workers"),
    ],
)
def test_what_keras_gets_wrong_on_replicas_is_rejected_with_the_way_that_works(given, problem):
    for target, way in (
        ("label_targets", r"fine_tune\(..., distribution=\"mirrored\"\)"),
        ("mask_ids", "pretrain --dist"),
    ):
        with pytest.raises(ValueError, match=rf"Keras' `fit` {problem}.*on the 2 replicas of M\w+Strategy.*{way}"):
            check_replicas(model_with(target=target, **given))
    assert devices_of_a_batch(model_with()) == 2
    check_replicas(model_with())


@ON_TENSORFLOW
@pytest.mark.slow
def test_fifteen_examples_on_two_replicas_give_the_weights_and_the_predictions_of_one(root):
    done = subprocess.run([sys.executable, "-c", TRAIN], cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and done.stdout.endswith("done\n"), done.stderr[-2000:]
