"""Opens a BERT or SpanBERT checkpoint and detects its format.

Each format is a row of `FORMATS`. To add one, write a module that reads it and add a row.
"""

import dataclasses
import os
import re
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from spanbert_keras.conversion.checkpoint import Checkpoint
from spanbert_keras.conversion.foreign_keys import read_settings
from spanbert_keras.conversion.formats.archives import unpack
from spanbert_keras.conversion.formats.hugging_face import read_hugging_face
from spanbert_keras.conversion.formats.keras_hub_preset import read_keras_hub_preset
from spanbert_keras.conversion.formats.own_models import OWN_KIND, make_tokenizer, read_keras_file, read_preset
from spanbert_keras.conversion.formats.run_checkpoint import (
    KERAS_FILES,
    checkpoint_of_step,
    read_run_checkpoint,
    run_checkpoint,
)
from spanbert_keras.conversion.formats.tensor_files import find_tensor_files
from spanbert_keras.conversion.formats.tensorflow_checkpoint import read_tensorflow_checkpoint
from spanbert_keras.conversion.formats.tensorflow_variables import find_tensorflow_checkpoint
from spanbert_keras.conversion.formats.tokenizer_files import looks_lowercased, read_lines
from spanbert_keras.conversion.formats.torch_pickles import CUT_SHORT, first_line
from spanbert_keras.conversion.resizing import fit_vocabulary
from spanbert_keras.conversion.tasks import TASKS
from spanbert_keras.errors import InputError

SAVED_MODELS = (*KERAS_FILES, *(f"{name}.keras" for name in TASKS))  # in the folder of a run
HUB_SCHEME = "hf://"
HUB_NAME = re.compile(r"[\w.-]+(/[\w.-]+)?")
HUB_SETTINGS = ["*.json", "vocab.txt"]
HUB_TENSORS = (["model*.safetensors"], ["pytorch_model*.bin"])  # the second only if nothing matches the first
HUB_PRESET = ["*.h5", "assets/**"]
ARCHIVE_FILES = ("model.pt",)
ARCHIVE_SUFFIXES = (".gz", ".tgz", ".tar", ".xz", ".bz2")
# Usual names of the published weights: of folders and archives, on the hub and in its cache.
PUBLISHED = re.compile(
    r"(models--)?(spanbert--)?spanbert-(base|large)-cased"
    r"|spanbert_(hf|hf_base|large_with_head|squad1|squad2|tacred)(\.tar)?(\.gz)?",
    re.IGNORECASE,
)
LICENCE = (
    "The published SpanBERT weights are under CC BY-NC 4.0: no commercial use, and credit their authors (Joshi et al., "
    "2020). This also applies to everything derived from them."
)


def open_source(
    source: str | os.PathLike,
    vocabulary_file: str | os.PathLike | None = None,
    lowercase: bool | None = None,
    allow_mismatch: bool = False,
    kind: str = "auto",
    step: int | None = None,
    allow_nonfinite: bool = False,
) -> Checkpoint:
    """Reads a checkpoint of any format: weights, sizes and vocabulary.

    Formats: a Hugging Face BERT folder or hub name (the prefix `hf://` is optional); the research code's archives,
    `model.pt` and training checkpoints; PyTorch state dicts, including those of DataParallel, torch.compile and
    Lightning; checkpoints of Google, TF Model Garden and the coreference research code; a keras-hub BERT preset (a
    folder, or `kaggle://...`); a `.keras` file, preset, output directory or training checkpoint of this package. Of an
    output directory that holds no model yet, the newest training checkpoint is read.

    Args:
        source: path, which may contain `~` and `$HOME`, or hub name.
        vocabulary_file: `vocab.txt` to use instead of the source's own.
        lowercase: bool or `None`. Whether text is lower-cased. `None`: the source's own setting; if it has none, this
            is inferred from the vocabulary.
        allow_mismatch: bool. Whether missing tensors are re-initialised and unknown ones left out, with notes, instead
            of raising an error.
        kind: str. Requested model, see `load_pretrained`. For "encoder", a head that cannot be used is left out, with a
            note; for "text_classifier", a classifier whose folder does not name its task classifies texts.
        step: int or `None`. Step of a training checkpoint, if `source` is the output directory of a pre-training run.
        allow_nonfinite: bool. Whether weights may be infinite or not a number.

    Raises:
        InputError: the source has none of these formats, is damaged or unsafe, or is not a BERT.
    """
    name = _expanded(source)
    path = Path(name)
    if step is not None:
        path = checkpoint_of_step(path, step)
        name = str(path)
    if name.startswith("kaggle://"):
        checkpoint = _from_kaggle(name)
    elif name.startswith(HUB_SCHEME) or not path.exists() and not Path(f"{name}.index").exists():
        checkpoint = _from_hub(name, kind)
    else:
        checkpoint = _read(path, kind)
    checkpoint.source = name
    if vocabulary_file is not None:
        _take_vocabulary(checkpoint, _expanded(vocabulary_file), allow_mismatch)
    checkpoint = fit_vocabulary(checkpoint)
    if lowercase is not None:
        checkpoint.lowercase = lowercase
    elif checkpoint.lowercase is None:
        checkpoint.lowercase = looks_lowercased(checkpoint.vocabulary or [])
    make_tokenizer(checkpoint)  # raises if the vocabulary lacks [MASK] or has duplicates
    checkpoint = checkpoint.without_refused_head() if kind == "encoder" else checkpoint
    checkpoint = checkpoint.normalised(allow_mismatch)
    checkpoint.check(allow_mismatch, allow_nonfinite)
    if checkpoint.kind != OWN_KIND and any(map(PUBLISHED.fullmatch, path.absolute().parts)):
        checkpoint.notes.append(LICENCE)
    elif checkpoint.kind.endswith("research code"):
        checkpoint.notes.append(f"If this is a published file: {LICENCE}")
    return checkpoint


