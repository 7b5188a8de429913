"""The last layer of both pre-training heads. Shape letters: B batch, M masked positions, D hidden_dim, V vocabulary."""

import keras
from keras import ops

from spanbert_keras.kernels.fusion import has_kernels
from spanbert_keras.kernels.tied_logits import tied_logits
from spanbert_keras.layers.functional import AutocastScope, is_plain
from spanbert_keras.layers.saving.saved_state import SavedState


def _is_tied_and_plain(embedding):
    """Returns whether logits are nothing but products with the rows of an embedding, as they were made."""
    changed = embedding.lora_enabled or embedding.quantization_mode is not None or embedding.logit_soft_cap is not None
    return embedding.tie_weights and not changed and is_plain(embedding)


class VocabularyHead(SavedState, keras.layers.Layer):
    """Base of the heads: logits over the vocabulary by the tied input embedding and a bias of each head.

    Args:
        embedding: `keras.layers.ReversibleEmbedding` of V rows and D columns: the encoder's own layer, not a copy.
    """

    def __init__(self, embedding, **kwargs):
        super().__init__(**kwargs)
        self.embedding = embedding

    def build_vocabulary_bias(self):
        """Makes the bias, one number per piece, zero at first."""
        if not self.embedding.built:
            self.embedding.build()
        self.vocabulary_bias = self.add_weight(
            name="vocabulary_bias",
            shape=(self.embedding.input_dim,),
            initializer="zeros",
            autocast=False,  # added in float32: a mixed policy would round it first
        )

    def logits(self, x, training=False):
        """Returns x E^T + bias, float32 `(B, M, V)`, from float `(B, M, D)`."""
        if training and self.compute_dtype in ("float32", "bfloat16") and has_kernels(self.compute_dtype):
            if _is_tied_and_plain(self.embedding):
                with AutocastScope(None):  # the matrix stays float32
                    weights = [
                        ops.convert_to_tensor(w.value) for w in (self.embedding.embeddings, self.vocabulary_bias)
                    ]
                return tied_logits(x, *weights)
        return ops.cast(self.embedding(x, reverse=True), "float32") + ops.cast(self.vocabulary_bias, "float32")

    def logits_spec(self, positions):
        """Returns the symbolic logits for positions of shape `(B, M)`."""
        return keras.KerasTensor((*positions.shape, self.embedding.input_dim), dtype="float32")

    def get_config(self):
        return super().get_config() | {"embedding": keras.saving.serialize_keras_object(self.embedding)}

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        if isinstance(config["embedding"], dict):
            config["embedding"] = keras.saving.deserialize_keras_object(config["embedding"])
        return super().from_config(config)
