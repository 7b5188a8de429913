"""Exports to TensorFlow SavedModels. Shape letters: B batch, T tokens, D hidden_dim."""

import functools
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np

from spanbert_keras.conversion.exports.graph_tokenizer import GraphTokenizer
from spanbert_keras.conversion.exports.text_checks import check_texts
from spanbert_keras.conversion.exports.text_graphs import text_endpoints
from spanbert_keras.conversion.exports.verification import TOLERANCES, check_exportable, check_outputs, sample_inputs
from spanbert_keras.errors import InputError
from spanbert_keras.files.writing import input_error_if_unwritable, write_atomically
from spanbert_keras.models.encoder import SpanBertEncoder
from spanbert_keras.models.question_answerer import SpanBertQuestionAnswerer
from spanbert_keras.models.text_classifier import SpanBertTextClassifier

OF_TEXT = (SpanBertEncoder, SpanBertTextClassifier, SpanBertQuestionAnswerer)  # what a SavedModel of strings may hold


def export_saved_model(model, folder: str | os.PathLike, strings: bool = False, length: int | None = None) -> float:
    """Writes a TensorFlow SavedModel for serving atomically, after comparing its outputs with the model's.

    It needs neither Keras nor this package. Its signature is `serving_default` (endpoint `serve`). With token ids,
    inputs and outputs have the model's names; inputs are int32 of any batch size and length.

    With `strings` all inputs are strings `(B,)` in UTF-8, and what it returns depends on the model:

    - encoder: of `text` the `sequence_output` `(B, T, D)`, with its `token_ids` and `padding_mask`, int32 `(B, T)`.
    - text classifier: of `text`, or of pairs `text` and `second_text`, the `scores` float32 `(B, C)` and the `labels`,
      string `(B, C)`, that they belong to: those of `classify`, so probabilities by the model's temperature, or
      numbers. A model that takes both has a second signature, `pairs`. A text without words is an empty row.
    - question answerer: of `question` and `context` the answer of `answer`: `text` string `(B,)`, `start` and `end`
      int32 `(B,)`, half-open characters (code points) of the context, `score` and `no_answer_score` float32 `(B,)`. No
      answer is "" from -1 to -1; so is that to a question or context without words, with a score of 0. A context is
      read up to the end of the first window; `answer` reads all of it.

    All also return `truncated_pieces`, int32 `(B,)`: the number of pieces of each text (pair, context) that were cut
    off. Loading it needs tensorflow-text: `import tensorflow_text` before `tf.saved_model.load`.

    Args:
        model: `SpanBertEncoder`, `SpanBertPretrainer` or the model of a task, except a coreference resolver; with
            `strings` an encoder, text classifier or question answerer that has its tokenizer.
        folder: path of the SavedModel's folder. An existing SavedModel is replaced.
        strings: bool. Whether the SavedModel takes texts. Defaults to `False`: token ids.
        length: int or `None`. T, in tokens, of an encoder with `strings`; `None`: that of the longest text of the
            batch.

    Returns:
        float. Largest difference between the SavedModel's outputs and the model's, on a batch with padding.

    Raises:
        InputError: the backend is not TensorFlow; the model is not one of this package or, with `strings`, not an
            encoder, text classifier or question answerer with a tokenizer that a graph can hold; the folder holds other
            files or cannot be written; the outputs differ from the model's.
        ValueError: `length` is above the encoder's `max_sequence_length`, or given without `strings` or for another
            model.

    Example:

    ```python
    import tensorflow as tf
    import tensorflow_text  # the operations of the tokenizer

    from spanbert_keras import SpanBertEncoder, SpanBertTokenizer
    from spanbert_keras.conversion.exports.saved_model import export_saved_model

    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "an", "example"]
    tokenizer = SpanBertTokenizer(vocabulary, lowercase=True)
    encoder = SpanBertEncoder(
        vocabulary_size=7, num_layers=1, num_heads=2, hidden_dim=4, intermediate_dim=8, max_sequence_length=16,
        tokenizer=tokenizer,
    )
    export_saved_model(encoder, "served", strings=True)
    serve = tf.saved_model.load("served").signatures["serving_default"]
    serve(text=tf.constant(["An example."]))["sequence_output"]
    ```
    """
    if length is not None and not strings:
        raise ValueError(f"`length` is for strings=True; token ids come in rows of any length. Received: {length}.")
    if length is not None and not isinstance(model, SpanBertEncoder):
        raise ValueError(f"`length` is for an encoder. Received: length={length} for a {type(model).__name__}.")
    check_exportable(model, "a SavedModel", dtypes=tuple(TOLERANCES))
    tokenizer = _graph_tokenizer(model) if strings else None
    folder = Path(folder)
    if folder.exists() and not (folder / "saved_model.pb").is_file() and (folder.is_file() or any(folder.iterdir())):
        raise InputError(
            f"{folder} cannot be used for a SavedModel. Expected: a new or empty folder, or an older SavedModel. "
            "Received: a path with other content; choose another folder."
        )
    differences = []

    def write(temporary: Path) -> None:
        if tokenizer is None:
            _write_ids(model, temporary)
            differences.append(check_outputs(model, sample_inputs(model), open_saved_model(temporary)))
        else:
            _write_strings(model, tokenizer, length, temporary)
            differences.append(check_texts(model, functools.partial(open_saved_model, temporary), length))

    with input_error_if_unwritable(folder):
        write_atomically(folder, write)
    return differences[0]


