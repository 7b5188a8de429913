"""The layer: its output contract, seeds, padding, tf.data, tensors of any framework, saving, golden values."""

import json
import math
import warnings

import keras
import numpy as np
import pytest

from spanbert_keras.preprocessing import philox
from spanbert_keras.preprocessing.masking.schemes import SCHEMES
from spanbert_keras.preprocessing.masking.span_masker import SpanMasker
from spanbert_keras.preprocessing.tokenizer import SpanBertTokenizer

PAD, UNK, CLS, SEP, MASK = range(5)
VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *(f"{'##' * (i % 4 == 3)}p{i}" for i in range(95))]
POSITION_KEYS = ("mask_positions", "mask_ids", "left_positions", "right_positions", "span_offsets")
WEIGHT_KEYS = ("mask_weights", "span_weights")
SEQUENCE_KEYS = ("token_ids", "segment_ids", "padding_mask")


@pytest.fixture(scope="module")
def tokenizer():
    return SpanBertTokenizer(VOCABULARY)


@pytest.fixture(scope="module")
def masker(tokenizer):
    return SpanMasker(tokenizer=tokenizer)


def make_batch(sizes=(30, 3, 0, 17, 38), length=40, seed=0):
    """Rows of [CLS], `sizes` random pieces, [SEP] and padding, with mentions of two pieces or more."""
    rng = np.random.default_rng(seed)
    ids, mask, annotations = (np.zeros((len(sizes), length), np.int32) for _ in range(3))
    for row, size in enumerate(sizes):
        ids[row, : size + 2] = [CLS, *rng.integers(5, 100, size), SEP]
        mask[row, : size + 2] = 1
        annotations[row, 1 : size + 1] = np.array([0, 0, 3, 1, 3 + 12, 13, 13])[np.arange(size) % 7]
    return {"token_ids": ids, "padding_mask": mask, "annotations": annotations}


def to_numpy(outputs):
    return {key: keras.ops.convert_to_numpy(value) for key, value in outputs.items()}


def assert_same(left, right):
    assert left.keys() == right.keys()
    for key in left:
        np.testing.assert_array_equal(np.asarray(left[key]), np.asarray(right[key]), err_msg=key)


def test_output_has_the_promised_keys_shapes_and_types(masker):
    outputs = masker(make_batch(), seed=(1, 2))
    assert set(outputs) == {*SEQUENCE_KEYS, *POSITION_KEYS, *WEIGHT_KEYS}
    for key in SEQUENCE_KEYS:
        assert (outputs[key].shape, outputs[key].dtype) == ((5, 40), np.int32), key
    for key in POSITION_KEYS:
        assert (outputs[key].shape, outputs[key].dtype) == ((5, 6), np.int32), key
    for key in WEIGHT_KEYS:
        assert (outputs[key].shape, outputs[key].dtype) == ((5, 6), np.float32), key


def test_targets_describe_the_corrupted_pieces(masker):
    batch = make_batch()
    outputs = masker(batch, seed=(1, 2))
    for row, size in enumerate((30, 3, 0, 17, 38)):
        count = int(outputs["mask_weights"][row].sum())
        assert 0 < count <= math.ceil(0.15 * size) or size == count == 0
        assert (outputs["mask_weights"][row] == (np.arange(6) < count)).all()
        positions = outputs["mask_positions"][row, :count]
        assert (np.diff(positions) > 0).all()
        np.testing.assert_array_equal(outputs["mask_ids"][row, :count], batch["token_ids"][row, positions])
        untouched = np.setdiff1d(np.arange(40), positions)
        np.testing.assert_array_equal(outputs["token_ids"][row, untouched], batch["token_ids"][row, untouched])
        np.testing.assert_array_equal(
            outputs["left_positions"][row, :count], positions - outputs["span_offsets"][row, :count] - 1
        )


def test_padding_entries_are_zero(masker):
    outputs = masker(make_batch(), seed=(1, 2))
    for key in (*POSITION_KEYS, *WEIGHT_KEYS):
        assert (outputs[key][outputs["mask_weights"] == 0] == 0).all(), key


