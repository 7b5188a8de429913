"""What classifiers share: batches of few shapes, losses, errors. The models have separate tests."""

import functools

import keras
import numpy as np
import pytest

from spanbert_keras import SpanBertEncoder, SpanBertTextClassifier
from spanbert_keras.errors import InputError
from spanbert_keras.layers.encoder_block import EncoderBlock
from spanbert_keras.models.bucketed_prediction import BucketedPrediction
from spanbert_keras.models.row_classifier import RowClassifier
from spanbert_keras.preprocessing.length_buckets import row_lengths
from spanbert_keras.preprocessing.piece_row import PieceRow, pad_rows

LABELS = ("a", "b", "c", "d")


@pytest.fixture(scope="module")
def make_classifier(randomize, toy_tokenizer):
    def make(labels=LABELS, scale=0.4, dtype=None, **settings):
        encoder = SpanBertEncoder(
            64, 1, 2, 10, 18, max_sequence_length=40, dropout=0.0, tokenizer=toy_tokenizer, dtype=dtype
        )
        model = SpanBertTextClassifier(encoder, labels, **settings)
        randomize(model, scale=scale)
        return model

    return make


@pytest.fixture(scope="module")
def classifier(make_classifier):
    return make_classifier()


def make_rows(count, seed=0, longest=40):
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, longest + 1, count)
    return [PieceRow(rng.integers(5, 64, n).astype("int32"), rng.integers(0, 2, n).astype("int32")) for n in sizes]


class FakeModel:
    """Logits that are sums over a row's pieces; a note of the batches' shapes."""

    def __init__(self):
        self.shapes = []

    def __call__(self, batch):
        assert not (batch["token_ids"] * (1 - batch["padding_mask"])).any()
        self.shapes.append(batch["token_ids"].shape)
        sums = [(batch[key] * (1 + np.arange(batch[key].shape[1]))).sum(1) for key in sorted(batch)]
        return {"logits": np.stack([*sums, -sums[0]], 1).astype("float32")}


