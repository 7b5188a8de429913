"""The recognizer: entities from logits, texts and tokens, long texts in windows, learning, scores, errors."""

import keras
import numpy as np
import pytest

from spanbert_keras import Entity, SpanBertEncoder, SpanBertEntityRecognizer, SpanBertTokenizer
from spanbert_keras.decoding.entity_spans import entity_spans
from spanbert_keras.errors import InputError

WORDS = ["Ann", "Bob", "met", "lives", "in", "Os", "##lo", "Rome", "the", "king", "of", ".", ",", "caf\u00e9"]
PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
LABELS = ["PER", "LOC"]
TEXT = "Ann, the king of Oslo, met Bob in Rome. \U0001f600 Bob lives in the caf\u00e9."


def make(positions=32, dropout=0.0, **settings):
    keras.utils.set_random_seed(0)
    encoder = SpanBertEncoder(
        len(PIECES),
        1,
        2,
        12,
        18,
        max_sequence_length=positions,
        dropout=dropout,
        attention_dropout=dropout,
        tokenizer=SpanBertTokenizer(PIECES),
    )
    settings = {"labels": LABELS, "max_span_width": 4, "hidden_dim": 16} | settings
    return SpanBertEntityRecognizer(encoder, **settings)


@pytest.fixture(scope="module")
def recognizer(randomize):
    """A recognizer full of noise that finds entities of both labels."""
    model = make()
    randomize(model, scale=0.5)
    return model


def shares_of(model, text):
    """The probabilities of all spans of a short text, from the model's own call."""
    x = model.preprocessor([text])
    logits = keras.ops.convert_to_numpy(model(x)["span_logits"])[0].astype("float64") / model.temperature
    shares = np.exp(logits - logits.max(-1, keepdims=True))
    return shares / shares.sum(-1, keepdims=True)


def test_entities_are_the_likeliest_spans_with_their_characters(recognizer):
    words = recognizer.windows.of_text(TEXT)
    count = len(words)
    valid = np.arange(count)[:, None] + np.arange(4) < count
    expected = entity_spans(shares_of(recognizer, TEXT)[:count], valid, nested=True)
    found = recognizer.recognize(TEXT)
    assert len(found) == len(expected) > 3 and {one.label for one in found} == set(LABELS)
    for one, (first, last, label, score) in zip(found, expected, strict=True):
        assert isinstance(one, Entity) and one.text == TEXT[one.start : one.end]
        assert (one.start, one.end, one.label) == (words.starts[first], words.ends[last], LABELS[label])
        assert one.score == pytest.approx(score, abs=1e-5)


def test_tokens_give_what_their_text_gives_and_only_whole_tokens(recognizer):
    tokens = "Ann met Bob in Oslo .".split()
    text = " ".join(tokens)
    found = recognizer.recognize(tokens=tokens)
    by_text = recognizer.recognize(text)
    starts = np.cumsum([0, *(len(token) + 1 for token in tokens)])
    assert [(one.text, one.label) for one in found] == [(one.text, one.label) for one in by_text]
    assert [starts[one.start] for one in found] == [one.start for one in by_text]
    assert recognizer.recognize([tokens, text]) == [found, by_text]
    joined = recognizer.recognize(tokens=["Ann,", "met,", "Bob", ".."])
    assert joined and all((one.start, one.end) in {(a, b) for a in range(5) for b in range(a + 1, 5)} for one in joined)
    assert all(one.text == " ".join(["Ann,", "met,", "Bob", ".."][one.start : one.end]) for one in joined)


def test_flat_entities_share_no_word_and_nested_ones_do_not_cross(randomize):
    found = {}
    for nested in (True, False):
        model = make(nested=nested)
        randomize(model, scale=0.5)
        found[nested] = [(one.start, one.end) for one in model.recognize(TEXT)]
        for number, (_, b) in enumerate(found[nested]):
            for c, d in found[nested][number + 1 :]:
                assert b <= c or nested and d <= b
    assert len(found[True]) > len(found[False]) > 0


def test_scores_follow_the_temperature_and_unlikely_entities_are_left_out(recognizer):
    plain = recognizer.recognize(TEXT)
    least = sorted(one.score for one in plain)[2]
    assert recognizer.recognize(TEXT, min_score=least) == [one for one in plain if one.score >= least]
    recognizer.temperature = 3.0
    try:
        assert max(one.score for one in recognizer.recognize(TEXT)) < max(one.score for one in plain)
    finally:
        recognizer.temperature = 1.0
    assert recognizer.recognize(TEXT, min_score=1.0) == []


