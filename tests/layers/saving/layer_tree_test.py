"""Paths of inner layers and weights."""

import keras
import pytest

from spanbert_keras.layers.encoder_block import EncoderBlock
from spanbert_keras.layers.saving.layer_tree import LayerTree, own_layers


class Pair(keras.layers.Layer):
    """Two layers of one name, and one that both of two others hold."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.first, self.second = keras.layers.Dense(2, name="same"), keras.layers.Dense(3, name="same")
        self.inner = keras.layers.Dense(4, name="inner")

    def build(self, shape):
        for layer in (self.first, self.second, self.inner):
            layer.build(shape)
        self.own = self.add_weight(name="own", shape=(2,))


def built():
    layer = Pair(name="pair")
    layer.build((None, 5))
    return layer


def test_paths_are_names_and_numbers_where_a_name_is_taken():
    layer = built()
    tree = LayerTree(layer)
    assert {
        path: found is expected
        for (path, found), expected in zip(tree.layers.items(), (layer.first, layer.second, layer.inner), strict=True)
    } == {"same": True, "same#2": True, "inner": True}
    assert tree.weights["own"] == (layer.own, layer) and tree.weights["same#2/kernel"][0] is layer.second.kernel
    assert len(tree.weights) == len(layer.weights) == 7
    assert tree.layer("inner") is layer.inner and tree.weight("same/bias") is layer.first.bias


def test_paths_do_not_depend_on_the_name_scope():
    with keras.name_scope("somewhere"):
        block = EncoderBlock(2, 6)
        block.build((None, 3, 4))
    assert "attention/query/kernel" in LayerTree(block).weights


def test_what_is_apart_is_left_out_with_all_that_it_holds():
    layer = built()
    tree = LayerTree(layer, (layer.second,))
    assert list(tree.layers) == ["same", "inner"] and len(tree.weights) == 5
    assert tree.again().layers == tree.layers


def test_the_error_names_a_path_that_does_not_exist():
    with pytest.raises(ValueError, match=r"`Pair` names the layer 'nothing'.*another version"):
        LayerTree(built()).layer("nothing")
    with pytest.raises(ValueError, match=r"names the weight 'same/gamma'"):
        LayerTree(built()).weight("same/gamma")


def test_own_layers_are_those_directly_inside():
    block = EncoderBlock(2, 6)
    block.build((None, 3, 4))
    names = {layer.name for layer in own_layers(block)}
    assert {"attention", "intermediate", "output"} <= names and "query" not in names
