"""Keys as Google's programs write them, spelled out, and their Hugging Face names."""

import numpy as np
import pytest

from spanbert_keras.conversion.formats.google_names import heads_of, names_by_key, torch_layout
from spanbert_keras.errors import InputError

SUFFIX = "/.ATTRIBUTES/VARIABLE_VALUE"

TENSORFLOW_1 = {
    "bert/embeddings/word_embeddings": "bert.embeddings.word_embeddings.weight",
    "bert/embeddings/position_embeddings": "bert.embeddings.position_embeddings.weight",
    "bert/embeddings/token_type_embeddings": "bert.embeddings.token_type_embeddings.weight",
    "bert/embeddings/LayerNorm/gamma": "bert.embeddings.LayerNorm.weight",
    "bert/embeddings/LayerNorm/beta": "bert.embeddings.LayerNorm.bias",
    "bert/encoder/layer_0/attention/self/query/kernel": "bert.encoder.layer.0.attention.self.query.weight",
    "bert/encoder/layer_11/attention/self/key/bias": "bert.encoder.layer.11.attention.self.key.bias",
    "bert/encoder/layer_11/attention/self/value/kernel": "bert.encoder.layer.11.attention.self.value.weight",
    "bert/encoder/layer_2/attention/output/dense/kernel": "bert.encoder.layer.2.attention.output.dense.weight",
    "bert/encoder/layer_2/attention/output/LayerNorm/gamma": "bert.encoder.layer.2.attention.output.LayerNorm.weight",
    "bert/encoder/layer_2/intermediate/dense/bias": "bert.encoder.layer.2.intermediate.dense.bias",
    "bert/encoder/layer_2/output/dense/kernel": "bert.encoder.layer.2.output.dense.weight",
    "bert/encoder/layer_2/output/LayerNorm/beta": "bert.encoder.layer.2.output.LayerNorm.bias",
    "bert/pooler/dense/kernel": "bert.pooler.dense.weight",
    "cls/predictions/transform/dense/kernel": "cls.predictions.transform.dense.weight",
    "cls/predictions/transform/LayerNorm/gamma": "cls.predictions.transform.LayerNorm.weight",
    "cls/predictions/output_bias": "cls.predictions.bias",
    "cls/seq_relationship/output_weights": "cls.seq_relationship.weight",
    "cls/seq_relationship/output_bias": "cls.seq_relationship.bias",
}
BLOCK = {
    "_attention_layer/_query_dense/kernel": "attention.self.query.weight",
    "_attention_layer/_query_dense/bias": "attention.self.query.bias",
    "_attention_layer/_key_dense/kernel": "attention.self.key.weight",
    "_attention_layer/_value_dense/bias": "attention.self.value.bias",
    "_attention_layer/_output_dense/kernel": "attention.output.dense.weight",
    "_attention_layer_norm/gamma": "attention.output.LayerNorm.weight",
    "_attention_layer_norm/beta": "attention.output.LayerNorm.bias",
    "_intermediate_dense/kernel": "intermediate.dense.weight",
    "_output_dense/bias": "output.dense.bias",
    "_output_layer_norm/gamma": "output.LayerNorm.weight",
}
FUNCTIONAL = {
    "layer_with_weights-0/embeddings": "bert.embeddings.word_embeddings.weight",
    "layer_with_weights-1/embeddings": "bert.embeddings.position_embeddings.weight",
    "layer_with_weights-2/embeddings": "bert.embeddings.token_type_embeddings.weight",
    "layer_with_weights-3/gamma": "bert.embeddings.LayerNorm.weight",
    **{f"layer_with_weights-4/{path}": f"bert.encoder.layer.0.{name}" for path, name in BLOCK.items()},
    **{f"layer_with_weights-15/{path}": f"bert.encoder.layer.11.{name}" for path, name in BLOCK.items()},
    "layer_with_weights-16/kernel": "bert.pooler.dense.weight",
}
ATTRIBUTES = {
    "_embedding_layer/embeddings": "bert.embeddings.word_embeddings.weight",
    "_position_embedding_layer/embeddings": "bert.embeddings.position_embeddings.weight",
    "_type_embedding_layer/embeddings": "bert.embeddings.token_type_embeddings.weight",
    "_embedding_norm_layer/beta": "bert.embeddings.LayerNorm.bias",
    **{f"_transformer_layers/0/{path}": f"bert.encoder.layer.0.{name}" for path, name in BLOCK.items()},
    **{f"_transformer_layers/1/{path}": f"bert.encoder.layer.1.{name}" for path, name in BLOCK.items()},
    "_pooler_layer/bias": "bert.pooler.dense.bias",
}
HEAD = {
    "masked_lm/dense/kernel": "cls.predictions.transform.dense.weight",
    "masked_lm/dense/bias": "cls.predictions.transform.dense.bias",
    "masked_lm/layer_norm/gamma": "cls.predictions.transform.LayerNorm.weight",
    "masked_lm/layer_norm/beta": "cls.predictions.transform.LayerNorm.bias",
    "masked_lm/output_bias.Sbias": "cls.predictions.bias",
}


