"""Tests of changing lengths and vocabularies, against plain NumPy."""

import numpy as np
import pytest

from spanbert_keras import SpanBertCoreferenceResolver
from spanbert_keras.conversion.formats.own_models import from_model, make_tokenizer, to_model
from spanbert_keras.conversion.hugging_face_names import MLM_BIAS, POSITION_EMBEDDINGS, SBO_BIAS, WORD_EMBEDDINGS
from spanbert_keras.conversion.resizing import add_pieces, fit_vocabulary, resize_positions, resize_segments
from spanbert_keras.conversion.sources import open_source
from spanbert_keras.errors import InputError


@pytest.fixture
def checkpoint(make_bert):
    return open_source(make_bert()[0])


def test_fewer_positions_keep_the_first_rows(checkpoint, rows, to_numpy):
    shorter = resize_positions(checkpoint, 9)
    table = checkpoint.tensors[POSITION_EMBEDDINGS]
    np.testing.assert_array_equal(shorter.tensors[POSITION_EMBEDDINGS], table[:9])
    assert shorter.notes == ["Positions: the first 9 of 16 rows are kept."]
    one, two = (to_numpy(to_model(c, "encoder")(rows)["sequence_output"]) for c in (checkpoint, shorter))
    np.testing.assert_array_equal(one, two)


def test_more_positions_repeat_all_rows_except_the_first(checkpoint, rows, to_numpy):
    longer = resize_positions(checkpoint, 50)
    table, old = longer.tensors[POSITION_EMBEDDINGS], checkpoint.tensors[POSITION_EMBEDDINGS]
    assert len(table) == 50 == longer.architecture["max_sequence_length"]
    for i in range(50):
        np.testing.assert_array_equal(table[i], old[i] if i < 16 else old[1 + (i - 1) % 15])
    assert "extended from 16 to 50 rows" in longer.notes[0]
    one, two = (to_numpy(to_model(c, "encoder")(rows)["sequence_output"]) for c in (checkpoint, longer))
    np.testing.assert_array_equal(one, two)


def test_the_same_length_changes_nothing(checkpoint):
    assert resize_positions(checkpoint, 16) is checkpoint
    for length in (0, -1, 10**9):
        with pytest.raises(InputError, match=f"1 to 131,072 positions. Received: max_sequence_length={length}"):
            resize_positions(checkpoint, length)


def test_a_resolver_reads_segments_of_another_length(make_encoder):
    sizes = {"max_span_width": 3, "feature_dim": 4, "hidden_dim": 7}
    whole = from_model(SpanBertCoreferenceResolver(make_encoder(), segment_length=10, **sizes))
    for length in (3, 24):
        changed = resize_segments(whole, length)
        assert to_model(changed).segments.segment_length == length and changed.notes == [
            f"Segments: {length} word pieces."
        ]
    assert to_model(whole).segments.segment_length == 10
    assert to_model(resize_positions(whole, 7)).segments.segment_length == 7
    for length in (2, 25):
        with pytest.raises(InputError, match=f"at least 3 and at most the encoder's 24 positions. Received: {length}"):
            resize_segments(whole, length)


def test_only_a_resolver_has_segments(checkpoint):
    with pytest.raises(InputError, match="--segment_length is for a coreference resolver"):
        resize_segments(checkpoint, 8)


def test_rows_without_a_piece_get_unused_names(checkpoint):
    checkpoint.vocabulary = checkpoint.vocabulary[:38]
    fitted = fit_vocabulary(checkpoint)
    assert fitted.vocabulary[38:] == ["[unused3]", "[unused4]"]  # 0 to 2 are taken
    assert "2 more rows" in fitted.notes[0]


@pytest.mark.parametrize("rows, pieces", [(30_522, 28_996), (28_996, 28_900), (400, 40)])
def test_a_vocabulary_of_another_model_is_rejected(checkpoint, rows, pieces):
    checkpoint.architecture["vocabulary_size"] = rows
    checkpoint.vocabulary = [f"w{i}" for i in range(pieces)]
    with pytest.raises(InputError, match=f"has only {pieces} pieces, its embeddings {rows} rows: .* --vocab_file"):
        fit_vocabulary(checkpoint)


