"""Exports to TensorFlow SavedModels. Shape letters: B batch, T tokens, D hidden_dim."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path

import keras
import numpy as np

from spanbert_keras.conversion.exports.graph_tokenizer import GraphTokenizer
from spanbert_keras.conversion.exports.verification import TOLERANCES, check_exportable, check_outputs, sample_inputs
from spanbert_keras.errors import InputError
from spanbert_keras.files.writing import input_error_if_unwritable, write_atomically
from spanbert_keras.models.encoder import SpanBertEncoder

SAMPLE_TEXTS = ("", "Ångström's café, 東京 (Tokyo): naïve co-operation!", "[MASK] a\u0301\u200b " + "x" * 101)


def export_saved_model(model, folder: str | os.PathLike, strings: bool = False, length: int | None = None) -> float:
    """Writes a TensorFlow SavedModel for serving atomically, after comparing its outputs with the model's.

    It needs neither Keras nor this package. Its signature is `serving_default` (endpoint `serve`). With token ids,
    inputs and outputs have the model's names; inputs are int32 of any batch size and length.

    With `strings` it takes `text`, string `(B,)` in UTF-8. Besides the encoder's `sequence_output` `(B, T, D)` it
    returns that output's `token_ids` and `padding_mask`, int32 `(B, T)`, and `truncated_pieces`, int32 `(B,)`: the
    number of pieces of each text that were cut off (see `GraphTokenizer`). Loading it needs tensorflow-text:
    `import tensorflow_text` before `tf.saved_model.load`.

    Args:
        model: `SpanBertEncoder`, `SpanBertPretrainer` or the model of a task, except a coreference resolver; with
            `strings` an encoder that has its tokenizer.
        folder: path of the SavedModel's folder. An existing SavedModel is replaced.
        strings: bool. Whether the SavedModel takes texts. Defaults to `False`: token ids.
        length: int or `None`. With `strings`: T, in tokens; `None`: that of the longest text of the batch.

    Returns:
        float. Largest difference between the SavedModel's outputs and the model's, on a batch with padding.

    Raises:
        InputError: the backend is not TensorFlow; the model is not one of this package or, with `strings`, not an
            encoder with a tokenizer that a graph can hold; the folder holds other files or cannot be written; the
            outputs differ from the model's.
        ValueError: `length` is above the encoder's `max_sequence_length`, or given without `strings`.

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
            differences.append(_check_strings(model, length, temporary))

    with input_error_if_unwritable(folder):
        write_atomically(folder, write)
    return differences[0]


def _graph_tokenizer(model) -> GraphTokenizer:
    """Returns the encoder's tokenizer as graph operations."""
    if not isinstance(model, SpanBertEncoder):
        raise InputError(
            "A SavedModel that takes strings holds an encoder. Expected: a SpanBertEncoder. "
            f"Received: {type(model).__name__}; export its `encoder`, or token ids with strings=False."
        )
    tokenizer = model.tokenizer
    if tokenizer is None or not tokenizer.has_vocabulary:
        raise InputError(
            "A SavedModel that takes strings needs the encoder's tokenizer. Expected: `encoder.tokenizer` with a "
            "vocabulary. Received: none; set it, or export token ids with strings=False."
        )
    if tokenizer.special_tokens_in_text:
        raise InputError(
            "A SavedModel treats a literal [MASK] in a text as ordinary text. Expected: a tokenizer with "
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
        model.max_sequence_length,
        tokenizer.strip_accents,
        tokenizer.split_chinese_characters,
    )


def _write_ids(model, folder: Path) -> None:
    """Writes the SavedModel that takes token ids."""
    import tensorflow as tf

    specs = {name: tf.TensorSpec((None, None), tf.int32, name=name) for name in model.input_keys}
    _write(lambda inputs: model(inputs, training=False), specs, folder)


def _write_strings(model, tokenizer: GraphTokenizer, length: int | None, folder: Path) -> None:
    """Writes the SavedModel that takes texts."""
    import tensorflow as tf

    def serve(text):
        inputs = tokenizer(text, length=length)
        reported = {name: inputs[name] for name in ("token_ids", "padding_mask", "truncated_pieces")}
        return {**model(inputs, training=False), **reported}

    _write(serve, tf.TensorSpec((None,), tf.string, name="text"), folder)


def _write(serve, signature, folder: Path) -> None:
    """Writes a function of one argument as a SavedModel."""
    archive = keras.export.ExportArchive()
    # `add_endpoint` finds the weights itself. `archive.track(model)`, as in `model.export`, would write them twice.
    archive.add_endpoint("serve", serve, [signature])
    archive.write_out(str(folder), verbose=False)


def open_saved_model(folder: str | os.PathLike) -> Callable[[Mapping], dict]:
    """Returns a function that runs a SavedModel: a dict of inputs (others are ignored) to a dict of outputs."""
    import tensorflow as tf

    loaded = tf.saved_model.load(os.fspath(folder))
    names = list(loaded.signatures["serving_default"].structured_input_signature[1])

    def run(inputs: Mapping) -> dict:  # it holds the object, as long as which the variables live
        return loaded.signatures["serving_default"](**{name: tf.constant(inputs[name]) for name in names})

    return run


def _check_strings(model, length: int | None, folder: Path) -> float:
    """Returns the largest difference for texts; their token ids must equal those of the encoder's own tokenizer."""
    tokenizer = model.tokenizer
    outputs = open_saved_model(folder)({"text": SAMPLE_TEXTS})
    room = (length or model.max_sequence_length) - 2
    rows = [[tokenizer.cls_token_id, *ids[:room], tokenizer.sep_token_id] for ids in tokenizer(list(SAMPLE_TEXTS))]
    width = length or max(map(len, rows))
    token_ids = np.array([row + [tokenizer.pad_token_id] * (width - len(row)) for row in rows], np.int32)
    padding_mask = np.array([[1] * len(row) + [0] * (width - len(row)) for row in rows], np.int32)
    if not np.array_equal(outputs["token_ids"], token_ids):
        raise InputError(
            "The export and the encoder's tokenizer split texts into different pieces; nothing was written. "
            f"Expected: {token_ids.tolist()}. Received: {outputs['token_ids'].numpy().tolist()}."
        )
    inputs = {"token_ids": token_ids, "segment_ids": np.zeros_like(token_ids), "padding_mask": padding_mask}
    return check_outputs(model, inputs, lambda _: outputs)
