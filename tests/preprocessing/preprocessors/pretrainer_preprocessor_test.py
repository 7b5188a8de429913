"""Tests of the pretrainer's preprocessor: its settings, calls, tf.data and the model that it serves."""

import keras
import numpy as np
import pytest

from spanbert_keras.errors import InputError
from spanbert_keras.layers.attention_mask import AttentionMask
from spanbert_keras.models.encoder import SpanBertEncoder
from spanbert_keras.models.pretrainer import SpanBertPretrainer
from spanbert_keras.preprocessing.masking.span_masker import SpanMasker
from spanbert_keras.preprocessing.preprocessors.pretrainer_preprocessor import SpanBertPretrainerPreprocessor

TEXTS = ["w1 w2 w3 w4 w5 w6 w7", "", "w8 w9", "   "]
TEXTS += [" ".join(f"w{(7 * i + j) % 45}" for j in range(i)) for i in range(40)]
T = 24


@pytest.fixture(scope="module")
def preprocessor_of(toy_tokenizer):
    return lambda row_length=T, **settings: SpanBertPretrainerPreprocessor(toy_tokenizer, row_length, **settings)


@pytest.fixture(scope="module")
def pretrainer(toy_tokenizer):
    encoder = SpanBertEncoder(64, 1, 2, 8, 16, max_sequence_length=32, tokenizer=toy_tokenizer)
    return SpanBertPretrainer(encoder, max_span_positions=4, position_dim=4)


def restored(x, y):
    """Returns the texts' pieces in every block, with the original ids at the masked places, shortest first."""
    ids = x["token_ids"].copy()
    for row, column in zip(*np.nonzero(y["mask_weights"]), strict=True):
        ids[row, x["mask_positions"][row, column]] = y["mask_ids"][row, column]
    numbers = x["padding_mask"]
    blocks = [ids[r][numbers[r] == n].tolist() for r in range(len(ids)) for n in range(1, numbers[r].max() + 1)]
    assert all(block[0] == 2 and block[-1] == 3 for block in blocks)
    return sorted(block[1:-1] for block in blocks)


def cut(tokenizer, texts, row_length=T):
    """Returns the blocks of texts whose words are single pieces."""
    longest, all_pieces = row_length - 2, tokenizer(texts)
    return sorted(p[i : i + longest] for p in all_pieces for i in range(0, len(p), longest))


def same(one, other):
    return all((one[key] == other[key]).all() for key in one)


@pytest.mark.parametrize("pack", [True, False])
def test_every_call_has_every_piece_of_the_texts_once_under_new_masks(preprocessor_of, toy_tokenizer, pack):
    preprocessor = preprocessor_of(pack=pack)
    calls = [preprocessor(TEXTS) for _ in range(3)]
    for x, y in calls:
        assert restored(x, y) == cut(toy_tokenizer, TEXTS)
    assert not same(calls[0][0], calls[1][0]) and not same(calls[1][0], calls[2][0])
    again = preprocessor_of(pack=pack)
    assert [same(again(TEXTS)[0], x) for x, _ in calls] == [True] * 3
    assert not same(preprocessor_of(pack=pack, seed=1)(TEXTS)[0], calls[0][0])


def test_the_result_has_the_models_inputs_and_targets(preprocessor_of):
    x, y = preprocessor_of()(TEXTS)
    assert set(x) == set(SpanBertPretrainer.input_keys) and set(y) == set(SpanBertPretrainer.target_keys)
    rows = len(x["token_ids"])
    for name, values in {**x, **y}.items():
        length = T if name in ("token_ids", "segment_ids", "padding_mask") else 4 + 1  # ceil(0.15 x 22), and a quarter
        assert isinstance(values, np.ndarray) and values.shape == (rows, length), name
        assert values.dtype == (np.float32 if name.endswith("weights") else np.int32), name
    assert x["padding_mask"].max() > 2


def test_blocks_of_a_row_do_not_attend_to_each_other(preprocessor_of, to_numpy):
    x, _ = preprocessor_of()(TEXTS)
    allowed = to_numpy(AttentionMask()(x["padding_mask"])[0]) > 0
    starts = np.cumsum(x["token_ids"] == 2, axis=1)  # [CLS] begins a block and is never masked
    real = x["padding_mask"] > 0
    expected = (starts[:, :, None] == starts[:, None, :]) & real[:, None, :]
    assert (allowed[real] == expected[real]).all()


def test_a_packed_row_gives_the_outputs_of_its_blocks_alone(pretrainer, to_numpy):
    preprocessors = [SpanBertPretrainerPreprocessor(row_length=T, pack=pack) for pack in (True, False)]
    losses = []
    for preprocessor in preprocessors:
        preprocessor.adopt(pretrainer.tokenizer, pretrainer.preprocessor_settings())
        x, y = preprocessor(TEXTS)
        logits = to_numpy(pretrainer(x))["masked_lm"]
        found = y["mask_weights"] > 0
        losses.append(np.sort(logits[found][np.arange(found.sum()), y["mask_ids"][found]]))
    np.testing.assert_allclose(losses[0], losses[1], atol=1e-5)


