"""Tests of training rows: pieces, windows of long documents, gold clusters in the grid."""

import keras
import numpy as np
import pytest

from spanbert_keras import Document, SpanBertCoreferenceResolver
from spanbert_keras.program import InputError
from tasks.coreference import features
from tests.tasks.coreference.conftest import record

LENGTH = 12


@pytest.fixture(scope="module")
def model(encoder_path):
    encoder = keras.saving.load_model(encoder_path)
    return SpanBertCoreferenceResolver(encoder, segment_length=LENGTH, max_span_width=3, hidden_dim=4, feature_dim=2)


def document(number=0, **settings):
    one = record(number, **settings)
    return Document(one["tokens"], one["sentences"], one["speakers"], one["genre"], one["clusters"], one["name"])


def words_of(batch, row, model):
    """Returns the flat pieces of a row as the strings they are, by the places that the batch gives."""
    pieces = batch["token_ids"][row][batch["piece_places"][row]]
    count = int((batch["piece_places"][row] > 0).sum()) + 1
    return [model.tokenizer.id_to_token(int(piece)) for piece in pieces[:count]]


def test_the_grid_has_every_mention_at_its_first_piece_and_width(model):
    rows = features.Rows([document()], model, max_segments=9, seed=1)
    batch = rows.batch(np.array([0]), rows.lengths[0], 0)
    pieces = words_of(batch, 0, model)
    found = {}
    for start, width in np.argwhere(batch["span_clusters"][0]):
        number = batch["span_clusters"][0, start, width]
        found.setdefault(number, []).append(" ".join(pieces[start : start + width + 1]))
    assert sorted({tuple(set(names)) for names in found.values()}) == [("w3",), ("w5",)]
    assert sum(map(len, found.values())) == sum(map(len, document().clusters)) == rows.counts.mentions


def test_inputs_have_the_models_names_and_shapes(model):
    rows = features.Rows([document(), document(1, words=10)], model, max_segments=9, seed=1)
    assert all(length % LENGTH == 0 for length in rows.lengths) and rows.lengths[1] < rows.lengths[0]
    batch = rows.batch(np.array([1, 0]), rows.lengths[0], 0)
    assert set(batch) == {*model.input_keys, *model.target_keys}
    pieces = rows.lengths[0]
    shapes = {key: (2, 1) if key in ("genres", "span_limits") else (2, pieces) for key in model.input_keys}
    assert {key: batch[key].shape for key in shapes} == shapes
    assert batch["span_clusters"].shape == (2, pieces, 3)
    outputs = model({key: keras.ops.convert_to_tensor(value) for key, value in batch.items()})
    assert np.isfinite(keras.ops.convert_to_numpy(outputs["antecedent_scores"])).all()


def test_padding_changes_no_loss(model):
    rows = features.Rows([document(1, words=10)], model, max_segments=9, seed=1)
    losses = []
    for length in (rows.lengths[0], rows.lengths[0] + 3 * LENGTH):
        batch = rows.batch(np.array([0]), length, 0)
        batch = {key: keras.ops.convert_to_tensor(value) for key, value in batch.items()}
        losses.append(float(keras.ops.convert_to_numpy(model.example_losses(model(batch), batch))[0]))
    assert losses[0] == pytest.approx(losses[1], abs=1e-4) and losses[0] > 0


def test_a_long_document_is_read_in_another_window_each_epoch(model):
    rows = features.Rows([document(words=120)], model, max_segments=2, seed=1)
    assert rows.lengths == [2 * LENGTH] and rows.counts.documents_cut == 1
    batches = [rows.batch(np.array([0]), 2 * LENGTH, epoch) for epoch in range(12)]
    seen = {tuple(batch["token_ids"][0]) for batch in batches}
    assert len(seen) > 3
    again = features.Rows([document(words=120)], model, max_segments=2, seed=1).batch(np.array([0]), 2 * LENGTH, 5)
    assert all((again[key] == batches[5][key]).all() for key in again)
    for batch in batches:  # the mentions of the window, where they are now
        pieces = words_of(batch, 0, model)
        starts = np.argwhere(batch["span_clusters"][0])[:, 0]
        assert {pieces[start] for start in starts} <= {"w3", "w5"}
        assert sum(piece in ("w3", "w5") for piece in pieces) == len(starts)
        assert batch["segment_numbers"][0].min() == 0


def test_a_window_may_hold_no_mention(model):
    tokens = ["w7"] * 60 + ["w3", "w3"]
    sentences = [(i, min(i + 8, 62)) for i in range(0, 62, 8)]
    one = Document(tuple(tokens), tuple(sentences), clusters=(((60, 61), (61, 62)),), genre="nw")
    rows = features.Rows([one], model, max_segments=1, seed=0)
    empty = [
        batch for batch in (rows.batch(np.array([0]), LENGTH, e) for e in range(9)) if not batch["span_clusters"].any()
    ]
    batch = {key: keras.ops.convert_to_tensor(value) for key, value in empty[0].items()}
    assert np.isfinite(keras.ops.convert_to_numpy(model.example_losses(model(batch), batch))[0])


def test_mentions_that_cannot_be_found_are_counted(model):
    long = Document(("w3",) * 8, clusters=(((0, 5), (5, 6)),), genre="nw")
    across = Document(("w3",) * 8, ((0, 4), (4, 8)), clusters=(((3, 5), (5, 6)),), genre="nw")
    rows = features.Rows([long, across], model, max_segments=9, seed=1)
    assert (rows.counts.mentions_too_long, rows.counts.mentions_across, rows.counts.mentions) == (1, 1, 4)


def test_clusters_that_share_a_mention_are_one(model):
    shared = Document(("w3", "w4", "w5", "w6"), clusters=(((0, 1), (1, 2)), ((1, 2), (2, 3))), genre="nw")
    batch = features.Rows([shared], model, max_segments=9, seed=1).batch(np.array([0]), LENGTH, 0)
    assert np.unique(batch["span_clusters"]).tolist() == [0, 1] and (batch["span_clusters"] == 1).sum() == 3


def test_an_unknown_genre_and_an_empty_document_are_rejected(model):
    with pytest.raises(InputError, match=r"train.jsonl: the document 'zz/document_0'.*'zz'.*--genres"):
        features.Rows([document(genre="zz")], model, 9, 1, "train.jsonl")
    with pytest.raises(InputError, match="has no words"):
        features.Rows([Document((), name="empty")], model, 9, 1)
