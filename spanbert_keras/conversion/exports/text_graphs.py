"""What SavedModels of strings compute: rows from text, the model, and what its method for raw text would return.

Shape letters: B texts, T tokens, C labels, N pieces of a context, W widths of an answer.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from spanbert_keras.conversion.exports.graph_tokenizer import GraphTokenizer
from spanbert_keras.models.question_answerer import SPANS_PER_WINDOW, SpanBertQuestionAnswerer
from spanbert_keras.models.temperature import checked_temperature
from spanbert_keras.models.text_classifier import SpanBertTextClassifier

Endpoints = dict[str, tuple[Callable, tuple[str, ...]]]  # function of strings (B,), and the names of its arguments


def text_endpoints(model, tokenizer: GraphTokenizer, length: int | None = None) -> Endpoints:
    """Returns the endpoints of a SavedModel of strings; the first is `serve`, which is its default.

    Args:
        model: `SpanBertEncoder`, `SpanBertTextClassifier` or `SpanBertQuestionAnswerer`.
        tokenizer: `GraphTokenizer` of its encoder.
        length: int or `None`. T of an encoder; `None`: that of the longest text of the batch.
    """
    if isinstance(model, SpanBertTextClassifier):
        return _classifier_endpoints(model, tokenizer)
    if isinstance(model, SpanBertQuestionAnswerer):
        return {"serve": (_reader(model, tokenizer), ("question", "context"))}

    def serve(text):
        inputs = tokenizer(text, length=length)
        reported = {name: inputs[name] for name in ("token_ids", "padding_mask", "truncated_pieces")}
        return {**model(inputs, training=False), **reported}

    return {"serve": (serve, ("text",))}


def _classifier_endpoints(model: SpanBertTextClassifier, tokenizer: GraphTokenizer) -> Endpoints:
    """Returns `serve`, of single texts or of pairs; of a model that takes both, also `pairs`."""
    import tensorflow as tf

    names = list(model.labels) or [""]

    def scores(logits):
        if model.problem_type == "regression":
            return logits
        logits = tf.cast(logits, tf.float64) / checked_temperature(model.temperature)
        return tf.sigmoid(logits) if model.problem_type == "multi_label" else tf.nn.softmax(logits)

    def outputs(parts, kept):
        inputs = tokenizer.rows([_first_of(*one) for one in zip(parts, kept, strict=True)], model.encoder.num_segments)
        found = tf.cast(scores(model(inputs, training=False)["logits"]), tf.float32)  # (B, C)
        return {
            "scores": found,
            "labels": tf.broadcast_to(tf.constant(names), tf.shape(found)),
            "truncated_pieces": tf.cast(
                sum(part.row_lengths() - count for part, count in zip(parts, kept, strict=True)), tf.int32
            ),
        }

    def of_texts(text):
        pieces = tokenizer.tokenize(text)
        return outputs([pieces], [tf.minimum(pieces.row_lengths(), model.row_length - 2)])

    def of_pairs(text, second_text):
        parts = [tokenizer.tokenize(one) for one in (text, second_text)]
        return outputs(parts, _shares(*(part.row_lengths() for part in parts), model.row_length - 3))

    texts, pairs = (of_texts, ("text",)), (of_pairs, ("text", "second_text"))
    if model.takes_pairs is None:
        return {"serve": texts, "pairs": pairs}
    return {"serve": pairs if model.takes_pairs else texts}


def _shares(first, second, room: int) -> tuple[Any, Any]:
    """Returns the number of pieces kept of the texts of each pair; the longer one loses its last, as in `TextPairs`."""
    import tensorflow as tf

    half = room // 2
    of_second = tf.where(first <= room - half, room - first, half)
    of_second = tf.minimum(second, tf.where(second <= half, second, of_second))
    return tf.minimum(first, room - of_second), of_second


def _first_of(pieces, counts):
    """Returns the first pieces of each text: `counts` `(B,)` of the ragged `(B, None)`."""
    import tensorflow as tf

    return tf.RaggedTensor.from_tensor(pieces.to_tensor(), lengths=counts)


def _reader(model: SpanBertQuestionAnswerer, tokenizer: GraphTokenizer) -> Callable:
    """Returns the function of a reader: questions and contexts to answers, each from one window."""
    import tensorflow as tf

    windows, temperature = model.windows, checked_temperature(model.temperature)
    question_first = windows.input_order == "question_first"
    threshold = np.inf if model.no_answer_threshold is None else model.no_answer_threshold
    unknown = model.encoder.tokenizer.unk_token_id

    def serve(question, context):
        asked = tokenizer.tokenize(question)[:, : windows.question_limit]
        pieces, starts, ends = tokenizer.tokenize_with_offsets(context)
        kept = tf.minimum(pieces.row_lengths(), windows.window_length - 3 - asked.row_lengths())  # (B,)
        passage = _first_of(pieces, kept)
        inputs = tokenizer.rows([asked, passage] if question_first else [passage, asked], windows.num_segments)
        found = model(inputs, training=False)
        logits = [tf.cast(found[name], tf.float64) for name in ("start_logits", "end_logits")]  # (B, T)
        none = tf.reduce_sum(sum(logits)[:, :1], 1)  # of [CLS]; an empty batch has no column
        offset = asked.row_lengths() + 2 if question_first else tf.ones_like(kept)
        candidates, first, last = _best_spans(*(_of_passage(one, offset, kept) for one in logits), model)
        largest = tf.maximum(none, candidates[:, 0])[:, None]
        weights = tf.exp((candidates - largest) / temperature)  # (B, 20)
        of_none = tf.exp((none - largest[:, 0]) / temperature)
        total = tf.reduce_sum(weights, 1) + of_none
        is_text = tf.logical_and(asked.row_lengths() > 0, tf.reduce_any(pieces != unknown, 1))
        is_answer = tf.logical_and(is_text, none - candidates[:, 0] <= threshold)
        start, end = (
            tf.where(is_answer, tf.gather(tf.pad(bounds.to_tensor(), [[0, 0], [0, 1]]), place, batch_dims=1), -1)
            for bounds, place in ((starts, first), (ends, last))
        )
        score = tf.where(is_answer, weights[:, 0], of_none) / total
        return {
            "text": tf.strings.substr(context, tf.maximum(start, 0), end - start, unit="UTF8_CHAR"),
            "start": start,
            "end": end,
            "score": tf.cast(tf.where(is_text, score, 0.0), tf.float32),
            "no_answer_score": tf.cast(tf.where(is_text, none - candidates[:, 0], 0.0), tf.float32),
            "truncated_pieces": tf.cast(pieces.row_lengths() - kept, tf.int32),
        }

    return serve


def _of_passage(logits, offset, kept):
    """Returns the logits `(B, N)` of the passage's pieces, from those `(B, T)` of rows; -inf at padding."""
    import tensorflow as tf

    places = tf.range(tf.reduce_max(tf.concat([kept, [0]], 0)))  # N is 0 in an empty batch
    rows = tf.minimum(offset[:, None] + places, tf.shape(logits, tf.int64)[1] - 1)
    return tf.where(places < kept[:, None], tf.gather(logits, rows, batch_dims=1), tf.constant(-np.inf, tf.float64))


