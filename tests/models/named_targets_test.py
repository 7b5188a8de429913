"""`fit` of our models beside plain Keras on the same encoder: losses, steps, metrics, on one and on two replicas."""

import json
import subprocess
import sys

import keras
import numpy as np
import pytest
from keras import ops

from spanbert_keras import SpanBertPretrainer, SpanBertQuestionAnswerer, SpanBertTextClassifier
from spanbert_keras.models import named_targets
from tests.models import fit_oracle
from tests.models.fit_oracle import TASKS, B, difference, make_case, regularize, results

BACKEND = keras.backend.backend()
WEIGHTS = np.array([1, 0.001, 0, 2, 0.003, 1, 1, 0.5], "float32")
CLOSE = 1e-6
EAGER = BACKEND == "tensorflow"

REPLICAS = """
import json, sys
import tensorflow as tf
two = [tf.config.LogicalDeviceConfiguration()] * 2
tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], two)
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
import numpy as np
from tests.models import fit_oracle
weights, models = np.array(json.loads(sys.argv[1]), "float32"), json.loads(sys.argv[2])
found = {}
for task in sys.argv[3:]:
    results = {}
    if "plain" not in models:  # then on one
        alone = fit_oracle.make_case(task)
        fit_oracle.regularize(alone.plain)
        results = fit_oracle.results(alone, weights, evaluated=False, models=["plain"])
    with strategy.scope():
        case = fit_oracle.make_case(task)
        fit_oracle.regularize(case.ours)
        fit_oracle.regularize(case.plain)
        results |= fit_oracle.results(case, weights, evaluated=False, run_eagerly=False, models=models)
    found[task] = [fit_oracle.difference(results), float(results["ours_fit"][0])]
print(json.dumps(found))
"""


@pytest.mark.parametrize("task", TASKS)
def test_a_step_with_small_weights_regularizers_and_added_losses_is_keras_step(task):
    case = make_case(task)
    regularize(case.ours), regularize(case.plain)
    assert difference(results(case, WEIGHTS)) < CLOSE


@pytest.mark.parametrize("task", ["classes", "pretrainer"])
def test_targets_among_the_inputs_make_keras_step(task):
    assert difference(results(make_case(task))) < CLOSE


@pytest.mark.parametrize("task", ["pretrainer", "pairs"])
def test_the_released_codes_normalization_is_a_weighting_of_keras_losses(task):
    assert difference(results(make_case(task, normalization="separate"), WEIGHTS)) < CLOSE


@pytest.mark.parametrize("factor", [1e-3, 1.0, 100.0])
def test_the_loss_is_linear_in_the_sample_weights(factor):
    case = make_case("classes")
    case.ours.compile("sgd", run_eagerly=EAGER)
    full = case.ours.evaluate(case.x, case.targets, B, 0, sample_weight=np.ones(B))
    scaled = case.ours.evaluate(case.x, case.targets, B, 0, sample_weight=np.full(B, factor))
    assert scaled == pytest.approx(factor * full, rel=1e-6)


@pytest.mark.parametrize("task", TASKS)
def test_sample_weights_apply_to_targets_among_the_inputs(task):
    case = make_case(task)
    regularize(case.ours), regularize(case.plain)
    assert difference(results(case, WEIGHTS, y="among")) < CLOSE


@pytest.mark.parametrize("task", ["classes", "reader"])
def test_sample_weights_of_a_given_loss_apply_to_targets_among_the_inputs(task):
    assert difference(results(make_case(task), WEIGHTS, own=False, y="among")) < CLOSE


