"""Dropout whose mask is a function of its seed and of each element's place."""

import keras
from keras import ops

from spanbert_keras.kernels.fusion import on_tensorflow_or_jax
from spanbert_keras.kernels.keep_mask import dropped, row_keys


class Dropout(keras.layers.Dropout):
    """`keras.layers.Dropout` with the masks of `keep_mask`, which one loop draws and applies on TensorFlow and JAX.

    Keras' own draws a float for each element by a generator that takes longer than a matrix product on JAX' CPU. On
    torch this is Keras' layer.
    """

    def call(self, inputs, training=False):
        if not (training and self.rate) or not on_tensorflow_or_jax():
            return super().call(inputs, training=training)
        shape = ops.shape(inputs)
        rows = ops.reshape(inputs, (-1, shape[-1]))
        keys = row_keys(self.seed_generator.next(), ops.shape(rows)[0])
        return ops.reshape(dropped(rows, keys, rate=self.rate), shape)
