"""What task models share: losses by name, weights of examples, the config."""

import concurrent.futures
import json

import keras
import numpy as np
import pytest
from keras import ops

from spanbert_keras.models.coreference_resolver import SpanBertCoreferenceResolver
from spanbert_keras.models.question_answerer import SpanBertQuestionAnswerer
from spanbert_keras.models.task_model import TaskModel


class Small(TaskModel, keras.Model):
    """A task: the loss of a row is |x + y - z|."""

    target_keys = ("y", "z")

    def __init__(self, encoder, extra=1, **kwargs):
        super().__init__(encoder, **kwargs)
        self.extra = extra

    def example_losses(self, outputs, batch):
        return ops.abs(outputs["x"] + batch["y"] - batch["z"])

    def get_config(self):
        return TaskModel.get_config(self) | {"extra": self.extra}


@pytest.fixture
def small(make_encoder, tokenizer):
    return Small(make_encoder(tokenizer=tokenizer, num_layers=1, scale=None), name="mine")


def tensors(**values):
    return {key: ops.convert_to_tensor(np.array(value, "float32")) for key, value in values.items()}


X, Y, Z = tensors(x=[1, 2, 3]), tensors(y=[4, 5, 6]), tensors(z=[0, 0, 20])
LOSSES = [5.0, 7.0, 11.0]


def loss_of(model, *args, **kwargs):
    return float(ops.convert_to_numpy(model.compute_loss(*args, **kwargs)))


def test_targets_come_from_x_or_from_y_by_name(small):
    mean = sum(LOSSES) / 3
    assert loss_of(small, X | Y | Z, None, X) == pytest.approx(mean)
    assert loss_of(small, X, Y | Z, X) == pytest.approx(mean)
    assert loss_of(small, X | Y, Z, X) == pytest.approx(mean)
    assert loss_of(small, None, Z | Y, X) == pytest.approx(mean)
    assert loss_of(small, X | Y | tensors(z=[9, 9, 9]), Z, X) == pytest.approx(mean)  # that of `y` takes precedence
    assert loss_of(small, x=X | Y | Z | tensors(more=[1]), y_pred=X, training=False) == pytest.approx(mean)


@pytest.mark.parametrize(
    "x, y, missing",
    [(X | Y, None, "'z'"), (X, Y, "'z'"), (X, None, "'y', 'z'"), (None, None, "'y', 'z'")],
)
def test_a_missing_target_is_named(small, x, y, missing):
    with pytest.raises(ValueError, match=rf"needs the targets \('y', 'z'\), by name. Missing: \[{missing}\]"):
        small.compute_loss(x, y, X)


def test_targets_without_names_are_missing(small):
    with pytest.raises(ValueError, match="by name"):
        small.compute_loss(X["x"], (Y["y"], Z["z"]), X)


@pytest.mark.parametrize("weights", [[1, 1, 1], [1, 0, 3], [0, 0, 1], [0, 0, 0], [0.001, 0.002, 0]])
@pytest.mark.parametrize("kind", ["float32", "int32", "bool"])
def test_weights_of_examples_scale_losses_and_not_the_number_that_divides_them(small, weights, kind):
    values = np.array(weights, kind)
    expected = float(np.sum(LOSSES * values.astype("float64"))) / 3
    weights = ops.convert_to_tensor(values)
    assert loss_of(small, X | Y | Z, None, X, weights) == pytest.approx(expected)
    assert loss_of(small, X, Y | Z, X, sample_weight={"y": weights, "z": weights}) == pytest.approx(expected)


def test_weights_of_something_else_than_rows_are_rejected(small):
    weight = ops.ones((3,))
    with pytest.raises(ValueError, match=r"weights whole rows.*Received: weights of \['other', 'y'\]"):
        small.compute_loss(X, Y | Z, X, sample_weight={"y": weight, "other": weight})


def test_the_tokenizer_is_the_encoders(small):
    assert small.tokenizer is small.encoder.tokenizer is not None


