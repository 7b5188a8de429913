"""A file of labelled examples, on which an export is scored beside its model. Shape letters: E examples, C classes."""

import json
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from spanbert_keras.errors import InputError, shown
from spanbert_keras.files.byte_streams import BYTE_ORDER_MARK, as_utf_8, gunzipped
from spanbert_keras.files.text_errors import decode
from spanbert_keras.fine_tuning.answer_scores import exact_match, f1
from spanbert_keras.models.question_answerer import SpanBertQuestionAnswerer
from spanbert_keras.models.relation_extractor import SpanBertRelationExtractor
from spanbert_keras.models.text_classifier import SpanBertTextClassifier
from spanbert_keras.preprocessing.examples.given_questions import given_questions

BATCH_ROWS = 8  # an export computes on the CPU, where larger batches are not faster
FLAG = "--calibrate="
FORMS = {
    SpanBertTextClassifier: '{"text": "...", "label": "..."} on each line; of a pair "text" is a list of two',
    SpanBertRelationExtractor: (
        '{"tokens": [...] or "text": "...", "subject": [start, end], "object": [start, end], "subject_type": "...", '
        '"object_type": "...", "label": "..."} on each line'
    ),
    SpanBertQuestionAnswerer: (
        '{"question": "...", "context": "...", "answers": {"text": [...], "answer_start": [...]}} on each line'
    ),
}
LABELS = {
    SpanBertTextClassifier: ("label",),
    SpanBertRelationExtractor: ("label",),
    SpanBertQuestionAnswerer: ("answers", "answer_text"),
}

Run = Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]]
Scores = dict[str, float]


class LabelledFile:
    """JSON lines of examples with labels, in the form that `fit` of a task's model takes.

    Args:
        path: str. The file, gzipped or not; it is read at once.

    Raises:
        InputError: the file cannot be read, is empty, or a line is not a JSON object.

    Example:

    ```python
    from pathlib import Path

    from spanbert_keras import SpanBertEncoder, SpanBertTextClassifier, SpanBertTokenizer
    from spanbert_keras.labelled_file import LabelledFile

    Path("dev.jsonl").write_text('{"text": "a film .", "label": "good"}\\n')
    tokenizer = SpanBertTokenizer(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "film", "."])
    encoder = SpanBertEncoder(8, 1, 2, 8, 16, max_sequence_length=32, tokenizer=tokenizer)
    classifier = SpanBertTextClassifier(encoder, labels=["bad", "good"])
    scores = LabelledFile("dev.jsonl").scorer(classifier)
    list(scores(classifier.compute_rows))  # ["accuracy"]
    ```
    """

    def __init__(self, path: str):
        self.path = path
        self.lines: list[int] = []
        self.records: list[dict[str, Any]] = []
        with gunzipped(path, FLAG) as file:
            for number, line in enumerate(as_utf_8(file), 1):
                text = decode(line.removeprefix(BYTE_ORDER_MARK), path, number, "surrogatepass")
                if text.strip():
                    self.lines.append(number)
                    self.records.append(self._record(text, number))
        if not self.records:
            raise InputError(f"{FLAG}{path} holds no example. Expected: JSON lines with labels.")

    def comparison(self, model) -> Callable[[Run], list[str]]:
        """Returns a function that scores an export of a model beside it, and returns sentences for the user.

        Raises:
            InputError: see `scorer`.
        """
        score = self.scorer(model)

        def compare(run: Run) -> list[str]:
            ours, theirs = score(model.compute_rows), score(run)
            parts = [
                f"{name} {ours[name]:.2f} in the model, {theirs[name]:.2f} in int8 ({theirs[name] - ours[name]:+.2f})"
                for name in ours
            ]
            return [f"On the {len(self.records):,} examples of {self.path}: {'; '.join(parts)}."]

        return compare

    def scorer(self, model) -> Callable[[Run], Scores]:
        """Returns a function that computes scores of the examples.

        It takes a function from a batch of inputs to the outputs as arrays: that of a model, or of its export. The
        scores, by name: the accuracy of a classifier or extractor in per cent (with several labels for each text, of
        whole sets of labels), the root mean squared error of a regression, exact match and F1 of a question answerer in
        per cent, as SQuAD defines them.

        Raises:
            InputError: the model is not one of these, an example lacks its label or is not valid, or its label is not
                one of the model's.
        """
        kind = next((kind for kind in FORMS if isinstance(model, kind)), None)
        if kind is None:
            raise InputError(
                f"{FLAG}{self.path} scores the export of a text classifier, relation extractor or question answerer. "
                f"Received: a {type(model).__name__}; leave out --calibrate."
            )
        for number, record in zip(self.lines, self.records, strict=True):
            if all(record.get(name) is None for name in LABELS[kind]):
                raise InputError(
                    f'{FLAG}{self.path}, line {number} has no "{LABELS[kind][0]}". Expected: {FORMS[kind]}. '
                    f"Received: {shown(record, 100)}."
                )
        try:
            return self._answer_scorer(model) if kind is SpanBertQuestionAnswerer else self._label_scorer(model)
        except InputError as error:
            raise InputError(f"{FLAG}{self.path} cannot be used: {error}") from error

    def _record(self, text: str, number: int) -> dict[str, Any]:
        try:
            record = json.loads(text)
        except (ValueError, RecursionError):
            record = None
        if not isinstance(record, dict):
            raise InputError(
                f"{FLAG}{self.path}, line {number} is not a JSON object. Expected: JSON lines with labels. "
                f"Received: {shown(text.strip(), 60)}."
            )
        return record

    def _label_scorer(self, model) -> Callable[[Run], Scores]:
        labels = [record["label"] for record in self.records]
        if isinstance(model, SpanBertRelationExtractor):
            x: list = self.records
        else:
            texts = [record.get("text") for record in self.records]
            x = [tuple(text) if isinstance(text, list) else text for text in texts]
        examples = model.preprocessor.rows(x, labels)

        def score(run: Run) -> Scores:
            logits = model.logits_of(examples.rows, BATCH_ROWS, run)
            return label_scores(model, logits, examples.labels)

        return score

    def _answer_scorer(self, model: SpanBertQuestionAnswerer) -> Callable[[Run], Scores]:
        questions, contexts, spans = given_questions(self.records)
        gold = [
            [context[start:end] for start, end in places] or [""]
            for context, places in zip(contexts, spans or [], strict=True)
        ]
        model.windows.questions(questions)  # raise for what cannot be read
        model.windows.passages(contexts)

        def score(run: Run) -> Scores:
            readings = model.readings(questions, contexts, BATCH_ROWS, logits_of=run)
            found = [model.answers_of(*one, 1)[0].text for one in zip(readings, contexts, strict=True)]
            return answer_scores(found, gold)

        return score