@pytest.mark.parametrize("x", ["w1 w2", ("w1 w2",), np.array(["w1 w2"]), np.array(["w1 w2"], object), iter(["w1 w2"])])
def test_texts_may_be_a_str_a_list_or_an_array(preprocessor_of, x):
    x, y = preprocessor_of()(x)
    assert restored(x, y) == [[6, 7]]


def test_a_very_short_text_is_masked(preprocessor_of):
    x, y = preprocessor_of()(["w3"])
    assert y["mask_weights"].tolist() == [[1, 0, 0, 0, 0]] and y["mask_ids"][0, 0] == 8
    assert (x["left_positions"][0, 0], x["mask_positions"][0, 0], x["right_positions"][0, 0]) == (0, 1, 2)


def test_special_pieces_in_a_text_are_text_unless_the_tokenizer_says_otherwise(toy_pieces, toy_tokenizer):
    for specials, pieces in ((True, [5, 4]), (False, [5, 1, 1, 1])):
        tokenizer = type(toy_tokenizer)(toy_pieces, special_tokens_in_text=specials)
        x, y = SpanBertPretrainerPreprocessor(tokenizer)(["w0 [MASK]"])
        assert restored(x, y) == [pieces]


def test_rows_have_one_length_for_all_texts(preprocessor_of):
    preprocessor = preprocessor_of()
    rows = preprocessor.rows(["w1"])
    assert preprocessor.row_length_for(rows) == T and rows.lengths.tolist() == [3]
    x, y = rows.packed(np.array([0]), T, epoch=0)
    expected = preprocessor(["w1"])
    assert same(x, expected[0]) and same(y, expected[1])


def test_texts_without_words_are_skipped_and_counted(preprocessor_of):
    assert preprocessor_of().rows(TEXTS).empty == 3
    for x in ([], [""], ["", " \t"], ""):
        with pytest.raises(InputError, match="no text to mask"):
            preprocessor_of()(x)


def test_weights_of_texts_are_weights_of_their_rows(preprocessor_of):
    x, y, weights = preprocessor_of(pack=False)(TEXTS[:3], sample_weight=[2.0, 1.0, 0.5])
    assert weights.tolist() == [2.0, 0.5] and restored(x, y) == [[6, 7, 8, 9, 10, 11, 12], [13, 14]]
    with pytest.raises(InputError, match="pack=False"):
        preprocessor_of()(TEXTS[:3], sample_weight=[2.0, 1.0, 0.5])


def test_targets_are_not_accepted(preprocessor_of):
    with pytest.raises(InputError, match="Expected: no `y`. Received: list"):
        preprocessor_of()(["w1"], [1])


@pytest.mark.parametrize("x", [[3], ["w1", None], [["w1"]], {"w1"}, 5])
def test_anything_but_text_is_rejected(preprocessor_of, x):
    with pytest.raises(InputError, match="must be a"):
        preprocessor_of()(x)


# --- settings


def test_the_defaults_are_those_of_the_masker(toy_tokenizer):
    settings, masker = SpanBertPretrainerPreprocessor().settings, SpanMasker(toy_tokenizer).get_config()
    names = set(settings) & set(masker)
    assert len(names) == 8 and {name: settings[name] for name in names} == {name: masker[name] for name in names}
    assert (settings["pack"], settings["seed"]) == (True, 0)


def test_settings_reach_the_masker(preprocessor_of, toy_tokenizer):
    law = {
        "scheme": "whole_word",
        "masking_rate": 0.4,
        "geometric_rate": 0.5,
        "max_span_length": 3,
        "max_span_positions": 2,
        "mask_token_rate": 0.1,
        "random_token_rate": 0.7,
        "unigram_counts": np.arange(64),
    }
    config = preprocessor_of(**law).rows(["w1"]).masker.get_config()
    expected = SpanMasker(toy_tokenizer, **law).get_config()
    assert {name: config[name] for name in law} == {name: expected[name] for name in law}


def test_settings_of_the_model_are_taken(pretrainer):
    preprocessor = SpanBertPretrainerPreprocessor()
    assert preprocessor.row_length == 512
    preprocessor.adopt(pretrainer.tokenizer, pretrainer.preprocessor_settings())
    assert preprocessor.row_length == 32 and preprocessor.settings["max_span_positions"] == 4
    assert preprocessor.rows(["w1"]).masker.settings.max_span_positions == 4
    preprocessor.adopt(pretrainer.tokenizer, {"max_sequence_length": 2048, "max_span_positions": 4})
    assert preprocessor.row_length == 512


