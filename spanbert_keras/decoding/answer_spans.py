"""The best answer spans of windows, and of a context. Shape letters: N passage pieces of a window, C candidates."""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class Candidates:
    """The best spans of a context, best first, and "no answer".

    Attributes:
        starts, ends: int64 `(C,)`. First and last piece of the passage, both inclusive.
        logits: float64 `(C,)`. Start plus end logit.
        no_answer_logit: float. Start plus end logit of [CLS], the lowest of all windows.
    """

    starts: np.ndarray
    ends: np.ndarray
    logits: np.ndarray
    no_answer_logit: float

    @property
    def no_answer_score(self) -> float:
        """The logit of "no answer" minus that of the best answer."""
        return self.no_answer_logit - float(self.logits[0])

    def probabilities(self, temperature: float = 1.0) -> tuple[np.ndarray, float]:
        """Returns the softmax over the candidates and "no answer", of logits divided by the temperature: `(C,)` and a
        float."""
        largest = max(self.no_answer_logit, self.logits.max(initial=-np.inf))
        weights = np.exp((self.logits - largest) / temperature)
        none = np.exp((self.no_answer_logit - largest) / temperature)
        return weights / (weights.sum() + none), float(none / (weights.sum() + none))


def best_spans(
    start_logits: np.ndarray, end_logits: np.ndarray, may_start: np.ndarray, max_length: int, count: int = 20
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns the best spans of one window.

    All pairs are compared, while the released code looks only at the 20 best starts and the 20 best ends.

    Args:
        start_logits, end_logits: float `(N,)`. Logits of the window's passage pieces.
        may_start: bool `(N,)`. Whether an answer may start at a piece (`max_context`).
        max_length: int. Longest answer, in pieces.
        count: int. Largest C.

    Returns:
        starts, ends: int64 `(C,)`, inclusive; logits: float64 `(C,)`, best first. C is at most `count`.
    """
    pieces = len(start_logits)
    width = min(max_length, pieces)
    begins = np.where(may_start, np.asarray(start_logits, np.float64), -np.inf)
    padded = np.concatenate([np.asarray(end_logits, np.float64), np.full(width - 1, -np.inf)])
    logits = begins[:, None] + np.lib.stride_tricks.sliding_window_view(padded, width)  # (N, width): start, length
    flat = logits.ravel()
    if flat.size > count:
        chosen = np.argpartition(flat, flat.size - count)[flat.size - count :]
    else:
        chosen = np.arange(flat.size)
    chosen = chosen[flat[chosen] > -np.inf]
    chosen = chosen[np.lexsort((chosen, -flat[chosen]))]  # equal ones by position: the same on every machine
    starts, lengths = np.divmod(chosen, width)
    return starts, starts + lengths, flat[chosen]


def merge(windows: list[tuple[np.ndarray, np.ndarray, np.ndarray]], no_answer_logits: list[float]) -> Candidates:
    """Returns the candidates of a context from those of its windows.

    Args:
        windows: list of (starts, ends, logits) in pieces of the passage; a span is in only one of them.
        no_answer_logits: list of float, one per window.
    """
    starts, ends, logits = (np.concatenate([window[i] for window in windows]) for i in range(3))
    order = np.lexsort((ends, starts, -logits))
    return Candidates(starts[order], ends[order], logits[order], float(min(no_answer_logits)))


def max_context(begins: list[int], ends: list[int]) -> list[np.ndarray]:
    """Returns, for each window, which of its pieces have more context in it than in any other window.

    The context of a piece in a window is min(pieces before it, pieces after it) + 0.01 x window length; of equal
    windows the first counts. Devlin et al., 2019.

    Args:
        begins, ends: list of int. Half-open range of passage pieces of each window, begins ascending.

    Returns:
        list of bool `(N,)`.
    """
    total = max(ends)
    best = np.full(total, -np.inf)
    owner = np.zeros(total, np.int64)
    for number, (begin, end) in enumerate(zip(begins, ends, strict=True)):
        places = np.arange(end - begin)
        context = np.minimum(places, places[::-1]) + 0.01 * (end - begin)
        better = context > best[begin:end]
        best[begin:end][better] = context[better]
        owner[begin:end][better] = number
    return [owner[begin:end] == number for number, (begin, end) in enumerate(zip(begins, ends, strict=True))]