@pytest.mark.parametrize("task", ["classes", "reader", "pretrainer"])
def test_sample_weights_apply_to_validation_data_with_targets_among_the_inputs(task):
    case = make_case(task)
    case.ours.compile(keras.optimizers.SGD(0.0), run_eagerly=EAGER)
    batch, settings = case.x | case.targets, {"batch_size": B, "verbose": 0}
    expected = case.ours.evaluate(case.x, case.targets, sample_weight=WEIGHTS, **settings)
    logs = case.ours.fit(batch, validation_data=(batch, None, WEIGHTS), **settings).history
    assert logs["val_loss"] == pytest.approx([np.ravel(expected)[0]], rel=CLOSE)
    half = {key: value[B // 2 :] for key, value in batch.items()}
    expected = case.ours.evaluate(half, sample_weight=WEIGHTS[B // 2 :], **settings)
    logs = case.ours.fit(batch, validation_split=0.5, sample_weight=WEIGHTS, **settings).history
    assert logs["val_loss"] == pytest.approx([np.ravel(expected)[0]], rel=CLOSE)


def test_sample_weights_by_name_are_one_array_or_rejected():
    case = make_case("reader")
    case.ours.compile("sgd", run_eagerly=EAGER)
    batch = case.x | case.targets
    expected = case.ours.evaluate(batch, verbose=0, batch_size=B, sample_weight=WEIGHTS)
    by_name = dict.fromkeys(case.ours.target_of, WEIGHTS)
    assert case.ours.evaluate(batch, verbose=0, batch_size=B, sample_weight=by_name) == expected
    outputs = {output: case.targets[key] for output, key in case.ours.target_of.items()}
    answered = case.x | {"answer_weights": case.targets["answer_weights"]}
    assert case.ours.evaluate(answered, outputs, B, 0, sample_weight=WEIGHTS) == expected
    with pytest.raises(ValueError, match="`SpanBertQuestionAnswerer` weights whole rows"):
        case.ours.evaluate(batch, sample_weight={"start_logits": WEIGHTS, "end_logits": WEIGHTS + 1})
    case.ours.compile("sgd", loss=case.loss, run_eagerly=EAGER)
    with pytest.raises(ValueError, match="`sample_weight` by name needs one entry for each target of the batch"):
        case.ours.evaluate(batch, sample_weight=by_name)


def test_class_weights_apply_to_targets_by_name():
    weights = {0: 0.01, 1: 3.0, 2: 1.0}
    for y in ("own", "among", "dict"):
        case = make_case("classes")
        assert difference(results(case, class_weight=weights, y=y)) < CLOSE, y
        assert difference(results(case, class_weight=weights, y=y, own=False)) < CLOSE, y
    case.ours.compile(keras.optimizers.SGD(0.0), run_eagerly=EAGER)
    batch = case.x | case.targets
    expected = case.ours.train_on_batch(case.x, case.plain_y, class_weight=weights)
    assert case.ours.train_on_batch(batch, class_weight=weights) == pytest.approx(expected, rel=CLOSE)
    assert case.ours.train_on_batch(case.x, case.targets, class_weight=weights) == pytest.approx(expected, rel=CLOSE)


@pytest.mark.skipif(BACKEND != "tensorflow", reason="a tf.data.Dataset")
def test_class_weights_apply_to_targets_by_name_in_a_dataset():
    import tensorflow as tf

    case, weights = make_case("classes"), {0: 0.01, 1: 3.0, 2: 1.0}
    case.ours.compile(keras.optimizers.SGD(0.0), run_eagerly=EAGER)
    expected = case.ours.train_on_batch(case.x, case.plain_y, class_weight=weights)
    for elements in (case.x | case.targets, (case.x, case.targets), (case.x, case.plain_y)):
        data = tf.data.Dataset.from_tensor_slices(elements).batch(B)
        loss = case.ours.fit(data, class_weight=weights, verbose=0).history["loss"]
        assert loss == pytest.approx([expected], rel=CLOSE)


def test_class_weights_without_classes_are_rejected_with_a_message():
    for task in TASKS[1:]:
        case = make_case(task)
        case.ours.compile("sgd", run_eagerly=EAGER)
        sentence = rf"`class_weight` weights rows by their class, and the targets of this `{type(case.ours).__name__}`"
        for method in (case.ours.fit, case.ours.train_on_batch):
            with pytest.raises(ValueError, match=sentence):
                method(case.x | case.targets, class_weight={0: 1.0, 1: 2.0})
    case = make_case("classes")
    case.ours.compile("sgd", run_eagerly=EAGER)

    class Batches(keras.utils.PyDataset):
        def __len__(self):
            return 1

        def __getitem__(self, index):
            return case.x | case.targets

    with pytest.raises(ValueError, match=r"Expected: batches \(x, y\) with the classes as `y`"):
        case.ours.fit(Batches(), class_weight={0: 1.0, 1: 2.0})


def test_class_weights_and_plain_targets_are_keras():
    case = make_case("classes")
    assert difference(results(case, class_weight={0: 0.01, 1: 3.0, 2: 1.0}, y="plain")) < CLOSE


def test_plain_numbers_of_classes_are_targets():
    case = make_case("classes")
    case.plain_y, case.loss = np.arange(B) % 3, keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    assert difference(results(case, class_weight={0: 0.01, 1: 3.0}, y="plain")) < CLOSE


def test_the_loss_of_uneven_batches_over_two_epochs_is_keras():
    assert difference(results(make_case("classes"), WEIGHTS, steps=2, batch=3)) < CLOSE


@pytest.mark.parametrize("task", ["classes", "reader", "pretrainer", "pairs"])
def test_a_given_loss_is_computed_from_the_models_own_targets(task):
    case = make_case(task)
    regularize(case.ours), regularize(case.plain)
    case.scale = 1.0  # the mean over all positions, as in Keras
    assert difference(results(case, WEIGHTS if task in ("pretrainer", "pairs") else None, own=False)) < CLOSE


@pytest.mark.parametrize("task", ["number", "reader", "pretrainer", "pairs"])
def test_a_given_loss_takes_targets_by_the_outputs_names(task):
    case = make_case(task)
    case.ours.compile("sgd", run_eagerly=EAGER, loss=case.loss, loss_weights=case.loss_weights)
    case.plain.compile("sgd", run_eagerly=EAGER, loss=case.loss, loss_weights=case.loss_weights)
    arguments = {"batch_size": B, "verbose": 0, "return_dict": True}
    found, expected = (m.evaluate(case.x, case.plain_y, **arguments) for m in (case.ours, case.plain))
    assert found["loss"] == pytest.approx(expected["loss"], rel=CLOSE)


def test_a_loss_of_one_output_and_its_weight_are_honoured():
    case = make_case("pretrainer")
    case.ours.compile(
        "sgd", run_eagerly=EAGER, loss={"masked_lm": case.loss["masked_lm"]}, loss_weights={"masked_lm": 0.25}
    )
    found = case.ours.evaluate(case.x | case.targets, batch_size=B, verbose=0, return_dict=True)
    losses = fit_oracle.keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction=None)(
        case.targets["mask_ids"], case.ours.predict(case.x, verbose=0)["masked_lm"]
    )
    expected = 0.25 * np.mean(ops.convert_to_numpy(losses) * case.targets["mask_weights"])
    assert found["loss"] == pytest.approx(expected, rel=1e-5)


def test_a_loss_that_was_given_is_forgotten_when_the_model_is_compiled_without():
    case = make_case("classes")
    case.ours.compile("sgd", run_eagerly=EAGER, loss="mse")
    case.ours.compile("sgd", run_eagerly=EAGER)
    case.plain.compile("sgd", run_eagerly=EAGER, loss=case.loss)
    found = case.ours.train_on_batch(case.x | case.targets)
    assert found == pytest.approx(case.plain.train_on_batch(case.x, case.plain_y), rel=CLOSE)


@pytest.mark.parametrize("task, metric", [("classes", "accuracy"), ("number", "mae"), ("reader", "accuracy")])
def test_metrics_of_targets_in_one_dict_are_keras(task, metric):
    case = make_case(task)
    names = ["start_logits", "end_logits"] if task == "reader" else None
    metrics = {name: [metric] for name in names} if names else [metric]
    found = results(case, metrics=metrics, weighted_metrics=metrics)
    assert difference(found) < CLOSE
    shown = {key: value for key, value in found["plain_logs"].items() if not key.endswith("loss")}
    assert len(shown) == 2 * len(names or [1])
    assert {key: found["ours_logs"][key] for key in shown} == pytest.approx(shown, rel=CLOSE)


def test_weighted_metrics_of_the_pretrainer_leave_padding_out_and_others_are_rejected():
    case = make_case("pretrainer")
    metrics = {name: ["accuracy"] for name in ("masked_lm", "span_boundary")}
    case.targets["mask_ids"][:] = case.ours.predict(case.x, verbose=0)["masked_lm"].argmax(-1)
    case.targets["mask_ids"][::2, 0] = 0
    case.ours.compile("sgd", run_eagerly=EAGER, weighted_metrics=metrics)
    logs = case.ours.evaluate(case.x | case.targets, batch_size=B, verbose=0, return_dict=True)
    right = case.ours.predict(case.x, verbose=0)["masked_lm"].argmax(-1) == case.targets["mask_ids"]
    assert logs["masked_lm_accuracy"] == pytest.approx(np.average(right, weights=case.targets["mask_weights"]))
    case.ours.compile("sgd", run_eagerly=EAGER, metrics=metrics)
    with pytest.raises(ValueError, match="`metrics` would count the padding of .*weighted_metrics"):
        case.ours.evaluate(case.x | case.targets, batch_size=B, verbose=0)


def test_targets_that_cannot_be_compared_are_rejected_with_a_message():
    resolver = make_case("resolver")
    for settings in ({"metrics": ["accuracy"]}, {"loss": "mse"}):
        resolver.ours.compile("sgd", run_eagerly=EAGER, **settings)
        with pytest.raises(ValueError, match=r"need a target for each output of `SpanBertCoreferenceResolver`"):
            resolver.ours.train_on_batch(resolver.x | resolver.targets)
    reader = make_case("reader")
    several = {key: np.repeat(value, 2, axis=1) for key, value in reader.targets.items()}
    reader.ours.compile("sgd", run_eagerly=EAGER, metrics={"start_logits": ["accuracy"]})
    with pytest.raises(
        ValueError, match=r"one answer per row. Expected: `\w+` of shape \(B, 1\). Received: \(\w+, 2\)"
    ):
        reader.ours.train_on_batch(reader.x | several)
    with pytest.raises(ValueError, match="`loss_weights` weight the losses given as `loss`"):
        reader.ours.compile("sgd", run_eagerly=EAGER, loss_weights={"start_logits": 1.0})


@pytest.mark.slow
@pytest.mark.skipif(BACKEND != "tensorflow", reason="one backend is enough: the loop is Keras'")
def test_accumulated_gradients_several_steps_per_call_and_xla_are_keras():
    def accumulating():
        return keras.optimizers.SGD(0.5, gradient_accumulation_steps=2)

    settings = {"evaluated": False, "run_eagerly": False, "jit_compile": True}
    found = results(make_case("number"), WEIGHTS, batch=2, optimizer=accumulating, steps_per_execution=2, **settings)
    assert difference(found) < CLOSE


@pytest.mark.parametrize("task", ["classes", "reader", "pretrainer", "resolver"])
def test_float16_scales_the_loss(task):
    model = make_case(task, policy="mixed_float16").ours
    model.compile("sgd", run_eagerly=EAGER)
    assert isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)


def test_the_encoder_itself_is_fitted_as_any_model():
    case = make_case("classes")
    encoder = case.ours.encoder
    encoder.compile(keras.optimizers.SGD(0.5), loss="mse")
    logs = encoder.evaluate(case.x | {"more": case.x["token_ids"]}, np.zeros((B, 6, 8)), B, 0, return_dict=True)
    expected = np.mean(np.square(encoder.predict(case.x, verbose=0)["sequence_output"]))
    assert logs["loss"] == pytest.approx(expected, rel=1e-5)


def test_keras_names_that_are_not_public_are_as_they_were():
    model = make_case("classes").ours
    model.compile("sgd", run_eagerly=EAGER, loss="mse", metrics=["mae"])
    assert model._compile_loss is not None and model._compile_metrics is not None
    assert named_targets.sum_over_replicas([1.0]) == [1.0]


@pytest.mark.parametrize("kind", [SpanBertTextClassifier, SpanBertQuestionAnswerer, SpanBertPretrainer])
def test_every_output_with_a_target_is_an_output(kind):
    assert set(kind.target_of.values()) <= set(kind.target_keys)
    assert set(kind.weight_of) <= set(kind.target_of) and set(kind.weight_of.values()) <= set(kind.target_keys)


@pytest.mark.skipif(BACKEND != "tensorflow", reason="strategies are TensorFlow's")
@pytest.mark.parametrize(
    "models, tasks",
    [(["ours"], ["pretrainer", "pairs"]), pytest.param(["ours", "plain"], TASKS, marks=pytest.mark.slow)],
    ids=["keras_on_one", "keras_on_two"],
)
def test_two_replicas_make_keras_step_and_that_of_one(root, models, tasks):
    done = subprocess.run(
        [sys.executable, "-c", REPLICAS, json.dumps(WEIGHTS.tolist()), json.dumps(models), *tasks],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    for task, (off, loss) in json.loads(done.stdout.splitlines()[-1]).items():
        assert off < CLOSE, task
        case = make_case(task)
        regularize(case.ours)
        case.ours.compile("sgd", run_eagerly=EAGER)
        alone = case.ours.evaluate(case.x, case.targets, B, 0, sample_weight=WEIGHTS)
        assert loss == pytest.approx(np.ravel(alone)[0], rel=CLOSE), task