def _take_vocabulary(checkpoint: Checkpoint, vocabulary_file: str, allow_mismatch: bool) -> None:
    """Replaces a checkpoint's vocabulary by that of a file, which may lack the source's added tokens.

    Raises:
        InputError: the source has a different vocabulary.
    """
    own, given = checkpoint.vocabulary, read_lines(vocabulary_file)
    settings = dict(checkpoint.tokenizer_settings)
    tokens = settings.pop("added_tokens", [])
    if own and own[: len(given)] == given and {token["content"] for token in tokens}.issuperset(own[len(given) :]):
        return
    if own and not allow_mismatch:
        raise InputError(
            f"{vocabulary_file} is not the vocabulary of {checkpoint.source}, which has its own ({len(own)} pieces). "
            "Leave the flag out, or use it anyway with convert --allow_mismatch."
        )
    kept = [token for token in tokens if token["content"] in given]
    checkpoint.vocabulary = given
    checkpoint.tokenizer_settings = settings | ({"added_tokens": kept} if kept else {})


def _expanded(path: str | os.PathLike) -> str:
    """Returns a path with `~` and variables such as `$HOME` replaced."""
    return os.path.expanduser(os.path.expandvars(os.fspath(path)))


def _from_hub(name: str, kind: str) -> Checkpoint:
    """Fetches a Hugging Face model and reads it."""
    from huggingface_hub import snapshot_download

    handle = name.removeprefix(HUB_SCHEME)
    if not HUB_NAME.fullmatch(handle):
        raise InputError(f"{name}: there is no such file or folder, and it is not a Hugging Face name either.")
    try:
        folder = Path(snapshot_download(handle, allow_patterns=HUB_SETTINGS))
        if "registered_name" in (read_settings(folder / "config.json") or {}):
            snapshot_download(handle, allow_patterns=HUB_PRESET)
        for patterns in HUB_TENSORS:
            if not any(path.suffix in (".safetensors", ".bin", ".h5") for path in folder.iterdir()):
                snapshot_download(handle, allow_patterns=patterns)
    except (InputError, MemoryError):
        raise
    except Exception as error:  # raised by several libraries: requests, httpx, huggingface_hub
        raise InputError(
            f"{name}: there is no such file or folder, and as a Hugging Face name it cannot be fetched: "
            f"{first_line(error)}"
        ) from error
    return _read(folder, kind)


def _from_kaggle(name: str) -> Checkpoint:
    """Fetches a preset of keras-hub and reads it."""
    try:
        return read_keras_hub_preset(name)
    except Exception as error:  # raised by several libraries
        raise InputError(f"{name} cannot be fetched: {first_line(error)}") from error


