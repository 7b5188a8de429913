"""Reads the configuration that TF Model Garden writes next to a checkpoint."""

import os
import re
from pathlib import Path
from typing import Any

from spanbert_keras.conversion.foreign_keys import MODEL_GARDEN, check_keys
from spanbert_keras.conversion.formats.torch_pickles import first_line
from spanbert_keras.errors import InputError

FILE = "params.yaml"
MAX_BYTES = 1 << 20
ALIAS = re.compile(r"(?:^|[\s\[{,])\*\w")  # `*name` repeats a part; a few of them can make it endless
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
        with open(path, "rb") as file:
            text = file.read(MAX_BYTES + 1).decode()
        if len(text) > MAX_BYTES or ALIAS.search(text):
            raise ValueError(f"it has references, or more than {MAX_BYTES:,} bytes")
        content = yaml.safe_load(text)
        encoder = _encoder_of(content)
    except FileNotFoundError:
        return {}, []
    except (yaml.YAMLError, ValueError, OSError, RecursionError, TypeError) as error:
        line = first_line(error)
        raise InputError(f"{path} is not valid YAML as written by TF Model Garden: {line}.") from error
    if encoder is None:
        return {}, [f"{path} has no encoder settings and is ignored."]
    kind = encoder.get("type", "bert")
    if kind != "bert":
        raise InputError(f"{path} cannot be used: its encoder has type {kind!r}. Expected: 'bert'.")
    settings = encoder.get("bert") or {}
    if not isinstance(settings, dict):
        raise InputError(f"{path} cannot be used: its encoder's `bert` must be a mapping. Received: {settings!r}.")
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
