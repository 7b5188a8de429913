"""Reads contexts in windows for question answering: batches of few shapes. Shape letters: B rows, T tokens."""

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np

from spanbert_keras.decoding.answer_spans import Candidates, best_spans, max_context, merge
from spanbert_keras.errors import InputError
from spanbert_keras.preprocessing.question_windows import Passage, QuestionWindows, Window

CHUNK_BATCHES = 16  # windows are sorted by length within that many batches


@dataclasses.dataclass(frozen=True)
class Reading:
    """What reading one context for a question found: its candidate answers.

    Attributes:
        passage: `Passage`. The context as pieces, with the place of each in the text.
        candidates: `Candidates`. The best spans of the passage in all windows, and "no answer".
        question_cut: bool. Whether the question was longer than the limit and its end was left out.
    """

    passage: Passage
    candidates: Candidates
    question_cut: bool

    def probabilities(self, temperature: float) -> tuple[np.ndarray, float]:
        """Returns the probabilities of the candidates and of "no answer"; see `Candidates.probabilities`.

        Raises:
            InputError: no logit of the model is a number.
        """
        if not len(self.candidates.logits):
            raise InputError(
                "The model returned non-finite logits. Expected: numbers. Retrain it, or load another checkpoint."
            )
        return self.candidates.probabilities(temperature)


class _OpenQuestion:
    """A question whose windows are being read."""

    def __init__(self, passage: Passage, windows: list[Window], question_cut: bool):
        self.passage = passage
        self.windows = windows
        self.question_cut = question_cut
        self.may_start = max_context([w.begin for w in windows], [w.end for w in windows])
        self.found: list = [None] * len(windows)
        self.no_answer_logits = [0.0] * len(windows)

    def decode(self, number: int, start_logits: np.ndarray, end_logits: np.ndarray, max_length: int, count: int):
        """Keeps the candidates of window `number`, given its logits `(T,)`; the logits are not kept."""
        window = self.windows[number]
        part = slice(window.offset, window.offset + window.end - window.begin)
        starts, ends, logits = best_spans(
            start_logits[part], end_logits[part], self.may_start[number], max_length, count
        )
        self.found[number] = (starts + window.begin, ends + window.begin, logits)
        self.no_answer_logits[number] = float(start_logits[0]) + float(end_logits[0])

    def reading(self) -> Reading:
        return Reading(self.passage, merge(self.found, self.no_answer_logits), self.question_cut)


def pad_windows(windows: Sequence[Window], rows: int, length: int) -> dict[str, np.ndarray]:
    """Returns the inputs of an encoder, int32 `(rows, length)` each: one row per window, then copies of the last."""
    return QuestionWindows.pad([*windows, *[windows[-1]] * (rows - len(windows))], length)


def read(
    questions: Iterable[str],
    contexts: Iterable[str],
    windows: QuestionWindows,
    logits_of: Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]],
    batches_of: Callable[[list[int]], list[tuple[np.ndarray, int, int]]],
    batch_size: int,
    max_answer_pieces: int,
    count: int = 20,
) -> Iterator[Reading]:
    """Yields a `Reading` for every question, in order; a bounded number of questions is held at any time.

    Args:
        questions, contexts: iterables of str, equally long.
        windows: `QuestionWindows`.
        logits_of: returns `start_logits`, `end_logits`, `(B, T)`, of a batch of inputs.
        batches_of: returns the batches of windows of these lengths: places, B and T of each.
        batch_size: int. Windows of the longest length in a batch; `CHUNK_BATCHES` times as many are held.
        max_answer_pieces: int. Longest answer, in pieces.
        count: int. Candidates per window.

    Raises:
        InputError: a question or a context is invalid.
    """

    def finish(chunk: list[_OpenQuestion]) -> Iterator[Reading]:
        rows = [(one, j) for one in chunk for j in range(len(one.windows))]
        for part, size, length in batches_of([len(one.windows[j]) for one, j in rows]):
            chosen = [rows[place] for place in part.tolist()]
            logits = logits_of(pad_windows([one.windows[j] for one, j in chosen], size, length))
            for (one, j), starts, ends in zip(chosen, logits["start_logits"], logits["end_logits"], strict=False):
                one.decode(j, starts, ends, max_answer_pieces, count)
        for one in chunk:
            yield one.reading()

    chunk, held = [], 0
    for one in _opened(questions, contexts, windows, batch_size):
        chunk.append(one)
        held += len(one.windows)
        if held >= CHUNK_BATCHES * batch_size:
            yield from finish(chunk)
            chunk, held = [], 0
    yield from finish(chunk)


def _opened(questions: Iterable[str], contexts: Iterable[str], windows: QuestionWindows, batch_size: int):
    """Yields an `_OpenQuestion` for every question; each context of neighbouring questions is tokenized once."""
    pairs = enumerate(zip(questions, contexts, strict=True))
    while part := [pair for _, pair in zip(range(4 * batch_size), pairs, strict=False)]:
        names: dict[str, int] = {}
        for number, (_, context) in part:
            names.setdefault(context, number)
        passages = dict(zip(names, windows.passages(list(names), list(names.values())), strict=True))
        asked = windows.questions([question for _, (question, _) in part], [number for number, _ in part])
        for (ids, cut), (_, (_, context)) in zip(asked, part, strict=True):
            yield _OpenQuestion(passages[context], windows.split(ids, passages[context]), cut)
