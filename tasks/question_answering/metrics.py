"""Exact match and token F1 as the official scripts of SQuAD 1.1, SQuAD 2.0 and MRQA compute them, in per cent."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from spanbert_keras.fine_tuning.answer_scores import exact_match, f1, normalize_answer
from spanbert_keras.program import InputError
from tasks.question_answering.data import Example


def squad_scores(examples: Sequence[Example], predictions: Mapping[str, str]) -> dict[str, float]:
    """Returns the numbers of SQuAD 1.1's official script.

    Args:
        examples: sequence of `Example`.
        predictions: dict from id to answer. A question without one scores 0; unknown ids are ignored.

    Returns:
        dict: `exact_match` and `f1` in per cent, `total` questions, `missing` predictions.

    Raises:
        InputError: no example, or a prediction that is not text.
    """
    _check(examples, predictions)
    answered = [example for example in examples if example.id in predictions]
    exact = sum(exact_match(predictions[example.id], example.answers) for example in answered)
    overlap = sum(f1(predictions[example.id], example.answers) for example in answered)
    total = len(examples)
    missing = total - len(answered)
    return {"exact_match": 100.0 * exact / total, "f1": 100.0 * overlap / total, "total": total, "missing": missing}


def mrqa_scores(examples: Sequence[Example], predictions: Mapping[str, str]) -> dict[str, float]:
    """Returns the numbers of MRQA's official script: those of SQuAD 1.1, a missing prediction being wrong."""
    return squad_scores(examples, predictions)


def squad2_scores(
    examples: Sequence[Example],
    predictions: Mapping[str, str],
    no_answer_scores: Mapping[str, float] | None = None,
    threshold: float = 1.0,
) -> dict[str, float]:
    """Returns the numbers of SQuAD 2.0's official script.

    `best_exact` and `best_f1` are fitted on the scored examples: they are upper bounds. As in the official script, the
    threshold moves past questions with equal scores one by one, in the mapping's order, so with ties the best value may
    be slightly above that of its threshold; and a prediction that is empty after normalisation ("the") counts as an
    answer there, but as no answer in the plain scores.

    Args:
        examples: sequence of `Example`; one without answers is unanswerable.
        predictions: dict from id to answer, `""` for none. A question without one scores 0 (the official script fails
            on it); unknown ids are ignored.
        no_answer_scores: dict from id to the no-answer score, any finite number.
        threshold: float. A prediction with a higher no-answer score counts as `""`. Defaults to `1.0` (official
            script).

    Returns:
        dict: `exact`, `f1` (per cent), `total`, the same with the prefixes `HasAns_` and `NoAns_` if there are any such
        questions, and `missing` predictions; with `no_answer_scores` also `best_exact`, `best_exact_thresh`, `best_f1`,
        `best_f1_thresh`, and, if a question is unanswerable, `average_precision` (0 to 1) of the scores as a
        detector of such questions.

    Raises:
        InputError: no example, a prediction that is not text, or a score that is missing or not finite.
    """
    _check(examples, predictions)
    exact, overlap = {}, {}
    for example in examples:
        answers = [answer for answer in example.answers if normalize_answer(answer)]
        if example.id in predictions:
            exact[example.id] = exact_match(predictions[example.id], answers)
            overlap[example.id] = f1(predictions[example.id], answers, empty_agree=True)
    if no_answer_scores is None:
        return _summary(examples, exact, overlap)
    _check_scores(examples, no_answer_scores)
    answerable = {example.id: bool(example.answers) for example in examples}
    silent = {name for name in exact if no_answer_scores[name] > threshold}
    kept = [{k: float(not answerable[k]) if k in silent else v for k, v in raw.items()} for raw in (exact, overlap)]
    result = _summary(examples, *kept)
    for name, raw in (("exact", exact), ("f1", overlap)):
        best, best_threshold = _best_threshold(raw, predictions, no_answer_scores, answerable)
        result |= {f"best_{name}": best, f"best_{name}_thresh": best_threshold}
    if not all(answerable.values()):
        scores = [no_answer_scores[name] for name in answerable]
        result["average_precision"] = average_precision(scores, [not answered for answered in answerable.values()])
    return result


