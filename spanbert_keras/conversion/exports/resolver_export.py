"""Exports a coreference resolver in parts. Shape letters: P pieces of a document, W span widths, S spans kept,
A antecedents, D hidden_dim, G span_dim."""

import functools
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from keras import ops

from spanbert_keras.conversion.exports.onnx_export import export_onnx, open_onnx, write_onnx
from spanbert_keras.conversion.exports.verification import TOLERANCES, check_exportable, require_extra
from spanbert_keras.errors import InputError
from spanbert_keras.files.json_files import write_json
from spanbert_keras.files.writing import input_error_if_unwritable, write_atomically
from spanbert_keras.models.coreference_resolver import SpanBertCoreferenceResolver
from spanbert_keras.models.resolver_parts import ResolverPart, resolver_parts

FILES = frozenset(("encoder.onnx", "mentions.onnx", "spans.onnx", "pairs.onnx", "tokenizer.json", "resolver.json"))
MASKED = -1e8  # scores at padding are lower
SAMPLES = ((23, 9), (7, 1))  # P and S of the comparisons


def export_resolver(resolver, folder: str | os.PathLike) -> float:
    """Writes a coreference resolver as ONNX graphs atomically, after comparing their outputs with the model's.

    A program joins them (docs/coreference.md has one, in NumPy): it cuts a document into segments, lets `encoder`
    read these, keeps the likeliest of the spans that `mentions` scores, and links each to the best of its antecedents.

    - `encoder.onnx`: `token_ids`, `segment_ids`, `padding_mask`, int32 `(batch, length)`, of segments, to
      `sequence_output` `(batch, length, D)`.
    - `mentions.onnx`: `sequence` `(P, D)`, the vectors of all pieces without padding, to `scores` `(P, W)`: that of the
      span at [its first piece, its number of pieces less one].
    - `spans.onnx`: `sequence`, `starts` and `ends`, int32 `(S,)`, the first and last piece of each kept span, to
      `vectors` `(S, G)` and `mention_scores` `(S,)`.
    - `pairs.onnx`: these two, `speakers` and `segments`, int32 `(S,)`, of the first piece of each span, and `genre`,
      int32 `(1,)`, its place in `genres`, to `antecedents`, int32 `(S, A)`, places among the S spans, -1 at padding,
      and their `scores` `(S, A)`, the score of no antecedent being 0. Its memory grows with S x S.
    - `tokenizer.json` of the `tokenizers` library, and `resolver.json`, the settings.

    Args:
        resolver: `SpanBertCoreferenceResolver` that computes in float32, with candidates that are words.
        folder: path of the folder, whose older parts are replaced. Needs the extra `export`.

    Returns:
        float. Largest difference between onnxruntime's outputs and the model's.

    Raises:
        InputError: a package of the extra `export` is not installed; the backend is not TensorFlow; the model is not a
            resolver, computes in another dtype, has `candidates="pieces"` or a tokenizer with added tokens; the folder
            holds other files or cannot be written; the outputs differ from the model's.

    Example:

    ```python
    from pathlib import Path

    from spanbert_keras import SpanBertCoreferenceResolver, SpanBertEncoder, SpanBertTokenizer
    from spanbert_keras.conversion.exports.resolver_export import export_resolver

    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "Ann", "met", "her", "mother", "."]
    tokenizer = SpanBertTokenizer(vocabulary)
    encoder = SpanBertEncoder(len(vocabulary), 1, 2, 8, 16, max_sequence_length=32, tokenizer=tokenizer)
    resolver = SpanBertCoreferenceResolver(encoder, max_span_width=3, hidden_dim=10, feature_dim=4)
    export_resolver(resolver, "parts")
    len(list(Path("parts").iterdir()))  # 6
    ```
    """
    if not isinstance(resolver, SpanBertCoreferenceResolver):
        raise InputError(
            "Only a coreference resolver is exported in parts. Expected: a SpanBertCoreferenceResolver. Received: "
            f"{type(resolver).__name__}; export it whole, to ONNX, LiteRT or a SavedModel."
        )
    check_exportable(resolver.encoder, "ONNX")
    require_extra("ONNX", "onnx", "onnxruntime", "tf2onnx")
    _check_settings(resolver)
    folder = Path(folder)
    others = sorted({file.name for file in folder.iterdir()} - FILES) if folder.is_dir() else []
    if others or folder.is_file():
        raise InputError(
            f"{folder} cannot be used for the parts of a resolver. Expected: a new or empty folder, or older parts. "
            f"Received: {'a file' if folder.is_file() else f'a folder with {others[0]}'}; choose another folder."
        )
    differences = []

    def write(temporary: Path) -> None:
        temporary.mkdir()
        differences.append(export_onnx(resolver.encoder, temporary / "encoder.onnx"))
        parts = resolver_parts(resolver)
        for name, part in parts.items():
            write_onnx(part, part.specs, part.output_axes, temporary / f"{name}.onnx")
        differences.append(_largest_difference(resolver, parts, temporary))
        (temporary / "tokenizer.json").write_text(
            resolver.tokenizer.wordpiece.to_json(special_pieces=False), encoding="utf-8"
        )
        write_json(temporary / "resolver.json", _settings(resolver))

    with input_error_if_unwritable(folder):
        write_atomically(folder, write)
    return max(differences)


