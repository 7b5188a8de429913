"""The product with the embedding matrix. Shape letters: N rows, D hidden_dim, V vocabulary."""

from keras import ops


def tied_logits(x, embeddings, bias):
    """Returns x E^T + bias in float32; its gradient's products are computed in the precision of `x`.

    Keras' `ReversibleEmbedding` transposes the matrix in memory and computes the gradient in float32, too. TensorFlow
    and JAX.

    Args:
        x: float `(..., D)`.
        embeddings: float32 `(V, D)`.
        bias: float32 `(V,)`.

    Returns:
        float32 `(..., V)`.
    """
    shape = ops.shape(x)

    @ops.custom_gradient
    def apply(rows, embeddings, bias):
        logits = ops.matmul(ops.cast(rows, "float32"), ops.transpose(embeddings)) + bias

        def gradient(*arguments, upstream=None):
            upstream = arguments[0] if upstream is None else upstream
            narrow = ops.cast(upstream, rows.dtype)
            to_rows = ops.matmul(narrow, ops.cast(embeddings, rows.dtype))
            to_embeddings = ops.cast(ops.matmul(ops.transpose(narrow), rows), "float32")
            # A product with ones: XLA's sum over the rows is ten times slower on processors.
            to_bias = ops.reshape(ops.matmul(ops.ones((1, ops.shape(upstream)[0])), upstream), bias.shape)
            return to_rows, to_embeddings, to_bias

        return logits, gradient

    logits = apply(ops.reshape(x, (-1, shape[-1])), embeddings, bias)
    return ops.reshape(logits, (*shape[:-1], embeddings.shape[0]))