def test_the_layer_agrees_with_ragged_rows(masker):
    batch, seeds = make_batch(), philox.fold((5, 6), np.arange(5))
    outputs = masker(batch, seed=seeds)
    real = batch["padding_mask"] == 1
    starts = np.cumsum([0, *real.sum(axis=1)])
    masked = masker.mask_ragged(batch["token_ids"][real], starts, seeds)
    np.testing.assert_array_equal(outputs["token_ids"][real], masked.pieces)
    weights = outputs["mask_weights"] == 1
    names = {"mask_positions": "positions", "mask_ids": "ids"}
    for key in (*POSITION_KEYS, "span_weights"):
        np.testing.assert_array_equal(outputs[key][weights], getattr(masked, names.get(key, key)), err_msg=key)


def test_segments_pass_through_and_are_zeros_without(masker):
    batch = make_batch()
    assert (masker(batch, seed=(1, 2))["segment_ids"] == 0).all()
    segments = np.arange(200).reshape(5, 40) % 2
    assert (masker({**batch, "segment_ids": segments}, seed=(1, 2))["segment_ids"] == segments).all()


def test_inputs_are_left_as_they_were(masker):
    batch = make_batch()
    masker(batch, seed=(1, 2))
    assert_same(batch, make_batch())


def test_one_seed_is_folded_with_the_row(masker):
    assert_same(masker(make_batch(), seed=(1, 2)), masker(make_batch(), seed=philox.fold((1, 2), np.arange(5))))


def test_a_batch_may_be_split_in_any_way(masker):
    batch, seeds = make_batch(), philox.fold((5, 6), np.arange(5))
    whole = masker(batch, seed=seeds)
    for order in ([0], [4, 2], [3, 1, 0]):
        part = masker({key: value[order] for key, value in batch.items()}, seed=seeds[order])
        assert_same(part, {key: value[order] for key, value in whole.items()})


@pytest.mark.parametrize("scheme", SCHEMES)
def test_masks_do_not_depend_on_the_length_of_the_batch(tokenizer, scheme):
    masker = SpanMasker(tokenizer=tokenizer, scheme=scheme, max_predictions=9)
    seeds = philox.fold((5, 6), np.arange(5))
    short, long = (masker(make_batch(length=length), seed=seeds) for length in (40, 57))
    for key, value in short.items():
        np.testing.assert_array_equal(value, long[key][:, : value.shape[1]], err_msg=key)


def test_masks_do_not_depend_on_the_place_of_the_padding(masker):
    batch, seeds = make_batch(sizes=(30, 30)), philox.fold((5, 6), [0, 0])
    batch["token_ids"][1] = np.roll(batch["token_ids"][0], 5)
    batch["padding_mask"][1] = np.roll(batch["padding_mask"][0], 5)
    outputs = masker(batch, seed=seeds)
    np.testing.assert_array_equal(np.roll(outputs["token_ids"][0], 5), outputs["token_ids"][1])
    weights = outputs["mask_weights"][0] == 1
    for key in ("mask_positions", "left_positions", "right_positions"):
        np.testing.assert_array_equal(outputs[key][0][weights] + 5, outputs[key][1][weights], err_msg=key)


def test_a_single_row_uses_the_seed_as_its_own(masker):
    batch, seed = make_batch(), (7, 8)
    alone = masker({key: value[0] for key, value in batch.items()}, seed=seed)
    together = masker({key: value[:1] for key, value in batch.items()}, seed=[seed])
    assert alone["token_ids"].shape == (40,)
    assert_same(alone, {key: value[0] for key, value in together.items()})


def test_lists_are_accepted(masker):
    batch = {key: value.tolist() for key, value in make_batch().items()}
    assert_same(masker(batch, seed=[1, 2]), masker(make_batch(), seed=(1, 2)))


def test_tensors_of_the_backend_give_tensors_of_the_backend(masker):
    tensors = {key: keras.ops.convert_to_tensor(value) for key, value in make_batch().items()}
    outputs = masker(tensors, seed=keras.ops.convert_to_tensor([1, 2]))
    assert all(keras.ops.is_tensor(value) for value in outputs.values())
    assert_same(to_numpy(outputs), masker(make_batch(), seed=(1, 2)))


