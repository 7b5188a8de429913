"""Compares a SavedModel of strings with its model, on texts. Shape letters: B texts, T tokens, C labels."""

from collections.abc import Callable, Mapping

import numpy as np

from spanbert_keras.conversion.exports.verification import TOLERANCES, check_outputs
from spanbert_keras.errors import InputError
from spanbert_keras.models.question_answerer import SpanBertQuestionAnswerer
from spanbert_keras.models.text_classifier import SpanBertTextClassifier

SAMPLE_TEXTS = ("", "Ångström's café, 東京 (Tokyo): naïve co-operation!", "[MASK] a\u0301\u200b " + "x" * 101)
WORDS = (2, 12, 60)  # of the vocabulary, before and after each of these

Run = Callable[[Mapping], Mapping[str, np.ndarray]]


def check_texts(model, opened: Callable[..., Run], length: int | None = None) -> float:
    """Compares the outputs of a SavedModel of strings with those of the model and of its tokenizer.

    Args:
        model: `SpanBertEncoder`, `SpanBertTextClassifier` or `SpanBertQuestionAnswerer`.
        opened: function of (signature) that returns the function that runs it; by default the SavedModel's default.
        length: int or `None`. T of an encoder's rows.

    Returns:
        float. The largest difference.

    Raises:
        InputError: pieces, labels or answers are others, or numbers differ by more than rounding explains.
    """
    if isinstance(model, SpanBertTextClassifier):
        return _check_classifier(model, opened)
    if isinstance(model, SpanBertQuestionAnswerer):
        return _check_reader(model, opened())
    return _check_encoder(model, opened(), length)


def sample_texts(tokenizer) -> list[str]:
    """Returns texts with characters of many kinds, and words of the vocabulary unless it has none."""
    words = np.intersect1d(tokenizer.ordinary_token_ids(), np.flatnonzero(tokenizer.word_starts())).tolist()
    parts = [words[:count] * (count if len(words) < count else 1) for count in WORDS]
    around = [tokenizer.detokenize(part[:count]) for part, count in zip(parts, WORDS, strict=True)]
    return [f"{text} {sample} {text}" for text, sample in zip(around, SAMPLE_TEXTS, strict=True)]


def _check_encoder(encoder, run: Run, length: int | None) -> float:
    tokenizer = encoder.tokenizer
    outputs = run({"text": SAMPLE_TEXTS})
    room = (length or encoder.max_sequence_length) - 2
    rows = [[tokenizer.cls_token_id, *ids[:room], tokenizer.sep_token_id] for ids in tokenizer(list(SAMPLE_TEXTS))]
    width = length or max(map(len, rows))
    token_ids = np.array([row + [tokenizer.pad_token_id] * (width - len(row)) for row in rows], np.int32)
    padding_mask = np.array([[1] * len(row) + [0] * (width - len(row)) for row in rows], np.int32)
    if not np.array_equal(outputs["token_ids"], token_ids):
        raise InputError(
            "The export and the encoder's tokenizer split texts into different pieces; nothing was written. "
            f"Expected: {token_ids.tolist()}. Received: {outputs['token_ids'].tolist()}."
        )
    inputs = {"token_ids": token_ids, "segment_ids": np.zeros_like(token_ids), "padding_mask": padding_mask}
    return check_outputs(encoder, inputs, lambda _: outputs)


def _check_classifier(model: SpanBertTextClassifier, opened: Callable[..., Run]) -> float:
    firsts = sample_texts(model.encoder.tokenizer)
    forms: dict[str, list[str] | None] = {"serving_default": firsts[::-1] if model.takes_pairs else None}
    if model.takes_pairs is None:
        forms["pairs"] = firsts[::-1]
    largest = 0.0
    for signature, seconds in forms.items():
        logits = model.logits_of(model.pairs.rows(firsts, seconds))
        expected = logits if model.problem_type == "regression" else model.probabilities(logits)
        outputs = opened(signature)({"text": firsts, "second_text": seconds})
        named = [[label.decode() for label in row] for row in outputs["labels"].tolist()]
        if named != [list(model.labels) or [""]] * len(firsts):
            raise InputError(f"The export has other labels. Expected: {list(model.labels)}. Received: {named[0]}.")
        largest = max(largest, _difference(model, "scores", expected, outputs["scores"]))
    return largest


def _check_reader(model: SpanBertQuestionAnswerer, run: Run) -> float:
    contexts = sample_texts(model.encoder.tokenizer)
    questions = contexts[:1] * len(contexts)
    outputs = run({"question": questions, "context": contexts})
    given = zip(model.readings(questions, contexts), outputs["truncated_pieces"].tolist(), strict=True)
    whole = [(number, reading) for number, (reading, cut) in enumerate(given) if not cut]
    expected, received = [], []
    for number, reading in whole:
        probabilities, of_none = reading.candidates.probabilities(model.temperature)
        is_none = outputs["start"][number] < 0
        if not is_none:  # rounding may choose another of spans that are equally good
            places = zip(reading.candidates.starts.tolist(), reading.candidates.ends.tolist(), strict=True)
            spans = [reading.passage.characters_of(*place) for place in places]
            found = (int(outputs["start"][number]), int(outputs["end"][number]))
            if found not in spans:
                raise InputError(f"The export finds an answer that is not a candidate: {found}.")
            expected.append(probabilities[spans.index(found)])
            received.append(outputs["score"][number])
        expected.append(of_none if is_none else probabilities[0])
        received.append(outputs["score"][number])
    return _difference(model, "score", np.array(expected), np.array(received))


def _difference(model, name: str, expected: np.ndarray, received: np.ndarray) -> float:
    """Returns the largest difference of an output; `InputError` if rounding does not explain it."""
    difference = float(np.abs(expected - received).max(initial=0.0))
    allowed = TOLERANCES[model.compute_dtype] * max(1.0, float(np.abs(expected).max(initial=0.0)))
    if not difference <= allowed:  # also rejects NaN
        raise InputError(
            f"The export does not compute the same as the model; nothing was written. Expected: {name} within "
            f"{allowed:.1e}. Received: a difference of {difference:.1e}."
        )
    return difference
