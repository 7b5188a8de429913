"""Our models beside models of plain Keras: the same encoder, Keras' layers as heads, Keras' losses. Used by
`named_targets_test.py` here and, on two replicas, in a process of its own. B 8, T 6, C 3, M 2."""

import dataclasses
import functools

import keras
import numpy as np
from keras import ops

import spanbert_keras

B, T, C, M = 8, 6, 3, 2
LETTERS = "abcdefgh"
PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *LETTERS, *("##" + letter for letter in LETTERS)]
TASKS = ("classes", "number", "reader", "pretrainer", "resolver", "pairs")
NSP_WEIGHT = 0.4
DECAY = 0.02


@dataclasses.dataclass
class Case:
    """One of our models and the plain one, with equal weights, and what `fit` gets for each."""

    ours: keras.Model
    plain: keras.Model
    x: dict
    targets: dict
    plain_y: object
    loss: object
    loss_weights: object = None
    scale: float = 1.0  # what Keras' sample weights are multiplied by, for a loss that is not a mean over rows


def make_case(task: str, policy: str = "float32", normalization: str = "targets") -> Case:
    """Returns the models of a task."""
    keras.utils.set_random_seed(5)
    rng = np.random.default_rng(3)
    encoders = [_encoder(policy) for _ in range(2)]
    x = {
        "token_ids": rng.integers(5, len(PIECES), (B, T)).astype("int32"),
        "segment_ids": np.zeros((B, T), "int32"),
        "padding_mask": np.ones((B, T), "int32"),
    }
    case = _CASES[task](*encoders, x, rng, normalization)
    values = [rng.normal(0.0, 0.3, w.shape).astype("float32") for w in case.ours.weights]
    for weight, value in zip(case.ours.weights, values, strict=True):
        if "seed" not in weight.path:
            weight.assign(value)
    plain = list(case.plain.weights)
    for weight, value in zip(_in_plain_order(case.ours), values, strict=True):
        if "seed" not in weight.path:
            plain.pop(0).assign(value)
    return case


def _in_plain_order(ours):
    return [w for w in ours.weights if "seed" not in w.path]


def _encoder(policy):
    return spanbert_keras.SpanBertEncoder(
        vocabulary_size=len(PIECES),
        num_layers=1,
        num_heads=2,
        hidden_dim=8,
        intermediate_dim=10,
        dropout=0.0,
        max_sequence_length=T,
        tokenizer=spanbert_keras.SpanBertTokenizer(PIECES),
        dtype=policy,
    )


def _plain(encoder, outputs_of, more=()):
    inputs = {name: keras.Input((None,), dtype="int32", name=name) for name in (*sorted(encoder.input_keys), *more)}
    sequence = encoder({name: inputs[name] for name in encoder.input_keys})["sequence_output"]
    return keras.Model(inputs, outputs_of(sequence, inputs))


def _classes(ours, plain, x, rng, _):
    model = spanbert_keras.SpanBertTextClassifier(ours, labels=["a", "b", "c"], dropout=0.0)
    head = keras.layers.Dense(C, dtype="float32")
    oracle = _plain(plain, lambda sequence, _: {"logits": head(sequence[:, 0])})
    labels = np.eye(C, dtype="float32")[np.arange(B) % C]
    loss = keras.losses.CategoricalCrossentropy(from_logits=True)
    return Case(model, oracle, x, {"label_targets": labels}, labels, loss)


def _number(ours, plain, x, rng, _):
    model = spanbert_keras.SpanBertTextClassifier(ours, dropout=0.0)
    head = keras.layers.Dense(1, dtype="float32")
    oracle = _plain(plain, lambda sequence, _: {"logits": head(sequence[:, 0])})
    values = rng.normal(size=(B, 1)).astype("float32")
    return Case(model, oracle, x, {"label_targets": values}, values, "mse")


def _reader(ours, plain, x, rng, _):
    model = spanbert_keras.SpanBertQuestionAnswerer(ours, stride=1, max_question_pieces=1)
    head = keras.layers.Dense(2, dtype="float32")

    def outputs(sequence, _):
        logits = head(sequence)
        return {"start_logits": logits[:, :, 0], "end_logits": logits[:, :, 1]}

    starts, ends = rng.integers(1, 3, (B, 1)).astype("int32"), rng.integers(3, 5, (B, 1)).astype("int32")
    targets = {"start_positions": starts, "end_positions": ends, "answer_weights": np.ones((B, 1), "float32")}
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    plain_y = {"start_logits": starts, "end_logits": ends}
    both = {"start_logits": loss, "end_logits": loss}
    return Case(model, _plain(plain, outputs), x, targets, plain_y, both, dict.fromkeys(both, 0.5))


