"""Small models, a tokenizer of letters and a masked batch. T 24, V 21 by default; every size another number."""

import numpy as np
import pytest

from spanbert_keras import Document

LETTERS = "abcdefgh"
PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *LETTERS, *("##" + letter for letter in LETTERS)]
SIZES = {
    "vocabulary_size": len(PIECES),
    "num_layers": 2,
    "num_heads": 3,
    "hidden_dim": 12,
    "intermediate_dim": 20,
    "max_sequence_length": 32,
    "num_segments": 4,
}


@pytest.fixture(scope="session")
def tokenizer():
    """Every letter a to h as a word's beginning and as its continuation, after the five special pieces."""
    from spanbert_keras import SpanBertTokenizer

    return SpanBertTokenizer(PIECES)


@pytest.fixture(scope="session")
def sizes():
    """The arguments of a small encoder."""
    return dict(SIZES)


@pytest.fixture
def make_encoder(randomize):
    """Function that makes a small encoder full of noise; arguments replace those of `sizes`."""
    from spanbert_keras import SpanBertEncoder

    def make(scale=0.3, **kwargs):
        encoder = SpanBertEncoder(**(SIZES | kwargs))
        if scale:
            randomize(encoder, scale=scale)
        return encoder

    return make


@pytest.fixture
def make_pretrainer(make_encoder, randomize, tokenizer):
    """Function that makes a small pretrainer full of noise, with a tokenizer; arguments are the pretrainer's."""
    from spanbert_keras import SpanBertPretrainer

    def make(encoder=None, scale=0.3, **kwargs):
        encoder = encoder or make_encoder(num_layers=1, tokenizer=tokenizer)
        pretrainer = SpanBertPretrainer(encoder, **({"max_span_positions": 4, "position_dim": 5} | kwargs))
        if scale:
            randomize(pretrainer, scale=scale)
        return pretrainer

    return make


@pytest.fixture
def rows():
    """Encoder inputs (B, T) = (3, 11): a full row, a padded one, one with segments."""
    rng = np.random.default_rng(11)
    mask = np.ones((3, 11), "int32")
    mask[1, 7:] = 0
    segments = np.zeros((3, 11), "int32")
    segments[2, 5:] = 1
    segments[1, 7:] = 3
    ids = rng.integers(5, len(PIECES), (3, 11)).astype("int32")
    return {"token_ids": ids, "segment_ids": segments, "padding_mask": mask}


@pytest.fixture
def masked(tokenizer):
    """What `SpanMasker` makes of rows of 24 and fewer pieces, as NumPy: B 6, T 24, M 4.

    Pieces past the second of a span have no SBO target.
    """
    from spanbert_keras import SpanMasker

    rng = np.random.default_rng(12)
    ids = np.zeros((6, 24), "int32")
    for row, length in enumerate((24, 17, 24, 9, 24, 20)):
        ids[row, :length] = [2, *rng.integers(5, len(PIECES), length - 2), 3]
    inputs = {"token_ids": ids, "padding_mask": (ids > 0).astype("int32")}
    return SpanMasker(tokenizer=tokenizer, max_span_positions=2)(inputs, seed=(3, 4))


def words(count, seed=0, longest=3):
    rng = np.random.default_rng(seed)
    return ["".join(rng.choice(list("abcdefgh"), rng.integers(1, longest + 1))) for _ in range(count)]


def make_document(count, seed=0, genre=""):
    """Random words in sentences of 5 to 11, said by three speakers."""
    rng = np.random.default_rng(seed + 1000)
    bounds = [0]
    while bounds[-1] < count:
        bounds.append(min(count, bounds[-1] + int(rng.integers(5, 12))))
    speakers = tuple(rng.choice(["Ann", "Bob", ""], count).tolist())
    return Document(
        tuple(words(count, seed)), tuple(zip(bounds[:-1], bounds[1:], strict=True)), speakers, genre or "nw"
    )


def scores_of(links):
    """Dict from (span, antecedent) to score."""
    places = zip(*np.nonzero(links.antecedents >= 0), strict=True)
    return {(int(i), int(links.antecedents[i, a])): float(links.scores[i, a]) for i, a in places}


def same(found, expected):
    """Asserts that `Links` agree: places exactly, numbers (up to about 40) as far as float32 goes."""
    assert found.starts.tolist() == expected.starts.tolist() and found.ends.tolist() == expected.ends.tolist()
    np.testing.assert_allclose(found.mention_scores, expected.mention_scores, rtol=1e-5, atol=1e-5)
    scores, others = scores_of(found), scores_of(expected)
    assert scores.keys() == others.keys()
    np.testing.assert_allclose([scores[p] for p in others], list(others.values()), rtol=1e-5, atol=5e-5)
    assert found.best().tolist() == expected.best().tolist()
