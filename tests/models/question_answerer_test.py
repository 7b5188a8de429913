"""The reader: BERT's numbers, answers against a window-by-window oracle, limits, memory, loss."""

import math
import tracemalloc

import keras
import numpy as np
import pytest

from spanbert_keras import Answer, SpanBertEncoder, SpanBertQuestionAnswerer, SpanBertTokenizer
from spanbert_keras.errors import InputError

WORDS = ["Ann", "Bob", "wrote", "ate", "it", "the", "a", "book", "pie", "red", "old", "who", "what", "?", "."]
CHARACTERS = [*map(chr, range(33, 127)), *"é中文한글😀"]
BACKEND = keras.backend.backend()
HARD = [  # questions and contexts of unusual Unicode
    "cafe\u0301 a\u0301\u0327 b",
    "I 😀 you 👩\u200d👧 👍🏽!",
    "中文 and 한글 \u1112\u1161\u11ab",
    "a\x00b\x07 \tc\r\nd\ufffd",
    "zero\u200bwidth \ufeffmark soft\u00adhyphen",
    "a\u00a0b\u2028c\u3000e",
    f"a {'b' * 300} c",
    "\u0130x ½ \ufb01 \ufdfa x",
    "\x00 x नि กำ \x00",
]


@pytest.fixture(scope="module")
def make_reader(randomize):
    """Function that makes a reader of rows of 32 pieces full of noise; arguments are the reader's."""

    def make(lowercase=False, dtype=None, scale=0.4, num_layers=1, seed=0, **settings):
        specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
        pieces = list(dict.fromkeys([*specials, *WORDS, *CHARACTERS, *("##" + c for c in CHARACTERS if c.isalnum())]))
        sizes = (len(pieces), num_layers, 2, 10, 18, 0.0)
        others = {"max_sequence_length": 32, "num_segments": 4, "dtype": dtype}
        encoder = SpanBertEncoder(*sizes, **others, tokenizer=SpanBertTokenizer(pieces, lowercase))
        defaults = {"stride": 9, "max_question_pieces": 6, "max_answer_pieces": 5}
        reader = SpanBertQuestionAnswerer(encoder, **(defaults | settings))
        randomize(reader, seed, scale)
        return reader

    return make


@pytest.fixture(scope="module")
def reader(make_reader):
    return make_reader()


def texts(count, seed=0, longest=60):
    rng = np.random.default_rng(seed)
    spell = lambda low, high: " ".join(rng.choice(WORDS, rng.integers(low, high)))  # noqa: E731
    return [spell(1, 9) for _ in range(count)], [spell(1, longest) for _ in range(count)]


@pytest.fixture(scope="module")
def asked(reader):
    """11 questions, their contexts of 1 to 59 words (1 to 6 windows), and the 20 best answers in batches of seven."""
    questions, contexts = texts(11)
    return questions, contexts, reader.answer(questions, contexts, n_best=20, batch_size=7)


def same(found, expected):
    """Asserts that answers agree: texts and places exactly, numbers as far as float32 goes."""
    assert [(a.text, a.start, a.end) for a in found] == [(a.text, a.start, a.end) for a in expected]
    np.testing.assert_allclose([a.score for a in found], [a.score for a in expected], rtol=1e-3, atol=1e-6)
    no_answer_scores = [[a.no_answer_score for a in answers] for answers in (found, expected)]
    np.testing.assert_allclose(*no_answer_scores, rtol=1e-4, atol=1e-4)


