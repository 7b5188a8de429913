"""Vectors of spans: every pooling, in any window, against windows that are chosen by trying all of them."""

import concurrent.futures

import numpy as np
import pytest

from spanbert_keras.errors import InputError
from spanbert_keras.models.embed_spans import best_windows, window_begins

POOLINGS = ("boundary", "external", "mean")
LETTERS = "abcdefgh"


@pytest.fixture
def encoder(make_encoder, tokenizer):
    return make_encoder(num_layers=1, max_sequence_length=10, tokenizer=tokenizer)


def letters(count, seed=1):
    return [LETTERS[i] for i in np.random.default_rng(seed).integers(0, 8, count)]


def oracle(encoder, to_numpy, ids, span, pooling):
    """Returns the vector of a span of pieces (inclusive), one piece at a time."""
    room, (first, last) = encoder.max_sequence_length - 2, span
    begins = sorted({*range(0, max(1, len(ids) - room), room // 2), max(0, len(ids) - room)})
    margin = pooling == "external"

    def vector(place, low, high):
        """The vector of a piece (-1: [CLS], len(ids): [SEP]) in the window with most context around low to high."""
        low, high = (min(max(one, 0), len(ids) - 1) for one in (low, high))
        fitting = [b for b in begins if b <= low and high < b + room]
        begin = max(fitting, key=lambda b: (min(low - b, b + room - 1 - high), -b))
        row = np.array([[2, *ids[begin : begin + room], 3]])
        inputs = {"token_ids": row, "segment_ids": 0 * row, "padding_mask": 0 * row + 1}
        return to_numpy(encoder(inputs)["sequence_output"])[0, place - begin + 1]

    low, high = max(first - margin, 0), min(last + margin, len(ids) - 1)
    whole = any(b <= low and high < b + room for b in begins)

    def of(place):
        return vector(place, low, high) if whole else vector(place, place, place)

    if pooling == "mean":
        return np.mean([of(place) for place in range(first, last + 1)], axis=0)
    return np.concatenate([of(first - margin), of(last + margin)])


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("count", [3, 8, 9, 30])  # pieces: less than a window, a window, a little more, many
def test_every_span_is_read_where_it_has_most_context(encoder, to_numpy, count, pooling):
    words = letters(count)
    ids = [5 + LETTERS.index(word) for word in words]
    every = [(i, j) for i in range(count) for j in range(i, count)]
    spans = every[:: max(1, len(every) // 16)]
    found = encoder.embed_spans(words, [(first, last + 1) for first, last in spans], pooling)
    expected = [oracle(encoder, to_numpy, ids, span, pooling) for span in spans]
    assert found.dtype == np.float32 and found.shape == (len(spans), 12 if pooling == "mean" else 24)
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_characters_and_tokens_give_the_same(encoder, pooling):
    words = ["abc", "d", "fg", "h", "aa"]  # pieces: 3, 1, 2, 1, 2
    text = " ".join(words)
    by_token = encoder.embed_spans(words, [(0, 1), (1, 3), (4, 5)], pooling)
    by_character = encoder.embed_spans(text, [(0, 3), (4, 8), (11, 13)], pooling)
    np.testing.assert_allclose(by_character, by_token, atol=1e-6)
    inside = encoder.embed_spans(text, [(1, 2)], "mean")  # one piece of a word
    pieces = encoder.embed_spans(["abc"], [(0, 1)], "mean")
    assert abs(inside - pieces).max() > 1e-3
    blanks = encoder.embed_spans(text, [(3, 9)], pooling)  # with the blanks around two words
    np.testing.assert_allclose(blanks, by_token[1:2], atol=1e-6)


@pytest.mark.parametrize("batch_size", [1, 2, 32])
def test_several_texts_give_what_each_gives_alone(encoder, batch_size):
    texts = [letters(30, 1), "a b c", letters(5, 2), letters(17, 3)]
    spans = [[(0, 30), (3, 9), (28, 30)], [(2, 3)], [], [(0, 1), (16, 17)]]
    found = encoder.embed_spans(texts, spans, "external", batch_size)
    for text, of_text, vectors in zip(texts, spans, found, strict=True):
        np.testing.assert_allclose(vectors, encoder.embed_spans(text, of_text, "external"), atol=1e-5)
    assert [vectors.shape for vectors in found] == [(3, 24), (1, 24), (0, 24), (2, 24)]
    assert encoder.embed_spans([], []) == []


def test_half_precision_gives_float32(make_encoder, tokenizer):
    encoder = make_encoder(num_layers=1, dtype="mixed_bfloat16", tokenizer=tokenizer)
    assert encoder.embed_spans("a b", [(0, 3)]).dtype == np.float32


def test_several_threads_share_an_encoder(encoder):
    texts = [letters(20, seed) for seed in range(8)]
    expected = [encoder.embed_spans(text, [(4, 6)]) for text in texts]
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda text: encoder.embed_spans(text, [(4, 6)]), texts))
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("pieces, begins", [(0, [0]), (8, [0]), (9, [0, 1]), (12, [0, 4]), (17, [0, 4, 8, 9])])
def test_windows_overlap_by_half_and_the_last_is_full(pieces, begins):
    assert window_begins(pieces, 8).tolist() == begins


def test_a_window_of_one_piece():
    assert window_begins(3, 1).tolist() == [0, 1, 2]
    windows, fits = best_windows(np.array([0, 1, 2]), 1, np.array([0, 1]), np.array([0, 2]))
    assert windows.tolist()[0] == 0 and fits.tolist() == [True, False]


@pytest.mark.parametrize(
    "text, spans, pooling, message",
    [
        ("a b", [(0, 1)], "max", r"`pooling` must be one of boundary, external, mean\. Received: pooling='max'"),
        ("a   b", [(1, 3)], "mean", r"A span holds no word\. Expected: .* Received: \(1, 3\), '  '"),
        (["a", " "], [(1, 2)], "mean", r"Received: \(1, 2\), \[' '\]"),
        ("", [(0, 1)], "mean", r"the text's 0 characters"),
        (["a b", "\u200b"], [[], [(0, 1)]], "mean", r"Text 1: A span holds no word"),
    ],
)
def test_what_is_not_valid_is_named(encoder, text, spans, pooling, message):
    with pytest.raises(InputError, match=message):
        encoder.embed_spans(text, spans, pooling)


def test_an_encoder_without_tokenizer_is_named(make_encoder):
    with pytest.raises(InputError, match="needs the encoder's tokenizer"):
        make_encoder().embed_spans("a", [(0, 1)])
    with pytest.raises(InputError, match="`batch_size`"):
        make_encoder().embed_spans("a", [(0, 1)], batch_size=0)
