"""Next-sentence prediction computes the right thing: BERT's, and the same in packed rows, in parts, on every backend.

The oracle is `transformers.BertForPreTraining`. B 6, T 16, V 31, D 12.
"""

import types

import keras
import numpy as np
import pytest

from spanbert_keras import SpanBertEncoder, SpanBertPretrainer
from spanbert_keras.conversion.hugging_face_names import encoder_table, masked_lm_table, next_sentence_table
from spanbert_keras.pretraining.held_out import evaluate
from spanbert_keras.pretraining.objective import PretrainingObjective
from spanbert_keras.training.backend import make_step
from spanbert_keras.training.steps.objective import StepSettings, seed_generators

B, T, V, D, M = 6, 16, 31, 12, 3
CLS, SEP = 2, 3


@pytest.fixture(scope="module", autouse=True)
def _plain_graphs(plain_graphs):
    """Runs the graphs of all tests here unoptimized."""


@pytest.fixture
def model(randomize):
    """A pretrainer with a next-sentence head, full of noise and without dropout."""
    encoder = SpanBertEncoder(V, 2, 3, D, 20, dropout=0.0, max_sequence_length=2 * T)
    pretrainer = SpanBertPretrainer(encoder, max_span_positions=4, position_dim=5, next_sentence=True)
    randomize(pretrainer, scale=0.2)
    return pretrainer


def a_pair(rng, length):
    """Returns pieces and segments of [CLS] A [SEP] B [SEP] of this length."""
    ids, first = rng.integers(5, V, length), int(rng.integers(1, length - 3))
    ids[[0, first + 1, length - 1]] = CLS, SEP, SEP
    return ids, (np.arange(length) > first + 1).astype(int)


def row_of(pairs, length):
    """Returns token ids, segment ids and padding mask of a row of pairs, one after the other."""
    row = np.zeros((3, length), "int32")
    start = 0
    for number, (ids, segments) in enumerate(pairs, 1):
        row[:, start : start + len(ids)] = ids, segments, np.full(len(ids), number)
        start += len(ids)
    return row


def batch_of(rows, length, pairs):
    """Returns a batch of rows of pairs, with masks and labels by chance.

    Args:
        rows: list of lists of pairs.
        length: int. T.
        pairs: int. P.
    """
    rng = np.random.default_rng(4)
    ids, segments, mask = np.stack([row_of(row, length) for row in rows], 1)
    positions = np.array([[*rng.choice(np.flatnonzero(ids[b] > 4), M, replace=False)] for b in range(len(rows))])
    batch = {"token_ids": ids, "segment_ids": segments, "padding_mask": mask, "mask_positions": np.sort(positions)}
    batch["left_positions"], batch["right_positions"] = batch["mask_positions"] - 1, batch["mask_positions"] + 1
    batch |= {"span_offsets": 0 * positions, "mask_ids": rng.integers(5, V, positions.shape)}
    counts = np.array([len(row) for row in rows])[:, None]
    starts = [np.cumsum([0, *(len(ids) for ids, _ in row)])[:-1] for row in rows]
    batch["pair_positions"] = np.array([[*row, *[0] * (pairs - len(row))] for row in starts])
    batch["next_sentence_labels"] = rng.integers(0, 2, (len(rows), pairs))
    batch = {name: values.astype("int32") for name, values in batch.items()}
    batch["mask_weights"] = (np.arange(M) < 1 + np.arange(len(rows))[:, None] % M).astype("float32")
    batch |= {"span_weights": batch["mask_weights"], "pair_weights": (np.arange(pairs) < counts).astype("float32")}
    return batch


def one_pair_each(seed=1):
    """Returns a batch of one pair a row, of different lengths."""
    rng = np.random.default_rng(seed)
    return batch_of([[a_pair(rng, int(length))] for length in rng.integers(8, T + 1, B)], T, 1)


def packed(seed=1):
    """Returns a batch of rows of one to three pairs."""
    rng = np.random.default_rng(seed)
    lengths = ((10, 9, 13), (16, 16), (12,), (9, 11, 12), (30,), (14, 8))
    return batch_of([[a_pair(rng, length) for length in row] for row in lengths], 2 * T, 3)


def make_training(model, objective, **settings):
    """Returns the program's own step, whose update is the negative gradient."""
    optimizer = keras.optimizers.SGD(1.0)
    optimizer.build(model.trainable_variables)
    return make_step(model, optimizer, StepSettings(objective=objective, clip_norm=None, **settings))


