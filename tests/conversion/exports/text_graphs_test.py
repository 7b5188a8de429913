"""Graphs of strings equal `classify` and `answer`: hard texts, all kinds of classifiers and both orders of rows."""

import keras
import numpy as np
import pytest

from spanbert_keras import SpanBertEncoder, SpanBertQuestionAnswerer, SpanBertTextClassifier, SpanBertTokenizer
from tests.hard_strings import HAND, pieces_of

tf = pytest.importorskip("tensorflow", reason="a SavedModel needs TensorFlow")
pytest.importorskip("tensorflow_text", reason="a SavedModel that takes strings needs tensorflow-text")
pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="exports are made on the TensorFlow backend"
)

from spanbert_keras.conversion.exports.graph_tokenizer import GraphTokenizer  # noqa: E402
from spanbert_keras.conversion.exports.text_graphs import text_endpoints  # noqa: E402

TEXTS = [text for text in HAND if text.strip()]
TEXTS += ["Cafe\u0301 👩‍👩‍👧 naïve İx 日本語 a\u200b!", "foo " * 9, "x [SEP] bar [MASK]", "co-vid " * 4 + "Straße 😀"]


@pytest.fixture(scope="module")
def make_encoder(randomize):
    """Function that makes an uncased encoder with room for 24 pieces."""

    def make(num_segments=2):
        pieces = pieces_of(TEXTS)
        tokenizer = SpanBertTokenizer(pieces, lowercase=True)
        return SpanBertEncoder(
            len(pieces), 1, 2, 8, 12, max_sequence_length=24, num_segments=num_segments, tokenizer=tokenizer
        )

    return make


def endpoints(model):
    """Returns functions of lists of str, by the name of the endpoint."""
    tokenizer = model.encoder.tokenizer
    graph = GraphTokenizer(tokenizer.get_vocabulary(), tokenizer.lowercase)

    def run(serve):
        return lambda *texts: {
            name: value.numpy()
            for name, value in serve(*(tf.constant([t.encode() for t in text], tf.string) for text in texts)).items()
        }

    return {name: run(serve) for name, (serve, _) in text_endpoints(model, graph).items()}


@pytest.mark.parametrize(
    "settings",
    [
        {"labels": ["a", "b", "c"], "temperature": 2.5},
        {"labels": ["a", "b"], "problem_type": "multi_label", "temperature": 0.5},
        {"problem_type": "regression"},
    ],
    ids=lambda settings: settings.get("problem_type", "single_label"),
)
def test_scores_of_texts_and_pairs_equal_those_of_classify(make_encoder, randomize, settings):
    model = SpanBertTextClassifier(make_encoder(), row_length=12, **settings)
    randomize(model)
    found, pairs = endpoints(model), list(zip(TEXTS, TEXTS[::-1], strict=True))
    assert list(found) == ["serve", "pairs"]
    for received, expected in (
        (found["serve"](TEXTS), model.classify(TEXTS)),
        (found["pairs"](TEXTS, TEXTS[::-1]), model.classify(pairs)),
    ):
        scores = [list(one.scores.values()) or [one.score] for one in expected]
        np.testing.assert_allclose(received["scores"], scores, atol=1e-5)
        assert {tuple(row) for row in received["labels"].tolist()} == {
            tuple(label.encode() for label in model.labels) or (b"",)
        }
        assert received["scores"].dtype == np.float32 and np.ptp(received["scores"][:, 0]) > 1e-3
    sizes = [[len(row) for row in model.encoder.tokenizer(list(column))] for column in zip(*pairs, strict=True)]
    assert received["truncated_pieces"].tolist() == [max(0, a + b - 9) for a, b in zip(*sizes, strict=True)]
    assert max(received["truncated_pieces"]) > 3


@pytest.mark.parametrize("takes_pairs, names", [(True, ("text", "second_text")), (False, ("text",))])
def test_a_model_of_one_kind_of_texts_has_one_endpoint(make_encoder, takes_pairs, names):
    model = SpanBertTextClassifier(make_encoder(), labels=["a", "b"], takes_pairs=takes_pairs)
    graph = GraphTokenizer(model.encoder.tokenizer.get_vocabulary(), lowercase=True)
    assert {name: given for name, (_, given) in text_endpoints(model, graph).items()} == {"serve": names}


@pytest.mark.parametrize("order", ["question_first", "passage_first"])
@pytest.mark.parametrize("may_refuse", [False, True])
def test_answers_equal_those_of_the_reader(make_encoder, randomize, order, may_refuse):
    keras.utils.set_random_seed(3)
    encoder = make_encoder(num_segments=1 + may_refuse)
    model = SpanBertQuestionAnswerer(
        encoder, order, max_question_pieces=5, max_answer_pieces=4, stride=4, temperature=1.7
    )
    randomize(model)
    questions, contexts = zip(*[(a, b) for a in TEXTS for b in TEXTS], strict=True)
    if may_refuse:
        scores = [one.no_answer_score for one in model.answer(questions, contexts)]
        model.no_answer_threshold = float(np.median(scores))
    expected = model.answer(questions, contexts)
    found = endpoints(model)["serve"](questions, contexts)
    pieces = [len(row) for row in encoder.tokenizer(list(contexts))]
    room = [24 - 3 - min(5, len(row)) for row in encoder.tokenizer(list(questions))]
    cut = [max(0, size - most) for size, most in zip(pieces, room, strict=True)]
    assert found["truncated_pieces"].tolist() == cut and 0 < sum(map(bool, cut)) < len(cut) / 2
    refused = 0
    for number, (answer, context) in enumerate(zip(expected, contexts, strict=True)):
        if cut[number]:  # `answer` reads on
            continue
        start, end = int(found["start"][number]), int(found["end"][number])
        received = (found["text"][number].decode(), *(None if place < 0 else place for place in (start, end)))
        assert received == (answer.text, answer.start, answer.end)
        assert answer.start is None or context[start:end] == answer.text
        assert found["score"][number] == pytest.approx(answer.score, abs=1e-5)
        assert found["no_answer_score"][number] == pytest.approx(answer.no_answer_score, abs=1e-4)
        refused += answer.start is None
    assert (refused > 20) == may_refuse and found["start"].dtype == np.int32


def test_a_cut_context_is_answered_from_its_first_window(make_encoder, randomize):
    model = SpanBertQuestionAnswerer(make_encoder())
    randomize(model)
    (size,), context = {len(model.encoder.tokenizer(text)) for text in ("foo x",)}, "foo bar x " * 9
    kept = model.encoder.tokenizer.encode_with_offsets(context)[1][24 - 3 - size - 1][1]
    found, expected = endpoints(model)["serve"](["foo x"], [context]), model.answer("foo x", context[:kept])
    assert (found["start"][0], found["end"][0]) == (expected.start, expected.end)
    assert found["score"][0] == pytest.approx(expected.score, abs=1e-5)
    assert found["truncated_pieces"][0] == 27 - (24 - 3 - size)


def test_texts_without_words_have_no_answer(make_encoder):
    run = endpoints(SpanBertQuestionAnswerer(make_encoder()))["serve"]
    found = run(["", "foo", "foo", "foo"], ["foo", " \u200b", "\u16a0\u16a0", "foo"])
    assert found["start"].tolist()[:3] == found["end"].tolist()[:3] == [-1] * 3 and found["start"][3] == 0
    assert found["text"].tolist() == [b"", b"", b"", b"foo"] and found["score"].tolist()[:3] == [0.0] * 3
    assert np.isfinite(found["no_answer_score"]).all()
    assert all(len(values) == 0 for values in run([], []).values())
