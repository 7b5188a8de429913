"""Reads BERT presets of keras-hub. Shape letters: D hidden_dim, H heads, K = D / H."""

import os
from pathlib import Path

import keras
import numpy as np

from spanbert_keras.conversion.checkpoint import Checkpoint, gelu_note
from spanbert_keras.conversion.claims import verify_preset
from spanbert_keras.conversion.foreign_keys import read_settings
from spanbert_keras.errors import InputError

GELU_NOTE = gelu_note("keras-hub's BERT computes", "5e-4")
ACCENTS_NOTE = (
    "keras-hub's tokenizer lowercases text but keeps accents, and so does this model. BERT's uncased models were "
    "trained on text without accents."
)
EXPECTED_SETTINGS = {
    "split": True,
    "suffix_indicator": "##",
    "oov_token": "[UNK]",
}  # attributes of keras-hub's tokenizer
EMBEDDINGS = {
    "token_embedding": "word_embeddings",
    "segment_embedding": "token_type_embeddings",
    "position_embedding": "position_embeddings",
}
# Attributes of a transformer layer -> Hugging Face's names; attention has separate axes for heads, see `_block`.
LAYER_NORMS = {
    "_self_attention_layer_norm": "attention.output.LayerNorm",
    "_feedforward_layer_norm": "output.LayerNorm",
}
DENSE_LAYERS = {"_feedforward_intermediate_dense": "intermediate.dense", "_feedforward_output_dense": "output.dense"}


def read_keras_hub_preset(preset: str | os.PathLike) -> Checkpoint:
    """Reads a BERT preset of keras-hub: its encoder and its vocabulary.

    Args:
        preset: path of a folder, or another handle that keras-hub accepts.

    Raises:
        InputError: its tokenizer splits text in a way that `SpanBertTokenizer` does not support.
    """
    import keras_hub

    if Path(preset).is_dir():
        verify_preset(Path(preset))
    backbone = keras_hub.models.BertBackbone.from_preset(os.fspath(preset))
    width = backbone.hidden_dim
    tensors = {}
    for name, theirs in EMBEDDINGS.items():
        tensors[f"bert.embeddings.{theirs}.weight"] = _array(backbone.get_layer(name).weights[0])
    tensors |= _norm("bert.embeddings.LayerNorm", backbone.get_layer("embeddings_layer_norm"))
    tensors |= _dense("bert.pooler.dense", backbone.get_layer("pooled_dense"))
    for i in range(backbone.num_layers):
        tensors |= _block(f"bert.encoder.layer.{i}", backbone.get_layer(f"transformer_layer_{i}"), width)
    architecture = {
        "vocabulary_size": backbone.vocabulary_size,
        "num_layers": backbone.num_layers,
        "num_heads": backbone.num_heads,
        "hidden_dim": width,
        "intermediate_dim": backbone.intermediate_dim,
        "dropout": backbone.dropout,
        "attention_dropout": backbone.dropout,
        "max_sequence_length": backbone.max_sequence_length,
        "num_segments": backbone.num_segments,
    }
    tokenizer, notes = _tokenizer(preset), [GELU_NOTE, *_task_note(preset)]
    if tokenizer is None:
        return Checkpoint(tensors, architecture, None, None, "a keras-hub BERT preset", notes=notes)
    settings = _text_settings(tokenizer)
    if tokenizer.lowercase and not tokenizer.strip_accents:
        notes.append(ACCENTS_NOTE)
    return Checkpoint(
        tensors,
        architecture,
        list(tokenizer.get_vocabulary()),
        bool(tokenizer.lowercase),
        "a keras-hub BERT preset",
        notes=notes,
        tokenizer_settings=settings,
    )


def _block(name: str, layer, width: int) -> dict[str, np.ndarray]:
    """Returns the tensors of one transformer layer."""
    tensors: dict[str, np.ndarray] = {}
    attention = layer._self_attention_layer
    for part in ("query", "key", "value"):
        kernel, bias = map(_array, getattr(attention, f"_{part}_dense").weights)  # (D, H, K), (H, K)
        tensors[f"{name}.attention.self.{part}.weight"] = kernel.reshape(width, width).T
        tensors[f"{name}.attention.self.{part}.bias"] = bias.reshape(width)
    kernel, bias = map(_array, attention._output_dense.weights)  # (H, K, D), (D,)
    tensors[f"{name}.attention.output.dense.weight"] = kernel.reshape(width, width).T
    tensors[f"{name}.attention.output.dense.bias"] = bias
    for attribute, theirs in LAYER_NORMS.items():
        tensors |= _norm(f"{name}.{theirs}", getattr(layer, attribute))
    for attribute, theirs in DENSE_LAYERS.items():
        tensors |= _dense(f"{name}.{theirs}", getattr(layer, attribute))
    return tensors


def _task_note(preset: str | os.PathLike) -> list[str]:
    """Returns a note on the task model in a preset's folder, if any."""
    task = read_settings(Path(preset) / "task.json")
    if task is None:
        return []
    name = str(task.get("class_name") or "a task's model")
    return [f"The preset holds {name} (task.json); only its encoder is used, not its head or preprocessing."]


def _tokenizer(preset):
    """Returns the preset's tokenizer, `None` if it has none."""
    import keras_hub

    if Path(preset).is_dir() and not (Path(preset) / "tokenizer.json").is_file():
        return None
    return keras_hub.models.BertTokenizer.from_preset(os.fspath(preset))


def _text_settings(tokenizer) -> dict:
    """Returns the arguments of `SpanBertTokenizer` that split text like keras-hub's tokenizer.

    Raises:
        InputError: the tokenizer splits text in a way that ours does not support.
    """
    for name, value in EXPECTED_SETTINGS.items():
        if getattr(tokenizer, name) != value:
            raise InputError(
                f"The preset's tokenizer cannot be used: its configuration says {name}={getattr(tokenizer, name)!r}. "
                f"Expected: {value!r}."
            )
    settings: dict = {}
    if bool(tokenizer.strip_accents) != bool(tokenizer.lowercase):
        settings["strip_accents"] = bool(tokenizer.strip_accents)
    if not tokenizer.split_on_cjk:
        settings["split_chinese_characters"] = False
    return settings


def _array(weight) -> np.ndarray:
    return np.array(keras.ops.convert_to_numpy(weight.value))


def _dense(name: str, layer) -> dict[str, np.ndarray]:
    return {f"{name}.weight": _array(layer.kernel).T, f"{name}.bias": _array(layer.bias)}


def _norm(name: str, layer) -> dict[str, np.ndarray]:
    return {f"{name}.weight": _array(layer.gamma), f"{name}.bias": _array(layer.beta)}