def test_batches_and_order_change_nothing(recognizer):
    texts = [TEXT, "Ann", "Bob met Ann", TEXT[5:], "Rome ."]
    alone = [recognizer.recognize(text) for text in texts]
    for size in (1, 3, 32):
        together = recognizer.recognize(texts, batch_size=size)
        for one, other in zip(together, alone, strict=True):
            assert [(e.start, e.end, e.label) for e in one] == [(e.start, e.end, e.label) for e in other]
            np.testing.assert_allclose([e.score for e in one], [e.score for e in other], atol=1e-5)
    assert recognizer.recognize([]) == []


def test_a_long_text_is_read_in_rows_each_span_where_it_has_most_context(randomize):
    model = make(positions=12)
    randomize(model, scale=0.5)
    rng = np.random.default_rng(0)
    tokens = rng.choice(["Ann", "met", "Oslo", "the", "king", "."], 60).tolist()
    ((words, logits),) = model.span_logits([tuple(tokens)])
    rows = model.windows.split(words)
    assert len(rows) > 6 and logits.shape == (60, 4, 3)
    for row in rows:
        x = model.windows.of_tokens(tokens[row.first_word : row.first_word + len(row.word_starts)])
        alone = model.preprocessor([tokens[row.first_word : row.first_word + len(row.word_starts)]])
        assert len(x) == len(row.word_starts)
        found = keras.ops.convert_to_numpy(model(alone)["span_logits"])[0, : len(x)]
        here = logits[row.first_word : row.first_word + len(x)]
        np.testing.assert_allclose(here[row.owned], found[row.owned], atol=1e-4)


def test_it_learns_nested_entities_and_says_so_after_loading(tmp_path):
    model = make(dropout=0.0)
    model.compile(keras.optimizers.Adam(1e-2))
    texts = ["Ann lives in Oslo .", "Bob met the king of Oslo .", "the king of Rome met Ann", "Rome", "Bob met Ann"]
    entities = [
        [(0, 3, "PER"), (13, 17, "LOC")],
        [(0, 3, "PER"), (8, 24, "PER"), (20, 24, "LOC")],
        [(0, 16, "PER"), (12, 16, "LOC"), (21, 24, "PER")],
        [(0, 4, "LOC")],
        [(0, 3, "PER"), (8, 11, "PER")],
    ]
    losses = model.fit(texts * 20, entities * 20, batch_size=10, epochs=12, verbose=0).history["loss"]
    assert losses[-1] < 0.1 * losses[0]
    found = model.recognize(texts)
    assert [[(one.start, one.end, one.label) for one in each] for each in found] == entities
    model.save(tmp_path / "m.keras")
    assert keras.saving.load_model(tmp_path / "m.keras").recognize(texts) == found
    assert model.counts["texts"] == len(texts)


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"labels": []}, "must be different types of entities"),
        ({"labels": ["A", "A"]}, "must be different types of entities"),
        ({"row_length": 33}, "at most the encoder's 32 positions"),
        ({"max_span_width": 0}, "max_span_width"),
        ({"max_span_width": 31}, "at most the 30 words that a row can hold. Received: 31"),
        ({"hidden_dim": 0}, "hidden_dim"),
    ],
)
def test_settings_are_checked(settings, message):
    with pytest.raises(ValueError, match=message):
        make(**settings)


def test_bad_input_is_one_sentence(recognizer):
    for given, message in (("", "Text 0 has no words"), (["Ann", " "], "Text 1 has no words"), ([3], "Text 0 must be")):
        with pytest.raises(InputError, match=message):
            recognizer.recognize(given)
    with pytest.raises(InputError, match="min_score"):
        recognizer.recognize("Ann", min_score=2)
    batch = {key: np.ones((1, 4), "int32") for key in recognizer.input_keys}
    batch |= {"span_labels": np.zeros((1, 4)), "span_weights": np.zeros((1, 4, 4))}
    with pytest.raises(ValueError, match=r"`span_labels` must be of shape \(B, N, 4\)"):
        recognizer.example_losses(recognizer({key: batch[key] for key in recognizer.input_keys}), batch)


def test_numbers_that_are_not_finite_are_reported(recognizer):
    bias = recognizer.span_head.classifier.bias
    before = keras.ops.convert_to_numpy(bias)
    bias.assign(before * np.nan)
    try:
        with pytest.raises(InputError, match="non-finite logits"):
            recognizer.recognize("Ann")
    finally:
        bias.assign(before)