def _graph_tokenizer(model) -> GraphTokenizer:
    """Returns a model's tokenizer as graph operations."""
    if not isinstance(model, OF_TEXT):
        raise InputError(
            "A SavedModel that takes strings holds an encoder, a text classifier or a question answerer. Expected: "
            f"one of {', '.join(kind.__name__ for kind in OF_TEXT)}. Received: {type(model).__name__}; export its "
            "`encoder`, or token ids with strings=False."
        )
    encoder: Any = getattr(model, "encoder", model)
    tokenizer = encoder.tokenizer
    if tokenizer is None or not tokenizer.has_vocabulary:
        raise InputError(
            "A SavedModel that takes strings needs the encoder's tokenizer. Expected: `encoder.tokenizer` with a "
            "vocabulary. Received: none; set it, or export token ids with strings=False."
        )
    if (
        tokenizer.special_tokens_in_text
        or isinstance(model, SpanBertQuestionAnswerer)
        and (model.windows.special_tokens_in_text)
    ):
        raise InputError(
            "A SavedModel treats a literal [MASK] in a text as ordinary text. Expected: a model and a tokenizer with "
            "special_tokens_in_text=False. Received: True; export token ids with strings=False."
        )
    if tokenizer.added_tokens or not tokenizer.clean_text:
        names = [token["content"] for token in tokenizer.added_tokens[:3]] or ["clean_text=False"]
        raise InputError(
            "A SavedModel that takes strings cannot hold added tokens or skip text cleaning. Expected: a "
            f"tokenizer of plain word pieces. Received: {', '.join(names)}; export token ids with strings=False."
        )
    return GraphTokenizer(
        tokenizer.get_vocabulary(),
        tokenizer.lowercase,
        encoder.max_sequence_length,
        tokenizer.strip_accents,
        tokenizer.split_chinese_characters,
    )


def _write_ids(model, folder: Path) -> None:
    """Writes the SavedModel that takes token ids."""
    import tensorflow as tf

    specs = {name: tf.TensorSpec((None, None), tf.int32, name=name) for name in model.input_keys}
    _write({"serve": (lambda inputs: model(inputs, training=False), [specs])}, folder)


def _write_strings(model, tokenizer: GraphTokenizer, length: int | None, folder: Path) -> None:
    """Writes the SavedModel that takes texts."""
    import tensorflow as tf

    def specs(names):
        return [tf.TensorSpec((None,), tf.string, name=name) for name in names]

    endpoints = text_endpoints(model, tokenizer, length)
    _write({name: (serve, specs(names)) for name, (serve, names) in endpoints.items()}, folder)


def _write(endpoints: Mapping[str, tuple[Callable, list]], folder: Path) -> None:
    """Writes functions, with the signature of each, as a SavedModel."""
    archive = keras.export.ExportArchive()
    for name, (serve, signature) in endpoints.items():
        # `add_endpoint` finds the weights itself. `archive.track(model)`, as in `model.export`, would write them twice.
        archive.add_endpoint(name, serve, signature)
    archive.write_out(str(folder), verbose=False)


def open_saved_model(
    folder: str | os.PathLike, signature: str = "serving_default"
) -> Callable[[Mapping], dict[str, np.ndarray]]:
    """Returns a function that runs a SavedModel: a dict of inputs (others are ignored) to a dict of outputs."""
    import tensorflow as tf

    loaded = tf.saved_model.load(os.fspath(folder))
    names = list(loaded.signatures[signature].structured_input_signature[1])

    def run(inputs: Mapping) -> dict:  # it holds the object, as long as which the variables live
        outputs = loaded.signatures[signature](**{name: tf.constant(inputs[name]) for name in names})
        return {name: value.numpy() for name, value in outputs.items()}

    return run
