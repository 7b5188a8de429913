"""What every task model promises, whatever its task: texts, inputs, targets, precision, threads, configs and files."""

import concurrent.futures
import inspect
import json
import math
import sys
import threading

import keras
import numpy as np
import pytest

import spanbert_keras
from spanbert_keras.models.compiled_call import CompiledCall
from spanbert_keras.models.named_targets import NamedTargets
from tests.promises import model_cases
from tests.promises.model_cases import CASES, TASKS, as_arrays, outputs_of, same

BACKEND = keras.backend.backend()
FAST = {"run_eagerly": BACKEND == "tensorflow"}  # to trace takes TensorFlow longer than the few steps of a test
SHIFTS = ("attention/key/bias", "head_score/bias")  # added to all scores of a softmax, which does not change


@pytest.fixture(params=CASES, scope="module")
def case(request):
    return CASES[request.param]


@pytest.fixture(scope="module")
def make(case, randomize):
    """Function that makes the case's model full of noise; its arguments are those of the encoder."""

    def make(scale=0.4, **encoder):
        model = case.make(model_cases.make_encoder(num_layers=1, **encoder))
        randomize(model, seed=13, scale=scale)
        return model

    return make


@pytest.fixture(scope="module")
def model(make):
    return make()


@pytest.fixture(scope="module")
def said(case, model):
    """What the model says of all texts."""
    found = case.ask(model)
    assert all(one not in found[:place] for place, one in enumerate(found))  # so that differences show
    return found


def test_every_task_model_is_in_the_table():
    public = [getattr(spanbert_keras, name) for name in spanbert_keras.__all__]
    models = {kind.__name__ for kind in public if isinstance(kind, type) and issubclass(kind, NamedTargets)}
    assert models == set(TASKS)


# --- texts


def test_the_texts_show_different_decisions(case, said):
    """Chains and none, answers and none, one label and another."""
    assert len(case.decisions(said)) > 1


def test_threads_get_the_answers_of_one_and_every_text_is_counted(case, make):
    """The first calls of all, which compile the model, are those of threads."""
    model = make()
    before, interval = counts(model), sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        with concurrent.futures.ThreadPoolExecutor(5) as pool:
            found = list(pool.map(lambda text: case.ask_one(model, text), case.texts * 4))
    finally:
        sys.setswitchinterval(interval)
    by_threads = counts(model) - before
    same(found, case.ask(model) * 4)
    assert (by_threads == 4 * (counts(model) - before - by_threads)).all()
    assert not len(by_threads) or by_threads[0] == 4 * len(case.texts)


def test_a_thread_waits_until_another_is_done(case, model, said, monkeypatch):
    computing = threading.Event()
    for kind, name in ((keras.Model, "predict_on_batch"), (CompiledCall, "__call__")):
        compute = getattr(kind, name)
        monkeypatch.setattr(kind, name, lambda self, x, compute=compute: computing.set() or compute(self, x))
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        with model._one_call:
            job = pool.submit(case.ask, model)
            assert not computing.wait(0.2)
        same(job.result(), said)
    assert computing.is_set()


def counts(model):
    return np.array(list(getattr(model, "counts", {}).values()))


def test_a_text_alone_gets_what_it_gets_among_others(case, model, said):
    same([case.ask_one(model, text) for text in case.texts], said)
    settings = inspect.signature(getattr(model, case.method)).parameters
    for given in [{"batch_size": size} for size in (1, 2, 3)] if "batch_size" in settings else [{}]:
        same(case.ask(model, *case.texts[::-1], **given)[::-1], said)


def test_texts_need_a_tokenizer(case):
    with pytest.raises(ValueError, match="needs an encoder with a tokenizer|encoder was made without one"):
        case.ask(case.make(model_cases.make_encoder(vocabulary=None)))


@pytest.mark.skipif(BACKEND == "torch", reason="torch computes eagerly: there is nothing to compile")
def test_warm_up_compiles_the_shapes_of_all_texts_at_most_eight_and_no_others(case, make, monkeypatch):
    model, seen = make(), []
    if not hasattr(model, "warm_up"):
        pytest.skip("has no warm-up")
    compute = model.compute_rows
    monkeypatch.setattr(model, "compute_rows", lambda x: seen.append(x["token_ids"].shape) or compute(x))
    model.warm_up(batch_size=6)
    warm, function, count = set(seen), compiled_function(model), compiled(model)
    assert 1 <= count <= len(warm) <= 8 and len({length for _, length in warm}) >= 3
    seen.clear()
    for text in case.texts:
        case.ask(model, text, batch_size=6)
        case.ask(model, text, text, batch_size=6)
    assert compiled_function(model) is function and compiled(model) == count
    assert set(seen) == warm or BACKEND == "tensorflow"  # whose one tracing serves every shape
    for batch_size in (2, 3, 5):
        case.ask(model, batch_size=batch_size)
        assert compiled(model) <= 8


def compiled_function(model):
    return model._compiled_call._function if BACKEND == "tensorflow" else model.predict_function


