"""Rows of documents: pieces, windows of long documents, gold clusters in the grid. L 12, W 3."""

import keras
import numpy as np
import pytest

from spanbert_keras import Document, SpanBertCoreferenceResolver, SpanBertEncoder
from spanbert_keras.preprocessing.preprocessors.coreference_preprocessor import SpanBertCoreferencePreprocessor

LENGTH = 12


@pytest.fixture(scope="module")
def model(toy_tokenizer):
    keras.utils.set_random_seed(1)
    encoder = SpanBertEncoder(64, 1, 2, 8, 12, max_sequence_length=24, tokenizer=toy_tokenizer)
    return SpanBertCoreferenceResolver(encoder, segment_length=LENGTH, max_span_width=3, hidden_dim=4, feature_dim=2)


@pytest.fixture
def make_rows(model):
    """Function of documents and of a preprocessor's settings that returns their rows for the model."""

    def make(*documents, max_segments=9, seed=1):
        preprocessor = SpanBertCoreferencePreprocessor(max_segments=max_segments, seed=seed)
        preprocessor.adopt(model.tokenizer, model.preprocessor_settings())
        return preprocessor.rows(list(documents))

    return make


def document(number=0, words=40):
    """Returns a document of `words` words in which w3 and w5 are one chain each; two speakers take turns."""
    tokens = [f"w{3 + (i * 7 + number) % 11}" for i in range(words)]
    clusters = [[(i, i + 1) for i, token in enumerate(tokens) if token == name] for name in ("w3", "w5")]
    return Document(
        tokens,
        [(i, min(i + 8, words)) for i in range(0, words, 8)],
        [("ann", "bob")[i // 8 % 2] for i in range(words)],
        "nw",
        [cluster for cluster in clusters if len(cluster) > 1],
    )


def words_of(batch, row, model):
    """Returns the flat pieces of a row as the strings they are, by the places that the batch gives."""
    pieces = batch["token_ids"][row][batch["piece_places"][row]]
    count = int((batch["piece_places"][row] > 0).sum()) + 1
    return [model.tokenizer.id_to_token(int(piece)) for piece in pieces[:count]]


def tensors(batch):
    return {key: keras.ops.convert_to_tensor(value) for key, value in batch.items()}


def test_the_grid_has_every_mention_at_its_first_piece_and_width(model, make_rows):
    rows = make_rows(document())
    batch = rows.batch(np.array([0]), rows.lengths[0])
    pieces = words_of(batch, 0, model)
    found = {}
    for start, width in np.argwhere(batch["span_clusters"][0]):
        number = batch["span_clusters"][0, start, width]
        found.setdefault(number, []).append(" ".join(pieces[start : start + width + 1]))
    assert sorted({tuple(set(names)) for names in found.values()}) == [("w3",), ("w5",)]
    assert sum(map(len, found.values())) == sum(map(len, document().clusters)) == rows.counts["mentions"]
    assert (rows.counts["clusters"], rows.counts["documents"], rows.counts["documents_cut"]) == (2, 1, 0)


def test_inputs_have_the_models_names_and_shapes(model, make_rows):
    rows = make_rows(document(), document(1, words=10))
    assert all(length % LENGTH == 0 for length in rows.lengths) and rows.lengths[1] < rows.lengths[0]
    batch = rows.batch(np.array([1, 0]), rows.lengths[0])
    assert set(batch) == {*model.input_keys, *model.target_keys} and rows.input_keys == model.input_keys
    assert {values.dtype for values in batch.values()} == {np.dtype(np.int32)}
    pieces = rows.lengths[0]
    shapes = {key: (2, 1) if key in ("genres", "span_limits") else (2, pieces) for key in model.input_keys}
    assert {key: batch[key].shape for key in shapes} == shapes
    assert batch["span_clusters"].shape == (2, pieces, 3)
    outputs = model(tensors(batch))
    assert np.isfinite(keras.ops.convert_to_numpy(outputs["antecedent_scores"])).all()


def test_a_row_is_its_segments_and_what_the_cut_document_says_of_their_pieces(model, make_rows):
    one, length = document(words=13), 4 * LENGTH
    batch = make_rows(document(1), one).batch(np.array([1]), length)
    row = {key: values[0] for key, values in batch.items()}
    cut = model.segments.cut(one.tokens, one.sentences, one.speakers)
    assert [len(segment) for segment in cut.segments] == [10, 7]
    tokens, mask = np.zeros((4, LENGTH), int), np.zeros((4, LENGTH), int)
    mask[:, 0] = 1  # also in empty segments, whose softmax would be empty
    for i, segment in enumerate(cut.segments):
        tokens[i, : len(segment)] = segment
        mask[i, : len(segment)] = 1
    np.testing.assert_array_equal(row["token_ids"], tokens.reshape(-1))
    np.testing.assert_array_equal(row["padding_mask"], mask.reshape(-1))
    assert row["piece_places"].tolist() == [*range(10), *range(12, 19), *[0] * (length - 17)]
    for key, fill in (("start_groups", -1), ("end_groups", -2), ("speakers", 0), ("segment_numbers", 0)):
        assert row[key].tolist() == [*getattr(cut, key).tolist(), *[fill] * (length - 17)]
    assert row["genres"].tolist() == [model.genres.index("nw")]
    assert row["span_limits"].tolist() == [model.span_limit(17)] == [6]


def test_padding_changes_no_loss(model, make_rows):
    rows = make_rows(document(1, words=15))
    losses = []
    for length in (rows.lengths[0], rows.lengths[0] + 3 * LENGTH):
        batch = tensors(rows.batch(np.array([0]), length))
        losses.append(float(keras.ops.convert_to_numpy(model.example_losses(model(batch), batch))[0]))
    assert losses[0] == pytest.approx(losses[1], abs=1e-4) and losses[0] > 0


def test_a_row_longer_than_its_segments_is_not_filled(make_rows):
    rows = make_rows(document(1, words=10))
    batches = [rows.batch(np.array([0]), length) for length in (2 * LENGTH, 2 * LENGTH + 4)]
    assert all((batches[0][key] == batches[1][key]).all() for key in batches[0])


def test_a_long_document_is_read_in_another_window_each_epoch(model, make_rows):
    rows = make_rows(document(words=120), max_segments=2)
    assert rows.lengths.tolist() == [2 * LENGTH] and rows.counts["documents_cut"] == 1
    batches = [rows.batch(np.array([0]), 2 * LENGTH, epoch) for epoch in range(12)]
    seen = {tuple(batch["token_ids"][0]) for batch in batches}
    assert len(seen) > 3
    again = make_rows(document(words=120), max_segments=2).batch(np.array([0]), 2 * LENGTH, 5)
    assert all((again[key] == batches[5][key]).all() for key in again)
    for batch in batches:  # the mentions of the window, where they are now
        pieces = words_of(batch, 0, model)
        starts = np.argwhere(batch["span_clusters"][0])[:, 0]
        assert {pieces[start] for start in starts} <= {"w3", "w5"}
        assert sum(piece in ("w3", "w5") for piece in pieces) == len(starts)
        assert batch["segment_numbers"][0].min() == 0


def test_a_window_depends_on_the_seed_the_epoch_and_the_row_alone(make_rows):
    """The first segment is `default_rng([seed, epoch, row])`, on which interrupted runs depend."""
    long = document(words=120)
    segments = len(make_rows(long, max_segments=99).documents[0].segments)
    for seed, row, epoch in ((1, 0, 0), (1, 1, 0), (7, 0, 4), (7, 1, 9)):
        rows = make_rows(long, long, max_segments=2, seed=seed)
        first = int(np.random.default_rng([seed, epoch, row]).integers(segments - 1))
        batch = rows.batch(np.array([row]), 2 * LENGTH, epoch)
        for place in (0, 1):
            segment = rows.documents[row].segments[first + place]
            assert batch["token_ids"][0, place * LENGTH :][: len(segment)].tolist() == segment.tolist()


def test_a_window_may_hold_no_mention(model, make_rows):
    tokens = ["w7"] * 60 + ["w3", "w3"]
    sentences = [(i, min(i + 8, 62)) for i in range(0, 62, 8)]
    rows = make_rows(Document(tokens, sentences, clusters=(((60, 61), (61, 62)),), genre="nw"), max_segments=1, seed=0)
    batches = [rows.batch(np.array([0]), LENGTH, epoch) for epoch in range(9)]
    batch = tensors(next(batch for batch in batches if not batch["span_clusters"].any()))
    assert np.isfinite(keras.ops.convert_to_numpy(model.example_losses(model(batch), batch))[0])


def test_mentions_that_cannot_be_found_are_counted(make_rows):
    long = Document(("w3",) * 8, clusters=(((0, 5), (5, 6)),), genre="nw")
    across = Document(("w3",) * 8, ((0, 4), (4, 8)), clusters=(((3, 5), (5, 6)),), genre="nw")
    counts = make_rows(long, across).counts
    assert (counts["mentions_too_long"], counts["mentions_across"], counts["mentions"]) == (1, 1, 4)


def test_a_mention_may_be_as_wide_as_the_models_spans(make_rows):
    rows = make_rows(Document(("w3",) * 8, clusters=(((0, 3), (4, 8)),), genre="nw"))
    assert rows.counts["mentions_too_long"] == 1
    assert np.argwhere(rows.batch(np.array([0]), LENGTH)["span_clusters"][0]).tolist() == [[1, 2]]  # after [CLS]


def test_words_longer_than_a_segment_are_counted(make_rows):
    long = Document(("w3", "w4" + "e1" * 20), clusters=(((0, 1),),))
    assert make_rows(long, long).counts["words_cut"] == 2


def test_clusters_that_share_a_mention_are_one(make_rows):
    rows = make_rows(Document(("w3", "w4", "w5", "w6"), clusters=(((0, 1), (1, 2)), ((1, 2), (2, 3))), genre="nw"))
    batch = rows.batch(np.array([0]), LENGTH)
    assert np.unique(batch["span_clusters"]).tolist() == [0, 1] and (batch["span_clusters"] == 1).sum() == 3
    assert (rows.counts["clusters"], rows.counts["mentions"]) == (1, 3)
