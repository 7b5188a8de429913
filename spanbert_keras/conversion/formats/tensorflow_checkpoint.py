"""Reads TensorFlow checkpoints of Google, TF Model Garden and the coreference research code, with their folder."""

import os
from pathlib import Path

from spanbert_keras.conversion.checkpoint import Checkpoint, gelu_note
from spanbert_keras.conversion.formats.bert_folder import checkpoint_of, read_config
from spanbert_keras.conversion.formats.coreference_names import holds_coreference, with_coreference
from spanbert_keras.conversion.formats.model_garden_config import read_model_garden_config
from spanbert_keras.conversion.formats.tensorflow_variables import attention_heads, read_tensorflow_variables
from spanbert_keras.conversion.hugging_face_names import canonical


def read_tensorflow_checkpoint(prefix: str | os.PathLike) -> Checkpoint:
    """Reads a TensorFlow checkpoint and the files beside it: `bert_config.json` or `params.yaml`, and a vocabulary.

    Args:
        prefix: path without `.index` and `.data-...`, e.g. `folder/bert_model.ckpt`.

    Raises:
        InputError: a file is missing or damaged, or the variables are not those of a BERT.
    """
    source, folder = os.fspath(prefix), Path(prefix).parent
    tensors = {canonical(name): value for name, value in read_tensorflow_variables(prefix).items()}
    config, notes = read_model_garden_config(folder)
    config |= read_config(folder) or {}
    heads = attention_heads(prefix)
    if heads is not None:
        config["num_attention_heads"] = heads
    checkpoint = checkpoint_of(tensors, folder, config, "a TensorFlow checkpoint", source, notes)
    of_coreference = holds_coreference(tensors)
    if not of_coreference:  # the coreference code's `bert/modeling.py` computes the exact GELU
        checkpoint.notes.append(gelu_note("Google's programs compute", "1e-3"))
    if "num_attention_heads" not in config:
        number = checkpoint.architecture["num_heads"]
        checkpoint.notes.append(f"bert_config.json is missing: {number} attention heads are assumed.")
    return with_coreference(checkpoint, source) if of_coreference else checkpoint
