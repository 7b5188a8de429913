"""What every task model promises of `compile` and `fit`: losses and metrics are honoured or rejected, Keras' options
and callbacks work."""

import os
import subprocess
import sys

import keras
import numpy as np
import pytest

from tests.promises import model_cases
from tests.promises.model_cases import TASKS, same

BACKEND = keras.backend.backend()
FAST = {"run_eagerly": BACKEND == "tensorflow"}
HONOURED = {  # a loss and a metric for each output that has a target
    "classify": (keras.losses.BinaryCrossentropy(from_logits=True), ["binary_accuracy"]),
    "extract": (keras.losses.SparseCategoricalCrossentropy(from_logits=True), ["accuracy"]),
    "answer": (keras.losses.SparseCategoricalCrossentropy(from_logits=True), ["accuracy"]),
    "recognize": (keras.losses.SparseCategoricalCrossentropy(from_logits=True), ["accuracy"]),
    "fill_spans": (keras.losses.SparseCategoricalCrossentropy(from_logits=True), ["accuracy"]),
}
TO_THE_OUTPUTS = "is for the outputs of .*Expected: a dict by their names|need a target for each output"
NO_NAME = "Could not interpret|Unable to"


@pytest.fixture(params=TASKS, scope="module")
def case(request):
    return TASKS[request.param]


@pytest.fixture(params=["SpanBertTextClassifier", "SpanBertQuestionAnswerer"], scope="module")
def one_case(request):
    """A case: the training loop is the same for all models."""
    return TASKS[request.param]


def make(case, **compiling):
    keras.utils.set_random_seed(3)
    model = case.make(model_cases.make_encoder(num_layers=1), preprocessor=case.make_preprocessor())
    if compiling:
        model.compile(**compiling)
    return model


# --- losses and metrics


def test_a_loss_and_metrics_of_keras_are_honoured_or_rejected_by_a_sentence(case):
    model = make(case)
    rows = model.preprocessor(*case.raw)
    if case.method not in HONOURED:
        for given in ({"loss": "mse"}, {"metrics": ["accuracy"]}, {"weighted_metrics": ["accuracy"]}):
            model.compile("sgd", **given, **FAST)
            for data in (case.raw, rows):
                with pytest.raises(ValueError, match="need a target for each output of .*Missing: .*Give them as `y`"):
                    model.train_on_batch(*data)
        return
    loss, metrics = HONOURED[case.method]
    by_output = dict.fromkeys(model.output, metrics)
    found = []
    model.compile("sgd", loss=loss, weighted_metrics=by_output, **FAST)
    for data in (case.raw, rows):
        model.preprocessor = case.make_preprocessor()
        found.append(model.evaluate(*data, verbose=0, batch_size=99, return_dict=True))
        assert all(any(name.endswith(metric) for name in found[-1]) for metric in metrics)
    assert found[0] == pytest.approx(found[1], rel=1e-4)
    assert sum("accuracy" in name for name in found[0]) >= len(by_output)
    seen = []

    def mine(targets, outputs):
        seen.append(outputs.shape)
        return keras.ops.mean(outputs, axis=-1) * 0.0 + 3.0

    model.compile("sgd", loss=mine, **FAST)
    mine_loss = model.evaluate(*case.raw, verbose=0, return_dict=True, batch_size=99)["loss"]
    assert seen and (mine_loss == pytest.approx(3.0 * len(by_output)) or bool(model.weight_of))


@pytest.mark.parametrize(
    "given, message",
    [
        ({"loss": "nonsense"}, NO_NAME),
        ({"metrics": ["nonsense"]}, NO_NAME),
        ({"loss": {"nonsense": "mse"}}, TO_THE_OUTPUTS),
        ({"metrics": {"nonsense": ["accuracy"]}}, TO_THE_OUTPUTS),
        ({"weighted_metrics": {"nonsense": ["accuracy"]}}, TO_THE_OUTPUTS),
        ({"loss": "mse", "loss_weights": {"nonsense": 2.0}}, TO_THE_OUTPUTS),
        ({"loss": ["mse", "mse", "mse"]}, TO_THE_OUTPUTS + "|one for targets|3 elements|should have"),
        ({"loss_weights": [2.0]}, "`loss_weights` weight the losses given as `loss`"),
        ({"metrics": "accuracy"}, "Expected `metrics` argument to be a list|need a target|must be a list"),
    ],
)
def test_what_fits_no_output_is_rejected_by_a_sentence(case, given, message):
    model = make(case)
    with pytest.raises(ValueError, match=message):
        model.compile("sgd", **given, **FAST)
        model.train_on_batch(*case.part(0, 2))