def _registered_name(path: Path) -> str | None:
    """Returns the class name of a preset folder."""
    if not path.is_dir():
        return None
    config = read_settings(path / "config.json") or {}
    registered = str(config.get("registered_name") or config.get("class_name") or "")
    return registered.rpartition(">")[2] or None


def _read_preset(folder: Path, name: str) -> Checkpoint:
    """Reads a preset folder of the class `name`."""
    readers = {"SpanBertEncoder": read_preset, "BertBackbone": read_keras_hub_preset}
    if name not in readers:
        raise InputError(f"{folder} holds a preset of another model. Expected: BertBackbone. Received: {name}.")
    try:
        return readers[name](folder)
    except (InputError, MemoryError):
        raise
    except Exception as error:  # Keras and HDF5 raise nearly anything for damaged files
        raise InputError(f"The preset {folder} cannot be read: {first_line(error)}. {CUT_SHORT}") from error


def _keras_file(path: Path) -> Path | None:
    """Returns the path of a `.keras` file: `path` itself, or the file in an output directory."""
    if path.is_dir():
        return next((path / name for name in SAVED_MODELS if (path / name).is_file()), None)
    is_tensorflow = Path(f"{path}.index").exists()  # TensorFlow's checkpoints may have any name
    return path if path.suffix == ".keras" and path.is_file() and not is_tensorflow else None


def _tensors_in_folder(path: Path) -> list[Path] | None:
    """Returns the paths of the tensor files in a folder."""
    if not path.is_dir():
        return None
    return find_tensor_files(path) or [path / name for name in ARCHIVE_FILES if (path / name).is_file()][:1] or None


def _tensorflow_prefix(path: Path) -> str | None:
    """Returns the prefix of a TensorFlow checkpoint, given the prefix, one of its files or its folder."""
    if path.is_dir() or Path(f"{path}.index").exists():  # at times TensorFlow also writes a file of just that name
        return find_tensorflow_checkpoint(path)
    if path.name.endswith((".index", ".meta")) or ".data-" in path.name:
        return re.sub(r"\.(index|meta|data-\d+-of-\d+)$", "", str(path))
    return None


def _is_archive(path: Path) -> bool:
    if path.is_dir():
        return False
    return path.suffix in ARCHIVE_SUFFIXES or not zipfile.is_zipfile(path) and _is_tar(path)


def _is_tar(path: Path) -> bool:
    try:
        return tarfile.is_tarfile(path)
    except (OSError, EOFError):
        return False


def _read_archive(path: Path, kind: str) -> Checkpoint:
    """Reads an archive that the research code's authors published."""
    with tempfile.TemporaryDirectory() as folder:
        unpack(path, folder)
        checkpoint = _read(Path(folder), kind)
    checkpoint.kind = "an archive of the research code"
    return checkpoint


@dataclasses.dataclass(frozen=True)
class Format:
    """One format of a source.

    Attributes:
        recognise: function of the path of a file or folder; it returns a falsy value for another format.
        read: function of (path, value that `recognise` returned, requested kind of model) that returns the checkpoint.
    """

    recognise: Callable[[Path], Any]
    read: Callable[[Path, Any, str], Checkpoint]


FORMATS: dict[str, Format] = {  # the first format that recognises a path reads it
    "preset": Format(_registered_name, lambda folder, name, kind: _read_preset(folder, name)),
    "keras": Format(_keras_file, lambda path, file, kind: read_keras_file(file)),
    "run": Format(run_checkpoint, lambda path, folder, kind: read_run_checkpoint(folder)),
    "hugging_face": Format(_tensors_in_folder, read_hugging_face),
    "tensorflow": Format(_tensorflow_prefix, lambda path, prefix, kind: read_tensorflow_checkpoint(prefix)),
    "archive": Format(_is_archive, lambda path, found, kind: _read_archive(path, kind)),
}


def _read(path: Path, kind: str) -> Checkpoint:
    """Reads a file or folder; its content determines the format."""
    for form in FORMATS.values():
        found = form.recognise(path)
        if found:
            return form.read(path, found, kind)
    if path.is_file():  # any other file may be a PyTorch state dict; if not, its reader says so
        return read_hugging_face(path.parent, [path], kind)
    raise InputError(
        f"{path} holds no checkpoint. Expected: model.safetensors, pytorch_model.bin or model.pt, a TensorFlow "
        "checkpoint (*.index), a keras-hub preset, a .keras file, or the folder of a run."
    )
