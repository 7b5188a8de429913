"""Tests of what is scored and shown of the held-out sets."""

import types

import numpy as np
import pytest

from spanbert_keras.pretraining import held_out_evaluator
from spanbert_keras.pretraining.held_out_evaluator import HeldOutEvaluator
from spanbert_keras.training.distributed.distribution import Distribution

BATCHES = ["batch 0", "batch 1", "batch 2"]


class Notes:
    """A monitor and its writers that note what they are given."""

    span_boundary = True

    def __init__(self):
        self.scores, self.texts = [], []

    def on_scores(self, name, done, scores):
        self.scores.append((name, done, scores))

    def writer(self, name):
        return types.SimpleNamespace(text=lambda *given: self.texts.append((name, *given)), flush=lambda: None)


@pytest.fixture
def make_evaluator(monkeypatch):
    """Function that makes an evaluator of two sets, each batch of which has two examples; `seen` are its batches."""
    monkeypatch.setattr(held_out_evaluator, "evaluate", lambda step, held_out, *given: {"loss": held_out.loss})
    monkeypatch.setattr(held_out_evaluator, "span_examples", lambda results, batch, t, count: [batch] * min(2, count))
    monkeypatch.setattr(held_out_evaluator, "as_markdown", lambda examples: ", ".join(examples))

    def make(num_examples, distribution=None):
        seen = []
        step = types.SimpleNamespace(
            distribution=distribution or Distribution(),
            evaluate=lambda batch: seen.append(batch),
            to_numpy=lambda results: results,
        )
        batches = lambda worker, workers: iter(BATCHES)  # noqa: E731
        sets = [
            types.SimpleNamespace(name=name, loss=loss, batches=batches) for name, loss in (("span", 2), ("subword", 3))
        ]
        data = types.SimpleNamespace(tokenizer=types.SimpleNamespace(mask_token_id=4), unigram=None)
        return HeldOutEvaluator(step, sets, data, Notes(), num_examples), seen

    return make


def test_every_set_is_scored_and_the_first_gives_the_examples(make_evaluator):
    evaluator, seen = make_evaluator(num_examples=3)
    scores, examples = evaluator.evaluate(7)
    assert scores == {"span": {"loss": 2.0}, "subword": {"loss": 3.0}}
    assert evaluator.monitor.scores == [("heldout_span", 7, {"loss": 2.0}), ("heldout_subword", 7, {"loss": 3.0})]
    assert examples == ["batch 0", "batch 0", "batch 1"] and seen == BATCHES[:2]  # no more batches than needed
    assert evaluator.monitor.texts == [("heldout_span", "predicted_spans", "batch 0, batch 0, batch 1", 7)]


def test_few_held_out_rows_give_few_examples(make_evaluator):
    evaluator, seen = make_evaluator(num_examples=100)
    assert len(evaluator.evaluate(7)[1]) == 6 and seen == BATCHES


@pytest.mark.parametrize("chiefs, batches", [(3.0, 1), (2.0, 3)])
def test_other_workers_stop_with_the_chief_and_write_nothing(make_evaluator, chiefs, batches):
    class Second(Distribution):
        def sum(self, values):
            return values + np.array([chiefs])  # examples that the chief has

    evaluator, seen = make_evaluator(num_examples=3, distribution=Second(worker=1, num_workers=2))
    evaluator.evaluate(7)
    assert seen == BATCHES[:batches] and evaluator.monitor.texts == []
