"""Variables of the coreference research code (mandarjoshi90/coref, `independent.py`), and settings from their shapes.

Shape letters: D hidden_dim, F feature_dim, W span widths, R distances in segments, H hidden layer, G = 3 D + F a span's
vector, 2G two of them, P = 3 G + 4 F a pair's vector. Matrices are [in, out], as ours.
"""

import dataclasses
import os
import re
from collections.abc import Iterable
from typing import Any

from spanbert_keras.conversion.checkpoint import Checkpoint
from spanbert_keras.conversion.hugging_face_names import COREFERENCE
from spanbert_keras.errors import InputError

Variables = dict[str, tuple[str, str]]  # a variable's name -> (our name, its shape in letters and numbers)


def _dense(scope: str, ours: str, inputs: str, outputs: str) -> Variables:
    return {
        f"{scope}output_weights": (f"{ours}.kernel", f"{inputs} {outputs}"),
        f"{scope}output_bias": (f"{ours}.bias", outputs),
    }


def _score(scope: str, ours: str, inputs: str) -> Variables:
    """Returns the variables of one hidden layer and a score."""
    return {
        f"{scope}hidden_weights_0": (f"{ours}.hidden.kernel", f"{inputs} H"),
        f"{scope}hidden_bias_0": (f"{ours}.hidden.bias", "H"),
        **_dense(scope, f"{ours}.out", "H", "1"),
    }


DISTANCE_PRIOR = _dense("", "coarse_antecedents.distance_score", "F", "1")  # BERT classifiers also use these names
VARIABLES: Variables = {
    "span_width_embeddings": ("span_vectors.width_embeddings", "W F"),
    **_dense("mention_word_attn/", "span_vectors.head_score", "D", "1"),
    **_score("mention_scores/", "mention_scorer.span_score", "G"),
    "span_width_prior_embeddings": ("mention_scorer.width_embeddings", "W F"),
    **_score("width_scores/", "mention_scorer.width_score", "F"),
    **_dense("src_projection/", "coarse_antecedents.projection", "G", "G"),
    "antecedent_distance_emb": ("coarse_antecedents.distance_embeddings", "10 F"),
    **DISTANCE_PRIOR,
    "genre_embeddings": ("pair_scorer.genre_embeddings", "7 F"),
    "coref_layer/same_speaker_emb": ("pair_scorer.speaker_embeddings", "2 F"),
    "coref_layer/antecedent_distance_emb": ("pair_scorer.distance_embeddings", "10 F"),
    "coref_layer/segment_distance/segment_distance_embeddings": ("pair_scorer.segment_embeddings", "R F"),
    **_score("coref_layer/slow_antecedent_scores/", "pair_scorer.score", "P"),
    **_dense("coref_layer/f/", "span_refinement.gate", "2G", "G"),
}
GENRES = ["bc", "bn", "mz", "nw", "pt", "tc", "wb"]  # rows of `genre_embeddings`; an unknown genre uses the first
# max_segment_len of the released configurations, by D and R = max_training_sentences. bert_large, also (1024, 3),
# has 384.
SEGMENT_LENGTHS = {(768, 11): 128, (768, 3): 384, (1024, 3): 512}
DEEPER_LAYERS = re.compile(r".*/hidden_weights_[1-9]\d*")
MAX_NAMES = 4  # listed in a message


def holds_coreference(names: Iterable[str]) -> bool:
    """Returns whether a checkpoint with these variables is from the coreference research code."""
    return not (VARIABLES.keys() - DISTANCE_PRIOR.keys()).isdisjoint(names)


def with_coreference(checkpoint: Checkpoint, source: str | os.PathLike) -> Checkpoint:
    """Returns a checkpoint with the resolver's settings and our names for the coreference variables.

    Variables that do not fit our resolver keep their own names, and the checkpoint's `refusal` holds the reason.

    Args:
        checkpoint: `Checkpoint` with the coreference variables under their own names.
        source: path that it was read from, for messages.
    """
    kind = "a TensorFlow checkpoint of the coreference research code"
    shapes = {name: tuple(value.shape) for name, value in checkpoint.tensors.items()}
    try:
        settings, note = _settings(shapes, checkpoint.architecture)
    except InputError as error:
        return dataclasses.replace(
            checkpoint, kind=kind, refusal=f"{source} cannot become a coreference resolver: {error}"
        )
    tensors = {
        COREFERENCE + VARIABLES[name][0] if name in VARIABLES else name: value
        for name, value in checkpoint.tensors.items()
    }
    return dataclasses.replace(
        checkpoint, tensors=tensors, kind=kind, head_settings=settings, notes=[*checkpoint.notes, note]
    )


