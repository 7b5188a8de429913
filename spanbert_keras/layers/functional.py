"""Small functions that several layers share. Shape letters: B batch, T tokens, M masked positions, D hidden_dim."""

import math

import keras
from keras import ops
from keras.src.backend import AutocastScope  # Keras has no public name for it

from spanbert_keras.kernels.fusion import has_kernels
from spanbert_keras.kernels.gelu import bias_gelu
from spanbert_keras.kernels.residual_norm import residual_norm
from spanbert_keras.layers.dropout import Dropout

LAYER_NORM_EPSILON = 1e-12  # BERT's (Devlin et al., 2019); keras-hub's BERT uses it in the encoder, not in the head
MASKED = -1e9  # float32 score of what is masked; its softmax is 0, its gradient finite
INITIALIZER_STDDEV = 0.02  # BERT: N(0, 0.02), here untruncated as in the released SpanBERT code


@keras.saving.register_keras_serializable(package="spanbert_keras")
def gelu(x):
    """Returns x Phi(x), the exact GELU by the error function, which BERT and SpanBERT compute.

    Written out by `ops.erf`, since `keras.activations.gelu` is exported to an operation that ONNX Runtime rejects.
    Reference: Hendrycks and Gimpel, 2016.
    """
    return 0.5 * x * (1.0 + ops.erf(x / math.sqrt(2.0)))


def dense_gelu(dense, x, training):
    """Returns GELU(dense(x))."""
    if training and keras.backend.backend() == "torch":
        return ops.gelu(dense(x), approximate=False)  # one operation, which keeps its input alone
    if not (training and has_kernels(dense.compute_dtype) and is_plain(dense)):
        return gelu(dense(x))
    return bias_gelu(*_product_and_bias(dense, x))


def is_plain(layer):
    """Returns whether a layer computes what its class does, without losses of its activations."""
    return "call" not in vars(layer) and layer.activity_regularizer is None


def is_dropout(layer):
    """Returns whether a layer is our dropout, whose seed can be drawn beforehand, and computes what that does."""
    return type(layer) is Dropout and is_plain(layer)


def _product_and_bias(dense, x):
    """Returns x W and b of a layer; Keras' int8 and int4 layers compute their product and bias together."""
    if dense.quantization_mode is not None:
        return dense(x), ops.zeros((dense.units,), dense.compute_dtype)
    x, kernel, bias = (ops.cast(value, dense.compute_dtype) for value in (x, dense.kernel, dense.bias))
    return ops.matmul(x, kernel), bias


def add_and_norm(x, dense, inner, dropout, norm, training, seed=None):
    """Returns LayerNorm(x + Dropout(dense(inner))).

    Args:
        x: float `(B, T, D)`.
        dense: `keras.layers.Dense` of D units.
        inner: float `(B, T, I)`.
        dropout: `keras.layers.Layer`; only our `Dropout` is fused.
        norm: `keras.layers.LayerNormalization`.
        training: bool. Whether dropout applies.
        seed: int `(2,)`. That of dropout; `None`: the next one of its layer.
    """
    fused = has_kernels(dense.compute_dtype) and is_dropout(dropout) and is_plain(dense) and is_plain(norm)
    if not (training and fused):
        return norm(x + apply_dropout(dropout, dense(inner), seed))
    added, bias = _product_and_bias(dense, inner)
    gamma, beta = (as_tensor(weight) for weight in (norm.gamma, norm.beta))
    seed = dropout.drawn_seed() if seed is None else seed
    return residual_norm(x, added, bias, seed, gamma, beta, rate=dropout.rate, epsilon=norm.epsilon)


def apply_dropout(dropout, x, seed):
    """Returns `x` after a dropout layer of any class; in training by `seed`, if that is drawn already."""
    return dropout(x) if seed is None else dropout(x, training=True, seed=seed)


def recomputed(function, x, dtype):
    """Returns `function(x)`; what it computes in between is not kept but computed again for the gradient.

    Args:
        function: of one tensor; without random numbers of its own, losses or updates.
        x: float tensor.
        dtype: str. Compute dtype of the layer: the gradient is computed outside of its call.

    Reference: Chen et al., 2016.
    """

    def compute(x):
        with AutocastScope(dtype):
            return function(x)

    return keras.remat(compute)(x)


def initializer():
    """Returns a new N(0, 0.02) initializer; each weight needs its own, since one instance repeats its numbers."""
    return keras.initializers.RandomNormal(mean=0.0, stddev=INITIALIZER_STDDEV)


def layer_norm(dtype, name):
    """Returns BERT's layer normalisation over the last axis, epsilon 1e-12, computed in float32 by Keras."""
    return keras.layers.LayerNormalization(epsilon=LAYER_NORM_EPSILON, dtype=dtype, name=name)


def gather_positions(sequence, positions):
    """Returns the vectors of `sequence` at `positions`.

    Args:
        sequence: float `(B, T, D)`.
        positions: int `(B, M)`, each in [0, T).

    Returns:
        float `(B, M, D)`.
    """
    return ops.take_along_axis(sequence, ops.expand_dims(positions, -1), axis=1)


def as_tensor(weight):
    """Returns the value of a weight: Keras' int8 and int4 layers cannot take a TensorFlow variable."""
    return ops.multiply(weight, 1.0)


def reject_rematerialization(kind: type) -> None:
    """Raises `ValueError` within a `keras.RematScope` whose mode is not `None`.

    Keras 3.15 computes `call` of a layer made there again for its gradient. Dropout fails then on JAX and in
    TensorFlow's graphs, where its `training` is a tensor; elsewhere it draws another mask than before.
    """
    mode = keras.layers.Identity()._remat_mode
    if mode is not None and mode.mode is not None:
        raise ValueError(
            f"`{kind.__name__}` cannot be made within a `keras.RematScope`: Keras computes dropout wrongly there. "
            'Expected: a model made outside of it; to save memory, `set_recompute("blocks")` of the encoder. '
            f"Received: mode={mode.mode!r}."
        )