def label_scores(model, logits: np.ndarray, labels: np.ndarray) -> Scores:
    """Returns the scores of a classifier.

    Args:
        model: `SpanBertTextClassifier` or `SpanBertRelationExtractor`.
        logits: float `(E, C)`.
        labels: int `(E,)`, or float `(E, C)`.
    """
    if model.problem_type == "regression":
        return {"root mean squared error": float(np.sqrt(np.square(logits - labels).mean()))}
    if model.problem_type == "multi_label":
        reached = model.probabilities(logits) >= model.threshold
        return {"accuracy": 100.0 * float((reached == (labels > 0.5)).all(1).mean())}
    labels = labels if labels.ndim == 1 else labels.argmax(1)
    return {"accuracy": 100.0 * float((logits.argmax(1) == labels).mean())}


def answer_scores(found: Sequence[str], gold: Sequence[Sequence[str]]) -> Scores:
    """Returns the mean exact match and F1 of answers, in per cent, by the rules of SQuAD 1.1 (2.0 for no answer).

    Case, ASCII punctuation, English articles and the amount of space do not count; of several gold answers the best. By
    SQuAD 1.1, an answer without any other word ("the") has an F1 of 0, also where it is exact.

    Args:
        found: sequence of E str. The answers; "" for none.
        gold: sequence of E sequences of str, `[""]` for a question without an answer.

    Reference: Rajpurkar et al., 2016, section 6.1.
    """
    pairs = list(zip(found, gold, strict=True))
    exact = sum(exact_match(answer, right) for answer, right in pairs)
    overlap = sum(f1(answer, right, empty_agree=not any(right)) for answer, right in pairs)
    return {"exact match": 100.0 * exact / len(pairs), "F1": 100.0 * overlap / len(pairs)}