@pytest.mark.parametrize("batch_size", [1, 3, 8])
@pytest.mark.parametrize("count", [0, 1, 2, 17])
def test_rows_get_their_own_logits_in_batches_of_one_size(classifier, batch_size, count):
    rows, fake = make_rows(count), FakeModel()
    found = classifier.logits_of(rows, batch_size, fake)
    assert found.shape == (count, 4) and found.dtype == np.float32
    for row, logits in zip(rows, found, strict=True):
        places = 1 + np.arange(len(row))
        assert logits.tolist() == [
            places.sum(),
            (places * row.segment_ids).sum(),
            (places * row.token_ids).sum(),
            -places.sum(),
        ]
    assert {shape[0] for shape in fake.shapes} <= {batch_size} and len(fake.shapes) == -(-count // batch_size)
    assert {shape[1] for shape in fake.shapes} <= set(row_lengths(40))


def test_rows_of_similar_length_are_computed_together(classifier):
    rows = [PieceRow(np.ones(size, "int32"), np.zeros(size, "int32")) for size in (5, 40, 6, 39, 7, 33)]
    fake = FakeModel()
    classifier.logits_of(rows, 3, fake)
    assert fake.shapes == [(3, 40), (3, 16)]


def test_rows_of_this_model_are_computed_with_little_padding_and_counted(classifier, monkeypatch):
    shapes, counted, compute = [], [], classifier.compute_rows
    monkeypatch.setattr(classifier, "compute_rows", lambda x: shapes.append(x["token_ids"].shape) or compute(x))
    classifier.logits_of(make_rows(30), 8, advance=counted.append)
    assert sum(counted) == 30 and len(counted) == len(shapes)
    if keras.backend.backend() == "jax":
        assert set(shapes) <= {(rows, length) for rows in (1, 8) for length in row_lengths(40)}
    else:
        assert max(rows * length for rows, length in shapes) <= 8 * 40 and max(rows for rows, _ in shapes) > 8
        assert sum(rows for rows, _ in shapes) == 30  # without copies


def test_logits_do_not_depend_on_batch_order_and_padding(classifier, to_numpy):
    rows = make_rows(6, seed=1)
    expected = []
    for row in rows:
        batch = {"token_ids": row.token_ids[None], "segment_ids": row.segment_ids[None]}
        expected.append(to_numpy(classifier(batch | {"padding_mask": np.ones((1, len(row)), "int32")})["logits"])[0])
    for batch_size in (1, 4, 16):
        np.testing.assert_allclose(classifier.logits_of(rows, batch_size), expected, atol=1e-5)
    np.testing.assert_allclose(classifier.logits_of(rows[::-1], 5)[::-1], expected, atol=1e-5)
    assert np.std(expected, 0).min() > 0.05


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_non_finite_logits_and_empty_batches_are_rejected(classifier, value):
    def broken(batch):
        return {"logits": np.full((len(batch["token_ids"]), 4), value, "float32")}

    with pytest.raises(InputError, match="non-finite logits"):
        classifier.logits_of(make_rows(3), 2, broken)
    with pytest.raises(InputError, match="`batch_size` must be a whole number of at least 1. Received: batch_size=0."):
        classifier.logits_of(make_rows(3), 0)


def test_probabilities_are_a_softmax_in_float64(classifier):
    logits = np.array([[1.0, 2.0, -3.0], [900.0, 899.0, -900.0], [0.0, 0.0, 0.0]], "float32")
    found = classifier.probabilities(logits)
    exact = np.exp(logits[0].astype("float64")) / np.exp(logits[0].astype("float64")).sum()
    np.testing.assert_allclose(found[0], exact, rtol=1e-12)
    np.testing.assert_allclose(found[1:], [[1 / (1 + np.exp(-1)), 1 / (1 + np.e), 0.0], [1 / 3] * 3], rtol=1e-12)
    assert found.dtype == np.float64 and classifier.probabilities(np.zeros((0, 3), "float32")).shape == (0, 3)


def test_losses_are_those_of_every_row(make_classifier, to_numpy):
    logits = np.random.default_rng(0).normal(size=(5, 4)).astype("float32")
    targets = np.eye(4, dtype="float32")[[0, 1, 2, 3, 0]]
    model = make_classifier()
    found = to_numpy(model.example_losses({"logits": logits}, {"label_targets": targets}))
    np.testing.assert_allclose(found, -np.log((model.probabilities(logits) * targets).sum(-1)), rtol=1e-5)
    number = make_classifier(labels=())
    found = to_numpy(number.example_losses({"logits": logits[:, :1]}, {"label_targets": targets[:, :1]}))
    np.testing.assert_allclose(found, ((logits - targets) ** 2)[:, 0], rtol=1e-5)
    numbers = make_classifier(problem_type="regression")
    found = to_numpy(numbers.example_losses({"logits": logits}, {"label_targets": targets}))
    np.testing.assert_allclose(found, ((logits - targets) ** 2).mean(1), rtol=1e-5)
    targets[0] = [1, 1, 0, 1]
    found = to_numpy(make_several(make_classifier).example_losses({"logits": logits}, {"label_targets": targets}))
    likelihood = np.where(targets > 0, 1 / (1 + np.exp(-logits)), 1 / (1 + np.exp(logits)))
    np.testing.assert_allclose(found, -np.log(likelihood).mean(1), rtol=1e-5)


def make_several(make_classifier):
    return make_classifier(problem_type="multi_label")


def test_with_several_labels_per_text_each_has_its_own_sigmoid(make_classifier):
    model, logits = make_several(make_classifier), np.array([[0.0, 2.0, -800.0, 800.0]], "float32")
    expected = [[0.5, 1 / (1 + np.exp(-2.0)), 0.0, 1.0]]
    np.testing.assert_allclose(model.probabilities(logits), expected, rtol=1e-12)
    with pytest.raises(ValueError, match="A regression gives numbers. Expected: a model with classes."):
        make_classifier(labels=()).probabilities(logits)


@pytest.mark.parametrize("labels, shape, expected", [((), (4,), 1), ((), (4, 2), 1), (LABELS, (4,), 4)])
def test_targets_that_would_be_broadcast_are_rejected(make_classifier, labels, shape, expected):
    logits, targets = np.zeros((4, expected), "float32"), np.zeros(shape, "float32")
    with pytest.raises(ValueError, match=rf"must be of shape \(B, {expected}\)\. Received: \(4, ?2?\)\."):
        make_classifier(labels).example_losses({"logits": logits}, {"label_targets": targets})


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"row_length": 41}, "at most the encoder's 40 positions. Received: 41"),
        ({"row_length": 4}, "row_length=4"),
        ({"labels": ("a",)}, r"several different names, or none for regression. Received: \('a',\)"),
        ({"labels": ("a", "b", "a")}, "several different names"),
        ({"labels": (0, 1)}, "several different names"),
        ({"labels": "abc"}, r"several different names, or none for regression. Received: \('abc',\)"),
        ({"labels": (), "problem_type": "single_label"}, "several different names, or none for regression"),
        ({"labels": (), "problem_type": "multi_label"}, "different names, at least one, if a text may have several"),
        ({"labels": ("a", "a"), "problem_type": "multi_label"}, r"Received: \('a', 'a'\)"),
        ({"labels": ("a", "a"), "problem_type": "regression"}, "different names, one for each number. Received"),
        ({"problem_type": "softmax"}, "one of single_label, multi_label, regression. Received: problem_type='softmax'"),
        ({"threshold": 1.5}, "a number, at least 0 and at most 1. Received: threshold=1.5"),
        ({"threshold": "0.5"}, "at least 0 and at most 1. Received: threshold='0.5'"),
    ],
)
def test_invalid_settings_are_rejected(make_classifier, settings, message):
    with pytest.raises(ValueError, match=message):
        make_classifier(**settings)