def _check_settings(resolver) -> None:
    if resolver.segments.candidates != "words":
        raise InputError(
            "The parts of a resolver are for candidates that are whole words. Expected: candidates='words'. "
            f"Received: {resolver.segments.candidates!r}; serve the .keras file."
        )
    if resolver.tokenizer.added_tokens:
        names = [token["content"] for token in resolver.tokenizer.added_tokens[:3]]
        raise InputError(
            "The parts of a resolver cannot hold added tokens. Expected: a tokenizer of plain word pieces. "
            f"Received: {', '.join(names)}; serve the .keras file."
        )


def _settings(resolver) -> dict:
    """Returns what the program that joins the parts needs to know."""
    tokenizer = resolver.tokenizer
    return {
        "segment_length": resolver.segments.segment_length,
        "max_span_width": resolver.max_span_width,
        "top_span_ratio": resolver.top_span_ratio,
        "genres": list(resolver.genres),
        "default_genre": resolver.default_genre,
        "cls_id": tokenizer.cls_token_id,
        "sep_id": tokenizer.sep_token_id,
        "unk_id": tokenizer.unk_token_id,
    }


def _largest_difference(resolver, parts: Mapping[str, ResolverPart], folder: Path) -> float:
    """Returns the largest difference between the parts' outputs in onnxruntime and the model's.

    Raises:
        InputError: an output differs by more than rounding explains.
    """
    random, largest = np.random.default_rng(0), 0.0
    opened = functools.cache(lambda name: open_onnx(folder / f"{name}.onnx"))
    for pieces, count in SAMPLES:
        starts = np.sort(random.integers(0, pieces, count)).astype(np.int32)
        inputs = {
            "sequence": random.normal(size=(pieces, resolver.encoder.hidden_dim)).astype(np.float32),
            "starts": starts,
            "ends": np.minimum(starts + random.integers(0, resolver.max_span_width, count), pieces - 1).astype(
                np.int32
            ),
            "speakers": random.integers(2, 4, count).astype(np.int32),
            "segments": np.sort(random.integers(0, 5, count)).astype(np.int32),
            "genre": np.array([len(resolver.genres) - 1], np.int32),
        }
        for name, part in parts.items():
            given = {key: ops.convert_to_tensor(inputs[key]) for key in part.specs}
            expected = {key: ops.convert_to_numpy(value) for key, value in part(given).items()}
            received = opened(name)(inputs)
            for key, values in expected.items():
                scale = max(1.0, float(np.abs(values[values > MASKED]).max(initial=0.0)))
                difference = float(np.abs(received[key] - values).max())
                if not difference <= TOLERANCES["float32"] * scale:  # also rejects NaN
                    raise InputError(
                        f"The export of {name} does not compute the same as the model; nothing was written. Expected: "
                        f"{key} within {TOLERANCES['float32'] * scale:.1e}. Received: a difference of {difference:.1e}."
                    )
                largest = max(largest, difference)
            inputs |= expected
    return largest