def slow_answers(reader, question, context):
    """The oracle: every window alone and unpadded, all pairs, one softmax."""
    ids, offsets = reader.tokenizer.encode_with_offsets(context)
    question = reader.tokenizer(question)[:6]
    room, begins = 32 - 3 - len(question), [0]
    while begins[-1] + room < len(ids):
        begins.append(begins[-1] + min(9, room))
    windows, spans, nulls = [(b, min(len(ids), b + room)) for b in begins], [], []
    for number, (begin, end) in enumerate(windows):
        row = np.array([[2, *question, 3, *ids[begin:end], 3]], "int32")
        segments = (np.arange(row.shape[1]) >= len(question) + 2).astype("int32")[None]
        out = reader({"token_ids": row, "segment_ids": segments, "padding_mask": np.ones_like(row)})
        starts, stops = (keras.ops.convert_to_numpy(out[f"{x}_logits"])[0].astype("float64") for x in ("start", "end"))
        nulls.append(starts[0] + stops[0])
        at, mine = len(question) + 2 - begin, []
        for i in range(begin, end):
            context_scores = [min(i - b, e - 1 - i) + 0.01 * (e - b) if b <= i < e else -1 for b, e in windows]
            if context_scores.index(max(context_scores)) == number:
                mine += [(starts[at + i] + stops[at + j], i, j) for j in range(i, min(end, i + 5))]
        spans += sorted(mine, reverse=True)[:20]
    total = sum(math.exp(logit) for logit, *_ in spans) + math.exp(min(nulls))
    found = {}
    for logit, i, j in sorted(spans, reverse=True):
        start, end = offsets[i][0], offsets[j][1]
        no_answer_score = min(nulls) - max(spans)[0]
        answer = Answer(context[start:end], start, end, math.exp(logit) / total, no_answer_score)
        found.setdefault(answer.text, answer)
    return list(found.values())


def test_logits_are_those_of_transformers_bert(make_encoder, as_bert, randomize, tokenizer, rows, to_numpy):
    encoder = make_encoder(tokenizer=tokenizer)
    reader = SpanBertQuestionAnswerer(encoder, max_question_pieces=5)
    randomize(reader.answer_head, 1)
    bert = as_bert(encoder)
    import torch
    import transformers

    theirs = transformers.BertForQuestionAnswering(bert.config).eval()
    theirs.bert.load_state_dict(bert.state_dict())
    theirs.qa_outputs.weight.data = torch.tensor(keras.ops.convert_to_numpy(reader.answer_head.kernel)).T
    theirs.qa_outputs.bias.data = torch.tensor(keras.ops.convert_to_numpy(reader.answer_head.bias))
    with torch.no_grad():
        expected = theirs(*(torch.tensor(rows[key]).long() for key in ("token_ids", "padding_mask", "segment_ids")))
    found = to_numpy(reader(rows))
    kept = rows["padding_mask"] > 0
    for name in ("start_logits", "end_logits"):
        assert found[name].shape == (3, 11) and expected[name].std() > 0.1
        np.testing.assert_allclose(found[name][kept], expected[name].numpy()[kept], atol=1e-5)


def test_answers_are_those_of_every_window_alone(reader, asked):
    for question, context, found in list(zip(*asked, strict=True))[:7]:
        same(found, slow_answers(reader, question, context)[:20])
        assert 0 < sum(answer.score for answer in found) < 1


def test_batches_windows_and_padding_change_no_answer(reader, asked):
    questions, contexts, expected = asked
    for batch_size in (1, 4, 7):
        found = reader.answer(questions, contexts, batch_size=batch_size)
        same(found, [answers[0] for answers in expected])
    same([reader.answer(q, c) for q, c in zip(questions, contexts, strict=True)], [a[0] for a in expected])
    backwards = reader.answer(questions[::-1], contexts[::-1], n_best=4, batch_size=7)
    for found, answers in zip(backwards[::-1], expected, strict=True):
        same(found, answers[:4])


def test_n_best_texts_are_distinct_sorted_and_do_not_depend_on_the_number(reader, asked):
    questions, contexts, expected = asked
    for answers, context in zip(expected, contexts, strict=True):
        assert len({answer.text for answer in answers}) == len(answers) <= 20
        assert [a.score for a in answers] == sorted((a.score for a in answers), reverse=True)
        assert all(context[a.start : a.end] == a.text != "" for a in answers)
    for n_best in (1, 2, 20):
        found = reader.answer(questions, contexts, n_best=n_best, batch_size=7)
        assert found == [answers[:n_best] for answers in expected]


