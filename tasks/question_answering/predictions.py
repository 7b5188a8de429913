"""Predicts answers to the questions of a file, and scores and writes them."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from absl import logging

from spanbert_keras.files.writing import write_atomically
from spanbert_keras.program import InputError
from spanbert_keras.progress import tracked
from tasks.question_answering import metrics, splits
from tasks.question_answering.data import Example

N_BEST = 20  # released code


def predict(
    model,
    examples: Sequence[Example],
    logits_of=None,
    rows: int = 32,
    progress: bool = False,
    candidates: dict | None = None,
) -> dict[str, list]:
    """Returns the best answers to every question by its id, "no answer" excluded.

    Args:
        model: `SpanBertQuestionAnswerer`.
        examples: list of `Example`.
        logits_of: see `SpanBertQuestionAnswerer.readings`.
        rows: int. Windows computed at once.
        progress: bool. Whether progress is shown: a bar in a terminal, log lines elsewhere.
        candidates: dict. Gets the `Candidates` of every question by its id.
    """
    readings = model.readings(
        [example.question for example in examples],
        [example.context for example in examples],
        batch_size=rows,
        logits_of=logits_of,
    )
    if progress:
        readings = tracked(readings, len(examples), "questions")
    found = {}
    for example, reading in zip(examples, readings, strict=True):
        found[example.id] = model.answers_of(reading, example.context, N_BEST, may_refuse=False)
        if candidates is not None:
            candidates[example.id] = reading.candidates
    return found


def texts(found: Mapping[str, list]) -> dict[str, str]:
    """Returns the text of the best answer by id."""
    return {id: answers[0].text for id, answers in found.items()}


def no_answer_scores(found: Mapping[str, list]) -> dict[str, float]:
    """Returns the no-answer score by id."""
    return {id: answers[0].no_answer_score for id, answers in found.items()}


def abstains(answers: list, threshold: float | None) -> bool:
    """Returns whether a model with this threshold gives no answer instead of the best of `answers`."""
    return threshold is not None and answers[0].no_answer_score > threshold


def warn_if_nothing_is_answered(found: Mapping[str, list], threshold: float | None) -> None:
    """Logs a warning if no question is answered with a threshold."""
    if found and all(abstains(answers, threshold) for answers in found.values()):
        logging.warning("None of %d questions is answered: all no-answer scores are above %.3f.", len(found), threshold)


def dev_scores(examples: Sequence[Example], found: Mapping[str, list], unanswerable: bool) -> dict[str, float]:
    """Returns the scores that a model is chosen by.

    Without unanswerable questions these are `exact_match` and `f1`. With them, all scores use a no-answer threshold
    fitted on these questions, as their names indicate: the official `best_exact`, `best_f1` and their thresholds,
    `fitted_HasAns_f1`, `fitted_NoAns_f1`; and `average_precision` of the no-answer score, which needs no threshold.

    Args:
        examples: list of `Example`.
        found: from `predict`.
        unanswerable: bool. Whether some questions have no answer.
    """
    if not unanswerable:
        return metrics.squad_scores(examples, texts(found))
    official = metrics.squad2_scores(examples, texts(found), no_answer_scores(found))
    threshold = fitted_threshold(examples, found)
    warn_if_nothing_is_answered(found, threshold)
    fitted = scores_at(examples, found, threshold)
    wanted = ("HasAns_f1", "NoAns_f1")
    return {
        **{key: value for key, value in official.items() if key.startswith("best_") or key in ("total", "missing")},
        **{f"fitted_{key}": fitted[key] for key in wanted if key in fitted},
        **({"average_precision": 100 * official["average_precision"]} if "average_precision" in official else {}),
    }


def scores_at(examples: Sequence[Example], found: Mapping[str, list], threshold: float) -> dict[str, float]:
    """Returns SQuAD 2.0's scores of a model that gives no answer above `threshold`; none is fitted on the questions."""
    scores = metrics.squad2_scores(examples, texts(found), no_answer_scores(found), threshold=threshold)
    return {key: value for key, value in scores.items() if not key.startswith(("best_", "average"))}


def fitted_threshold(examples: Sequence[Example], found: Mapping[str, list]) -> float:
    """Returns the no-answer threshold with the best F1 on these examples.

    The official sweep begins with a threshold of 0 at which no question is answered, which suits probabilities; here
    that threshold is below every score.
    """
    scores = [found[example.id][0].no_answer_score for example in examples]
    official = metrics.squad2_scores(examples, texts(found), no_answer_scores(found))["best_f1_thresh"]
    return max((official, min(scores) - 1.0), key=lambda value: scores_at(examples, found, value)["f1"])


def check_calibration(share: float | None, examples: Sequence[Example], unanswerable: bool) -> None:
    """Checks a calibration share before anything is computed.

    Raises:
        InputError: every question has an answer, or a part of the articles would be empty.
    """
    if share is None:
        return
    if not unanswerable:
        raise InputError("--calibration_share needs questions without an answer. Received: none.")
    splits.split_articles(examples, share)


def write(folder: Path, found: Mapping[str, list], threshold: float | None) -> None:
    """Writes the official prediction file, the n-best file and the no-answer scores.

    Args:
        folder: `Path`. Created if missing.
        found: from `predict`.
        threshold: float or `None`. No-answer score above which the prediction is "".
    """
    folder.mkdir(parents=True, exist_ok=True)
    warn_if_nothing_is_answered(found, threshold)
    final = {id: "" if abstains(answers, threshold) else answers[0].text for id, answers in found.items()}
    n_best = {
        id: [
            {"text": answer.text, "probability": answer.score, "start": answer.start, "end": answer.end}
            for answer in answers
        ]
        for id, answers in found.items()
    }
    for name, value in (
        ("predictions.json", final),
        ("nbest_predictions.json", n_best),
        ("no_answer_scores.json", no_answer_scores(found)),
    ):
        text = json.dumps(value, indent=1)  # ASCII: an answer may hold half a surrogate pair
        write_atomically(folder / name, lambda temporary, text=text: temporary.write_text(text, encoding="utf-8"))
