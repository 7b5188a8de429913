"""Tests of the other side: its batches cover the rows, it learns, and padding changes nothing."""

import numpy as np
import pytest

from benchmarks.shared.transformers_classifier import TransformersClassifier

TEXTS = ["The object is a string .", "A list .", "The value of a method must be a list of names .", "A class ."] * 5


@pytest.fixture
def side(bert_folder):
    return TransformersClassifier(
        bert_folder, classes=2, learning_rate=1e-2, total_steps=40, batch_size=2, max_length=24
    )


def test_an_epoch_has_every_row_once_and_groups_like_lengths(side):
    encoded = side.encode(TEXTS)
    lengths = np.array([len(ids) for ids in encoded["input_ids"]])
    spread = {}
    for grouped in (True, False):
        batches = side.epoch(encoded, grouped)
        assert sorted(np.concatenate(batches).tolist()) == list(range(20)) and {len(b) for b in batches} == {2}
        spread[grouped] = sum(np.ptp(lengths[batch]) for batch in batches)
    assert spread[True] < spread[False]


@pytest.mark.parametrize("regression", [False, True])
def test_it_learns_from_rows_and_their_targets(bert_folder, regression):
    side = TransformersClassifier(bert_folder, 1 if regression else 2, 1e-2, 60, batch_size=4, max_length=24)
    encoded = side.encode(TEXTS)
    targets = np.array([len(text) > 10 for text in TEXTS], np.float32 if regression else np.int64)
    losses = [side.step(encoded, targets, rows) for _ in range(12) for rows in side.epoch(encoded)]
    assert np.mean(losses[-5:]) < 0.5 * np.mean(losses[:5])
    found = side.logits(encoded)
    assert (found[:, 0] > 0.5 if regression else found.argmax(1)).tolist() == targets.tolist()


def test_logits_are_in_the_order_of_the_rows_with_any_padding(side):
    encoded = side.encode(TEXTS[:5])
    whole = side.logits(encoded)
    alone = [side.logits({key: values[i : i + 1] for key, values in encoded.items()})[0] for i in range(5)]
    assert whole == pytest.approx(np.array(alone), abs=1e-5)
    assert whole == pytest.approx(side.logits(encoded, padded=True), abs=1e-5)


def test_the_rate_rises_and_falls(side):
    encoded, rates = side.encode(TEXTS), []
    for _ in range(40):
        rates.append(side.optimizer.param_groups[0]["lr"])
        side.step(encoded, np.zeros(20, np.int64), np.arange(2))
    assert rates[0] == 0.0 and rates[4] == pytest.approx(1e-2) and rates[22] == pytest.approx(0.5e-2)
    assert [group["weight_decay"] for group in side.optimizer.param_groups] == [0.01, 0.0]


def test_without_the_pooler_the_linear_layer_reads_cls(bert_folder):
    side = TransformersClassifier(bert_folder, 2, 1e-2, 40, batch_size=4, max_length=24, pooler=False)
    encoded = side.encode(TEXTS[:4])
    batch, torch = side.tokenizer.pad(dict(encoded), return_tensors="pt"), side.torch
    with torch.no_grad():
        cls = side.model.bert(**batch).last_hidden_state[:, 0].numpy()
    weight, bias = (part.detach().numpy() for part in side.model.classifier.parameters())
    assert side.logits(encoded) == pytest.approx(cls @ weight.T + bias, abs=1e-5)
    side.step(encoded, np.array([0, 1, 0, 1]), np.arange(4))
    assert side.model.bert.pooler.dense.weight.grad is None
