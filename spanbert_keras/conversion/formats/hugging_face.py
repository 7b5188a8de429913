"""Reads and writes folders in the format of Hugging Face transformers."""

import json
import os
import shutil
from pathlib import Path

import numpy as np

from spanbert_keras.conversion.checkpoint import Checkpoint
from spanbert_keras.conversion.claims import Stored, check_claims
from spanbert_keras.conversion.formats.bert_folder import checkpoint_of, read_config
from spanbert_keras.conversion.formats.own_models import make_tokenizer
from spanbert_keras.conversion.formats.tensor_files import (
    SAFETENSORS,
    find_tensor_files,
    read_safetensors,
    read_tensors,
)
from spanbert_keras.conversion.formats.tokenizer_export import write_tokenizer_files
from spanbert_keras.conversion.hugging_face_names import canonical
from spanbert_keras.conversion.tasks import TASKS, longest_row, read_head_settings, task_config
from spanbert_keras.errors import InputError
from spanbert_keras.files import checksum_file
from spanbert_keras.files.checksum_file import verify_checksums, write_checksums

ARCHITECTURES = {  # of transformers, by whether there are a masked-LM head and a next-sentence head
    (False, False): "BertModel",
    (True, False): "BertForMaskedLM",
    (False, True): "BertForNextSentencePrediction",
    (True, True): "BertForPreTraining",
}
SBO_FILE = "span_boundary_head.safetensors"  # transformers lacks this head and would warn about its tensors


def read_hugging_face(folder: str | os.PathLike, paths: list[Path] | None = None, kind: str = "auto") -> Checkpoint:
    """Reads a folder with `config.json`, `model.safetensors` or `pytorch_model.bin` (in parts too) and a vocabulary.

    It also reads the files of the research code: the `model.pt` of an archive, and training checkpoints.

    Args:
        folder: Path of the folder.
        paths: list of paths. Files with the tensors. By default they are found by their usual names.
        kind: str. Kind of the requested model, see `read_head_settings`.

    Raises:
        InputError: A file is missing or damaged, or the tensors are not those of a BERT.
    """
    folder = Path(folder)
    paths = find_tensor_files(folder) if paths is None else paths
    if not paths:
        raise InputError(f"{folder} holds no tensors. Expected: {SAFETENSORS} or pytorch_model.bin, whole or in parts.")
    config = read_config(folder)
    on_checksums = _verify(folder, config or {}) if any(path.name == SAFETENSORS for path in paths) else []
    notes: list[str] = []
    tensors = read_tensors(paths, notes)
    wrapped = bool(notes)
    if (folder / SBO_FILE).is_file():
        tensors |= {canonical(name): value for name, value in read_safetensors(folder / SBO_FILE).items()}
    form = "a Hugging Face folder"
    if config is None:
        form = "a state dict of PyTorch" if wrapped else "a checkpoint of the research code"
    where = str(paths[0] if len(paths) == 1 else folder)
    checkpoint = checkpoint_of(tensors, folder, config or {}, form, where, [*on_checksums, *notes])
    sizes = checkpoint.architecture
    if config is None:
        checkpoint.notes.append(
            f"There is no config.json: {sizes['num_heads']} attention heads are taken as the default for "
            f"width {sizes['hidden_dim']}."
        )
    head = read_head_settings(folder, config or {}, tensors, sizes["max_sequence_length"], kind)
    checkpoint.head_settings, checkpoint.refusal = head.settings, head.refusal
    checkpoint.notes += head.notes
    check_claims([head.settings, sizes], Stored.in_tensors(tensors), str(folder / "config.json"))
    return checkpoint


def _verify(folder: Path, config: dict) -> list[str]:
    """Compares the files with their checksums, unless transformers wrote the folder again; returns a note if so."""
    if "transformers_version" not in config:  # which we do not write
        verify_checksums(folder)
        return []
    outdated = (folder / checksum_file.NAME).is_file()
    return [f"transformers wrote {folder} since: its {checksum_file.NAME} is outdated, and not used."] * outdated