def test_accuracy_for_all_outputs_is_honoured_or_rejected_by_a_sentence(case):
    model = make(case)
    several = case.method in ("answer", "fill_spans", "resolve")
    for argument in ("metrics", "weighted_metrics"):
        if several:
            with pytest.raises(ValueError, match=TO_THE_OUTPUTS):
                model.compile("sgd", **{argument: ["accuracy"]}, **FAST)
                model.train_on_batch(*case.part(0, 2))
        elif argument == "metrics" and model.weight_of:
            model.compile("sgd", metrics=["accuracy"], **FAST)
            with pytest.raises(ValueError, match="would count the padding .*Use `weighted_metrics`"):
                model.train_on_batch(*case.part(0, 2))
        else:
            model.compile("sgd", **{argument: ["accuracy"]}, **FAST)
            assert set(model.fit(*case.part(0, 2), verbose=0).history) == {"loss", "accuracy"}


def test_a_metric_of_one_output_is_honoured_and_shapes_that_do_not_fit_are_reported():
    reader = make(TASKS["SpanBertQuestionAnswerer"])
    reader.compile("sgd", metrics={"start_logits": ["accuracy"]}, **FAST)
    logs = reader.evaluate(*TASKS["SpanBertQuestionAnswerer"].raw, verbose=0, return_dict=True)
    assert set(logs) == {"loss", "start_logits_accuracy"}
    extractor = TASKS["SpanBertRelationExtractor"]
    model = make(extractor, optimizer="sgd", loss="mse", **FAST)
    with pytest.raises(ValueError, match=r"The loss given to `compile` cannot compare.*\(\w+,\).*Sparse"):
        model.fit(*extractor.part(0, 3), verbose=0)
    model = make(TASKS["SpanBertTextClassifier"], optimizer="sgd", loss="sparse_categorical_crossentropy", **FAST)
    with pytest.raises(ValueError, match=r"target|shape"):
        model.fit(*TASKS["SpanBertTextClassifier"].part(0, 3), verbose=0)


# --- Keras' options


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({"jit_compile": True}, marks=pytest.mark.slow),
        {"run_eagerly": True},
        pytest.param({"steps_per_execution": 2}, marks=pytest.mark.slow),
    ],
)
def test_options_of_compile_change_no_numbers(options):
    if BACKEND == "torch" and options.get("jit_compile"):
        pytest.skip("compiles with a compiler of C++, which may be missing")
    case = TASKS["SpanBertTextClassifier"]
    losses = []
    for given in ({**FAST}, options):
        model = make(case, optimizer=keras.optimizers.SGD(0.0), **given)
        model.fit(*case.raw, batch_size=4, verbose=0)
        losses.append(model.evaluate(*case.raw, batch_size=4, verbose=0))
    assert losses[1] == pytest.approx(losses[0], rel=1e-4)


def test_steps_per_epoch_are_counted(one_case):
    steps = []
    counter = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: steps.append(batch))
    model = make(one_case, optimizer="sgd", **FAST)
    model.fit(*one_case.raw, batch_size=3, steps_per_epoch=2, epochs=2, verbose=0, callbacks=[counter])
    assert steps == [0, 1, 0, 1]


