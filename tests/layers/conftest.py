"""A slow BERT layer by layer in NumPy float64, written from the papers: what the layers are compared with."""

import math

import keras
import numpy as np
import pytest


class Oracle:
    """Each function takes float64 arrays; weights come as a dict from the name of a weight to its values."""

    @staticmethod
    def gelu(x):
        """x Phi(x), element by element (Hendrycks and Gimpel, 2016)."""
        return np.vectorize(lambda v: v * 0.5 * (1.0 + math.erf(v / math.sqrt(2.0))), otypes=[float])(x)

    @staticmethod
    def layer_norm(x, gamma, beta):
        """(x - mean) / sqrt(variance + 1e-12) gamma + beta over the last axis."""
        mean = x.mean(-1, keepdims=True)
        variance = ((x - mean) ** 2).mean(-1, keepdims=True)
        return (x - mean) / np.sqrt(variance + 1e-12) * gamma + beta

    @staticmethod
    def attention(x, mask, weights, num_heads):
        """Vaswani et al., 2017, one row, one head and one query at a time; `mask` bool (B, T, T)."""
        batch, length, width = x.shape
        size = width // num_heads
        query, key, value = (x @ weights[f"{n}/kernel"] + weights[f"{n}/bias"] for n in ("query", "key", "value"))
        context = np.zeros_like(x)
        for b in range(batch):
            for head in range(num_heads):
                part = slice(head * size, (head + 1) * size)
                for t in range(length):
                    seen = np.flatnonzero(mask[b, t])
                    seen = seen if seen.size else np.arange(length)  # nothing to see: the mean of all, as in BERT
                    scores = np.array([query[b, t, part] @ key[b, u, part] for u in seen]) / math.sqrt(size)
                    shares = np.exp(scores - scores.max())
                    context[b, t, part] = (shares / shares.sum()) @ value[b, seen, part]
        return context @ weights["output/kernel"] + weights["output/bias"]

    @classmethod
    def block(cls, x, mask, weights, num_heads):
        """Post-layer-norm transformer block (Devlin et al., 2019)."""
        inner = {name.removeprefix("attention/"): w for name, w in weights.items() if name.startswith("attention/")}
        x = x + cls.attention(x, mask, inner, num_heads)
        x = cls.layer_norm(x, weights["attention_norm/gamma"], weights["attention_norm/beta"])
        wide = cls.gelu(x @ weights["intermediate/kernel"] + weights["intermediate/bias"])
        y = x + wide @ weights["output/kernel"] + weights["output/bias"]
        return cls.layer_norm(y, weights["output_norm/gamma"], weights["output_norm/beta"])

    @staticmethod
    def pick(sequence, positions):
        """sequence[b, positions[b, m]] by two loops."""
        return np.array([[sequence[b, m] for m in row] for b, row in enumerate(positions)])


@pytest.fixture(scope="session")
def oracle():
    """The slow float64 layers."""
    return Oracle


@pytest.fixture
def rng():
    """A NumPy generator, the same for every test."""
    return np.random.default_rng(7)


@pytest.fixture(params=["float32", "mixed_bfloat16", "mixed_float16"])
def policy(request):
    """Name of a dtype policy and how far its results may be off."""
    tolerance = {"float32": 2e-5, "mixed_bfloat16": 0.15, "mixed_float16": 0.02}[request.param]
    return request.param, tolerance


@pytest.fixture(scope="session")
def rebuild():
    """Function that makes a layer again from its configuration as JSON would carry it."""

    def again(layer):
        config = keras.saving.serialize_keras_object(layer)
        return keras.saving.deserialize_keras_object(config)

    return again


@pytest.fixture
def embedding(rng):
    """Function that makes a built embedding of V rows and D columns, filled with noise, and its float64 values."""

    def make(vocabulary_size, hidden_dim, dtype="float32"):
        layer = keras.layers.ReversibleEmbedding(vocabulary_size, hidden_dim, dtype=dtype, name="token_embedding")
        layer.build()
        values = rng.normal(0.0, 0.5, (vocabulary_size, hidden_dim)).astype("float32")
        layer.embeddings.assign(values)
        return layer, values.astype("float64")

    return make
