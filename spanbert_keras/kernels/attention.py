"""Attention whose weights are never stored. Shape letters: B rows, H heads, T tokens, E width of a head."""

import functools

import keras
from keras import ops

from spanbert_keras.errors import InputError
from spanbert_keras.kernels.attention_weights import MASKED_SCORE, attention_context, attention_gradients
from spanbert_keras.kernels.fusion import fusion_applies
from spanbert_keras.kernels.jax_attention import cudnn_applies, cudnn_attention, jax_attention
from spanbert_keras.kernels.keep_mask import row_keys

TILE = 2**20  # weights that are computed at a time, at least those of one row
TORCH_TILE = 2**24  # the same on torch, where each tile is recomputed as a whole
KINDS = ("auto", "reference", "fused")


def is_fused(kind: str, dtype: str, training: bool) -> bool:
    """Returns whether attention does without stored weights.

    In training they would be kept for the gradient of every layer; in predictions nothing is kept.

    Args:
        kind: one of `KINDS`.
        dtype: compute dtype of the layer.
        training: bool. Whether dropout applies.

    Raises:
        InputError: `"fused"` with float16, whose scores are limited.
    """
    if kind == "fused" and dtype == "float16":
        raise InputError(
            "Fused attention does not limit its scores, which overflow in float16. Expected: attention='auto' or "
            "'reference', or the precision mixed_bfloat16 or float32. Received: attention='fused' in float16."
        )
    return training and (kind == "fused" or (kind == "auto" and dtype in ("float32", "bfloat16")))


def attention_facts(kind: str, dtype: str, rate: float, length: int, head_dim: int) -> dict[str, str | float]:
    """Returns what computes the attention of training, for the record of a run.

    Args:
        kind, dtype: as for `is_fused`.
        rate: float. Dropout of the weights.
        length, head_dim: int. Tokens of a row, width of a head.
    """
    kernel = "recomputed"
    if not is_fused(kind, dtype, True):
        kernel = "reference"
    elif keras.backend.backend() == "torch":
        kernel = "scaled_dot_product_attention"
    elif keras.backend.backend() == "jax" and cudnn_applies(dtype, rate, length, head_dim):
        kernel = "cudnn"
    return {"kernel": kernel, "mask": "blocks of each row", "dropout": rate}


def _by_tiles(function, arguments, tile_rows, dtypes):
    """Returns the results of a function of some rows, for all rows: one tile after the other.

    Args:
        function: takes a tile of each argument, returns a tuple of tensors.
        arguments: tuple of tensors `(B, ...)`.
        tile_rows: int, or int tensor. Rows of a tile, at most.
        dtypes: tuple of dtypes of the function's results.
    """
    import tensorflow as tf

    count, dynamic = arguments[0].shape[0], True
    if count is not None and isinstance(tile_rows, int):
        tile_rows = max((size for size in range(1, min(tile_rows, count) + 1) if count % size == 0), default=count)
        if tile_rows == count:
            return function(*arguments)
        dynamic = False
    rows = tf.shape(arguments[0])[0] if count is None else count

    def tile(x, i):
        if dynamic:
            return x[i * tile_rows : (i + 1) * tile_rows]
        return tf.slice(x, [i * tile_rows, *[0] * (len(x.shape) - 1)], [tile_rows, *ops.shape(x)[1:]])

    def body(i, arrays):
        parts = function(*(tile(x, i) for x in arguments))
        return i + 1, [array.write(i, part) for array, part in zip(arrays, parts, strict=True)]

    tiles = tf.maximum(-(-rows // tile_rows), 1)  # a replica of the last batch may have no rows
    arrays = [tf.TensorArray(dtype, tiles, infer_shape=False) for dtype in dtypes]
    _, arrays = tf.while_loop(lambda i, _: i < tiles, body, (0, arrays), parallel_iterations=1)
    return tuple(array.concat() for array in arrays)


def _tile_rows(heads, length):
    import tensorflow as tf

    weights = heads * length * length
    return max(1, TILE // weights) if isinstance(weights, int) else tf.maximum(1, TILE // weights)


def fused_attention(query, key, value, mask, seed, *, rate):
    """Returns Dropout(softmax(q k^T)) v; the gradient computes the weights again, so that no layer keeps them.

    On TensorFlow's CPU a few rows are computed at a time, on JAX a few queries of all rows, or all by cuDNN: see
    `cudnn_applies`. On torch it is `scaled_dot_product_attention`, which draws its dropout itself, from torch's
    generator; on a processor it is computed again if there is dropout.

    Args:
        query, key, value: float `(B, H, T, E)`; `query` is scaled already.
        mask: bool `(B, T, T)`. True where query t may attend to key u.
        seed: int `(2,)`. Seed of the dropout.
        rate: float. Probability of zeroing a weight.

    Returns:
        float `(B, H, T, E)`.

    Reference: Dao et al., 2022.
    """
    if keras.backend.backend() == "torch":
        return _torch_attention(query, key, value, mask, rate)
    mask = ops.convert_to_tensor(mask)
    shape = ops.shape(query)
    if keras.backend.backend() == "jax" and cudnn_applies(query.dtype.name, rate, *shape[2:]):
        return cudnn_attention(query, key, value, mask)
    rows, heads, length, _ = shape
    keys = ops.reshape(row_keys(seed, rows * heads * length), (rows, heads, length))
    if keras.backend.backend() == "jax":
        return jax_attention(query, key, value, mask, keys, rate=rate)
    dtype = query.dtype

    forward = functools.partial(attention_context, rate=rate)
    backward = functools.partial(attention_gradients, rate=rate)

    def computed(function, arguments, dtypes):
        if not fusion_applies():
            return function(*arguments)
        return _by_tiles(function, arguments, _tile_rows(heads, length), dtypes)

    @ops.custom_gradient
    def apply(query, key, value):
        context, *totals = computed(forward, (query, key, value, mask, keys), (dtype, "float32", "float32"))
        context = ops.reshape(context, shape)
        totals = [ops.reshape(x, (*shape[:-1], 1)) for x in totals]

        def gradient(*arguments, upstream=None):
            upstream = arguments[0] if upstream is None else upstream
            inner = ops.sum(ops.cast(context, "float32") * ops.cast(upstream, "float32"), axis=-1, keepdims=True)
            needed = (query, key, value, mask, keys, *totals, inner, upstream)
            return tuple(ops.reshape(x, shape) for x in computed(backward, needed, (dtype,) * 3))

        return context, gradient

    return apply(query, key, value)


def _torch_attention(query, key, value, mask, rate):
    import torch

    bias = ops.where(ops.expand_dims(mask, 1), 0.0, MASKED_SCORE).to(query.dtype)  # (B, 1, T, T)
    attend = functools.partial(torch.nn.functional.scaled_dot_product_attention, dropout_p=rate, scale=1.0)
    if not rate or query.device.type != "cpu":
        return attend(query, key, value, bias)
    # With dropout torch has no kernel for processors and keeps three tensors of the weights' size.
    rows, heads, length, _ = query.shape
    tile_rows = max(1, TORCH_TILE // (heads * length * length))
    tiles = zip(*(x.split(tile_rows) for x in (query, key, value, bias)), strict=True)
    parts = [keras.remat(attend)(*tile) for tile in tiles]
    return torch.cat(parts) if rows > tile_rows else parts[0]
