"""Tests of weights with a learning rate of their own."""

import types

import keras
import pytest

from spanbert_keras.fine_tuning.weight_groups import groups_beside, indices_of
from spanbert_keras.models.coreference_resolver import SpanBertCoreferenceResolver
from spanbert_keras.models.encoder import SpanBertEncoder


@pytest.fixture(scope="module")
def resolver(toy_tokenizer):
    """A coreference resolver of one layer."""
    encoder = SpanBertEncoder(64, 1, 2, 8, 12, max_sequence_length=24, tokenizer=toy_tokenizer)
    return SpanBertCoreferenceResolver(encoder, max_span_width=3, hidden_dim=6, feature_dim=4)


def test_the_group_has_the_task_layers_of_a_resolver_whose_rate_falls_from_the_start(resolver):
    (group,) = groups_beside(resolver, 0.1, 10)
    layers = [variable for layer in resolver.task_layers for variable in layer.trainable_variables]
    assert [id(v) for v in group.variables] == [id(v) for v in layers]
    rates = [float(keras.ops.convert_to_numpy(group.learning_rate(step))) for step in (0, 5)]
    assert rates == [pytest.approx(0.1), pytest.approx(0.05)] and group.weight_decay == 0


def test_without_a_rate_there_is_no_group(resolver):
    assert groups_beside(resolver, None, 10) == () == indices_of((), resolver.trainable_variables)


def test_every_weight_is_clipped_with_its_group_or_with_the_rest():
    a, b, c, d = weights = [keras.Variable(0.0) for _ in range(4)]
    one, other = types.SimpleNamespace(variables=[d, b]), types.SimpleNamespace(variables=[])
    assert indices_of([one, other], weights) == ((0, 2), (3, 1))
    assert indices_of([types.SimpleNamespace(variables=[a, b, c, d])], weights) == ((0, 1, 2, 3),)
