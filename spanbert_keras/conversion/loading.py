"""One call from a checkpoint of any form to a model."""

import os
from pathlib import Path

from spanbert_keras.conversion.foreign_keys import read_settings
from spanbert_keras.conversion.formats.own_models import to_model
from spanbert_keras.conversion.resizing import resize_positions
from spanbert_keras.conversion.sources import HUB_SCHEME, open_source
from spanbert_keras.models.encoder import SpanBertEncoder


def load_pretrained(
    source: str | os.PathLike,
    kind: str = "auto",
    vocabulary_file: str | os.PathLike | None = None,
    lowercase: bool | None = None,
    max_sequence_length: int | None = None,
    allow_mismatch: bool = False,
    **overrides,
):
    """Returns a model with the weights of a checkpoint of any form, and its tokenizer.

    Args:
        source: path or hub name; see `open_source`, also for the arguments not named here.
        kind: `"encoder"`, `"pretrainer"`, `"question_answerer"`, `"coreference_resolver"`, `"text_classifier"` or
            `"relation_extractor"`; `"auto"`: the task's model where the source was fine-tuned for one, else the
            pretrainer where it has a pre-training head. Give `"text_classifier"` for a classifier whose `config.json`
            does not name its architecture.
        max_sequence_length: int or `None`. Another number of positions than the source's (`resize_positions`).
        **overrides: other arguments of `SpanBertEncoder`, e.g. `dropout`, `dtype`.

    Returns:
        `SpanBertEncoder`, `SpanBertPretrainer` or the task's model; its attribute `conversion_notes` lists what a user
        should know.

    Raises:
        InputError: the source cannot be used.

    Example:
        encoder = load_pretrained("hf://SpanBERT/spanbert-base-cased", kind="encoder")
    """
    checkpoint = open_source(source, vocabulary_file, lowercase, allow_mismatch, kind)
    if max_sequence_length is not None:
        checkpoint = resize_positions(checkpoint, max_sequence_length)
    model = to_model(checkpoint, kind, **overrides)
    model.conversion_notes = list(checkpoint.notes)
    return model


def _convert_preset(preset: str, load_weights: bool, arguments: dict):
    """Returns the encoder of a checkpoint in another form than keras-hub's, `None` for all else."""
    if not preset.startswith(HUB_SCHEME):
        config = read_settings(Path(preset) / "config.json") if Path(preset).is_dir() else None
        if config is None or "registered_name" in config:
            return None
    encoder = load_pretrained(preset, "encoder", **arguments)
    if load_weights:
        return encoder
    return SpanBertEncoder.from_config(encoder.get_config() | {"tokenizer": encoder.tokenizer})


SpanBertEncoder.converters.append(_convert_preset)
