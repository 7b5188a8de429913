"""What all task models share. B rows."""

import keras

from spanbert_keras.layers.saving.saved_state import KEY, SavedState, plain_policy
from spanbert_keras.models.named_targets import NamedTargets, mean_over_rows


class TaskModel(SavedState, NamedTargets):
    """Mixin: a model over an `encoder` with its tokenizer, trained by the mean of its examples' losses.

    Attributes:
        target_keys: entries of a training batch beside the model's inputs.
        static_shapes: whether `call` must know the shapes of its inputs.
    """

    static_shapes = False

    @property
    def tokenizer(self):
        """The encoder's tokenizer."""
        return self.encoder.tokenizer

    def example_losses(self, outputs, batch):
        """Returns the loss of every row, float32 `(B,)`."""
        raise NotImplementedError

    def own_loss(self, outputs, batch, row_weights):
        return mean_over_rows(self.example_losses(outputs, batch), row_weights)

    def saved_apart(self):
        return (self.encoder,)

    def get_config(self):
        """Returns what every task model's config has."""
        return self.layer_state() | {
            "name": self.name,
            "trainable": self.trainable,
            "dtype": keras.dtype_policies.serialize(plain_policy(self.dtype_policy)),
            "encoder": keras.saving.serialize_keras_object(self.encoder),
        }

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        state = config.pop(KEY, None)
        for name, revive in (
            ("encoder", keras.saving.deserialize_keras_object),
            ("dtype", keras.dtype_policies.deserialize),
        ):
            if isinstance(config.get(name), dict):
                config[name] = revive(config[name])
        made = cls(**config)
        if state:
            made.restore_layer_state(state)
        return made
