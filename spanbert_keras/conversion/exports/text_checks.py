"""Compares a SavedModel of strings with its model, on texts. Shape letters: B texts, T tokens, C labels."""

from collections.abc import Callable, Mapping

import numpy as np

from spanbert_keras.conversion.exports.verification import TOLERANCES, check_outputs
from spanbert_keras.errors import InputError, shown
from spanbert_keras.models.question_answerer import SpanBertQuestionAnswerer
from spanbert_keras.models.text_classifier import SpanBertTextClassifier
from spanbert_keras.models.windowed_reader import Reading

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
    texts = sample_texts(model.encoder.tokenizer)
    questions, contexts = texts[:1] * len(texts), [_fitting(model.windows, texts[0], text) for text in texts]
    outputs = run({"question": questions, "context": contexts})
    if outputs["truncated_pieces"].any():
        raise InputError(
            "The export cuts contexts that fit into a window; nothing was written. Expected: truncated_pieces of 0. "
            f"Received: {outputs['truncated_pieces'].tolist()}."
        )
    largest = 0.0
    for number, (context, reading) in enumerate(zip(contexts, model.readings(questions, contexts), strict=True)):
        answer = {name: values[number] for name, values in outputs.items()}
        largest = max(largest, _check_answer(model, context, reading, answer))
    return largest


def _fitting(windows, question: str, context: str) -> str:
    """Returns a context without the words at its end for which the first window of a question has no room."""
    [(question_ids, _)] = windows.questions([question])
    room, words = windows.window_length - 3 - len(question_ids), context.split()
    while len(words) > 1 and len(windows.tokenizer(context)) > room:
        words.pop()
        context = " ".join(words)
    return context


def _check_answer(model: SpanBertQuestionAnswerer, context: str, reading: Reading, answer: Mapping) -> float:
    """Returns the largest difference of an answer's numbers from those of a reading of the same context."""
    candidates = reading.candidates
    logits = np.array([*candidates.logits, candidates.no_answer_logit])
    none_score, scale = candidates.no_answer_score, float(np.abs(logits).max())
    largest = _difference(model, "no_answer_score", none_score, answer["no_answer_score"], scale)
    threshold = np.inf if model.no_answer_threshold is None else model.no_answer_threshold
    start, end = int(answer["start"]), int(answer["end"])
    is_tie = abs(none_score - threshold) <= TOLERANCES[model.compute_dtype] * max(1.0, scale)
    if (start < 0) != (none_score > threshold) and not is_tie:
        raise InputError(
            "The export and the model disagree on whether a text has an answer; nothing was written. Expected: "
            f"{'none' if none_score > threshold else 'one'}. Received: characters {start} to {end}."
        )
    text = answer["text"].decode() if isinstance(answer["text"], bytes) else str(answer["text"])
    expected = "" if start < 0 else context[start:end]
    if text != expected or (start < 0 and end >= 0):
        raise InputError(
            "The export returns a text that does not stand at the place it names; nothing was written. Expected: "
            f"{shown(expected, 60)} from {start} to {end}. Received: {shown(text, 60)}."
        )
    probabilities, of_none = candidates.probabilities(model.temperature)
    if start < 0:
        return max(largest, _difference(model, "score", of_none, answer["score"]))
    # Rounding may choose another of spans that are equally good.
    places = zip(candidates.starts.tolist(), candidates.ends.tolist(), strict=True)
    spans = [reading.passage.characters_of(*place) for place in places]
    if (start, end) not in spans:
        raise InputError(f"The export finds an answer that is not a candidate: {(start, end)}.")
    scores = probabilities[[spans.index((start, end)), 0]]
    return max(largest, _difference(model, "score", scores, answer["score"]))


def _difference(model, name: str, expected, received, scale: float = 1.0) -> float:
    """Returns the largest difference of an output; `InputError` if rounding does not explain it.

    Args:
        scale: float. The largest number from which the output is computed, if that is larger than the output.
    """
    difference = float(np.abs(expected - received).max(initial=0.0))
    allowed = TOLERANCES[model.compute_dtype] * max(1.0, scale, float(np.abs(expected).max(initial=0.0)))
    if not difference <= allowed:  # also rejects NaN
        raise InputError(
            f"The export does not compute the same as the model; nothing was written. Expected: {name} within "
            f"{allowed:.1e}. Received: a difference of {difference:.1e}."
        )
    return difference