def test_no_answer_is_given_exactly_above_the_threshold(reader, asked, monkeypatch):
    questions, contexts, free = asked
    scores = sorted(answers[0].no_answer_score for answers in free)
    for threshold in (scores[0] - 1, scores[6], (scores[3] + scores[4]) / 2, scores[-1] + 1):  # equal is not above
        monkeypatch.setattr(reader, "no_answer_threshold", threshold)
        found = reader.answer(questions, contexts, n_best=20, batch_size=7)
        for answers, spans in zip(found, free, strict=True):
            none = [a for a in answers if a.text == ""]
            unanswered = spans[0].no_answer_score > threshold
            assert ((answers[0].text, answers[0].start, answers[0].end) == ("", None, None)) == unanswered
            assert [a for a in answers if a.text][:19] == spans[:19]  # only the last span is displaced
            assert len(none) <= 1 and all((a.start, a.end) == (None, None) for a in none)
            for a in none:
                assert a.score == pytest.approx(spans[0].score * math.exp(spans[0].no_answer_score))
                assert unanswered or all(a.score >= later.score for later in answers[answers.index(a) + 1 :])
        ones = reader.answer(questions, contexts, batch_size=7)
        assert ones == [answers[0] for answers in found]
    assert {a.text == "" for a in ones} == {False}


@pytest.mark.parametrize("lowercase", [False, True], ids=["cased", "uncased"])
def test_the_context_at_the_offsets_is_the_text_on_any_unicode(make_reader, lowercase):
    reader = make_reader(lowercase)
    rng = np.random.default_rng(1)
    contexts = HARD + [" ".join(rng.permutation(HARD)) for _ in range(3)]
    for context, answers in zip(contexts, reader.answer("who?", contexts, n_best=20, batch_size=4), strict=True):
        assert answers
        for answer in answers:
            assert 0 <= answer.start < answer.end <= len(context)
            assert context[answer.start : answer.end] == answer.text != ""


def test_one_str_goes_with_each_of_a_list_of_the_others(reader):
    contexts = ["Ann wrote it .", "Bob ate a pie ."]
    one = reader.answer("who ?", contexts[0])
    assert isinstance(one, Answer)
    assert reader.answer("who ?", contexts, n_best=2)[0][0] == one
    assert reader.answer(["who ?"], contexts[0]) == [one]
    assert reader.answer(("who ?", "what ?"), contexts[0])[0] == one
    assert reader.answer([], []) == [] and reader.answer([], "Ann") == [] and reader.answer("who ?", []) == []
    assert reader.answer("who ?", contexts[0], n_best=3)[0] == one


@pytest.mark.parametrize(
    "questions, contexts, settings, message",
    [
        ("", "Ann", {}, "Question 0 has no words"),
        (["who", " "], "Ann", {}, "Question 1 has no words"),
        ("who", "", {}, "Context 0 has no words"),
        ("who", ["Ann", "\x00\x07"], {}, "Context 1 has no words"),
        ("who", "жжж", {}, "no word that the vocabulary can spell.*'жжж'"),
        (["who", "who"], ["Ann"], {}, "Received: 2 questions and 1 contexts"),
        ("who", ["Ann", None], {}, "context 1 must be a str. Received: NoneType"),
        ([3], ["Ann"], {}, "question 0 must be a str. Received: int"),
        ("who", "Ann", {"n_best": 0}, "n_best=0"),
        ("who", "Ann", {"batch_size": 0}, "batch_size=0"),
        ("who", "Ann", {"max_answer_pieces": 0}, "max_answer_pieces=0"),
        ("who", "Ann", {"max_question_pieces": 0}, "max_question_pieces=0"),
        ("who", "Ann", {"stride": -1}, "stride=-1"),
    ],
)
def test_invalid_questions_are_rejected_with_a_message(reader, questions, contexts, settings, message):
    with pytest.raises(InputError, match=message):
        reader.answer(questions, contexts, **settings)


