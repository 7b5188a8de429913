"""Every registered class inside a model with inputs and targets, and what is done to it, for `round_trip_test.py`."""

import dataclasses

import keras
import numpy as np

import spanbert_keras
from spanbert_keras.layers import functional
from spanbert_keras.training.steps.warmup_linear_decay import WarmupLinearDecay
from tests.promises.model_cases import TASKS, B, D, M, T, make_encoder, rows

PREFIX = "spanbert_keras>"


@dataclasses.dataclass
class Subject:
    """A model that holds an object of the class, and a batch for it."""

    model: keras.Model
    batch: dict
    own_targets: bool = True  # in the batch; else plain zeros of the shape of the output


def registered() -> dict:
    """Returns the classes and functions that importing the package makes known, by name."""
    known = keras.saving.get_custom_objects()
    return {name.removeprefix(PREFIX): known[name] for name in known if name.startswith(PREFIX)}


# --- models


def _encoder(encoder):
    return Subject(encoder, rows(), own_targets=False)


def _task(case):
    return lambda encoder: Subject(case.make(encoder), case.batch)


MODELS = {"SpanBertEncoder": _encoder} | {name: _task(case) for name, case in TASKS.items()}


# --- layers, in graphs of their own


def _graph_of(layer, batch: dict, *order, call=None):
    inputs = {
        key: keras.Input(value.shape[1:], dtype=keras.backend.standardize_dtype(value.dtype), name=key)
        for key, value in batch.items()
    }
    outputs = (call or layer)(*(inputs[key] for key in order))
    return Subject(keras.Model(inputs, outputs), batch, own_targets=False)


def _floats(**shapes) -> dict:
    rng = np.random.default_rng(2)
    return {key: rng.normal(size=(B, *shape)).astype("float32") for key, shape in shapes.items()}


def _ints(**shapes) -> dict:
    return {key: np.ones((B, *shape), "int32") for key, shape in shapes.items()}


def _over_graph(policy):
    """A plain functional model over the encoder's own layers: every one of them is saved by itself."""
    encoder = make_encoder(policy)
    return Subject(keras.Model(encoder.inputs, encoder.output["sequence_output"]), rows(), False)


def _masks(layer):
    return lambda x: layer(x, np.ones((B, T, T), bool))


def _attention(policy):
    layer = registered()["SelfAttention"](2, dtype=policy)
    return _graph_of(layer, _floats(x=(T, D)), "x", call=_masks(layer))


def _block(policy):
    layer = registered()["EncoderBlock"](2, 12, dtype=policy)
    return _graph_of(layer, _floats(x=(T, D)), "x", call=_masks(layer))


def _input_embedding(policy):
    layer = registered()["InputEmbedding"](16, 2, dtype=policy)
    return _graph_of(layer, _floats(x=(T, D)) | _ints(segments=(T,), positions=(T,)), "x", "segments", "positions")


def _heads(head):
    def make(policy):
        embedding = keras.layers.ReversibleEmbedding(9, D, dtype=policy, name="token_embedding")
        layer = head(embedding, dtype=policy)
        batch = _floats(x=(T, D)) | _ints(positions=(M,))
        count = 1 if head is spanbert_keras.MaskedLMHead else 3
        return _graph_of(layer, batch, "x", *["positions"] * count)

    return make


def _feed_forward(policy):
    return _graph_of(registered()["FeedForwardScore"](6), _floats(x=(T, D)), "x")


def _mentions(policy):
    layer = registered()["MentionScorer"](3, 4, 6)
    return _graph_of(layer, _floats(x=(T, D)) | _ints(widths=(T,)), "x", "widths")


def _span_vectors(policy):
    layer = registered()["SpanVectors"](3, 4)
    return _graph_of(layer, _floats(x=(M, 3, D)) | _ints(widths=(M,)), "x", "widths")


def _refinement(policy):
    layer = registered()["SpanRefinement"]()
    return _graph_of(layer, _floats(x=(M, D), scores=(M, 3), others=(M, 2, D)), "x", "scores", "others")


def _pairs(policy):
    layer = registered()["PairScorer"](2, 2, 4, 6)
    batch = _floats(x=(M, D)) | _ints(places=(M, 2), genres=(M,))
    return _graph_of(layer, batch, "x", "x", "places", "places", "genres", "places", "places")


def _coarse(policy):
    layer = registered()["CoarseAntecedents"](2, 4)
    batch = _floats(x=(M, D), scores=(M,)) | _ints(distances=(M, M))
    subject = _graph_of(layer, batch, "x", "scores", "distances", call=lambda x, s, d: layer(x, s, x, s, d, d > 0)[0])
    return subject


def _classification_head(policy):
    return _graph_of(registered()["ClassificationHead"](3, True, dtype=policy), _floats(x=(T, D)), "x")


def _span_head(policy):
    layer = registered()["SpanClassificationHead"](3, 2, 6, dtype=policy)
    return _graph_of(layer, _floats(x=(T, D)) | _ints(places=(M,)), "x", "places", "places")


