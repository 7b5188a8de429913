"""Reading contexts in windows: shapes of batches, and candidates against a window-by-window count of all pairs."""

import hashlib

import numpy as np
import pytest

from spanbert_keras.errors import InputError
from spanbert_keras.models.windowed_reader import CHUNK_BATCHES, pad_windows, read
from spanbert_keras.preprocessing.length_buckets import fixed_batches, row_lengths, token_batches
from spanbert_keras.preprocessing.question_windows import QuestionWindows

LETTERS = "abcdefgh"


@pytest.fixture(scope="module")
def windows(tokenizer):
    return QuestionWindows(tokenizer, window_length=21, stride=5, max_question_pieces=4)


def row_logits(ids):
    """Two logits for each piece of a row of ids, from a hash of the row and the place: the same however padded."""
    seeds = hashlib.sha256(bytes(int(i) for i in ids)).digest()
    return np.random.default_rng(list(seeds)).normal(0.0, 2.0, (2, len(ids))).astype("float32")


class FakeModel:
    """Logits by `row_logits`, huge ones at padding, and a note of the batches' shapes."""

    def __init__(self):
        self.shapes, self.rows = [], 0

    def __call__(self, batch):
        shape = batch["token_ids"].shape
        assert {value.shape for value in batch.values()} == {shape}
        assert set(batch) == {"token_ids", "segment_ids", "padding_mask"}
        self.shapes.append(shape)
        logits = np.full((2, *shape), 1e6, "float32")
        for i, size in enumerate(batch["padding_mask"].sum(1)):
            assert not batch["token_ids"][i, size:].any() and batch["padding_mask"][i, :size].all()
            logits[:, i, :size] = row_logits(batch["token_ids"][i, :size])
        return {"start_logits": logits[0], "end_logits": logits[1]}


def few_shapes(batch_size, single_rows=True):
    """Batches as on a backend that compiles each shape."""
    return lambda lengths: fixed_batches(lengths, batch_size, 21, single_rows)


def any_shapes(batch_size):
    """Batches as on a backend to which shapes do not matter."""
    return lambda lengths: [(part, len(part), length) for part, length in token_batches(lengths, batch_size * 21, 21)]


def texts(count, seed=3, longest=60):
    """Questions of 1 to 4 words and contexts of 1 to `longest` words of one letter; some contexts twice in a row."""
    rng = np.random.default_rng(seed)
    spell = lambda low, high: " ".join(rng.choice(list(LETTERS), rng.integers(low, high)))  # noqa: E731
    contexts = [spell(1, longest) for _ in range(count)]
    contexts[1::3] = contexts[0::3][: len(contexts[1::3])]
    return [spell(1, 5) for _ in range(count)], contexts


def slow_reading(windows, question, context, max_length, count):
    """All pairs of every window, BERT's window rule by a loop; [(start, end, logit)] and the least no-answer logit."""
    passage, (ids, _) = windows.passages([context])[0], windows.questions([question])[0]
    rows, spans, nulls = windows.split(ids, passage), [], []
    for number, row in enumerate(rows):
        starts, ends = row_logits(row.token_ids)
        nulls.append(float(starts[0]) + float(ends[0]))
        mine = []
        for i in range(row.begin, row.end):
            scores = [
                min(i - other.begin, other.end - 1 - i) + 0.01 * (other.end - other.begin)
                if other.begin <= i < other.end
                else -1.0
                for other in rows
            ]
            if scores.index(max(scores)) == number:
                for j in range(i, min(row.end, i + max_length)):
                    at = row.offset - row.begin
                    mine.append((i, j, float(starts[at + i]) + float(ends[at + j])))
        spans += sorted(mine, key=lambda span: -span[2])[:count]
    return sorted(spans, key=lambda span: (-span[2], *span[:2])), min(nulls)


def test_padded_rows_hold_the_windows_and_copies_of_the_last(windows):
    passage, (ids, _) = windows.passages(["a b c d e f"])[0], windows.questions(["g h"])[0]
    rows = windows.split(ids, passage) + windows.split(ids[:1], windows.passages(["ab"])[0])
    batch = pad_windows(rows, 4, 13)
    first, second = [2, 11, 12, 3, 5, 6, 7, 8, 9, 10, 3], [2, 11, 3, 5, 14, 3]
    assert batch["token_ids"].tolist() == [first + [0] * 2] + [second + [0] * 7] * 3
    assert batch["padding_mask"].tolist() == [[1] * 11 + [0] * 2] + [[1] * 6 + [0] * 7] * 3
    assert batch["segment_ids"].tolist() == [[0] * 4 + [1] * 7 + [0] * 2] + [[0] * 3 + [1] * 3 + [0] * 7] * 3
    assert {value.dtype for value in batch.values()} == {np.dtype("int32")}