def test_rows_may_be_shorter_than_the_model_reads_but_not_longer(pretrainer):
    settings = pretrainer.preprocessor_settings()
    for row_length in (16, 32):
        preprocessor = SpanBertPretrainerPreprocessor(row_length=row_length)
        preprocessor.adopt(pretrainer.tokenizer, settings)
        assert preprocessor.row_length == row_length
    with pytest.raises(ValueError, match="row_length at most 32.* Received: row_length=33"):
        SpanBertPretrainerPreprocessor(row_length=33).adopt(pretrainer.tokenizer, settings)
    with pytest.raises(ValueError, match="max_span_positions=4, as in the model"):
        SpanBertPretrainerPreprocessor(max_span_positions=5).adopt(pretrainer.tokenizer, settings)


@pytest.mark.parametrize(
    "name, value",
    [
        ("row_length", 2),
        ("seed", -1),
        ("seed", 2**64),
        ("masking_rate", 2),
        ("scheme", "word"),
        ("max_span_length", 0),
    ],
)
def test_a_setting_out_of_range_is_rejected_at_once(name, value):
    with pytest.raises(ValueError, match=f"Received: .*{name}={value!r}"):
        SpanBertPretrainerPreprocessor(**{name: value})


def test_a_preprocessor_comes_back_from_its_config(preprocessor_of, toy_tokenizer):
    preprocessor = preprocessor_of(pack=False, seed=5, unigram_counts=np.ones(64, np.int64), scheme="subword")
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(preprocessor))
    assert type(again) is SpanBertPretrainerPreprocessor and again.own_settings == preprocessor.own_settings
    again.adopt(toy_tokenizer, {"max_sequence_length": 32, "max_span_positions": 15})
    fresh = preprocessor_of(pack=False, seed=5, unigram_counts=np.ones(64, np.int64), scheme="subword")
    assert same(again(TEXTS)[0], fresh(TEXTS)[0])


def test_the_config_has_only_what_was_given():
    config = SpanBertPretrainerPreprocessor(row_length=16).get_config()
    assert config["row_length"] == 16
    assert not {"seed", "pack", "scheme", "max_span_positions", "max_sequence_length"} & set(config)


# --- tf.data


@pytest.mark.parametrize("pack", [True, False])
def test_tf_data_has_new_masks_in_every_pass_and_static_shapes(preprocessor_of, toy_tokenizer, pack):
    tf = pytest.importorskip("tensorflow", reason="tf.data needs TensorFlow")
    dataset = tf.data.Dataset.from_tensor_slices(TEXTS).batch(16).map(preprocessor_of(pack=pack))
    specs = {key: spec for part in dataset.element_spec for key, spec in part.items()}
    assert {key: spec.shape.as_list() for key, spec in specs.items()} == {
        key: [None, T if key in ("token_ids", "segment_ids", "padding_mask") else 4 + pack] for key in specs
    }
    passes = []
    for _ in range(2):
        batches = [({k: v.numpy() for k, v in x.items()}, {k: v.numpy() for k, v in y.items()}) for x, y in dataset]
        for number, (x, y) in enumerate(batches):
            assert restored(x, y) == cut(toy_tokenizer, TEXTS[16 * number : 16 * number + 16])
        passes.append(batches)
    assert not any(same(one[0], other[0]) for one, other in zip(*passes, strict=True))
    eager = preprocessor_of(pack=pack)
    for number, (x, y) in enumerate(passes[0]):
        expected = eager(TEXTS[16 * number : 16 * number + 16])
        assert same(expected[0], x) and same(expected[1], y)
    rows = dataset.unbatch().batch(7, drop_remainder=True)
    assert next(iter(rows))[0]["token_ids"].shape == (7, T)


def test_tf_data_takes_weights_with_unpacked_rows(preprocessor_of):
    tf = pytest.importorskip("tensorflow", reason="tf.data needs TensorFlow")
    pairs = tf.data.Dataset.from_tensor_slices((["w1 w2", "", "w3"], [1.0, 2.0, 3.0])).batch(3)
    preprocessor = preprocessor_of(pack=False)
    ((_, y, weights),) = pairs.map(lambda x, w: preprocessor(x, sample_weight=w))
    assert weights.numpy().tolist() == [1.0, 3.0] and y["mask_weights"].shape == (2, 4)


def test_tf_data_rejects_targets_and_single_texts(preprocessor_of):
    tf = pytest.importorskip("tensorflow", reason="tf.data needs TensorFlow")
    texts = tf.data.Dataset.from_tensor_slices((["w1", "w2"], [0, 1]))
    with pytest.raises(Exception, match="Expected: no `y`"):  # TensorFlow's own, with the message
        texts.batch(2).map(preprocessor_of())
    with pytest.raises(Exception, match=r"Expected: shape \(B,\)"):
        texts.map(lambda x, y: preprocessor_of()(x))