def _next_sentence_head(policy):
    batch = _floats(x=(T, D)) | _ints(positions=(M,))
    return _graph_of(registered()["NextSentenceHead"](dtype=policy), batch, "x", "positions")


def _activation(policy):
    return _graph_of(keras.layers.Dense(3, activation=functional.gelu, dtype=policy), _floats(x=(T, D)), "x")


LAYERS = {
    "AttentionMask": _over_graph,
    "SelfAttention": _attention,
    "EncoderBlock": _block,
    "InputEmbedding": _input_embedding,
    "MaskedLMHead": _heads(spanbert_keras.MaskedLMHead),
    "SpanBoundaryHead": _heads(spanbert_keras.SpanBoundaryHead),
    "FeedForwardScore": _feed_forward,
    "MentionScorer": _mentions,
    "SpanVectors": _span_vectors,
    "SpanRefinement": _refinement,
    "PairScorer": _pairs,
    "CoarseAntecedents": _coarse,
    "ClassificationHead": _classification_head,
    "SpanClassificationHead": _span_head,
    "NextSentenceHead": _next_sentence_head,
    "gelu": _activation,
}


# --- what is done to a model


def freeze(model) -> None:
    """Freezes the lower half of what has weights inside, and one bias of the rest."""
    encoder = getattr(model, "encoder", model)
    if isinstance(encoder, spanbert_keras.SpanBertEncoder):
        encoder.token_embedding.trainable = encoder.input_embedding.trainable = encoder.blocks[0].trainable = False
        encoder.blocks[1].attention.key_dense.bias.trainable = False
        return
    leaves = _leaves(model)
    for layer in leaves[: (len(leaves) + 1) // 2] if len(leaves) > 1 else []:
        layer.trainable = False
    if leaves:
        leaves[-1].trainable_weights[-1].trainable = False


def adapt(model) -> bool:
    """Enables LoRA in an encoder as keras-hub does it, and in a task's layers; returns whether there was a layer."""
    encoder = getattr(model, "encoder", model)
    inside = set()
    if isinstance(encoder, spanbert_keras.SpanBertEncoder):
        encoder.enable_lora(2)
        inside = {id(layer) for layer in encoder._flatten_layers()}
    found = bool(inside)
    for layer in _leaves(model):
        if id(layer) not in inside and hasattr(layer, "enable_lora"):
            layer.enable_lora(2, lora_alpha=3.0)
            found = True
    return found


def _leaves(model) -> list:
    """Returns the innermost layers of ours; a plain graph's own Keras layers are as Keras saves them."""
    ours = [model] if _is_ours(model) else [layer for layer in model.layers if _is_ours(layer)]
    leaves = {}
    for layer in ours:
        for leaf in layer._flatten_layers(include_self=False):
            if leaf.weights and len(list(leaf._flatten_layers())) == 1:
                leaves[id(leaf)] = leaf
    return list(leaves.values())


def _is_ours(layer) -> bool:
    return type(layer).__module__.startswith("spanbert_keras.")


def fill(model, seed=3) -> None:
    """Gives every float weight a value of its own."""
    rng = np.random.default_rng(seed)
    for weight in model.weights:
        if "float" in keras.backend.standardize_dtype(weight.dtype):
            weight.assign(rng.normal(0.0, 0.3, weight.shape))


def remember(subject: Subject, seed=4) -> None:
    """Compiles a model and gives its optimizer something to remember, as if it had made some steps."""
    model = subject.model
    optimizer = keras.optimizers.AdamW(WarmupLinearDecay(1e-3, 2, 9), global_clipnorm=1.0)
    model.compile(optimizer, loss=None if subject.own_targets else "mse", run_eagerly=True)
    model.optimizer.build(model.trainable_variables)
    rng = np.random.default_rng(seed)
    for variable in model.optimizer.variables:
        if keras.backend.is_float_dtype(variable.dtype):
            variable.assign(rng.random(variable.shape))  # positive, as squares are
        else:
            variable.assign(keras.ops.ones_like(variable) * 5)


def answers(subject: Subject, model) -> list:
    """Returns what a model computes."""
    outputs = keras.tree.flatten(model(subject.batch, training=False))
    return [keras.ops.convert_to_numpy(keras.ops.cast(x, "float32")) for x in outputs]


def state(model) -> dict:
    """Returns all that must be as it was: weights, what trains, precision, optimizer."""
    kept = {
        "weights": {i: (w.name, w.trainable, _array(w)) for i, w in enumerate(model.weights)},
        "trainable": [w.path.split("/")[-1] for w in model.trainable_weights],
        "layers": [
            (layer.name, layer.trainable, layer.dtype_policy.name, layer.quantization_mode)
            for layer in model._flatten_layers(include_self=False)
            if layer.weights
        ],
        "optimizer": {i: _array(v) for i, v in enumerate(model.optimizer.variables)}
        if getattr(model, "optimizer", None)
        else {},
    }
    return kept


def _array(variable):
    value = keras.ops.convert_to_tensor(variable)
    dtype = keras.backend.standardize_dtype(variable.dtype)
    return keras.ops.convert_to_numpy(keras.ops.cast(value, "float32") if dtype in ("bfloat16", "float16") else value)
