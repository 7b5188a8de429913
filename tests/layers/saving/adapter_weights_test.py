"""LoRA's weights beside the kernels that Keras saves."""

import keras
import numpy as np

from spanbert_keras.layers.saving.adapter_weights import AdapterWeights
from spanbert_keras.layers.self_attention import SelfAttention


def attention(ranks=(2, 3)):
    layer = SelfAttention(2)
    layer.build((None, 5, 4))
    for dense, rank in zip((layer.query_dense, layer.value_dense), ranks, strict=False):
        dense.enable_lora(rank)
    return layer


def test_only_adapted_layers_are_kept(randomize):
    layer = attention()
    randomize(layer)
    store = {}
    AdapterWeights(layer).save_own_variables(store)
    assert set(store) == {
        f"{name}.{weight}"
        for name in ("query", "value")
        for weight in ("kernel", "bias", "lora_kernel_a", "lora_kernel_b")
    }
    np.testing.assert_array_equal(store["query.lora_kernel_a"], layer.query_dense.lora_kernel_a)
    assert AdapterWeights.layers_of(attention(())) == {} and attention(())._adapters is None


def test_they_are_loaded_if_their_shapes_match_and_others_stay(randomize):
    layer, other = attention(), attention((2, 1))
    randomize(layer), randomize(other, seed=9)
    store = {}
    AdapterWeights(layer).save_own_variables(store)
    before = keras.ops.convert_to_numpy(other.value_dense.lora_kernel_a)
    AdapterWeights(other).load_own_variables(store)
    np.testing.assert_array_equal(other.query_dense.lora_kernel_b, layer.query_dense.lora_kernel_b)
    np.testing.assert_array_equal(other.value_dense.lora_kernel_a, before)
    AdapterWeights(other).load_own_variables({})  # a file without adapters


def test_it_has_no_weights_and_is_not_an_inner_layer():
    layer = attention()
    assert layer._adapters is layer._adapters and layer._adapters.weights == []
    assert "adapters" not in {inner.name for inner in layer._flatten_layers()}