def _pretrainer(ours, plain, x, rng, normalization, **pairs):
    settings = {"max_span_positions": 3, "position_dim": 4} | pairs
    model = spanbert_keras.SpanBertPretrainer(ours, **settings, loss_normalization=normalization)
    x = x | {name: rng.integers(0, T, (B, M)).astype("int32") for name in model.input_keys[3:]}
    mlm = spanbert_keras.MaskedLMHead(plain.token_embedding)
    sbo = spanbert_keras.SpanBoundaryHead(plain.token_embedding, 3, 4)

    nsp = _OfFirst() if pairs else None

    def outputs(sequence, inputs):
        found = {
            "masked_lm": mlm(sequence, inputs["mask_positions"]),
            "span_boundary": sbo(sequence, *(inputs[name] for name in model.input_keys[4:7])),
        }
        if pairs:
            found["next_sentence"] = nsp(sequence, inputs["pair_positions"])
        return found

    ids = rng.integers(5, len(PIECES), (B, M)).astype("int32")
    masks = (rng.random((B, M)) < 0.7).astype("float32")  # another number on each half of the batch
    spans = masks * (rng.random((B, M)) < 0.6)
    targets = {"mask_ids": ids, "mask_weights": masks, "span_weights": spans.astype("float32")}
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    both = dict.fromkeys(("masked_lm", "span_boundary"), loss)
    case = Case(
        model,
        _plain(plain, outputs, model.input_keys[3:]),
        x,
        targets,
        dict.fromkeys(both, ids),
        both,
        {"masked_lm": 1.0, "span_boundary": 1.0},
        B * M / masks.sum(),
    )
    if normalization == "separate":
        case.loss_weights = {"masked_lm": 1.0, "span_boundary": float(masks.sum() / (spans.sum() + 1.0))}
    return case


class _OfFirst(keras.layers.Layer):
    """Two dense layers of Keras on what is at the first piece of each pair."""

    def build(self, sequence_shape, positions_shape):
        self.pooler, self.logits = keras.layers.Dense(8, activation="tanh"), keras.layers.Dense(2, dtype="float32")
        self.pooler.build(sequence_shape)
        self.logits.build(sequence_shape)

    def call(self, sequence, positions):
        return self.logits(self.pooler(ops.take_along_axis(sequence, ops.expand_dims(positions, -1), axis=1)))


def _pairs(ours, plain, x, rng, normalization):
    """A pretrainer with a next-sentence head, beside Keras' dense layers; as many pairs a row as masks."""
    case = _pretrainer(ours, plain, x, rng, normalization, next_sentence=True, nsp_weight=NSP_WEIGHT)
    labels = rng.integers(0, 2, (B, M)).astype("int32")
    weights = (rng.random((B, M)) < 0.6).astype("float32")  # another number on each half of the batch
    case.targets |= {"next_sentence_labels": labels, "pair_weights": weights}
    case.plain_y |= {"next_sentence": labels}
    case.loss |= {"next_sentence": case.loss["masked_lm"]}
    case.loss_weights |= {"next_sentence": NSP_WEIGHT * float(case.targets["mask_weights"].sum() / weights.sum())}
    return case


class _RowLosses(keras.Model):
    """A plain model whose output is another model's losses: their mean is the mean absolute error from 0."""

    def __init__(self, model):
        super().__init__(name="row_losses")
        self.model = model

    def call(self, inputs, training=None):
        inputs = {key: ops.cast(value, "int32") for key, value in inputs.items()}  # means, where Keras builds it
        return ops.expand_dims(self.model.example_losses(self.model(inputs, training=training), inputs), 1)


def _resolver(ours, plain, x, rng, _):
    settings = {
        "segment_length": T,
        "max_span_width": 2,
        "max_antecedents": 2,
        "hidden_dim": 5,
        "feature_dim": 3,
        "dropout": 0.0,
    }
    models = [spanbert_keras.SpanBertCoreferenceResolver(encoder, **settings) for encoder in (ours, plain)]
    groups = np.repeat([[0, 0, 0, 1, 1, 1]], B, 0).astype("int32")
    zeros = np.zeros((B, T), "int32")
    x = {key: x[key] for key in ("token_ids", "padding_mask")} | {
        "piece_places": np.repeat([np.arange(T)], B, 0).astype("int32"),
        "start_groups": groups,
        "end_groups": groups,
        "speakers": zeros,
        "segment_numbers": zeros,
        "genres": np.zeros((B, 1), "int32"),
        "span_limits": np.full((B, 1), 2, "int32"),
    }
    clusters = rng.integers(0, 2, (B, T, 2)).astype("int32")
    case = Case(models[0], _RowLosses(models[1]), x, {"span_clusters": clusters}, np.zeros((B, 1), "float32"), "mae")
    case.plain({key: value[:2] for key, value in (x | case.targets).items()})
    return case