@pytest.mark.parametrize("framework", ["tensorflow", "jax", "torch"])
def test_tensors_of_any_framework_are_accepted(masker, framework):
    module = pytest.importorskip(framework)
    convert = {"tensorflow": "constant", "jax": "numpy.asarray", "torch": "tensor"}[framework]
    for name in convert.split("."):
        module = getattr(module, name)
    outputs = masker({key: module(value) for key, value in make_batch().items()}, seed=module([1, 2]))
    assert_same(to_numpy(outputs), masker(make_batch(), seed=(1, 2)))


@pytest.fixture(scope="module")
def mention_masker(tokenizer):
    return SpanMasker(tokenizer=tokenizer, scheme="named_entity", mention_rate=1.0)


def test_annotations_decide_what_is_masked(mention_masker):
    batch = make_batch()
    outputs = mention_masker(batch, seed=(1, 2))
    real = outputs["mask_weights"] == 1
    inside = np.take_along_axis(batch["annotations"], outputs["mask_positions"], axis=1) % 2 == 1
    # Mentions are extended to whole words: a few pieces of a word that a mention begins or ends in lie outside.
    assert inside[real].mean() > 0.8 > (batch["annotations"] % 2)[batch["padding_mask"] == 1].mean()
    assert not {"annotations"} & set(outputs)


def test_annotations_of_padding_do_not_count(mention_masker):
    batch = make_batch()
    other = {**batch, "annotations": np.where(batch["padding_mask"] == 1, batch["annotations"], 3)}
    assert_same(mention_masker(other, seed=(1, 2)), mention_masker(batch, seed=(1, 2)))


def test_annotations_of_any_integer_type_agree_in_and_outside_of_datasets(mention_masker):
    tf = pytest.importorskip("tensorflow")
    batch, seeds = make_batch(), philox.fold((5, 6), np.arange(5))
    expected = mention_masker(batch, seed=seeds)
    for dtype in (np.uint8, np.int64):
        typed = {**batch, "annotations": batch["annotations"].astype(dtype)}
        assert_same(mention_masker(typed, seed=seeds), expected)
        for dataset in (
            tf.data.Dataset.from_tensors((typed, seeds)).map(lambda x, s: mention_masker(x, seed=s)),
            tf.data.Dataset.from_tensor_slices((typed, seeds)).map(lambda x, s: mention_masker(x, seed=s)).batch(5),
        ):
            [outputs] = dataset.as_numpy_iterator()
            assert_same(outputs, expected)


def test_a_scheme_of_mentions_without_annotations_is_rejected_also_in_a_dataset(mention_masker):
    batch = {key: value for key, value in make_batch().items() if key != "annotations"}
    with pytest.raises(
        ValueError, match=r"'named_entity'.* needs the key 'annotations'.*\['padding_mask', 'token_ids'"
    ):
        mention_masker(batch, seed=(1, 2))
    tf = pytest.importorskip("tensorflow")
    with pytest.raises(ValueError, match="needs the key 'annotations'"):
        tf.data.Dataset.from_tensors(batch).map(lambda x: mention_masker(x, seed=(1, 2)))


@pytest.mark.parametrize(
    ("annotations", "message"),
    [
        (np.zeros((5, 39), int), r"`annotations` must have the shape of token_ids, \(5, 40\). Received: \(5, 39\)"),
        (np.zeros((5, 40)), "`annotations` must be integers. Received: dtype=float64"),
    ],
)
def test_annotations_of_another_form_are_rejected(mention_masker, annotations, message):
    with pytest.raises(ValueError, match=message):
        mention_masker({**make_batch(), "annotations": annotations}, seed=(1, 2))


@pytest.mark.parametrize("seed_dtype", [np.int32, np.int64, np.uint32])
def test_a_batched_dataset_gives_the_same_as_eager_calls(masker, seed_dtype):
    tf = pytest.importorskip("tensorflow")
    batch, seeds = make_batch(), philox.fold((5, 6), np.arange(5)).view(np.int32).astype(seed_dtype)
    dataset = tf.data.Dataset.from_tensors((batch, seeds)).map(lambda x, s: masker(x, seed=s), num_parallel_calls=2)
    shapes = {key: spec.shape.as_list() for key, spec in dataset.element_spec.items()}
    assert all(shapes[key] == [5, 40] for key in SEQUENCE_KEYS)
    assert all(shapes[key] == [5, 6] for key in (*POSITION_KEYS, *WEIGHT_KEYS))
    [outputs] = dataset.as_numpy_iterator()
    assert_same(outputs, masker(batch, seed=seeds))


