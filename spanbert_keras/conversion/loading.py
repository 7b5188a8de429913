"""Loads a model from a checkpoint of any format."""

import os
from pathlib import Path

from spanbert_keras.conversion.claims import verify_preset
from spanbert_keras.conversion.foreign_keys import read_settings
from spanbert_keras.conversion.formats.own_models import notes_on_new_head, pooler_weights, to_model
from spanbert_keras.conversion.formats.run_checkpoint import is_of_run
from spanbert_keras.conversion.resizing import resize_positions
from spanbert_keras.conversion.sources import HUB_SCHEME, open_source
from spanbert_keras.conversion.task_presets import task_from_preset
from spanbert_keras.models.encoder import SpanBertEncoder
from spanbert_keras.models.task_model import TaskModel


def load_pretrained(
    source: str | os.PathLike,
    kind: str = "auto",
    vocabulary_file: str | os.PathLike | None = None,
    lowercase: bool | None = None,
    max_sequence_length: int | None = None,
    allow_mismatch: bool = False,
    allow_nonfinite: bool = False,
    **overrides,
):
    """Returns a model with the weights and the tokenizer of a checkpoint of any format.

    Args:
        source: path or hub name, see `open_source`.
        kind: `"encoder"`, `"pretrainer"`, `"question_answerer"`, `"coreference_resolver"`, `"text_classifier"`,
            `"relation_extractor"` or `"entity_recognizer"`; `"auto"`: the task's model if the source was fine-tuned for
            a task, else the pretrainer if it has a pre-training head, else the encoder. Give `"text_classifier"` for a
            classifier whose `config.json` does not name its architecture.
        vocabulary_file: `vocab.txt` to use instead of the source's own.
        lowercase: bool or `None`. Whether text is lower-cased. Defaults to the source's setting, see `open_source`.
        max_sequence_length: int or `None`. New number of positions, see `resize_positions`. Defaults to the source's.
        allow_mismatch: bool. Whether missing tensors are re-initialised and unknown ones left out, with notes, instead
            of raising an error.
        allow_nonfinite: bool. Whether weights may be infinite or not a number.
        **overrides: other arguments of `SpanBertEncoder`, e.g. `dropout`, `dtype`.

    Returns:
        `SpanBertEncoder`, `SpanBertPretrainer` or the task's model; its attribute `conversion_notes` is a
        list of notes for the user. An encoder also has `source_pooler`: the weights of the source's pooler, from which
        the pooler of a classifier can start, as the list that `set_weights` of a dense layer takes; `None` without one.

    Raises:
        InputError: the source cannot be used, or cannot become a model of this kind.

    Example:

    ```python
    import tempfile

    from spanbert_keras import SpanBertEncoder, SpanBertTokenizer, load_pretrained

    tokenizer = SpanBertTokenizer(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "an", "example"])
    encoder = SpanBertEncoder(
        vocabulary_size=7, num_layers=1, num_heads=2, hidden_dim=4, intermediate_dim=8, max_sequence_length=16,
        tokenizer=tokenizer,
    )
    with tempfile.TemporaryDirectory() as folder:
        encoder.save_to_preset(folder)
        loaded = load_pretrained(folder, kind="encoder", dropout=0.0)  # or "hf://SpanBERT/spanbert-base-cased"
    loaded.tokenizer.tokenize("an example")  # [5, 6]
    ```
    """
    checkpoint = open_source(source, vocabulary_file, lowercase, allow_mismatch, kind, allow_nonfinite=allow_nonfinite)
    if max_sequence_length is not None:
        checkpoint = resize_positions(checkpoint, max_sequence_length)
    model = to_model(checkpoint, kind, **overrides)
    model.conversion_notes = [*checkpoint.notes, *notes_on_new_head(checkpoint, kind)]
    if isinstance(model, SpanBertEncoder):
        model.source_pooler = pooler_weights(checkpoint)
    return model


def _convert_preset(preset: str, load_weights: bool, arguments: dict):
    """Returns the encoder of a checkpoint, or `None` for a preset that keras-hub itself reads."""
    if not preset.startswith(HUB_SCHEME):
        config = read_settings(Path(preset) / "config.json") if Path(preset).is_dir() else None
        is_foreign = config is not None and "registered_name" not in config
        if not is_foreign and not is_of_run(Path(preset)):
            if config is not None:
                verify_preset(Path(preset))
            return None
    encoder = load_pretrained(preset, "encoder", **arguments)
    if load_weights:
        return encoder
    return SpanBertEncoder.from_config(encoder.get_config() | {"tokenizer": encoder.tokenizer})


SpanBertEncoder.converters.append(_convert_preset)
TaskModel.preset_loader = staticmethod(task_from_preset)
