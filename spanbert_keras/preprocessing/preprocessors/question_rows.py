"""Windows of questions and contexts, with answers. Shape letters: E examples, N rows, B rows of a batch, T tokens,
A answers.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np

from spanbert_keras.preprocessing.preprocessors.example_rows import ExampleRows
from spanbert_keras.preprocessing.question_windows import Passage, QuestionWindows, Window

MAX_ANSWERS = 16  # per row
CHUNK_SIZE = 512  # examples tokenized at once


@dataclasses.dataclass(frozen=True)
class Counts:
    """Counts over the rows.

    Attributes:
        questions_cut: int. Questions longer than the limit.
        rows_without_answer: int. Windows without a whole answer, or of questions that have none; their target is [CLS].
        answers_too_long: int. Answers with more tokens than the model can give; trained on, but never found.
        answers_lost: int. Answers whose characters are in no token.
        answers_dropped: int. Answers beyond `MAX_ANSWERS` in a row.
    """

    questions_cut: int = 0
    rows_without_answer: int = 0
    answers_too_long: int = 0
    answers_lost: int = 0
    answers_dropped: int = 0


class QuestionRows(ExampleRows):
    """Every window of each question and its context, and the positions of the answers in it.

    Args:
        windows: sequence of N `Window`.
        positions: sequence of N int32 `(A, 2)`. First and last position of each answer in a row, [[0, 0]] without
            one. `None`: the answers are unknown.
        examples: int `(N,)`. The question of each row.
        passages: sequence of E `Passage`.
        counts: `Counts`.
        sample_weight: float `(E,)` or `None`.

    Attributes:
        most_answers: int. A of a batch, the largest number of answers in a row.
    """

    def __init__(
        self,
        windows: Sequence[Window],
        positions: Sequence[np.ndarray] | None,
        examples: Sequence[int],
        passages: Sequence[Passage],
        counts: Counts,
        sample_weight=None,
    ):
        super().__init__([len(window) for window in windows], examples, sample_weight)
        self.target_keys = () if positions is None else ("start_positions", "end_positions", "answer_weights")
        self.windows = windows
        self.positions = positions
        self.passages = passages
        self.counts = counts
        self.most_answers = max((len(found) for found in positions or ()), default=1)

    def batch(self, rows: np.ndarray, length: int, epoch: int = 0) -> dict[str, np.ndarray]:
        """Returns some rows padded to one length; the same in every epoch. See `ExampleRows`.

        Returns:
            `token_ids`, `segment_ids`, `padding_mask`, int32 `(B, T)`; with known answers `start_positions`,
            `end_positions`, int32 `(B, A)`, and `answer_weights`, float32 `(B, A)`.
        """
        batch = QuestionWindows.pad([self.windows[row] for row in rows.tolist()], length)
        if self.positions is None:
            return batch
        targets = np.zeros((2, len(rows), self.most_answers), np.int32)
        weights = np.zeros((len(rows), self.most_answers), np.float32)
        for i, row in enumerate(rows.tolist()):
            positions = self.positions[row]
            targets[:, i, : len(positions)] = positions.T
            weights[i, : len(positions)] = 1.0
        return batch | {"start_positions": targets[0], "end_positions": targets[1], "answer_weights": weights}


def make_rows(
    questions: Sequence[str],
    contexts: Sequence[str],
    spans: Sequence[Sequence[tuple[int, int]]] | None,
    windows: QuestionWindows,
    max_answer_pieces: int = 30,
    answers: str = "one",
    first_answer: str = "file",
    sample_weight=None,
) -> QuestionRows:
    """Returns the rows of questions: every window of each, with the positions of its answers.

    Answers are found by their characters. The target of a window without a whole answer is [CLS]. Neighbouring
    questions about the same context share its pieces.

    Args:
        questions, contexts: sequences of E str.
        spans: sequence of E sequences of (start, end), half-open places of answers in the context, in characters;
            none: the question has no answer. `None`: the answers are unknown.
        windows: `QuestionWindows`.
        max_answer_pieces: int. Tokens of the model's longest answer.
        answers, first_answer: str. See `SpanBertQuestionAnswererPreprocessor`.
        sample_weight: float `(E,)` or `None`.

    Raises:
        InputError: a question or a context has no words.
    """
    counts = dict.fromkeys((field.name for field in dataclasses.fields(Counts)), 0)
    made: list[Window] = []
    positions: list[np.ndarray] = []
    examples: list[int] = []
    passages: list[Passage] = []
    for start in range(0, len(questions), CHUNK_SIZE):
        part = range(start, min(start + CHUNK_SIZE, len(questions)))
        names: dict[str, int] = {}
        for number in part:
            names.setdefault(contexts[number], number)
        known = dict(zip(names, windows.passages(list(names), list(names.values())), strict=True))
        asked = windows.questions([questions[number] for number in part], part)
        for number, (question_ids, cut) in zip(part, asked, strict=True):
            passage = known[contexts[number]]
            own = windows.split(question_ids, passage)
            counts["questions_cut"] += cut
            passages.append(passage)
            made += own
            examples += [number] * len(own)
            if spans is not None:
                pieces = _piece_spans(spans[number], passage, answers, first_answer)
                counts["answers_lost"] += bool(spans[number]) and not pieces
                counts["answers_too_long"] += bool(pieces) and min(b - a for a, b in pieces) >= max_answer_pieces
                positions += [_positions(window, pieces, counts) for window in own]
    return QuestionRows(made, None if spans is None else positions, examples, passages, Counts(**counts), sample_weight)


def _piece_spans(spans: Sequence[tuple[int, int]], passage: Passage, answers: str, first_answer: str):
    """Returns the first and last piece of the answers that are targets, without repetitions."""
    ordered = sorted(spans) if first_answer == "position" else list(spans)
    found = [passage.pieces_of(*span) for span in (ordered if answers == "all" else ordered[:1])]
    return list(dict.fromkeys(span for span in found if span is not None))


def _positions(window: Window, pieces: list[tuple[int, int]], counts: dict[str, int]) -> np.ndarray:
    """Returns the positions of the answers that are whole in a window, int32 `(A, 2)`, and counts the others."""
    found = [places for places in (window.positions_of(*span) for span in pieces) if places is not None]
    counts["rows_without_answer"] += not found
    counts["answers_dropped"] += max(0, len(found) - MAX_ANSWERS)
    return np.array(found[:MAX_ANSWERS] or [(0, 0)], np.int32)