def compiled(model):
    """Returns how many shapes the predicting function of a model was traced or compiled for."""
    if BACKEND == "tensorflow":
        return 1  # see `compiled_call_test.py`
    found, waiting = [], [model.predict_function]
    while waiting:
        function = waiting.pop()
        if hasattr(function, "_cache_size"):
            found.append(function._cache_size())
        elif callable(function):
            waiting += [cell.cell_contents for cell in getattr(function, "__closure__", None) or ()]
    assert found
    return max(found)


# --- inputs and outputs by name


def test_other_entries_and_their_order_change_nothing(case, model):
    expected = as_arrays(outputs_of(model, {key: case.batch[key] for key in model.input_keys}))
    extra = {"aaa": case.batch["token_ids"] + 1, "padding_masks": case.batch["padding_mask"] * 0}
    given = dict(reversed((case.batch | extra).items()))
    weights = [[w.value for w in group] for group in (model.trainable_variables, model.non_trainable_variables)]

    def stateless(inputs, training):
        return model.stateless_call(*weights, inputs, training=training)[0]

    for call in (model, stateless):
        np.testing.assert_equal(as_arrays(outputs_of(call, given)), expected)


def test_a_missing_input_is_named(case, model):
    for key in model.input_keys:
        with pytest.raises(ValueError, match=rf"Missing: \['{key}'\]"):
            model({name: value for name, value in case.batch.items() if name != key})


def test_targets_may_come_as_y_and_missing_ones_are_named(case, make):
    model = make()
    model.compile("sgd", **FAST)
    targets = {key: case.batch[key] for key in model.target_keys}
    inputs = {key: case.batch[key] for key in model.input_keys}
    together = model.evaluate(inputs | targets, verbose=0)
    assert model.evaluate(inputs, targets, verbose=0) == pytest.approx(together, rel=1e-6)
    with pytest.raises(ValueError, match=rf"Missing: \[{', '.join(map(repr, model.target_keys))}\]"):
        model.evaluate(inputs, verbose=0)


# --- training and precision


def test_a_few_steps_lower_the_loss_and_move_every_weight(case):
    keras.utils.set_random_seed(0)
    model = case.make(model_cases.make_encoder(num_layers=1))
    before = {w.path: keras.ops.convert_to_numpy(w).copy() for w in model.trainable_weights}
    model.compile(keras.optimizers.Adam(0.05), **FAST)
    losses = model.fit(case.batch, epochs=6, verbose=0).history["loss"]
    assert losses[-1] < 0.8 * losses[0]
    still = [w.path for w in model.trainable_weights if (keras.ops.convert_to_numpy(w) == before[w.path]).all()]
    assert [path for path in still if not path.endswith(SHIFTS)] == []


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision_gives_float32_near_the_exact_numbers_and_trains(case, make, policy):
    exact = make(scale=0.2)
    model = make(scale=0.2, policy=policy)
    assert model.dtype_policy.name == policy and model.encoder.compute_dtype == policy.removeprefix("mixed_")
    outputs, expected = outputs_of(model, case.batch), as_arrays(outputs_of(exact, case.batch))
    assert {keras.backend.standardize_dtype(value.dtype) for value in outputs.values()} <= {"float32", "int32"}
    for key, value in as_arrays(outputs).items():
        np.testing.assert_allclose(value, expected[key], rtol=0.02, atol=0.02, err_msg=key)
    json.dumps(case.ask(model), allow_nan=False)
    model.compile("adam", **FAST)
    scaled = isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)
    assert scaled == (policy == "mixed_float16")  # small gradients vanish in float16
    assert math.isfinite(model.fit(case.batch, verbose=0).history["loss"][0])


# --- configs and files


def test_every_setting_is_in_the_config_which_makes_the_model_again(case):
    arguments = inspect.signature(case.kind.__init__).parameters
    assert {*case.settings, *case.shorthands, "self", "encoder", "kwargs"} == set(arguments)
    assert [key for key, value in case.settings.items() if value == arguments[key].default] == []
    for policy, own in (("mixed_float16", None), ("float32", "mixed_bfloat16")):
        encoder = model_cases.make_encoder(policy, num_layers=1)
        model = case.make(encoder, name="mine", trainable=False, dtype=own)
        config = json.dumps(model.get_config())
        loaded = json.loads(config)
        assert {key: loaded[key] for key in case.settings} == case.settings
        assert (loaded["name"], loaded["trainable"]) == ("mine", False) and "##h" not in config
        again = case.kind.from_config(loaded)
        assert json.dumps(again.get_config()) == config == json.dumps(loaded)
        assert (again.name, again.trainable, again.dtype_policy.name) == ("mine", False, own or policy)


def test_a_saved_model_says_the_same(case, model, said, tmp_path):
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert type(again) is case.kind and again.tokenizer.get_vocabulary() == model_cases.PIECES
    assert again.tokenizer.get_config() == model.tokenizer.get_config()
    same(case.ask(again), said)
