"""Reads the configuration that TF Model Garden writes next to a checkpoint."""

import os
from pathlib import Path
from typing import Any

from spanbert_keras.conversion.foreign_keys import MODEL_GARDEN, check_keys
from spanbert_keras.errors import InputError

FILE = "params.yaml"
NAMES = {  # Model Garden's key -> Hugging Face's key
    "vocab_size": "vocab_size",
    "hidden_size": "hidden_size",
    "num_layers": "num_hidden_layers",
    "num_attention_heads": "num_attention_heads",
    "intermediate_size": "intermediate_size",
    "dropout_rate": "hidden_dropout_prob",
    "attention_dropout_rate": "attention_probs_dropout_prob",
    "max_position_embeddings": "max_position_embeddings",
    "type_vocab_size": "type_vocab_size",
}


def read_model_garden_config(folder: str | os.PathLike) -> tuple[dict[str, Any], list[str]]:
    """Returns the encoder's settings of a folder's `params.yaml` under Hugging Face's names, and notes.

    Args:
        folder: path of the checkpoint's folder. Without `params.yaml` the settings are empty.

    Raises:
        InputError: the file is damaged, or its encoder is not the BERT that `SpanBertEncoder` computes.
    """
    import yaml

    path = Path(folder) / FILE
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}, []
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        line = str(error).splitlines()[0]
        raise InputError(f"{path} is not valid YAML as written by TF Model Garden: {line}.") from error
    encoder = _encoder_of(content)
    if encoder is None:
        return {}, [f"{path} has no encoder settings and is ignored."]
    kind = encoder.get("type", "bert")
    if kind != "bert":
        raise InputError(f"{path} cannot be used: its encoder has type {kind!r}. Expected: 'bert'.")
    settings = encoder.get("bert") or {}
    notes = check_keys(settings, MODEL_GARDEN, str(path))
    return {theirs: settings[name] for name, theirs in NAMES.items() if settings.get(name) is not None}, notes


def _encoder_of(value: Any) -> dict[str, Any] | None:
    """Returns the first mapping under the key `encoder`, at any depth."""
    if not isinstance(value, dict):
        return None
    if isinstance(value.get("encoder"), dict):
        return value["encoder"]
    found = (_encoder_of(entry) for entry in value.values())
    return next((encoder for encoder in found if encoder is not None), None)
