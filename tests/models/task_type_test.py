"""keras-hub switches the bases of all its tasks whenever one is made; ours stay what they are."""

import keras
import keras_hub
import numpy as np
import pytest

from spanbert_keras import SpanBertCoreferenceResolver, SpanBertTextClassifier
from spanbert_keras.models.task_model import TaskModel
from spanbert_keras.models.task_type import FUNCTIONAL_BASES, PipelineModel

FUNCTIONAL = FUNCTIONAL_BASES[0]


@pytest.fixture
def models(make_encoder, tokenizer):
    """A functional task model, and one with a `call` of its own."""

    def make():
        encoder = make_encoder(tokenizer=tokenizer, num_layers=1)
        classifier = SpanBertTextClassifier(encoder, ["x", "y"])
        return classifier, SpanBertCoreferenceResolver(encoder, segment_length=8, hidden_dim=4, feature_dim=4)

    return make


def layers_of(models):
    return [[layer.name for layer in model.layers] for model in models]


@pytest.mark.parametrize("base", [FUNCTIONAL, keras.Model])
def test_models_work_whatever_base_the_tasks_of_keras_hub_have(models, base, rows, to_numpy):
    before = models()
    logits, layers = to_numpy(before[0](rows)["logits"]), layers_of(before)
    found = PipelineModel.__bases__
    PipelineModel.__bases__ = (base,)
    try:
        np.testing.assert_array_equal(to_numpy(before[0](rows)["logits"]), logits)
        assert layers_of(before) == layers
        for classifier, resolver in (before, models()):
            assert isinstance(classifier, FUNCTIONAL) and not isinstance(resolver, FUNCTIONAL)
            assert len(resolver.layers) == 6 and "encoder" in resolver.encoder.name
        assert PipelineModel.__bases__ == (base,)  # our models switch nothing
    finally:
        PipelineModel.__bases__ = found


def test_ours_and_those_of_keras_hub_live_in_one_process(models, rows, to_numpy):
    first = models()
    backbone = keras_hub.models.BertBackbone(21, 1, 1, 4, 8, max_sequence_length=8)
    theirs = keras_hub.models.BertTextClassifier(backbone, num_classes=2)
    inputs = {"token_ids": rows["token_ids"][:, :8], "segment_ids": rows["segment_ids"][:, :8] * 0}
    inputs["padding_mask"] = inputs["segment_ids"] * 0 + 1
    expected = to_numpy(theirs(inputs))
    second = models()
    np.testing.assert_array_equal(to_numpy(theirs(inputs)), expected)
    for classifier, resolver in (first, second):
        assert classifier(rows)["logits"].shape == (len(rows["token_ids"]), 2)
        assert resolver.resolve(tokens=["a", "b"], sentences=[(0, 2)]).tokens == ("a", "b")


def test_all_are_tasks_of_keras_hub(models):
    for model in models():
        assert isinstance(model, keras_hub.models.Task) and isinstance(model, TaskModel)
    assert issubclass(SpanBertTextClassifier, keras_hub.models.TextClassifier)


def test_a_class_is_functional_if_it_says_so():
    class One(TaskModel):
        functional = True

    class Other(One):
        functional = False

    class Third(Other):
        pass

    assert [issubclass(cls, FUNCTIONAL) for cls in (TaskModel, One, Other, Third)] == [False, True, False, False]
    assert One.__mro__.index(FUNCTIONAL) < One.__mro__.index(keras.Model)


@pytest.mark.parametrize("functional", [True, False])
def test_a_class_that_says_the_contrary_of_what_it_is_cannot_be_made(make_encoder, tokenizer, functional):
    class Wrong(TaskModel):
        pass

    Wrong.functional = functional
    head = None if functional else (lambda sequence, inputs: {"sequence": sequence})
    with pytest.raises(TypeError, match="Expected: `functional = True` in the class"):
        Wrong(make_encoder(tokenizer=tokenizer, num_layers=1), head)
