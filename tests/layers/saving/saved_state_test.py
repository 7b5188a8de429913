"""What a layer's config keeps of the layers inside it; whole models: `promises/round_trip_test.py`."""

import json

import keras
import numpy as np
import pytest

from spanbert_keras.layers.encoder_block import EncoderBlock
from spanbert_keras.layers.saving.saved_state import KEY, plain_policy

SHAPE = (None, 3, 4)


def built(**kwargs):
    block = EncoderBlock(2, 6, **kwargs)
    block.build(SHAPE)
    return block


def again(block):
    config = json.loads(json.dumps(block.get_config()))
    made = EncoderBlock.from_config(config)
    if not made.built:
        made.build(SHAPE)
    return made


def test_a_layer_as_it_was_made_has_nothing_to_keep():
    assert KEY not in built().get_config() and KEY not in EncoderBlock(2, 6).get_config()


def test_frozen_layers_and_weights_are_kept_and_set_after_building():
    block = built()
    block.attention.trainable = False
    block.output_dense.bias.trainable = False
    made = again(again(block))
    assert [w.trainable for w in made.weights] == [w.trainable for w in block.weights]
    assert not made.attention.trainable and made.trainable
    state = block.get_config()[KEY]
    assert state == {"trainable": {"attention": False}, "trainable_weights": {"output/bias": False}}


def test_a_layer_that_was_never_built_hands_its_state_on():
    block = built()
    block.attention.trainable = False
    config = EncoderBlock.from_config(block.get_config()).get_config()
    assert config[KEY] == block.get_config()[KEY]


def test_a_frozen_layer_freezes_what_it_holds_and_exceptions_are_kept():
    block = built()
    block.trainable = False
    block.output_norm.trainable = True
    made = again(block)
    assert not made.trainable and made.output_norm.trainable and not made.attention.query_dense.trainable
    made.trainable = True
    assert len(made.trainable_weights) == len(built().trainable_weights)


@pytest.mark.parametrize("mode", ["int8", "int4", "float8"])
def test_quantized_layers_are_quantized_again(mode):
    block = built()
    block.intermediate.quantize(mode)
    made = again(again(block))
    assert made.intermediate.quantization_mode == mode and made.output_dense.quantization_mode is None
    assert [(w.name, w.shape) for w in made.weights] == [(w.name, w.shape) for w in block.weights]


def test_adapted_layers_keep_rank_and_scale():
    block = built()
    block.intermediate.enable_lora(2, lora_alpha=5.0)
    made = again(block)
    assert (made.intermediate.lora_rank, made.intermediate.lora_alpha) == (2, 5.0)
    assert [w.trainable for w in made.weights] == [w.trainable for w in block.weights]


def test_regularizers_of_weights_and_outputs_are_kept():
    block = built()
    block.intermediate.kernel.regularizer = keras.regularizers.L2(0.5)
    block.attention_norm.activity_regularizer = keras.regularizers.L1(0.25)
    made = again(block)
    assert made.intermediate.kernel.regularizer.l2 == 0.5 and made.attention_norm.activity_regularizer.l1 == 0.25
    loss = 0.5 * np.square(keras.ops.convert_to_numpy(made.intermediate.kernel)).sum()
    assert float(made.losses[-1]) == pytest.approx(loss, rel=1e-5)


def test_policies_of_quantized_layers_are_not_part_of_the_plain_policy():
    maps = keras.dtype_policies.DTypePolicyMap
    half, int8 = keras.DTypePolicy("mixed_bfloat16"), keras.dtype_policies.QuantizedDTypePolicy("int8", "float32")
    assert plain_policy(half) is half and plain_policy("float32") == "float32"
    assert plain_policy(maps(half, {"a": int8})) == half
    kept = plain_policy(maps(half, {"a": int8, "b": keras.DTypePolicy("float32")}))
    assert dict(kept) == {"b": keras.DTypePolicy("float32")} and kept.default_policy == half
