"""Reads Google's BERT from TensorFlow checkpoints."""

import glob
import math
import os
import re
from pathlib import Path
from typing import Any

import numpy as np

from spanbert_keras.conversion.formats.google_names import heads_of, names_by_key, torch_layout
from spanbert_keras.errors import InputError

SPARE_BYTES = 1 << 26


def find_tensorflow_checkpoint(path: str | os.PathLike) -> str | None:
    """Returns the prefix of a TensorFlow checkpoint, for `read_tensorflow_variables`.

    Args:
        path: a prefix or a folder. For a folder: the checkpoint that its `checkpoint` file names as newest, else the
            only one.

    Returns:
        str, or `None` if there is no TensorFlow checkpoint.

    Raises:
        InputError: a folder holds several checkpoints, and no `checkpoint` file that names one.
    """
    path = Path(path)
    if Path(f"{path}.index").is_file():
        return str(path)
    if not path.is_dir():
        return None
    prefixes = sorted(str(index).removesuffix(".index") for index in path.glob("*.index"))
    newest = _newest(path)
    if newest in prefixes:
        return newest
    if len(prefixes) > 1:
        raise InputError(
            f"{path} holds {len(prefixes)} TensorFlow checkpoints ({', '.join(Path(p).name for p in prefixes)}) and no "
            "`checkpoint` file that names the newest of them. Give the path of one, e.g. " + prefixes[-1]
        )
    return prefixes[0] if prefixes else None


def _newest(folder: Path) -> str | None:
    """Returns the prefix, in this folder, that TensorFlow's state file names. The folder may have been moved since."""
    try:
        state = (folder / "checkpoint").read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None
    match = re.search(r'^model_checkpoint_path:\s*"(.*)"\s*$', state, re.MULTILINE)
    return str(folder / re.split(r"[/\\]", match[1])[-1]) if match else None


def read_tensorflow_variables(prefix: str | os.PathLike) -> dict[str, np.ndarray]:
    """Reads Google's BERT from a checkpoint of TensorFlow 1 or of TF Model Garden.

    TensorFlow 1 names variables (`bert/encoder/layer_0/...`). Model Garden writes paths of attributes: of the
    functional `BertEncoder`, of `BertEncoderV2`, and of the pretrainers around them; the encoder may be at any depth.
    Optimizer state, step counters and the object graph are left out. `BertPretrainerV2` trains a separate pooler for
    the next-sentence head, which is used instead of the encoder's.

    A checkpoint does not record its GELU. In Google's programs "gelu" is the tanh approximation
    (google-research/bert's `modeling.gelu`, Model Garden's default); our encoder computes the exact GELU, like
    Hugging Face's BERT with the same weights.

    Args:
        prefix: path without `.index` and `.data-...`, e.g. `folder/bert_model.ckpt`.

    Returns:
        Arrays in the stored dtype, under Hugging Face's names (`bert.encoder.layer.0.attention.self.query.weight`,
        `cls.predictions.bias`) and in its layout: kernels `[out, in]`. A variable that is not part of BERT keeps its
        name and layout.

    Raises:
        InputError: the checkpoint is missing or damaged, or holds several encoders or heads.
    """
    reader = _open(prefix)
    _check_size(reader, prefix)
    names = names_by_key(reader.get_variable_to_shape_map(), prefix)
    return {name: torch_layout(key, name, _get(reader, key, prefix)) for key, name in names.items()}


def attention_heads(prefix: str | os.PathLike) -> int | None:
    """Returns the number of attention heads if the shapes determine it, as in TF Model Garden; else `None`.

    Raises:
        InputError: the checkpoint is missing.
    """
    return heads_of(_open(prefix).get_variable_to_shape_map())


def _open(prefix: str | os.PathLike) -> Any:
    """Returns TensorFlow's reader."""
    try:
        import tensorflow as tf
    except ImportError:
        raise InputError(
            f"{prefix} is a TensorFlow checkpoint, which only TensorFlow can read: pip install tensorflow."
        ) from None
    if not Path(f"{os.fspath(prefix)}.index").is_file():
        raise InputError(
            f"TensorFlow checkpoint {prefix} not found: {prefix}.index is missing. Expected: the path of both files "
            "without `.index` and `.data-00000-of-00001`, e.g. folder/bert_model.ckpt."
        )
    try:
        return tf.train.load_checkpoint(os.fspath(prefix))
    except (tf.errors.OpError, IndexError, RuntimeError, ValueError) as error:
        raise _damaged(prefix, error) from error


def _check_size(reader: Any, prefix: str | os.PathLike) -> None:
    """Raises if the shapes in the index claim more than the data files hold."""
    shapes, kinds = reader.get_variable_to_shape_map(), reader.get_variable_to_dtype_map()
    numbers = [name for name in shapes if not kinds[name].name.startswith(("string", "variant", "resource"))]
    claimed = sum(math.prod(map(int, shapes[name])) * kinds[name].size for name in numbers)
    prefix = Path(prefix)
    stored = sum(path.stat().st_size for path in prefix.parent.glob(f"{glob.escape(prefix.name)}.data-*"))
    if claimed > 2 * stored + SPARE_BYTES:  # TensorFlow says what a file that is only cut short lacks
        raise InputError(
            f"The TensorFlow checkpoint {prefix} is incomplete or damaged: its variables take {claimed:,} bytes, its "
            f"data files have {stored:,}. Copy its .index and .data files again."
        )


def _get(reader: Any, key: str, prefix: str | os.PathLike) -> np.ndarray:
    """Returns one variable's values."""
    import tensorflow as tf

    try:
        return np.asarray(reader.get_tensor(key))
    # TensorFlow's reader raises IndexError for a truncated file, OpError for a missing one.
    except (tf.errors.OpError, IndexError, RuntimeError, ValueError) as error:
        raise _damaged(prefix, error) from error


def _damaged(prefix: str | os.PathLike, error: Exception) -> InputError:
    return InputError(
        f"The TensorFlow checkpoint {prefix} is incomplete or damaged ({error}). Copy its .index and .data files again."
    )