def _settings(shapes: dict[str, tuple], architecture: dict[str, Any]) -> tuple[dict[str, Any], str]:
    """Returns the resolver's settings, and a note on those that the shapes do not determine.

    Raises:
        InputError: the variables do not fit our resolver. The message does not name the source.
    """
    _check_variant(shapes)
    sizes = _sizes(shapes, architecture["hidden_dim"])
    _check_shapes(shapes, sizes)
    positions = architecture["max_sequence_length"]
    length = min(SEGMENT_LENGTHS.get((sizes["D"], sizes["R"]), positions), positions)
    reason = (
        "the number of the encoder's positions" if length == positions else "as in the released model of these sizes"
    )
    settings = {
        "segment_length": length,
        "max_span_width": sizes["W"],
        "top_span_ratio": 0.4,
        "max_antecedents": 50,
        "antecedent_window": 3900,
        "refinements": 1,
        "feature_dim": sizes["F"],
        "hidden_dim": sizes["H"],
        "dropout": 0.3,
        "genres": list(GENRES),
        "default_genre": GENRES[0],
        "max_segment_distance": sizes["R"],
        "candidates": "pieces",
        "language": "en",
    }
    note = (
        f"Segments have {length} word pieces, {reason}; --segment_length overrides it. Other settings that the "
        "weights do not contain are those of the released code: [CLS], [SEP] and parts of words may begin and end "
        "mentions, 0.4 spans per word piece are kept, 50 antecedents per span among the 3,900 before it, one "
        f"refinement, dropout 0.3, genres {' '.join(GENRES)}, {GENRES[0]} for a document without one."
    )
    return settings, note


def _check_variant(shapes: dict[str, tuple]) -> None:
    """Raises if it is another model of the research code, or if variables are missing."""
    passes = sorted(name for name in shapes if name.startswith("combo/"))
    if passes:
        raise InputError(
            "it is the overlap variant, which combines two passes of BERT. Expected: the independent variant. "
            f"Received: {_list_names(passes)}."
        )
    deeper = sorted(name for name in shapes if DEEPER_LAYERS.fullmatch(name))
    if deeper:
        raise InputError(
            "its scores have several hidden layers. Expected: one layer (ffnn_depth = 1, hidden_weights_0). "
            f"Received: {_list_names(deeper)}."
        )
    missing = sorted(VARIABLES.keys() - shapes.keys())
    if missing:
        raise InputError(
            f"it lacks {len(missing)} of its {len(VARIABLES)} variables ({_list_names(missing)}). "
            "Expected: those of the released configuration, with all its options (use_prior, use_metadata, "
            "use_features, use_segment_distance, model_heads, coarse_to_fine, fine_grained) enabled."
        )


def _sizes(shapes: dict[str, tuple], width: int) -> dict[str, int]:
    """Returns the value of each letter. A missing axis gives 0, which matches no shape."""

    def axis(name: str, number: int) -> int:
        return int((*shapes[name], 0, 0)[number])

    feature = axis("span_width_embeddings", 1)
    span = 3 * width + feature
    return {
        "D": width,
        "F": feature,
        "W": axis("span_width_embeddings", 0),
        "R": axis("coref_layer/segment_distance/segment_distance_embeddings", 0),
        "H": axis("mention_scores/hidden_bias_0", 0),
        "G": span,
        "2G": 2 * span,
        "P": 3 * span + 4 * feature,
    }


def _check_shapes(shapes: dict[str, tuple], sizes: dict[str, int]) -> None:
    """Raises if shapes contradict each other."""
    wrong = []
    for name, (_, letters) in VARIABLES.items():
        expected = tuple(int(sizes.get(letter, letter)) for letter in letters.split())
        if shapes[name] != expected or 0 in expected:
            wrong.append(f"{name} {expected}, received {shapes[name]}")
    if wrong:
        raise InputError(
            f"the shapes of its variables do not fit together. Expected, with BERT {sizes['D']} wide, {sizes['W']} "
            f"span widths, {sizes['F']} numbers per feature and {sizes['H']} per hidden layer: "
            f"{_list_names(wrong, '; ')}."
        )


def _list_names(names: list[str], separator: str = ", ") -> str:
    """Returns the first names and the number of remaining ones, as text."""
    more = [f"{len(names) - MAX_NAMES} more"] if len(names) > MAX_NAMES else []
    return separator.join([*names[:MAX_NAMES], *more])