def _best_spans(start_logits, end_logits, model: SpanBertQuestionAnswerer) -> Sequence:
    """Returns the logits `(B, 20)` of the best spans, and the first and last piece `(B,)` of the very best.

    Of equal spans the first counts, as in `decoding.answer_spans.best_spans`.
    """
    import tensorflow as tf

    width = min(model.max_answer_pieces, model.windows.window_length)  # W
    nothing = tf.constant(-np.inf, tf.float64)
    padded = tf.pad(end_logits, [[0, 0], [0, width - 1]], constant_values=nothing)
    places = tf.range(tf.shape(start_logits)[1])[:, None] + tf.range(width)  # (N, W)
    logits = start_logits[:, :, None] + tf.gather(padded, places, axis=1)  # (B, N, W)
    flat = tf.reshape(logits, [tf.shape(logits)[0], tf.shape(places)[0] * width])
    flat = tf.pad(flat, [[0, 0], [0, SPANS_PER_WINDOW]], constant_values=nothing)  # there may be fewer
    best, chosen = tf.math.top_k(flat, SPANS_PER_WINDOW)
    first = tf.minimum(chosen[:, 0] // width, tf.shape(places)[0])  # of padding: the place after the last
    last = tf.minimum(first + chosen[:, 0] % width, tf.shape(places)[0])
    return best, first, last