def write_hugging_face(checkpoint: Checkpoint, folder: str | os.PathLike) -> list[str]:
    """Writes a folder that `transformers.BertModel`, `BertForMaskedLM`, `BertForQuestionAnswering`, with a pooler
    `BertForSequenceClassification` and with a next-sentence head `BertForPreTraining` load. A task's settings are kept
    under an additional key in `config.json`.

    Args:
        checkpoint: Checkpoint. It has a vocabulary. Tensors keep their dtype; those without a place are left out.
        folder: Path of an empty folder.

    Returns:
        list of str. Notes for the user.

    Raises:
        InputError: A tensor is missing.
    """
    import ml_dtypes  # noqa: F401  NumPy then knows bfloat16
    from safetensors.numpy import save_file

    folder, notes = Path(folder), []
    names = [weight.name for weight in checkpoint.table().values()]
    missing = [name for name in names if name not in checkpoint.tensors]
    if missing:
        raise InputError(f"A Hugging Face folder needs every tensor. Missing: {', '.join(missing)}.")
    ours = {name: checkpoint.tensors[name] for name in names}
    boundary = {name: value for name, value in ours.items() if name.startswith("cls.pair_target_predictions.")}
    known = {name: value for name, value in ours.items() if name not in boundary}
    save_file(_contiguous(known), folder / SAFETENSORS, metadata={"format": "pt"})
    if boundary:
        save_file(_contiguous(boundary), folder / SBO_FILE, metadata={"format": "pt"})
        notes.append(
            f"transformers has no span-boundary head: its weights are in {SBO_FILE}, which this package reads back."
        )
    if checkpoint.task in TASKS and TASKS[checkpoint.task].classifies and not checkpoint.head_settings.get("pooler"):
        notes.append(
            "transformers' classifier has a pooler, which this model lacks: this package reads the folder, "
            "`BertForSequenceClassification` does not."
        )
    _write_json(folder / "config.json", _config(checkpoint))
    length = longest_row(checkpoint.head_settings, checkpoint.architecture["max_sequence_length"])
    write_tokenizer_files(make_tokenizer(checkpoint), folder, length)
    for path in folder.glob("*.safetensors"):
        shutil.copymode(folder / "config.json", path)  # safetensors makes its files readable by the owner only
    write_checksums(folder, ["*.json", "*.safetensors", "vocab.txt"])
    return notes


def _contiguous(tensors: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: np.ascontiguousarray(value) for name, value in tensors.items()}


def _config(checkpoint: Checkpoint) -> dict:
    sizes = checkpoint.architecture
    dtype = checkpoint.tensors["bert.embeddings.word_embeddings.weight"].dtype.name
    attention = sizes.get("attention_dropout")
    return {
        "architectures": [_architecture(checkpoint)],
        "model_type": "bert",
        "vocab_size": sizes["vocabulary_size"],
        "hidden_size": sizes["hidden_dim"],
        "num_hidden_layers": sizes["num_layers"],
        "num_attention_heads": sizes["num_heads"],
        "intermediate_size": sizes["intermediate_dim"],
        "max_position_embeddings": sizes["max_sequence_length"],
        "type_vocab_size": sizes["num_segments"],
        "hidden_act": "gelu",
        "hidden_dropout_prob": sizes.get("dropout", 0.1),
        "attention_probs_dropout_prob": sizes.get("dropout", 0.1) if attention is None else attention,
        "initializer_range": 0.02,
        "layer_norm_eps": 1e-12,
        "pad_token_id": (checkpoint.vocabulary or ["[PAD]"]).index("[PAD]"),
        "tie_word_embeddings": True,
        "dtype": dtype,
        **(task_config(checkpoint.head_settings) if checkpoint.task is not None else {}),
    }


def _architecture(checkpoint: Checkpoint) -> str:
    """Returns the name of the equivalent class in transformers."""
    of_task = TASKS[checkpoint.task].architecture(checkpoint.head_settings) if checkpoint.task else ""
    heads = ("masked_lm" in checkpoint.heads, "next_sentence" in checkpoint.heads)
    return of_task or ARCHITECTURES[heads]


def _write_json(path: Path, value: dict) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