def test_a_task_must_define_its_losses(make_encoder, tokenizer):
    class Unfinished(TaskModel, keras.Model):
        pass

    assert TaskModel.target_keys == ()
    with pytest.raises(NotImplementedError):
        Unfinished(make_encoder(tokenizer=tokenizer, num_layers=1, scale=None)).example_losses(None, None)


class Summing(TaskModel, keras.Model):
    """A functional task with nothing but a head, the sum of `parts` numbers of each vector."""

    functional = True
    input_keys = ("token_ids", "segment_ids", "padding_mask")

    def __init__(self, encoder, parts=3, **kwargs):
        super().__init__(encoder, lambda sequence, inputs: {"sums": ops.sum(sequence[:, :, :parts], axis=-1)}, **kwargs)
        self.parts = parts

    def get_config(self):
        return TaskModel.get_config(self) | {"parts": self.parts}


@pytest.mark.parametrize("dtype", [None, "mixed_bfloat16"])
def test_a_head_is_all_that_a_functional_task_needs(make_encoder, tokenizer, rows, to_numpy, dtype):
    encoder = make_encoder(tokenizer=tokenizer, num_layers=1, dtype=dtype)
    model = Summing(encoder, parts=5, name="mine", trainable=False)
    expected = to_numpy(encoder(rows)["sequence_output"]).astype("float32")[:, :, :5].sum(-1)
    found = to_numpy(model(rows | {"more": rows["token_ids"]})["sums"]).astype("float32")
    np.testing.assert_allclose(found, expected, atol=1e-5 if dtype is None else 0.1)
    assert model.encoder is encoder and model.dtype_policy.name == encoder.dtype_policy.name
    assert (model.name, model.trainable) == ("mine", False)
    again = Summing.from_config(model.get_config())
    assert (again.parts, again.name, again.trainable) == (5, "mine", False)
    assert again.dtype_policy.name == model.dtype_policy.name


@pytest.mark.parametrize("task", [Small, Summing])
def test_every_task_needs_a_tokenizer(make_encoder, task):
    with pytest.raises(ValueError, match=f"`{task.__name__}` needs an encoder with a tokenizer. Received: one without"):
        task(make_encoder(num_layers=1, scale=None))


@pytest.mark.parametrize("task", [Small, Summing])
def test_one_thread_at_a_time_may_hold_the_lock(make_encoder, tokenizer, task):
    model = task(make_encoder(tokenizer=tokenizer, num_layers=1, scale=None))
    with model._one_call, concurrent.futures.ThreadPoolExecutor(1) as pool:
        assert not pool.submit(model._one_call.acquire, blocking=False).result()


@pytest.mark.parametrize("dtype", [None, "mixed_bfloat16"])
def test_the_config_makes_the_model_again(small, dtype):
    small = Small(small.encoder, extra=7, name="mine", dtype=dtype, trainable=False)
    assert small.dtype_policy.name == (dtype or small.encoder.dtype_policy.name)
    config = small.get_config()
    assert set(config) == {"name", "trainable", "dtype", "encoder", "extra"}
    before = json.dumps(config)
    loaded = json.loads(before)
    again = Small.from_config(loaded)
    assert again.get_config() | {"encoder": 0} == config | {"encoder": 0} and json.dumps(loaded) == before
    assert (again.name, again.extra, again.dtype_policy.name) == ("mine", 7, small.dtype_policy.name)
    assert not again.trainable and type(again.encoder) is type(small.encoder)
    assert again.encoder.get_config() == small.encoder.get_config() and again.encoder is not small.encoder
    kept = Small.from_config({"encoder": small.encoder, "dtype": "float32"})  # objects are used as they are
    assert kept.encoder is small.encoder and kept.dtype_policy.name == "float32"


@pytest.mark.parametrize("model", [SpanBertCoreferenceResolver, SpanBertQuestionAnswerer])
def test_task_models_are_subclasses(model):
    assert issubclass(model, TaskModel) and issubclass(model, keras.Model) and model.target_keys
    assert model.compute_loss is TaskModel.compute_loss
    assert model.from_config.__func__ is TaskModel.from_config.__func__