def test_rows_have_the_papers_128_pieces_or_what_the_encoder_reads(toy_tokenizer, classifier):
    long = SpanBertEncoder(64, 1, 2, 10, 18, max_sequence_length=300, tokenizer=toy_tokenizer)
    assert (SpanBertTextClassifier(long, LABELS).row_length, classifier.row_length) == (128, 40)


def of_graph(model, inputs, training=False):
    """Returns the logits of the functional graph, which computes all vectors of the last block."""
    return BucketedPrediction.call(model, inputs, training=training)["logits"]


@pytest.fixture
def two_blocks(randomize, toy_tokenizer):
    def make(dtype=None, dropout=0.0, **settings):
        encoder = SpanBertEncoder(
            64, 2, 2, 10, 18, max_sequence_length=40, dropout=dropout, tokenizer=toy_tokenizer, dtype=dtype
        )
        model = SpanBertTextClassifier(encoder, LABELS, dropout=0.0, **settings)
        randomize(model, scale=0.4)
        return model

    return make


@pytest.fixture
def seen_shapes(monkeypatch):
    """The shapes of what blocks return, as they come."""
    shapes, call = [], EncoderBlock.call

    @functools.wraps(call)
    def seen(*given, **named):
        y = call(*given, **named)
        shapes.append(tuple(y.shape))
        return y

    monkeypatch.setattr(EncoderBlock, "call", seen)
    return shapes


def lora(model):
    model.encoder.enable_lora(2)
    for block in model.encoder.blocks:
        block.attention.query_dense.lora_kernel_b.assign(np.ones((2, 10), "float32"))