def test_limits_can_be_overridden_and_hits_are_counted(make_reader):
    reader = make_reader()
    questions, contexts = texts(12, seed=4)
    long = [len(reader.tokenizer(question)) for question in questions]
    assert reader.counts == {"questions": 0, "questions_cut": 0, "answers_at_limit": 0}
    answers = reader.answer(questions, contexts, n_best=3, batch_size=7)
    pieces = [len(reader.tokenizer(found[0].text)) for found in answers]
    expected = {"questions": 12, "questions_cut": sum(n > 6 for n in long), "answers_at_limit": pieces.count(5)}
    assert reader.counts == expected and min(expected.values()) > 0
    shorter = reader.answer(questions, contexts, max_answer_pieces=1, max_question_pieces=2, batch_size=7)
    assert [len(reader.tokenizer(answer.text)) for answer in shorter] == [1] * 12
    assert reader.counts["questions"] == 24 and reader.counts["answers_at_limit"] == pieces.count(5) + 12
    assert reader.counts["questions_cut"] == sum(n > 6 for n in long) + sum(n > 2 for n in long)
    assert (reader.max_answer_pieces, reader.windows.max_question_pieces, reader.windows.stride) == (5, 6, 9)
    assert shorter != reader.answer(questions, contexts, max_answer_pieces=1, stride=20, batch_size=7)
    reader.no_answer_threshold, before = -1e9, dict(reader.counts)
    assert {answer.text for answer in reader.answer(questions, contexts, batch_size=7)} == {""}
    assert reader.counts["answers_at_limit"] == before["answers_at_limit"]  # no answer is not one at the limit


@pytest.mark.slow
def test_fifty_thousand_words_are_read_in_bounded_memory(reader):
    rng = np.random.default_rng(5)
    long = " ".join(rng.choice(WORDS, 50_000))
    tracemalloc.start()
    try:
        answer = reader.answer("who wrote it ?", long, batch_size=8)
        peak = tracemalloc.get_traced_memory()[1] / 2**20
    finally:
        tracemalloc.stop()
    assert long[answer.start : answer.end] == answer.text != "" and 0 < answer.score < 1
    assert peak < 60  # MiB, most of it the tokenizer's lists


def targets(rows):
    """`rows` with answers, (B, A) = (3, 2)."""
    positions = {"start_positions": [[1, 4], [2, 0], [0, 0]], "end_positions": [[3, 4], [5, 0], [0, 0]]}
    weights = {"answer_weights": np.array([[1, 1], [1, 0], [1, 0]], "float32")}
    return rows | {key: np.array(value, "int32") for key, value in positions.items()} | weights


def test_the_loss_is_that_of_the_answers_and_of_the_rows_weights(make_reader, rows, to_numpy):
    reader, batch = make_reader(scale=0.1), targets(rows)
    logits = to_numpy(reader(rows))
    losses = []
    for b in range(3):
        kept = rows["padding_mask"][b] > 0
        p = {
            s: np.exp(logits[f"{s}_logits"][b]) / np.exp(logits[f"{s}_logits"][b][kept]).sum() for s in ("start", "end")
        }
        pairs = zip(*(batch[key][b] for key in reader.target_keys), strict=True)
        losses.append(-0.5 * math.log(sum(p["start"][s] * p["end"][e] * w for s, e, w in pairs)))
    reader.compile("sgd", run_eagerly=BACKEND == "tensorflow")
    assert reader.evaluate(batch, batch_size=3, verbose=0) == pytest.approx(np.mean(losses), rel=1e-4)
    weighted = reader.evaluate(batch, batch_size=3, verbose=0, sample_weight=np.array([1.0, 0.0, 3.0]))
    assert weighted == pytest.approx((losses[0] + 3 * losses[2]) / 3, rel=1e-4)


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"window_length": 33}, "at most the encoder's 32 positions.*window_length=33"),
        ({"max_answer_pieces": 0}, "max_answer_pieces=0"),
        ({"input_order": "context_first"}, "input_order='context_first'"),
        ({"stride": 0}, "stride=0"),
    ],
)
def test_invalid_settings_are_rejected(reader, settings, message):
    with pytest.raises(ValueError, match=message):
        SpanBertQuestionAnswerer(reader.encoder, **settings)
