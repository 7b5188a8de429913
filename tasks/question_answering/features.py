"""Makes training rows from examples. Shape letters: B rows, T tokens, A answers."""

import dataclasses
import functools
from collections.abc import Callable, Sequence

import numpy as np

from spanbert_keras.program import InputError
from tasks.question_answering.data import Example
from tasks.shared.example_collector import ExampleCollector

MAX_ANSWERS = 16  # per row with --answers=all
CHUNK_SIZE = 512  # contexts tokenized at once


@dataclasses.dataclass(frozen=True)
class Counts:
    """Counts over the training rows.

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


@dataclasses.dataclass(frozen=True)
class Rows:
    """Training rows of different lengths.

    Attributes:
        windows: list of the model's windows.
        targets: list of int32 `(A, 2)`. First and last position of each answer; [[0, 0]] without one.
        examples: list of int. Index of each row's example.
        passages: list. Tokenized passage of each example.
        counts: `Counts`.
        pad: the model's `windows.pad`.
    """

    windows: list
    targets: list[np.ndarray]
    examples: list[int]
    passages: list
    counts: Counts
    pad: Callable

    @property
    def lengths(self) -> list[int]:
        """Tokens of each row."""
        return [len(window) for window in self.windows]

    @functools.cached_property
    def most_answers(self) -> int:
        """A, the largest number of answers in a row."""
        return max(len(target) for target in self.targets)

    def batch(self, rows: np.ndarray, length: int, epoch: int = 0) -> dict[str, np.ndarray]:
        """Returns the model's inputs and targets for some rows, padded to `length`; the same in every epoch.

        Args:
            rows: int `(B,)`.
            length: int. T.
            epoch: int.

        Returns:
            `token_ids`, `segment_ids`, `padding_mask`, int32 `(B, T)`; `start_positions`, `end_positions`, int32
            `(B, A)`; `answer_weights`, float32 `(B, A)`.
        """
        positions = np.zeros((2, len(rows), self.most_answers), np.int32)
        weights = np.zeros((len(rows), self.most_answers), np.float32)
        batch = self.pad([self.windows[row] for row in rows.tolist()], length)
        for i, row in enumerate(rows.tolist()):
            target = self.targets[row]
            positions[:, i, : len(target)] = target.T
            weights[i, : len(target)] = 1.0
        return batch | {"start_positions": positions[0], "end_positions": positions[1], "answer_weights": weights}


def readable(examples: Sequence[Example], windows, path: str, skip: bool) -> tuple[list[Example], list[str]]:
    """Returns the examples that the model can read, and a sentence for each of the others.

    Args:
        examples: list of `Example`.
        windows: the model's `windows`.
        path: str. Path of the file, for messages.
        skip: bool. Whether such examples are left out.

    Raises:
        InputError: the first example that cannot be read, unless `skip`.
    """
    unreadable: set[str] = set()
    contexts = list(dict.fromkeys(example.context for example in examples))
    for start in range(0, len(contexts), CHUNK_SIZE):
        part = contexts[start : start + CHUNK_SIZE]
        try:
            windows.passages(part)
        except InputError:  # of one or more of them
            unreadable |= {context for context in part if not _is_readable(windows, context)}
    collector = ExampleCollector(path, skip)
    for example in examples:
        collector.add(functools.partial(_checked, example, windows, path, example.context in unreadable))
    return collector.examples, collector.left_out


def _is_readable(windows, context: str) -> bool:
    try:
        windows.passages([context])
    except InputError:
        return False
    return True


def _checked(example: Example, windows, path: str, check_context: bool) -> Example:
    """Returns the example; raises if its question, or its context if that is to be checked, cannot be read."""
    try:
        if check_context:
            windows.passages([example.context], [f"of question {example.id!r}"])
        windows.questions([example.question], [repr(example.id)])
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    return example


def make_rows(examples: Sequence[Example], windows, max_answer_pieces: int, first: str, every_answer: bool) -> Rows:
    """Returns the training rows of examples: every window of each, with the positions of its answers.

    Answers are found by their character offsets. The target of a window without a whole answer is [CLS].

    Args:
        examples: list of readable `Example`.
        windows: the model's `windows`.
        max_answer_pieces: int. Tokens of the model's longest answer.
        first: `"file"` or `"position"`: whether the target of several answers is the first in the file or the earliest
            in the context (MRQA's released rule).
        every_answer: bool. Whether all answers are targets (`--answers=all`).
    """
    rows = Rows([], [], [], [], Counts(), windows.pad)
    counts = dict.fromkeys((field.name for field in dataclasses.fields(Counts)), 0)
    for start in range(0, len(examples), CHUNK_SIZE):
        part = examples[start : start + CHUNK_SIZE]
        contexts = list(dict.fromkeys(example.context for example in part))
        passages = dict(zip(contexts, windows.passages(contexts), strict=True))
        asked = windows.questions([example.question for example in part])
        for number, (example, (question_ids, cut)) in enumerate(zip(part, asked, strict=True), start):
            passage = passages[example.context]
            spans = _piece_spans(example, passage, first, every_answer)
            counts["questions_cut"] += cut
            counts["answers_lost"] += bool(example.spans) and not spans
            counts["answers_too_long"] += bool(spans) and min(b - a for a, b in spans) >= max_answer_pieces
            rows.passages.append(passage)
            for window in windows.split(question_ids, passage):
                found = [p for p in (window.positions_of(*span) for span in spans) if p is not None]
                counts["rows_without_answer"] += not found
                counts["answers_dropped"] += max(0, len(found) - MAX_ANSWERS)
                rows.windows.append(window)
                rows.targets.append(np.array(found[:MAX_ANSWERS] or [(0, 0)], np.int32))
                rows.examples.append(number)
    return dataclasses.replace(rows, counts=Counts(**counts))


def _piece_spans(example: Example, passage, first: str, every_answer: bool) -> list[tuple[int, int]]:
    """Returns the first and last token of the answers that are targets, without repetitions."""
    spans = sorted(example.spans) if first == "position" else list(example.spans)
    found = [passage.pieces_of(*span) for span in (spans if every_answer else spans[:1])]
    return list(dict.fromkeys(span for span in found if span is not None))