@pytest.mark.parametrize("batch_size", [1, 3, 7, 40])
@pytest.mark.parametrize("shapes", ["few", "few, without single rows", "any"])
@pytest.mark.parametrize("order", ["question_first", "passage_first"])
def test_candidates_are_those_of_all_pairs_of_all_windows_in_order(windows, batch_size, shapes, order):
    windows = windows.replace(input_order=order)
    questions, contexts = texts(23)
    model, single_rows = FakeModel(), shapes == "few"
    batches_of = any_shapes(batch_size) if shapes == "any" else few_shapes(batch_size, single_rows)
    readings = list(read(questions, contexts, windows, model, batches_of, batch_size, 6, 9))
    assert len(readings) == 23
    for reading, question, context in zip(readings, questions, contexts, strict=True):
        expected, null = slow_reading(windows, question, context, 6, 9)
        found = reading.candidates
        got = list(zip(found.starts.tolist(), found.ends.tolist(), found.logits.tolist(), strict=True))
        assert got == expected and found.no_answer_logit == null
        assert reading.passage.token_ids.tolist() == windows.passages([context])[0].token_ids.tolist()
    if shapes == "any":
        assert all(rows * length <= batch_size * 21 for rows, length in model.shapes)
    else:
        allowed = {1, batch_size} if single_rows else {batch_size}
        assert set(model.shapes) <= {(rows, length) for rows in allowed for length in row_lengths(21)}


def test_a_few_remaining_rows_are_computed_one_by_one(windows):
    questions, contexts = ["a"] * 10, [" ".join("abcdefgh"[:n] for n in range(1, 3))] * 10
    for rows, expected in ((8, [(8, 8)]), (9, [(8, 8), (1, 8)]), (10, [(8, 8), (1, 8), (1, 8)]), (2, [(1, 8)] * 2)):
        model = FakeModel()
        list(read(questions[:rows], contexts[:rows], windows, model, few_shapes(8), 8, 3))
        assert model.shapes == expected
    model = FakeModel()
    list(read(questions[:3], contexts[:3], windows, model, few_shapes(8), 8, 3))
    assert model.shapes == [(8, 8)]


def test_rows_of_similar_length_are_computed_together(windows):
    """A row is padded to the next of the lengths, not to the longest of the whole."""
    questions, contexts = ["a"] * 16, ["a b", " ".join(LETTERS * 2)] * 8
    model = FakeModel()
    list(read(questions, contexts, windows, model, few_shapes(8), 8, 3))
    assert sorted(model.shapes) == [(8, 8), (8, 21)]


def test_no_questions_give_no_readings_and_no_batch(windows):
    model = FakeModel()
    assert list(read([], [], windows, model, few_shapes(4), 4, 3)) == [] and model.shapes == []


def test_cut_questions_are_reported(windows):
    found = read(["a b c d", "a b c d e"], ["a", "b"], windows, FakeModel(), few_shapes(4), 4, 3)
    assert [reading.question_cut for reading in found] == [False, True]


def test_readings_are_yielded_before_the_end_of_the_input(windows):
    """Streaming: only a few batches of windows are taken and held at a time."""
    taken = []

    def contexts():
        for number in range(10_000):
            taken.append(number)
            yield "a b c"

    questions = ("a" for _ in range(10_000))
    found = read(questions, contexts(), windows, FakeModel(), any_shapes(2), 2, 3)
    for _ in range(3):
        next(found)
    assert len(taken) <= 2 * CHUNK_BATCHES + 4 * 2 + 1


def test_a_context_of_neighbouring_questions_is_tokenized_once(windows, monkeypatch):
    seen = []
    original = QuestionWindows.passages
    monkeypatch.setattr(
        QuestionWindows, "passages", lambda self, given, *a: seen.extend(given) or original(self, given, *a)
    )
    list(read(["a", "b", "c", "d"], ["e f", "e f", "g", "e f"], windows, FakeModel(), any_shapes(2), 2, 3))
    assert seen == ["e f", "g"]


@pytest.mark.parametrize("number", [0, 5, 29])
def test_an_invalid_text_is_named_by_its_number_in_the_whole(windows, number):
    questions, contexts = texts(30)
    with pytest.raises(InputError, match=f"^Context {number} has no words"):
        list(
            read(
                questions,
                [*contexts[:number], "\x00", *contexts[number + 1 :]],
                windows,
                FakeModel(),
                any_shapes(2),
                2,
                3,
            )
        )
    with pytest.raises(InputError, match=f"^Question {number} has no words"):
        list(
            read(
                [*questions[:number], " ", *questions[number + 1 :]],
                contexts,
                windows,
                FakeModel(),
                any_shapes(2),
                2,
                3,
            )
        )


def test_more_questions_than_contexts_are_an_error(windows):
    for questions, contexts in ((["a", "b"], ["c"]), (["a"], ["c", "d"])):
        with pytest.raises(ValueError):
            list(read(questions, contexts, windows, FakeModel(), any_shapes(2), 2, 3))