def train(step, batch):
    """Makes one update; returns the loss, the scores and the gradient of each weight by its path."""
    before = {w.path: keras.ops.convert_to_numpy(w.value).copy() for w in step.model.trainable_variables}
    seeds = np.zeros((1, 1, step.settings.accumulation_steps, len(seed_generators(step.model)), 2), "uint32")
    results = step.to_numpy(step.train({key: value[None] for key, value in batch.items()}, seeds, 1.0, 0))
    after = {w.path: keras.ops.convert_to_numpy(w.value) for w in step.model.trainable_variables}
    return float(results["loss"][0]), results, {path: before[path] - after[path] for path in before}


def as_bert_for_pre_training(as_bert, model):
    """Returns `transformers.BertForPreTraining` with the weights of a pretrainer, and its labels' loss."""
    import torch
    import transformers

    encoder = as_bert(model.encoder)
    bert = transformers.BertForPreTraining(encoder.config).eval()
    missing, unexpected = bert.bert.load_state_dict(encoder.state_dict(), strict=False)
    assert unexpected == [] and all("pooler" in name for name in missing)

    def put(linear, dense):
        linear.weight.copy_(torch.tensor(keras.ops.convert_to_numpy(dense.kernel)).T)
        linear.bias.copy_(torch.tensor(keras.ops.convert_to_numpy(dense.bias)))

    mlm, nsp, theirs = model.masked_lm_head, model.next_sentence_head, bert.cls.predictions
    with torch.no_grad():
        put(bert.bert.pooler.dense, nsp.pooler_dense)
        put(bert.cls.seq_relationship, nsp.classifier)
        put(theirs.transform.dense, mlm.dense)
        theirs.transform.LayerNorm.weight.copy_(torch.tensor(keras.ops.convert_to_numpy(mlm.norm.gamma)))
        theirs.transform.LayerNorm.bias.copy_(torch.tensor(keras.ops.convert_to_numpy(mlm.norm.beta)))
        theirs.bias.copy_(torch.tensor(keras.ops.convert_to_numpy(mlm.vocabulary_bias)))
    assert theirs.decoder.weight is bert.bert.embeddings.word_embeddings.weight
    return bert


def their_loss(bert, batch):
    """Returns the loss of transformers for a batch of one pair a row."""
    import torch

    labels = np.full(batch["token_ids"].shape, -100)
    for row, column in zip(*np.nonzero(batch["mask_weights"]), strict=True):
        labels[row, batch["mask_positions"][row, column]] = batch["mask_ids"][row, column]
    names = {"token_ids": "input_ids", "segment_ids": "token_type_ids", "padding_mask": "attention_mask"}
    inputs = {theirs: torch.tensor(batch[ours]).long() for ours, theirs in names.items()}
    next_sentence = torch.tensor(batch["next_sentence_labels"][:, 0]).long()
    return bert(**inputs, labels=torch.tensor(labels), next_sentence_label=next_sentence).loss


def test_loss_and_gradients_of_a_step_are_those_of_transformers(model, as_bert):
    pytest.importorskip("transformers", reason="the oracle is BertForPreTraining of transformers")
    batch = one_pair_each()
    bert = as_bert_for_pre_training(as_bert, model)
    expected = their_loss(bert, batch)
    expected.backward()
    step = make_training(model, PretrainingObjective(sbo_weight=0.0, nsp_weight=1.0))
    loss, _, gradients = train(step, batch)
    assert loss == pytest.approx(float(expected.detach()), abs=1e-4) and loss > 1.0
    table = encoder_table(2) | masked_lm_table() | next_sentence_table()
    theirs = dict(bert.named_parameters())
    for path, weight in table.items():
        gradient = theirs[weight.name].grad.numpy()
        gradient = gradient.T if weight.transposed else gradient
        np.testing.assert_allclose(gradients[path], gradient, atol=1e-4, err_msg=path)
        assert np.abs(gradient).max() > 1e-3 or path.endswith("key/bias"), path


def test_keras_own_evaluate_gives_the_loss_of_transformers_too(model, as_bert):
    pytest.importorskip("transformers", reason="the oracle is BertForPreTraining of transformers")
    batch = one_pair_each(seed=7)
    expected = float(their_loss(as_bert_for_pre_training(as_bert, model), batch).detach())
    model.sbo_weight = 0.0
    model.compile("sgd", run_eagerly=keras.backend.backend() == "tensorflow")
    assert model.evaluate(batch, batch_size=B, verbose=0, return_dict=True)["loss"] == pytest.approx(expected, abs=1e-4)


