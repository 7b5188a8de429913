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

    def drawn_seed(self):
        """Returns the next seed `(2,)` and moves the generator on, as a call does; zeros if nothing is dropped."""
        return self.seed_generator.next() if self.rate else ops.zeros((2,), "int32")

    def call(self, inputs, training=False, seed=None):
        """Returns `inputs` after dropout; `seed`, from `drawn_seed`, gives the same mask every time.

        torch draws from its own generator, whose state `torch.utils.checkpoint` restores.
        """
        if not (training and self.rate) or not on_tensorflow_or_jax():
            return super().call(inputs, training=training)
        seed = self.drawn_seed() if seed is None else seed
        shape = ops.shape(inputs)
        rows = ops.reshape(inputs, (-1, shape[-1]))
        keys = row_keys(seed, ops.shape(rows)[0])
        return ops.reshape(dropped(rows, keys, rate=self.rate), shape)