def test_a_vocabulary_that_is_too_large_is_rejected(checkpoint):
    checkpoint.vocabulary += ["more"]
    with pytest.raises(InputError, match="has 41 pieces, its embeddings 40 rows: a vocab.txt of 40 pieces belongs"):
        fit_vocabulary(checkpoint)


def test_new_pieces_take_unused_rows_first_and_are_means_of_their_parts(checkpoint):
    size = checkpoint.architecture["vocabulary_size"]
    random = np.random.default_rng(0)
    checkpoint.tensors[SBO_BIAS] = random.normal(size=size).astype(np.float32)
    # Before: "Thes" is The ##s, "as" is a ##s, "aThe" is [UNK].
    grown = add_pieces(checkpoint, ["Thes", "as", "w1", "##ss", "aThe", "Thes", "Thess"])
    assert grown.vocabulary[:8] == ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "Thes", "as", "##ss"]
    assert grown.vocabulary[size:] == ["aThe", "Thess"] and grown.architecture["vocabulary_size"] == size + 2
    the, a, s, unknown = 8, 9, 10, 1
    parts = {5: [the, s], 6: [a, s], 7: [s, s], size: [unknown], size + 1: [the, s, s]}
    for name in (WORD_EMBEDDINGS, MLM_BIAS, SBO_BIAS):
        old, new = checkpoint.tensors[name], grown.tensors[name]
        assert len(new) == size + 2
        for i in range(size):
            if i not in parts:
                np.testing.assert_array_equal(new[i], old[i])
        for place, ids in parts.items():
            np.testing.assert_allclose(new[place], old[ids].mean(0), rtol=1e-6)
    assert (
        "5 pieces added: 3 in place of [unusedN], 2 at the end; 2 were already known; 1 have a part" in grown.notes[0]
    )
    assert make_tokenizer(grown).tokenize("Thes as aThe") == [5, 6, size]


def test_pieces_that_the_tokenizer_never_produces_are_named(checkpoint):
    checkpoint.lowercase = True
    grown = add_pieces(checkpoint, ["a-b", "Upper", "lower", "##zz"])
    assert grown.notes[-1] == (
        "The tokenizer never produces these pieces, since it splits or lower-cases text first: a-b, Upper."
    )
    unknown = checkpoint.tensors[WORD_EMBEDDINGS][1]
    np.testing.assert_array_equal(grown.tensors[WORD_EMBEDDINGS][grown.vocabulary.index("##zz")], unknown)


def test_a_model_of_a_grown_checkpoint_keeps_its_other_outputs(checkpoint, masked, to_numpy):
    grown = add_pieces(checkpoint, ["Thes", "as", "aw", "bw", "cw"])
    one, two = (to_numpy(to_model(c)(masked)["masked_lm"]) for c in (checkpoint, grown))
    assert two.shape[-1] == one.shape[-1] + 2
    same = [i for i, piece in enumerate(checkpoint.vocabulary) if grown.vocabulary[i] == piece]
    inputs = np.isin(masked["token_ids"], [5, 6, 7]).any()
    assert len(same) == 37 and inputs  # a row that changed is among the inputs of some rows
    clean = ~np.isin(masked["token_ids"], [5, 6, 7]).any(1)
    np.testing.assert_allclose(one[clean][..., same], two[clean][..., same], atol=1e-6)


@pytest.mark.parametrize("pieces", [["a b"], ["##"], [""]])
def test_invalid_pieces_are_rejected(checkpoint, pieces):
    with pytest.raises(InputError, match="A piece must be text without spaces"):
        add_pieces(checkpoint, pieces)


def test_known_pieces_alone_are_rejected(checkpoint):
    with pytest.raises(InputError, match="None of the 2 pieces to add is new"):
        add_pieces(checkpoint, ["The", "##s"])