def test_an_unbatched_dataset_gives_the_same_as_a_batch(masker):
    tf = pytest.importorskip("tensorflow")
    batch, seeds = make_batch(), philox.fold((5, 6), np.arange(5))
    dataset = tf.data.Dataset.from_tensor_slices((batch, seeds)).map(lambda x, s: masker(x, seed=s)).batch(5)
    assert dataset.element_spec["mask_ids"].shape.as_list() == [None, 6]
    [outputs] = dataset.as_numpy_iterator()
    assert_same(outputs, masker(batch, seed=seeds))


def test_a_dataset_may_hold_one_seed_per_batch_and_segments(masker):
    tf = pytest.importorskip("tensorflow")
    batch = {**make_batch(), "segment_ids": np.ones((5, 40), np.int64)}
    dataset = tf.data.Dataset.from_tensors(batch).map(lambda x: masker(x, seed=(1, 2)))
    [outputs] = dataset.as_numpy_iterator()
    assert_same(outputs, masker(batch, seed=(1, 2)))


def test_a_dataset_of_unknown_shape_works(tokenizer):
    tf = pytest.importorskip("tensorflow")
    masker, batch = SpanMasker(tokenizer=tokenizer, max_predictions=6), make_batch()
    spec = {key: tf.TensorSpec([None, None], tf.int32) for key in batch}
    dataset = tf.data.Dataset.from_generator(lambda: iter([batch]), output_signature=spec)
    dataset = dataset.map(lambda x: masker(x, seed=(1, 2)))
    assert dataset.element_spec["mask_ids"].shape.as_list() == [None, 6]
    [outputs] = dataset.as_numpy_iterator()
    assert_same(outputs, masker(batch, seed=(1, 2)))


def test_default_predictions_are_the_budget_of_the_length(masker):
    for length, predictions in ((512, 77), (128, 20), (40, 6), (41, 7), (3, 1)):
        outputs = masker(make_batch(sizes=(1,), length=length), seed=(1, 2))
        assert outputs["mask_ids"].shape == (1, predictions)


def test_too_few_predictions_for_the_length_are_rejected(tokenizer):
    batch = make_batch(length=42)
    assert SpanMasker(tokenizer=tokenizer, max_predictions=6)(batch, seed=(1, 2))["mask_ids"].shape == (5, 6)
    with pytest.raises(ValueError, match=r"at least ceil\(masking_rate x \(T - 2\)\) = 6 .* max_predictions=5"):
        SpanMasker(tokenizer=tokenizer, max_predictions=5)(batch, seed=(1, 2))


def test_a_row_that_needs_more_predictions_is_an_error_not_a_cut(tokenizer):
    masker = SpanMasker(tokenizer=tokenizer, max_predictions=3)
    ids = np.full((1, 22), 6)  # 22 pieces without specials: a budget of 4
    with pytest.raises(ValueError, match="at least 4 for these rows"):
        masker({"token_ids": ids, "padding_mask": np.ones_like(ids)}, seed=(1, 2))


def test_a_config_round_trip_keeps_every_setting(tokenizer):
    settings = {
        "max_predictions": 11,
        "scheme": "whole_word",
        "max_span_positions": 7,
        "unigram_counts": list(range(100)),
        "masking_rate": 0.2,
        "geometric_rate": 0.3,
        "max_span_length": 6,
        "mask_token_rate": 0.7,
        "random_token_rate": 0.2,
        "mention_rate": 0.25,
        "name": "mine",
    }
    masker = SpanMasker(tokenizer=tokenizer, **settings)
    config = json.loads(json.dumps(masker.get_config()))
    assert {key: config[key] for key in settings} == settings
    copy = SpanMasker.from_config(config)
    copy.tokenizer.set_vocabulary(VOCABULARY)  # Saved as an asset, not in a config.
    assert copy.get_config() == masker.get_config()
    assert_same(copy(make_batch(), seed=(1, 2)), masker(make_batch(), seed=(1, 2)))


def test_it_is_registered_under_the_packages_name():
    assert keras.saving.get_registered_name(SpanMasker) == "spanbert_keras>SpanMasker"