def test_callbacks_of_keras_write_restore_and_stop(one_case, tmp_path):
    case, texts = one_case, one_case.texts
    model = make(case, optimizer=keras.optimizers.SGD(0.1), **FAST)
    checkpoint = keras.callbacks.ModelCheckpoint(tmp_path / "{epoch}.keras", save_freq="epoch")
    settings = {"batch_size": 8, "verbose": 0, "validation_data": case.part(6)}
    board = keras.callbacks.TensorBoard(tmp_path / "board", write_graph=False)
    model.fit(*case.part(0, 6), epochs=2, callbacks=[checkpoint, board], **settings)
    assert list((tmp_path / "board").rglob("events*"))
    loaded = keras.saving.load_model(tmp_path / "2.keras")
    same(case.ask(loaded, *texts), case.ask(model, *texts))
    assert int(keras.ops.convert_to_numpy(loaded.optimizer.iterations)) == int(
        keras.ops.convert_to_numpy(model.optimizer.iterations)
    )
    kept = []
    keep = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: kept.append(model.get_weights()))
    early = keras.callbacks.EarlyStopping("val_loss", min_delta=1e9, patience=1, restore_best_weights=True)
    history = model.fit(*case.part(0, 6), epochs=5, callbacks=[keep, early], **settings).history
    assert len(history["val_loss"]) == 2
    found = dict(zip([w.path for w in model.weights], model.get_weights(), strict=True))
    for number, path in enumerate(found):
        if "seed" not in path:
            np.testing.assert_array_equal(found[path], kept[0][number], err_msg=path)


def test_an_interrupted_run_is_resumed_by_keras(one_case, tmp_path):
    class Stop(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 1:
                raise InterruptedError

    backup = {"backup_dir": tmp_path / "backup"}
    model = make(one_case, optimizer=keras.optimizers.SGD(0.1), **FAST)
    with pytest.raises(InterruptedError):
        model.fit(*one_case.raw, epochs=3, verbose=0, callbacks=[keras.callbacks.BackupAndRestore(**backup), Stop()])
    again = make(one_case, optimizer=keras.optimizers.SGD(0.1), **FAST)
    history = again.fit(*one_case.raw, epochs=3, verbose=0, callbacks=[keras.callbacks.BackupAndRestore(**backup)])
    assert history.epoch == [1, 2]


# --- several devices

DEVICES = """
import sys
import keras, numpy as np
from tests.promises import model_cases
from tests.promises.model_cases import TASKS

def losses(case):
    keras.utils.set_random_seed(3)
    model = case.make(model_cases.make_encoder(num_layers=1), preprocessor=case.make_preprocessor())
    model.compile(keras.optimizers.SGD(0.0))
    logs = model.evaluate(*case.part(0, 9), verbose=0, batch_size=4, return_dict=True)
    fitted = model.fit(*case.part(0, 9), verbose=0, batch_size=4).history["loss"]
    return logs["loss"], np.isfinite(fitted).all(), len(next(iter(model.predict(case.raw[0], verbose=0).values())))

for name in sys.argv[1:]:
    case = TASKS[name]
    keras.distribution.set_distribution(None)
    alone = losses(case)
    devices = keras.distribution.list_devices("cpu")
    assert len(devices) == 2
    keras.distribution.set_distribution(keras.distribution.DataParallel(devices=devices, auto_shard_dataset=False))
    shared = losses(case)
    assert abs(alone[0] - shared[0]) < 1e-4 * abs(alone[0]), (name, alone, shared)
    assert alone[1:] == shared[1:] and alone[1], (name, alone, shared)
print("done")
"""


@pytest.mark.skipif(BACKEND != "jax", reason="Keras distributes on JAX")
@pytest.mark.parametrize(
    "names", [["SpanBertTextClassifier"], pytest.param([*TASKS], marks=pytest.mark.slow)], ids=["one", "all"]
)
def test_two_devices_of_jax_compute_what_one_does_of_numbers_that_do_not_divide(root, names):
    flags = {"XLA_FLAGS": "--xla_force_host_platform_device_count=2", "PYTHONPATH": str(root)}
    done = subprocess.run(
        [sys.executable, "-c", DEVICES, *names], cwd=root, env=os.environ | flags, capture_output=True, text=True
    )
    assert done.returncode == 0 and done.stdout.endswith("done\n"), done.stderr[-2000:]
