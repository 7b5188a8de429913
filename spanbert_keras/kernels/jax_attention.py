"""Attention on JAX. Shape letters: B rows, H heads, T tokens, E width of a head, Q queries of a tile, N tiles."""

import functools

from spanbert_keras.kernels.attention_weights import attention_context, attention_gradients

QUERIES = 128  # of a tile, at most


def has_cudnn_attention() -> bool:
    """Returns whether JAX computes on an NVIDIA GPU whose cuDNN has fused attention: Ampere or later."""
    import jax

    device = jax.local_devices()[0]
    return "cuda" in device.client.platform_version and float(device.compute_capability) >= 8.0


def cudnn_applies(dtype: str, rate: float, length: int, head_dim: int) -> bool:
    """Returns whether cuDNN computes the attention of training.

    Its dropout takes one seed for the whole program, so that a step could not draw another mask than the step before.

    Args:
        dtype: str. Compute dtype.
        rate: float. Dropout of the weights.
        length: int. T; with a mask cuDNN's gradient needs an even one.
        head_dim: int. E.
    """
    fits = length % 2 == 0 and head_dim <= 128 and head_dim % 8 == 0
    return dtype == "bfloat16" and not rate and fits and has_cudnn_attention()


def cudnn_attention(query, key, value, mask):
    """Returns softmax(q k^T) v by cuDNN's kernel, float `(B, H, T, E)`; arguments as for `fused_attention`."""
    import jax

    query, key, value = (x.swapaxes(1, 2) for x in (query, key, value))  # (B, T, H, E)
    context = jax.nn.dot_product_attention(query, key, value, mask=mask[:, None], scale=1.0, implementation="cudnn")
    return context.swapaxes(1, 2)


def _tiles(x, axis):
    """Returns `(N, ..., Q, ...)` of an array whose `axis` has T elements, filled up with zeros to equal tiles."""
    import jax.numpy as jnp

    length = x.shape[axis]
    count = -(-length // QUERIES)
    size = -(-length // count)
    width = [(0, 0)] * x.ndim
    width[axis] = (0, count * size - length)
    parts = jnp.pad(x, width).reshape(*x.shape[:axis], count, size, *x.shape[axis + 1 :])
    return jnp.moveaxis(parts, axis, 0)


def _joined(parts, length):
    """Returns `(B, H, T, ...)` of tiles `(N, B, H, Q, ...)`."""
    import jax.numpy as jnp

    joined = jnp.moveaxis(parts, 0, 2)
    rows, heads, count, size, *others = joined.shape
    return joined.reshape(rows, heads, count * size, *others)[:, :, :length]


@functools.cache
def _attention():
    import jax
    import jax.numpy as jnp

    @functools.partial(jax.custom_vjp, nondiff_argnums=(5,))
    def attention(query, key, value, mask, keys, rate):
        return forward(query, key, value, mask, keys, rate)[0]

    def forward(query, key, value, mask, keys, rate):
        if query.shape[2] <= QUERIES:
            context, *totals = attention_context(query, key, value, mask, keys, rate=rate)
        else:
            tiles = _tiles(query, 2), _tiles(mask, 1), _tiles(keys, 2)
            parts = jax.lax.map(lambda tile: attention_context(tile[0], key, value, *tile[1:], rate=rate), tiles)
            context, *totals = (_joined(part, query.shape[2]) for part in parts)
        return context, (query, key, value, mask, keys, context, *totals)

    def backward(rate, kept, upstream):
        query, key, value, mask, keys, context, *totals = kept
        inner = jnp.sum(context.astype("float32") * upstream.astype("float32"), axis=-1, keepdims=True)
        if query.shape[2] <= QUERIES:
            arguments = (query, key, value, mask, keys, *totals, inner, upstream)
            return *attention_gradients(*arguments, rate=rate), None, None

        def add(sums, tile):
            query, mask, *others = tile
            to_query, *parts = attention_gradients(query, key, value, mask, *others, rate=rate)
            return tuple(total + part.astype("float32") for total, part in zip(sums, parts, strict=True)), to_query

        tiles = _tiles(query, 2), _tiles(mask, 1), *(_tiles(x, 2) for x in (keys, *totals, inner, upstream))
        zeros = jnp.zeros(key.shape, "float32")
        (to_key, to_value), to_query = jax.lax.scan(add, (zeros, zeros), tiles)
        return _joined(to_query, query.shape[2]), to_key.astype(key.dtype), to_value.astype(key.dtype), None, None

    attention.defvjp(forward, backward)
    return attention


def jax_attention(query, key, value, mask, keys, *, rate):
    """Returns Dropout(softmax(q k^T)) v, 128 queries at a time, in the forward and in the backward pass.

    Args:
        query, key, value, mask, rate: as for `fused_attention`.
        keys: uint32 `(B, H, T)`. Of each query's dropout, from `row_keys`.

    Returns:
        float `(B, H, T, E)`.
    """
    return _attention()(query, key, value, mask, keys, rate)