def test_it_has_no_weights_and_calls_without_a_warning(tokenizer):
    masker = SpanMasker(tokenizer=tokenizer)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        masker(make_batch(), seed=(1, 2))
    assert masker.weights == []


@pytest.mark.parametrize(
    ("inputs", "seed", "message"),
    [
        (make_batch(), None, "draws nothing by itself: pass `seed`"),
        (make_batch(), (1, 2, 3), r"shape \(2,\) or \(B, 2\)"),
        (make_batch(), np.ones((4, 2), int), r"token_ids has \(5, 40\). Received: \(4, 2\)"),
        (make_batch(), (1.0, 2.0), "must be integers"),
        ({"token_ids": [1]}, (1, 2), "the key 'padding_mask'"),
        ({"padding_mask": [1]}, (1, 2), "the key 'token_ids'"),
        ([1, 2], (1, 2), "must be a dict"),
        ({"token_ids": [1, 2], "padding_mask": [1]}, (1, 2), "`padding_mask` must have the shape of token_ids"),
        ({"token_ids": [0.5], "padding_mask": [1]}, (1, 2), "must be integers of shape"),
        ({"token_ids": [100], "padding_mask": [1]}, (1, 2), "vocabulary_size - 1 = 99"),
    ],
)
def test_wrong_calls_are_rejected(masker, inputs, seed, message):
    with pytest.raises(ValueError, match=message):
        masker(inputs, seed=seed)


def test_a_dataset_without_seed_is_rejected_when_it_is_built(masker):
    tf = pytest.importorskip("tensorflow")
    with pytest.raises(ValueError, match="pass `seed`"):
        tf.data.Dataset.from_tensors(make_batch()).map(lambda x: masker(x))


def test_predictions_must_be_positive(tokenizer):
    with pytest.raises(ValueError, match="`max_predictions` must be a whole number of at least 1"):
        SpanMasker(tokenizer=tokenizer, max_predictions=0)


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("length", [128, 512])
def test_golden_values_stay(tokenizer, scheme, length):
    # 126 pieces by a rule that needs no generator; the same row must give the same at both lengths.
    ids, mask, annotations = (np.zeros((1, length), np.int32) for _ in range(3))
    annotations[0, 1:127] = np.array([0, 0, 3, 1, 0, 3, 0, 0, 0, 3, 1, 1, 1, 0, 3, 3, 1])[np.arange(126) % 17]
    ids[0, :128] = [CLS, *(5 + (i * i * 7 + i * 3) % 95 for i in range(126)), SEP]
    mask[0, :128] = 1
    masker = SpanMasker(tokenizer=tokenizer, scheme=scheme, unigram_counts=[0] * 5 + list(range(1, 96)))
    outputs = masker({"token_ids": ids, "padding_mask": mask, "annotations": annotations}, seed=[[2020, 8]])
    count = int(outputs["mask_weights"].sum())
    positions = outputs["mask_positions"][0, :count]
    assert positions.tolist() == GOLDEN[scheme]["positions"]
    assert outputs["token_ids"][0, positions].tolist() == GOLDEN[scheme]["pieces"]
    assert (outputs["token_ids"][0, 128:] == 0).all()


MENTIONS = {
    "positions": [10, 15, 48, 49, 54, 55, 56, 77, 82, 83, 85, 91, 111, 112, 113, 118, 119, 120, 121],
    "pieces": [4, 4, 29, 32, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 39, 72, 24, 85],
}
GOLDEN = {
    "span": {
        "positions": [10, 11, 12, 13, 77, 78, 79, 80, 81, 82, 83, 84, 85, 86, 87, 118, 119, 120, 121],
        "pieces": [4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 39, 72, 24, 85],
    },
    "whole_word": {
        "positions": [10, 11, 31, 32, 50, 51, 56, 77, 82, 83, 85, 108, 111, 112, 113, 118, 119, 120, 121],
        "pieces": [4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 39, 72, 24, 4],
    },
    "subword": {
        "positions": [5, 19, 26, 49, 50, 56, 58, 61, 70, 73, 74, 76, 78, 82, 90, 97, 107, 115, 123],
        "pieces": [55, 4, 4, 4, 4, 4, 86, 4, 4, 4, 97, 4, 4, 4, 4, 4, 4, 4, 4],
    },
    "named_entity": MENTIONS,
    "noun_phrase": MENTIONS,
}
