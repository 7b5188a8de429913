"""Readers of checkpoints: models of this package, Hugging Face folders, torch files, training checkpoints, archives."""

import functools
import hashlib
import json
import tarfile
from pathlib import Path

import numpy as np

from spanbert_keras.conversion import destinations
from spanbert_keras.conversion.formats.own_models import describe
from spanbert_keras.conversion.sources import open_source
from spanbert_keras.files import checkpoint_files
from tests.fuzzing.target import Target

STEP = 3


@functools.cache
def _encoder():
    from tests.promises.model_cases import make_encoder

    return make_encoder()


@functools.cache
def _pretrainer():
    import spanbert_keras

    return spanbert_keras.SpanBertPretrainer(_encoder(), max_span_positions=5)


def _digest(checkpoint) -> str:
    found = hashlib.sha256(repr(sorted(checkpoint.architecture.items())).encode())
    found.update(repr((checkpoint.vocabulary, checkpoint.lowercase)).encode())
    for name in sorted(checkpoint.tensors):
        found.update(name.encode() + np.ascontiguousarray(checkpoint.tensors[name]).tobytes())
    return found.hexdigest()


def _reader(name: str):
    return lambda folder: _digest(open_source(folder / name))


def _load_keras(folder: Path):
    import keras

    model = keras.saving.load_model(folder / "model.keras")
    values = [keras.ops.convert_to_numpy(weight.value).tobytes() for weight in model.weights]
    pieces = model.tokenizer.get_vocabulary() if model.tokenizer is not None else None
    return hashlib.sha256(b"".join(values) + repr(pieces).encode()).hexdigest()


def _written(file_format: str, name: str):
    def make(folder: Path) -> None:
        _pretrainer().save(folder / "source.keras")
        checkpoint = open_source(folder / "source.keras")
        (folder / "source.keras").unlink()
        destinations.write(checkpoint, str(folder / name), file_format, "auto", "source", "source.keras")

    return make


def _torch_file(folder: Path) -> None:
    """A Hugging Face folder whose weights are a pickle."""
    import torch
    from safetensors.numpy import load_file

    _written("hugging_face", "model")(folder)
    path = folder / "model" / "model.safetensors"
    tensors = {name: torch.from_numpy(value.copy()) for name, value in load_file(path).items()}
    torch.save(tensors, folder / "model" / "pytorch_model.bin")
    path.unlink()


def _parts(folder: Path) -> None:
    """A Hugging Face folder with weights in two files and an index."""
    from safetensors.numpy import load_file, save_file

    _written("hugging_face", "model")(folder)
    path = folder / "model" / "model.safetensors"
    tensors = load_file(path)
    names = sorted(tensors)
    index = {}
    for number, part in enumerate((names[::2], names[1::2]), start=1):
        file = f"model-{number:05d}-of-00002.safetensors"
        save_file({name: tensors[name] for name in part}, folder / "model" / file)
        index |= dict.fromkeys(part, file)
    (folder / "model" / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": index}))
    path.unlink()


def _archive(folder: Path) -> None:
    _torch_file(folder)
    with tarfile.open(folder / "model.tar.gz", "w:gz") as archive:
        archive.add(folder / "model", "model")


def _run(folder: Path) -> None:
    """The folder of a pre-training run with one checkpoint."""
    import keras

    model = _pretrainer()
    run = folder / "run"
    (run / "checkpoints").mkdir(parents=True)
    facts = {"vocabulary_fingerprint": model.tokenizer.fingerprint()}
    (run / "run.json").write_text(json.dumps({"flags": {}, "facts": facts, "model": describe(model)}))
    (run / "vocab.txt").write_text("".join(f"{piece}\n" for piece in model.tokenizer.get_vocabulary()))
    arrays = {f"model/{weight.path}": keras.ops.convert_to_numpy(weight.value) for weight in model.weights}
    arrays["optimizer/00000"] = np.array(STEP)
    checkpoint_files.write(checkpoint_files.folder_of(run / "checkpoints", STEP), arrays, STEP, {}, None)


def _read_run(folder: Path) -> str:
    return _digest(open_source(folder / "run", step=STEP))


def _save(folder: Path) -> None:
    _pretrainer().save(folder / "model.keras")


def _save_preset(folder: Path) -> None:
    _pretrainer().save_to_preset(str(folder / "model"))


HUGGING_FACE = _written("hugging_face", "model")
TARGETS = [
    Target(".keras, converted", _save, _reader("model.keras"), written_by_us=True),
    Target(".keras, loaded by Keras", _save, _load_keras, written_by_us=True, allowed=(Exception,)),
    Target("preset", _save_preset, _reader("model"), written_by_us=True),
    Target("Hugging Face folder", HUGGING_FACE, _reader("model"), written_by_us=True),
    Target("config.json", HUGGING_FACE, _reader("model"), "**/config.json", written_by_us=True),
    Target("tokenizer.json", HUGGING_FACE, _reader("model"), "**/tokenizer*.json", written_by_us=True),
    Target("weights index", _parts, _reader("model"), "**/*.index.json"),
    Target("pytorch_model.bin", _torch_file, _reader("model"), "**/*.bin"),
    Target("model.tar.gz", _archive, _reader("model.tar.gz"), "*.tar.gz"),
    Target("training checkpoint", _run, _read_run, "run/checkpoints/**/*", written_by_us=True),
    Target("run folder", _run, _read_run, "run/*", written_by_us=True),
]
