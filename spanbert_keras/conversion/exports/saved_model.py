"""Exports to TensorFlow SavedModels. Shape letters: B batch, T tokens, D hidden_dim."""

import os
from collections.abc import Mapping
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
    """Writes a TensorFlow SavedModel for serving, whole or not at all, after comparing it with the model.

    The file needs neither Keras nor this package. Its signature is called `serving_default` (and the endpoint
    `serve`). With token ids, its inputs have the names of the model's inputs, int32 of any batch and length, and its
    outputs those of the model's.

    With `strings` it takes `text`, string `(B,)` in UTF-8, and returns next to the encoder's `sequence_output`
    `(B, T, D)` what it computed that of: `token_ids` and `padding_mask`, int32 `(B, T)`, and `truncated_pieces`, int32
    `(B,)`: how many pieces of a text found no room in a row (see `GraphTokenizer`). Such a SavedModel needs
    tensorflow-text where it is loaded: `import tensorflow_text` comes before `tf.saved_model.load`.

    Args:
        model: `SpanBertEncoder` or `SpanBertPretrainer`; with `strings` an encoder that has its tokenizer.
        folder: the SavedModel's folder. An older SavedModel there is replaced.
        strings: bool. Whether the SavedModel takes texts. Defaults to `False`: token ids.
        length: int or `None`. With `strings`: T, in pieces; `None` means that of the longest text of the batch.

    Returns:
        float. The largest difference between an output of the SavedModel and of the model, on a batch with padding.

    Raises:
        InputError: the backend is not TensorFlow; the model is none of ours or, with `strings`, no encoder with a
            tokenizer that a graph can hold; the folder holds other things or cannot be written; what was written
            computes something else.
        ValueError: `length` is above the encoder's `max_sequence_length`, or given without `strings`.

    Example:
        export_saved_model(encoder, "served", strings=True)
        import tensorflow_text
        serve = tf.saved_model.load("served").signatures["serving_default"]
        serve(text=tf.constant(["An example."]))["sequence_output"]
    """
    if length is not None and not strings:
        raise ValueError(f"`length` is for strings=True; token ids come in rows of any length. Received: {length}.")
    check_exportable(model, "a SavedModel", dtypes=tuple(TOLERANCES))
    tokenizer = _graph_tokenizer(model) if strings else None
    folder = Path(folder)
    if folder.exists() and not (folder / "saved_model.pb").is_file() and (folder.is_file() or any(folder.iterdir())):
        raise InputError(
            f"{folder} is in the way of a SavedModel. Expected: a new or empty folder, or an older SavedModel. "
            "Received: something else; name another folder."
        )
    differences = []

    def write(temporary: Path) -> None:
        if tokenizer is None:
            _write_ids(model, temporary)
            differences.append(_check_ids(model, temporary))
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
            "A SavedModel takes a literal [MASK] in a text for ordinary text. Expected: a tokenizer with "
            "special_tokens_in_text=False. Received: True; export token ids with strings=False."
        )
    if tokenizer.added_tokens or not tokenizer.clean_text:
        names = [token["content"] for token in tokenizer.added_tokens[:3]] or ["clean_text=False"]
        raise InputError(
            "A SavedModel that takes strings cannot hold added tokens, nor text that is not cleaned. Expected: a "
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
        told = {name: inputs[name] for name in ("token_ids", "padding_mask", "truncated_pieces")}
        return {**model(inputs, training=False), **told}

    _write(serve, tf.TensorSpec((None,), tf.string, name="text"), folder)


def _write(serve, signature, folder: Path) -> None:
    """Writes a function of one argument as a SavedModel."""
    archive = keras.export.ExportArchive()
    # It finds the weights that the function uses. `archive.track(model)`, as in `model.export`, writes them twice.
    archive.add_endpoint("serve", serve, [signature])
    archive.write_out(str(folder), verbose=False)


def _check_ids(model, folder: Path) -> float:
    """Returns the largest difference between the SavedModel and the model; see `check_outputs`."""
    import tensorflow as tf

    loaded = tf.saved_model.load(str(folder))

    def run(inputs: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray]:
        picked = {name: tf.constant(inputs[name]) for name in model.input_keys}
        return loaded.signatures["serving_default"](**picked)

    return check_outputs(model, sample_inputs(model), run)


def _check_strings(model, length: int | None, folder: Path) -> float:
    """The same for texts, where the pieces must be those of the encoder's own tokenizer too."""
    import tensorflow as tf

    tokenizer = model.tokenizer
    loaded = tf.saved_model.load(str(folder))
    outputs = loaded.signatures["serving_default"](text=tf.constant(SAMPLE_TEXTS))
    room = (length or model.max_sequence_length) - 2
    rows = [[tokenizer.cls_token_id, *ids[:room], tokenizer.sep_token_id] for ids in tokenizer(list(SAMPLE_TEXTS))]
    width = length or max(map(len, rows))
    token_ids = np.array([row + [tokenizer.pad_token_id] * (width - len(row)) for row in rows], np.int32)
    padding_mask = np.array([[1] * len(row) + [0] * (width - len(row)) for row in rows], np.int32)
    if not np.array_equal(outputs["token_ids"], token_ids):
        raise InputError(
            "The export cuts texts into other pieces than the encoder's tokenizer, and was not written. "
            f"Expected: {token_ids.tolist()}. Received: {outputs['token_ids'].numpy().tolist()}."
        )
    inputs = {"token_ids": token_ids, "segment_ids": np.zeros_like(token_ids), "padding_mask": padding_mask}
    return check_outputs(model, inputs, lambda _: outputs)