def names(keys, shapes=()):
    """Returns the names of these keys. Shapes matter only if given."""
    return names_by_key(dict.fromkeys(keys, [3]) | dict(shapes), "folder/model.ckpt")


def keys_of(paths, root=""):
    return {f"{root}{path}{SUFFIX}": name for path, name in paths.items()}


def test_tensorflow_1_names():
    assert names(TENSORFLOW_1) == TENSORFLOW_1


@pytest.mark.parametrize(
    "root", ["", "model/", "encoder/", "pretrainer/encoder_network/", "model/layer_with_weights-0/"]
)
@pytest.mark.parametrize("encoder", [FUNCTIONAL, ATTRIBUTES], ids=["BertEncoder", "BertEncoderV2"])
def test_model_gardens_names(encoder, root):
    expected = keys_of(encoder, root)
    assert names(expected) == expected


def test_the_earlier_place_of_the_projection_is_read():
    old = {path.replace("_attention_layer/_output", "_attention_output"): name for path, name in FUNCTIONAL.items()}
    assert "layer_with_weights-4/_attention_output_dense/kernel" in old
    assert names(keys_of(old)) == keys_of(old)


def test_the_heads_word_embeddings_are_used_unless_the_encoder_has_them():
    paths = keys_of(ATTRIBUTES, "encoder/") | keys_of(HEAD)
    own = {f"masked_lm/embedding_table{SUFFIX}": "cls.predictions.decoder.weight"}
    assert names(paths | own) == paths | own
    del paths[f"encoder/_embedding_layer/embeddings{SUFFIX}"]
    shared = {f"masked_lm/embedding_table{SUFFIX}": "bert.embeddings.word_embeddings.weight"}
    assert names(paths | shared) == paths | shared


@pytest.mark.parametrize("pooler", ["next_sentence..pooler_dense", "model/classification_heads/0/dense"])
def test_the_next_sentence_heads_pooler_is_used(pooler):
    expected = keys_of(ATTRIBUTES, "encoder/") | keys_of(HEAD)
    trained = {
        f"{pooler}/kernel{SUFFIX}": "bert.pooler.dense.weight",
        f"{pooler}/bias{SUFFIX}": "bert.pooler.dense.bias",
    }
    given = expected | trained
    del expected[f"encoder/_pooler_layer/bias{SUFFIX}"]
    assert names(given) == expected | trained


def test_a_head_of_two_classes_is_next_sentence_only_if_it_is_the_only_head():
    given = keys_of(ATTRIBUTES, "model/encoder_network/") | keys_of(HEAD, "model/")
    kernel, bias = (f"model/classification_heads/0/out_proj/{kind}{SUFFIX}" for kind in ("kernel", "bias"))
    head = {kernel: "cls.seq_relationship.weight", bias: "cls.seq_relationship.bias"}
    unknown = {kernel: kernel, bias: bias}
    assert names(given | head, {kernel: [12, 2]}) == given | head
    assert names(given | head, {kernel: [12, 3]}) == given | unknown
    other = {
        f"model/classification_heads/1/out_proj/bias{SUFFIX}": f"model/classification_heads/1/out_proj/bias{SUFFIX}"
    }
    assert names(given | head | other, {kernel: [12, 2]}) == given | unknown | other
    no_masked_lm = keys_of(ATTRIBUTES, "model/encoder_network/")
    assert names(no_masked_lm | head, {kernel: [12, 2]}) == no_masked_lm | unknown


def test_the_state_of_tensorflow_1_optimizers_is_left_out():
    adam = ("adam_m", "adam_v", "Adam", "Adam_1", "AdamWeightDecayOptimizer", "AdamWeightDecayOptimizer_1", "m", "v")
    slots = (*adam, "LAMB", "LAMBOptimizer_1", "lamb_m", "lamb_v", "Momentum")
    state = [f"{name}/{slot}" for name in TENSORFLOW_1 for slot in slots]
    assert names([*TENSORFLOW_1, *state, "global_step", "beta1_power", "train/beta2_power"]) == TENSORFLOW_1


def test_the_state_of_model_gardens_training_is_left_out():
    expected = keys_of(FUNCTIONAL, "model/")
    state = [key.replace(SUFFIX, f"/.OPTIMIZER_SLOT/optimizer/v{SUFFIX}") for key in expected]
    of_optimizer = ("optimizer/_variables/7", "optimizer/iter", "optimizer/loss_scale", "model/optimizer/beta_1")
    counters = ("global_step", "save_counter", "model/keras_api/metrics/0/total")
    state += [f"{path}{SUFFIX}" for path in (*of_optimizer, *counters)]
    state += ["_CHECKPOINTABLE_OBJECT_GRAPH", "model/layer-0/.ATTRIBUTES/OBJECT_CONFIG_JSON"]
    assert names([*expected, *state]) == expected


