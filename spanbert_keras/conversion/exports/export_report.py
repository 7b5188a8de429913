"""What an export costs beside its model: its size and its latency."""

import os
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from spanbert_keras.models.question_answerer import SpanBertQuestionAnswerer
from spanbert_keras.models.text_classifier import SpanBertTextClassifier

ROW_TOKENS = 128  # of the row that is timed, or as many as the model reads
RUNS = 5
TEXTS = ("text", "question", "second_text", "context")


def export_report(model, run: Callable[[Mapping], Mapping], path: str | os.PathLike, strings: bool = False) -> str:
    """Returns sentences with an export's outputs and size, and the time that it and its model take for one row.

    Args:
        model: a model with `compute_rows`.
        run: function that runs the export: a dict of inputs in, its outputs out.
        path: path of the export's file or folder.
        strings: bool. Whether the export takes texts; then the model's time includes that of its tokenizer.
    """
    inputs = _row(model)

    def ours() -> None:
        if not strings:
            model.compute_rows(inputs)
        else:
            _ask(model, inputs)

    outputs = ", ".join(sorted(run(inputs)))
    times = [_milliseconds(call) for call in (lambda: run(inputs), ours)]
    return (
        f"Its outputs are {outputs}; its size is {_megabytes(Path(path))} MB. One row of "
        f"{inputs['token_ids'].shape[1]} tokens takes {times[0]:.1f} ms; in the Keras model {times[1]:.1f} ms."
    )


def _ask(model, inputs: Mapping) -> None:
    """Computes what an export of strings computes."""
    texts = {name: inputs[name].tolist() for name in TEXTS}
    if isinstance(model, SpanBertQuestionAnswerer):
        model.answer(texts["question"], texts["context"])
    elif isinstance(model, SpanBertTextClassifier):
        model.logits_of(model.pairs.rows(texts["text"], texts["second_text"] if model.takes_pairs else None))
    else:
        model.tokenizer.tokenize(texts["text"])
        model.compute_rows(inputs)


def _row(model) -> dict[str, np.ndarray]:
    """Returns the inputs of one full row, and its words as texts if the model has a vocabulary.

    A pair of texts, and a question with its context, fill the row together.
    """
    encoder = getattr(model, "encoder", model)
    length = min(ROW_TOKENS, encoder.max_sequence_length)
    random = np.random.default_rng(0)
    inputs = {name: np.ones((1, 1), np.int32) for name in model.input_keys}  # one position, or one pair
    inputs["token_ids"] = random.integers(0, encoder.vocabulary_size, (1, length), np.int32)
    tokenizer = encoder.tokenizer
    if tokenizer is not None and tokenizer.has_vocabulary:
        words = np.intersect1d(tokenizer.ordinary_token_ids(), np.flatnonzero(tokenizer.word_starts()))
        ids = random.choice(words, length - 2) if len(words) else []
        asked = max(1, length // 8)  # words of a question
        parts = (ids, ids[:asked], ids[asked + 1 :], ids[asked + 1 :])
        if getattr(model, "takes_pairs", False):
            parts = (ids[:asked], *parts[1:])
        for name, part in zip(TEXTS, parts, strict=True):
            inputs[name] = np.array([tokenizer.detokenize(list(map(int, part)))], object)
    inputs["segment_ids"] = np.zeros((1, length), np.int32)
    inputs["padding_mask"] = np.ones((1, length), np.int32)
    return inputs


def _milliseconds(call: Callable[[], object]) -> float:
    """Returns the median time of a few calls after one that may compile."""
    call()
    times = []
    for _ in range(RUNS):
        begin = time.perf_counter()
        call()
        times.append(time.perf_counter() - begin)
    return 1000 * statistics.median(times)


def _megabytes(path: Path) -> str:
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return f"{sum(file.stat().st_size for file in files) / 1e6:,.1f}"
