"""The loss of spans against sums over spans and words in float64."""

import keras
import numpy as np

from spanbert_keras.losses.span_classification_loss import span_classification_losses

B, N, W, C = 3, 5, 2, 4


def test_losses_are_sums_over_spans_and_means_over_words():
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(B, N, W, C)).astype("float32") * 3
    labels = rng.integers(0, C, (B, N, W)).astype("int32")
    weights = (rng.random((B, N, W)) < 0.6).astype("float32")
    weights[1, :, :] = 0
    weights[1, 2, 1] = 1
    weights[2] = 0
    expected = []
    for row in range(B):
        total, words = 0.0, 0
        for word in range(N):
            words += weights[row, word].any()
            for width in range(W):
                x = logits[row, word, width].astype("float64")
                total += weights[row, word, width] * (np.log(np.exp(x).sum()) - x[labels[row, word, width]])
        expected.append(total / max(1, words))
    found = keras.ops.convert_to_numpy(span_classification_losses(logits, labels, weights))
    assert found.dtype == "float32" and expected[2] == 0.0
    np.testing.assert_allclose(found, expected, rtol=1e-5)