@pytest.mark.parametrize(
    "key",
    [
        "output_weights",
        "global_steps",
        "a/lambda",
        "a/m",  # no variable `a` exists
        "bert/pooler/dense/gamma",
        "bert/embeddings/word_embeddings/kernel",
        "bert/encoder/layer_0/gate/kernel",
        "bert/encoder/layer_0/attention/self/query/kernel/mask",
        "generator/bert/pooler/dense/kernel",
        f"model/classifier/kernel{SUFFIX}",
        f"model/layer_with_weights-17/kernel{SUFFIX}",
        f"model/layer_with_weights-3/kernel{SUFFIX}",
        f"model/layer_with_weights-4/_gate/kernel{SUFFIX}",
        f"model/layer_with_weights-4/_query_dense/kernel{SUFFIX}",
        f"model/classification_heads/0/dense/kernel{SUFFIX}",
        f"other/layer_with_weights-0/embeddings{SUFFIX}",
        f"optimizer_head/bias{SUFFIX}",
        f"masked_lm/embedding_table{SUFFIX}",
    ],
)
def test_a_variable_of_another_model_keeps_its_key(key):
    expected = {name: name for name in [key]}
    for rest in (TENSORFLOW_1, keys_of(FUNCTIONAL, "model/"), {}):
        assert names({**rest, key: key}) == rest | expected


def test_several_berts_are_rejected():
    with pytest.raises(InputError, match=r"model.ckpt holds 2 encoders \(discriminator, generator\). Expected: one"):
        names(keys_of(ATTRIBUTES, "generator/") | keys_of(FUNCTIONAL, "discriminator/"))
    with pytest.raises(InputError, match=r"holds 2 encoders \(at the top, second\)"):
        names(keys_of(ATTRIBUTES) | keys_of(ATTRIBUTES, "second/"))
    with pytest.raises(InputError, match=r"holds 2 masked-LM heads \(a/masked_lm, masked_lm\)"):
        names(keys_of(HEAD) | keys_of(HEAD, "a/"))
    with pytest.raises(
        InputError, match="holds bert.pooler.dense.bias twice, as _pooler_layer/bias.* and as bert/pool"
    ):
        names([*keys_of(ATTRIBUTES), "bert/pooler/dense/bias"])


def test_kernels_of_any_rank_become_out_by_in():
    random = np.random.default_rng(0)
    kernel, x = random.normal(size=(12, 3, 4)), random.normal(size=(5, 12))
    name = "bert.encoder.layer.0.attention.self.query.weight"
    weight = torch_layout(f"_transformer_layers/0/_attention_layer/_query_dense/kernel{SUFFIX}", name, kernel)
    assert weight.shape == (12, 12) and weight.flags["C_CONTIGUOUS"]
    np.testing.assert_allclose((x @ weight.T).reshape(5, 3, 4), np.einsum("td,dhk->thk", x, kernel))
    kernel, context = random.normal(size=(3, 4, 12)), random.normal(size=(5, 3, 4))
    name = "bert.encoder.layer.0.attention.output.dense.weight"
    weight = torch_layout(f"_transformer_layers/0/_attention_layer/_output_dense/kernel{SUFFIX}", name, kernel)
    np.testing.assert_allclose(context.reshape(5, 12) @ weight.T, np.einsum("thk,hkd->td", context, kernel))
    kernel, hidden = random.normal(size=(7, 12)), random.normal(size=(5, 7))
    weight = torch_layout(
        "bert/encoder/layer_0/output/dense/kernel", "bert.encoder.layer.0.output.dense.weight", kernel
    )
    np.testing.assert_allclose(hidden @ weight.T, hidden @ kernel)


def test_other_variables_are_unchanged():
    value = np.arange(6.0).reshape(2, 3)
    bias = torch_layout(f"a/_query_dense/bias{SUFFIX}", "bert.encoder.layer.0.attention.self.query.bias", value)
    np.testing.assert_array_equal(bias, np.arange(6.0))
    for key, name in {
        "bert/embeddings/word_embeddings": "bert.embeddings.word_embeddings.weight",
        "cls/seq_relationship/output_weights": "cls.seq_relationship.weight",
        f"masked_lm/embedding_table{SUFFIX}": "bert.embeddings.word_embeddings.weight",
        "strange/kernel": "strange/kernel",
    }.items():
        assert torch_layout(key, name, value) is value


def test_the_number_of_heads_is_read_from_model_gardens_shapes():
    key = f"encoder/_transformer_layers/0/_attention_layer/_query_dense/kernel{SUFFIX}"
    assert heads_of({"save_counter" + SUFFIX: [], key: [12, 3, 4]}) == 3
    assert heads_of({key: [12, 12]}) is None
    assert heads_of({"bert/encoder/layer_0/attention/self/query/kernel": [12, 12]}) is None
