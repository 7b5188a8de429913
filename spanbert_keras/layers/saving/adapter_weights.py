"""The weights of LoRA in saved files."""

import keras

from spanbert_keras.layers.saving.layer_tree import own_layers


class AdapterWeights(keras.layers.Layer):
    """Saves the kernels and the factors of layers with LoRA as they are.

    Keras saves such a layer as one without LoRA: kernel + A B, and loads that with A = B = 0, from where nothing can be
    learned. This object is saved beside the layers and loaded after them. It has no weights of its own and is part of
    no computation; what reads the file without it, e.g. into a model without LoRA, finds the merged kernels.

    Args:
        owner: layer or model. LoRA's weights of the layers directly inside it are kept.
    """

    def __init__(self, owner):
        super().__init__(name="adapters")
        self.built = True
        self.adapted = lambda: self.layers_of(owner)

    @staticmethod
    def layers_of(owner) -> dict:
        """Returns the layers directly inside another one that LoRA adapts, by name."""
        return {layer.name: layer for layer in own_layers(owner) if getattr(layer, "lora_enabled", False)}

    def _weights(self):
        for name, layer in self.adapted().items():
            for weight in layer.weights:
                yield f"{name}.{weight.name}", weight

    def save_own_variables(self, store):
        for key, weight in self._weights():
            store[key] = keras.ops.convert_to_numpy(weight)

    def load_own_variables(self, store):
        found = set(store.keys())
        for key, weight in self._weights():
            if key in found and tuple(store[key].shape) == tuple(weight.shape):
                weight.assign(store[key])