def _summary(examples: Sequence[Example], exact: Mapping[str, float], overlap: Mapping[str, float]) -> dict[str, float]:
    """Returns the means over all questions, those with an answer and those without."""
    groups: dict[str, Callable[[Example], bool]] = {
        "": lambda example: True,
        "HasAns_": lambda example: bool(example.answers),
        "NoAns_": lambda example: not example.answers,
    }
    result: dict[str, float] = {}
    for prefix, belongs in groups.items():
        names = [example.id for example in examples if belongs(example)]
        if names:
            result[f"{prefix}exact"] = 100.0 * sum(exact.get(name, 0.0) for name in names) / len(names)
            result[f"{prefix}f1"] = 100.0 * sum(overlap.get(name, 0.0) for name in names) / len(names)
            result[f"{prefix}total"] = len(names)
    return result | {"missing": len(examples) - len(exact)}


def _best_threshold(
    scores: Mapping[str, float],
    predictions: Mapping[str, str],
    no_answer_scores: Mapping[str, float],
    answerable: Mapping[str, bool],
) -> tuple[float, float]:
    """Returns the best mean in per cent and the lowest threshold that reaches it; 0.0 if nothing is answered."""
    # At first nothing is answered, which is right for every unanswerable question. Each further question adds its
    # score, or loses that point if it is unanswerable and gets an answer.
    current = best = float(sum(not answerable[name] for name in scores))
    threshold = 0.0
    for name in sorted(no_answer_scores, key=lambda name: no_answer_scores[name]):
        if name not in scores:
            continue
        if answerable[name]:
            current += scores[name]
        elif predictions[name]:
            current -= 1
        if current > best:
            best, threshold = current, no_answer_scores[name]
    return 100.0 * best / len(answerable), threshold


def average_precision(scores: Iterable[float], positive: Iterable[bool]) -> float:
    """Returns the average precision of scores as a detector, AP = sum over thresholds of (R_n - R_{n-1}) P_n.

    Equal scores share a threshold, and nothing is interpolated: scikit-learn's `average_precision_score`.

    Args:
        scores: float. Higher is more likely positive.
        positive: bool. The gold labels, at least one of them true.

    Example:

    ```python
    average_precision([0.9, 0.8, 0.7, 0.1], [True, False, True, False])  # 0.8333
    ```
    """
    values, truth = np.asarray(list(scores), "float64"), np.asarray(list(positive), bool)
    if not truth.any():
        raise ValueError("`positive` must hold a true value. Received: none.")
    order = np.argsort(-values, kind="stable")
    values, truth = values[order], truth[order]
    last = np.append(np.flatnonzero(np.diff(values)), len(values) - 1)  # the last of each run of equal scores
    hits = np.cumsum(truth)[last]
    recall = hits / hits[-1]
    return float(np.sum(np.diff(recall, prepend=0.0) * hits / (last + 1)))


def _check(examples: Sequence[Example], predictions: Mapping[str, str]) -> None:
    """Raises `InputError` without examples, or for a prediction that is not text."""
    if not examples:
        raise InputError("There is nothing to score. Expected: at least one question. Received: none.")
    for example in examples:
        if not isinstance(predictions.get(example.id, ""), str):
            raise InputError(
                f"The prediction for question {example.id!r} is not text. Expected: a string, empty for no answer. "
                f"Received: {predictions[example.id]!r}."
            )


def _check_scores(examples: Sequence[Example], scores: Mapping[str, float]) -> None:
    """Raises `InputError` for a no-answer score that is missing or not finite."""
    for example in examples:
        score = scores.get(example.id)
        if isinstance(score, bool) or not isinstance(score, int | float | np.number) or not math.isfinite(score):
            raise InputError(
                f"The no-answer score of question {example.id!r} cannot be used. Expected: a finite number for every "
                f"question. Received: {'none' if score is None else repr(score)}."
            )