_CASES = dict(zip(TASKS, (_classes, _number, _reader, _pretrainer, _resolver, _pairs), strict=True))


def weigh(case: Case, weights) -> object:
    """Returns the sample weights that Keras needs for the same loss."""
    rows = np.ones(B, "float32") if weights is None else np.asarray(weights, "float32")
    if "masked_lm" not in case.ours.target_of:
        return None if weights is None else rows
    entries = {name: case.targets[key] for name, key in case.ours.weight_of.items()}
    return {name: entry * rows[:, None] * np.float32(case.scale) for name, entry in entries.items()}


def regularize(model) -> None:
    """Adds an L2 loss of two weights, and a loss of a layer's output by `add_loss`."""
    encoder = model if isinstance(model, spanbert_keras.SpanBertEncoder) else _encoder_of(model)
    for weight in (encoder.blocks[0].intermediate.kernel, encoder.token_embedding.embeddings):
        weight.regularizer = keras.regularizers.L2(DECAY)
    norm = encoder.blocks[0].output_norm
    norm.call = functools.partial(_with_loss, norm, norm.call)


def _with_loss(layer, call, x):
    layer.add_loss(0.1 * ops.mean(ops.square(ops.cast(x, "float32"))))
    return call(x)


def _encoder_of(model):
    return next(x for x in model._flatten_layers() if isinstance(x, spanbert_keras.SpanBertEncoder))


def results(
    case,
    weights=None,
    own=True,
    steps=1,
    batch=B,
    class_weight=None,
    y="own",
    optimizer=None,
    evaluated=True,
    models=("ours", "plain"),
    **settings,
):
    """Returns loss and weights of both after `steps` epochs, and what `evaluate` gave before if `evaluated`.

    Args:
        case: `Case`.
        weights: sample weights `(B,)` or `None`.
        own: whether our model minimises its own loss; else the plain one's, given to `compile`.
        y: "own", our targets, among the inputs unless sample weights are given; "among", always among them; "dict",
            always in `y`; "plain", what the plain model gets.
        optimizer: function that makes one. Default: SGD(0.5).
        models: those that are fitted.
        **settings: for `compile` of both.
    """
    found = {}
    inputs = (case.x, case.plain_y if y == "plain" else case.targets)
    if y == "among" or y == "own" and weights is None:
        inputs = (case.x | case.targets, None)
    plain_x = case.x | case.targets if isinstance(case.plain, _RowLosses) else case.x
    for name, model, data, weighting in (
        ("ours", case.ours, inputs, weights),
        ("plain", case.plain, (plain_x, case.plain_y), weigh(case, weights)),
    ):
        if name not in models:
            continue
        given = {} if own and name == "ours" else {"loss": case.loss, "loss_weights": case.loss_weights}
        made = optimizer() if optimizer else keras.optimizers.SGD(0.5)
        eager = keras.backend.backend() == "tensorflow"  # tracing takes longer than these steps
        model.compile(made, **given, **{"jit_compile": False, "run_eagerly": eager} | settings)
        weighted = {"class_weight": class_weight} if class_weight else {"sample_weight": weighting}
        if evaluated and not class_weight:
            logs = model.evaluate(*data, batch_size=batch, verbose=0, return_dict=True, **weighted)
            found[f"{name}_evaluate"] = np.array([logs["loss"]])
            found[f"{name}_logs"] = logs
        history = model.fit(*data, batch_size=batch, verbose=0, epochs=steps, shuffle=False, **weighted)
        found[f"{name}_fit"] = np.array(history.history["loss"])
        values = [np.ravel(ops.convert_to_numpy(w)) for w in model.weights if "seed" not in w.path]
        found[f"{name}_weights"] = np.concatenate(values).astype("float64")
    return found


def difference(found: dict) -> float:
    """Returns the largest difference between ours and plain Keras, relative to 1 or the size of a loss."""
    pairs = [
        (found[f"ours_{name}"], found[f"plain_{name}"])
        for name in ("evaluate", "fit", "weights")
        if f"ours_{name}" in found
    ]
    return max(float(np.max(np.abs(a - b) / np.maximum(1.0, np.abs(b)))) for a, b in pairs)