@pytest.mark.parametrize(
    "dtype, change, tolerance",
    [
        ("float32", lambda model: None, 1e-5),
        ("mixed_bfloat16", lambda model: None, 0.1),
        ("mixed_float16", lambda model: None, 1e-2),
        ("float32", lora, 1e-5),
        ("float32", lambda model: model.quantize("int8"), 1e-4),
        ("float32", lambda model: model.encoder.set_recompute("blocks"), 1e-5),
    ],
    ids=["float32", "bfloat16", "float16", "lora", "int8", "recompute"],
)
def test_the_last_block_computes_one_vector_and_the_logits_are_those_of_the_graph(
    two_blocks, to_numpy, seen_shapes, dtype, change, tolerance
):
    model, batch = two_blocks(dtype, pooler=True), pad_rows(make_rows(7), 40)
    change(model)
    for training in (False, True):
        expected = to_numpy(of_graph(model, batch, training))
        seen_shapes.clear()
        found = to_numpy(model(batch, training=training)["logits"])
        assert seen_shapes == [(7, 40, 10), (7, 1, 10)]
        np.testing.assert_allclose(found, expected, atol=tolerance * np.abs(expected).max())


@pytest.mark.parametrize("recompute", ["none", "blocks"])
def test_updates_are_those_of_the_graph(two_blocks, monkeypatch, recompute):
    targets = np.eye(4, dtype="float32")[np.arange(7) % 4]
    weights = []
    for call in (RowClassifier.call, BucketedPrediction.call):
        monkeypatch.setattr(RowClassifier, "call", call)
        keras.utils.set_random_seed(3)
        model = two_blocks()
        model.encoder.set_recompute(recompute)
        model.compile(keras.optimizers.SGD(0.1))
        for _ in range(2):
            model.train_on_batch(pad_rows(make_rows(7), 40), targets)
        weights.append([keras.ops.convert_to_numpy(weight) for weight in model.trainable_variables])
    for a, b in zip(*weights, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


def test_dropout_acts_before_the_last_block_too(two_blocks, to_numpy):
    model, batch = two_blocks(dropout=0.5), pad_rows(make_rows(7), 40)
    for block in model.encoder.blocks:
        for layer in (block.attention.dropout_layer, block.attention_output_dropout, block.output_dropout):
            layer.rate = 0.0
    still = to_numpy(model(batch)["logits"])
    variables = [v.value for v in model.trainable_variables], [v.value for v in model.non_trainable_variables]
    outputs, _ = model.stateless_call(*variables, batch, training=True)
    for logits in (model(batch, training=True)["logits"], outputs["logits"]):
        assert np.abs(to_numpy(logits) - still).max() > 0.01


def of_encoder(encoder):
    return encoder


def of_last_block(encoder):
    return encoder.blocks[-1]


def of_last_attention(encoder):
    return encoder.blocks[-1].attention


@pytest.mark.parametrize("layer_of", [of_encoder, of_last_block, of_last_attention])
def test_a_replaced_call_inside_the_encoder_gets_what_the_graph_gives_it(two_blocks, to_numpy, layer_of):
    model, batch, shapes = two_blocks(), pad_rows(make_rows(3), 40), []
    layer, expected = layer_of(model.encoder), to_numpy(model(batch)["logits"])
    call = layer.call

    def replaced(inputs, *others, **named):
        outputs = call(inputs, *others, **named)
        shapes.append(tuple((outputs["sequence_output"] if isinstance(outputs, dict) else outputs).shape))
        return outputs

    layer.call = replaced
    np.testing.assert_allclose(to_numpy(model(batch)["logits"]), expected, atol=1e-5)
    assert shapes == [(3, 40, 10)]


@pytest.mark.parametrize("layer_of", [of_last_block, of_last_attention])
def test_losses_of_activations_are_those_of_all_positions(two_blocks, to_numpy, layer_of):
    model, batch = two_blocks(), pad_rows(make_rows(3), 40)
    shapes = []
    layer_of(model.encoder).activity_regularizer = lambda x: shapes.append(tuple(x.shape)) or keras.ops.zeros(())
    model(batch, training=True)
    assert shapes == [(3, 40, 10)]


def test_a_replaced_call_of_the_head_gets_all_vectors(two_blocks):
    model, shapes = two_blocks(), []
    call = model.head.call
    model.head.call = lambda x, **named: shapes.append(tuple(x.shape)) or call(x, **named)
    model(pad_rows(make_rows(3), 40))
    assert shapes == [(3, 40, 10)]


def test_float8_adapts_its_scales_to_all_positions(two_blocks, seen_shapes):
    model = two_blocks()
    model.encoder.blocks[-1].intermediate.quantize("float8")
    model(pad_rows(make_rows(3), 40), training=True)
    assert seen_shapes == [(3, 40, 10)] * 2


def test_hooks_of_torch_see_all_vectors(two_blocks):
    if keras.backend.backend() != "torch":
        pytest.skip("torch alone has hooks")
    model, shapes = two_blocks(), []
    model.encoder.register_forward_hook(lambda layer, given, y: shapes.append(tuple(y["sequence_output"].shape)))
    model(pad_rows(make_rows(3), 40))
    assert shapes == [(3, 40, 10)]


class _Forgetful(SpanBertTextClassifier):
    """A classifier whose call does not pass `training` on; Keras remembers it."""

    def call(self, inputs):
        return super().call(inputs)


@pytest.mark.parametrize("layers", ["all", "last"])
def test_dropout_acts_also_if_a_subclass_forgets_to_say_so(two_blocks, to_numpy, layers):
    encoder, batch = two_blocks(dropout=0.5).encoder, pad_rows(make_rows(7), 40)
    if layers == "last":
        encoder.input_embedding.dropout_layer.rate = 0.0
        first = encoder.blocks[0]
        for layer in (first.attention.dropout_layer, first.attention_output_dropout, first.output_dropout):
            layer.rate = 0.0
    for model in (_Forgetful(encoder, LABELS, dropout=0.0), SpanBertTextClassifier(encoder, LABELS, dropout=0.0)):
        still, moved = (to_numpy(model(batch, training=training)["logits"]) for training in (False, True))
        assert np.abs(moved - still).max() > 1e-4


def test_only_the_classifiers_own_call_leaves_vectors_out(two_blocks, seen_shapes):
    model, batch = two_blocks(), pad_rows(make_rows(3), 40)
    model(batch)
    assert seen_shapes == [(3, 40, 10), (3, 1, 10)]
    model.encoder(batch)
    keras.Model(model.inputs, model.outputs)(batch)
    assert seen_shapes[2:] == [(3, 40, 10)] * 4


def test_inputs_of_other_types_are_taken(classifier, to_numpy):
    batch = pad_rows(make_rows(3), 40)
    expected = to_numpy(classifier(batch)["logits"])
    for dtype in ("int64", "uint8", "float32"):
        changed = {name: values.astype(dtype) for name, values in batch.items()}
        np.testing.assert_array_equal(to_numpy(classifier(changed)["logits"]), expected)


def test_layers_are_those_of_the_graph_also_if_an_attribute_is_set(two_blocks, to_numpy):
    model, batch = two_blocks(), pad_rows(make_rows(3), 40)
    expected, other = to_numpy(model(batch)["logits"]), two_blocks()
    model.encoder.blocks = model.encoder.blocks[:1]
    model.head = other.head
    np.testing.assert_array_equal(to_numpy(model(batch)["logits"]), expected)


def test_inputs_with_a_last_axis_of_one_are_taken_as_by_keras(classifier, to_numpy):
    batch = pad_rows(make_rows(3), 40)
    expanded = {name: values[..., np.newaxis] for name, values in batch.items()}
    np.testing.assert_allclose(
        to_numpy(classifier(expanded)["logits"]), to_numpy(classifier(batch)["logits"]), atol=1e-5
    )