def test_a_packed_pair_has_the_logits_that_it_has_alone(model, to_numpy):
    batch = packed()
    logits = to_numpy(model(batch)["next_sentence"])
    assert batch["pair_weights"].sum() == 12
    compared = []
    for row, pair in zip(*np.nonzero(batch["pair_weights"]), strict=True):
        places = np.flatnonzero(batch["padding_mask"][row] == pair + 1)
        assert batch["token_ids"][row, places[0]] == CLS and places[0] == batch["pair_positions"][row, pair]
        alone = batch_of([[(batch["token_ids"][row, places], batch["segment_ids"][row, places])]], 2 * T, 1)
        compared.append((logits[row, pair], to_numpy(model(alone)["next_sentence"])[0, 0]))
    found, expected = map(np.array, zip(*compared, strict=True))
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert np.abs(np.diff(expected, axis=0)).max(1).min() > 1e-3  # every pair has logits of its own


@pytest.mark.parametrize("normalization", ["targets", "separate"])
def test_a_steps_loss_counts_masks_and_pairs_of_packed_rows(model, to_numpy, normalization):
    batch = packed()
    step = make_training(model, PretrainingObjective(0.5, normalization, nsp_weight=0.25))
    outputs = to_numpy(model(batch))
    loss, results, _ = train(step, batch)

    def summed(name, targets, weights):
        logits = outputs[name]
        losses = np.log(np.exp(logits).sum(-1)) - np.take_along_axis(logits, batch[targets][..., None], -1)[..., 0]
        return (losses * batch[weights]).sum()

    mlm, sbo = (summed(name, "mask_ids", "mask_weights") for name in ("masked_lm", "span_boundary"))
    masks, pairs = batch["mask_weights"].sum(), batch["pair_weights"].sum()
    expected = (mlm + 0.5 * sbo) / masks if normalization == "targets" else mlm / masks + 0.5 * sbo / (masks + 1)
    of_pairs = 0.25 * summed("next_sentence", "next_sentence_labels", "pair_weights") / pairs
    assert loss == pytest.approx(expected + of_pairs, rel=1e-5) and of_pairs > 0.05
    assert results["nsp_losses"].shape == results["nsp_correct"].shape == (1, B, 3)
    right = outputs["next_sentence"].argmax(-1) == batch["next_sentence_labels"]
    np.testing.assert_array_equal(results["nsp_correct"][0], right)


def test_parts_of_a_batch_give_the_update_of_the_whole(model, randomize):
    found = []
    for parts in (1, 3):
        randomize(model, scale=0.2)
        step = make_training(model, PretrainingObjective(nsp_weight=2.0), accumulation_steps=parts)
        found.append(train(step, packed()))
    assert found[0][0] == pytest.approx(found[1][0], rel=1e-5)
    for path, gradient in found[0][2].items():
        np.testing.assert_allclose(found[1][2][path], gradient, atol=1e-5, err_msg=path)
    np.testing.assert_allclose(found[0][1]["nsp_losses"], found[1][1]["nsp_losses"], rtol=1e-5)


def test_held_out_pairs_are_scored_with_their_baseline(model, to_numpy):
    batches = [packed(), packed(2)]
    held_out = types.SimpleNamespace(batches=lambda worker, num_workers: iter(batches))
    step = make_training(model, PretrainingObjective(nsp_weight=1.0))
    found = evaluate(step, held_out, 4, np.zeros(V), boundaries=True)
    losses, right, labels = [], [], []
    for batch in batches:
        logits = to_numpy(model(batch)["next_sentence"])
        for row, pair in zip(*np.nonzero(batch["pair_weights"]), strict=True):
            label = batch["next_sentence_labels"][row, pair]
            losses.append(np.log(np.exp(logits[row, pair]).sum()) - logits[row, pair, label])
            right.append(logits[row, pair].argmax() == label)
            labels.append(label)
    share = np.mean(labels)
    expected = {
        "next_sentence/loss": np.mean(losses),
        "next_sentence/accuracy": np.mean(right),
        "next_sentence/random_share": share,
        "next_sentence/majority_accuracy": max(share, 1 - share),
    }
    assert {tag: found[tag] for tag in expected} == pytest.approx(expected, rel=1e-5) and 0 < share < 1
    assert {"masked_lm/loss", "span_boundary/loss_other_boundaries"} <= set(found)
