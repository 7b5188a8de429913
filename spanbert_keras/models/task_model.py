"""What all task models share. B rows."""

import keras
from keras import ops


class TaskModel:
    """Mixin: a model over an `encoder` with its tokenizer, trained by the mean of its examples' losses.

    Attributes:
        target_keys: entries of a training batch beside the model's inputs.
        static_shapes: whether `call` must know the shapes of its inputs.
    """

    target_keys: tuple[str, ...] = ()
    static_shapes = False

    @property
    def tokenizer(self):
        """The encoder's tokenizer."""
        return self.encoder.tokenizer

    def example_losses(self, outputs, batch):
        """Returns the loss of every row, float32 `(B,)`."""
        raise NotImplementedError

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """Returns the loss of a batch for `fit` and `evaluate`; targets come from `x` or `y`, by name."""
        given = {**(x if hasattr(x, "keys") else {}), **(y if hasattr(y, "keys") else {})}
        missing = [key for key in self.target_keys if key not in given]
        if missing:
            raise ValueError(f"Training needs the targets {self.target_keys}, by name. Missing: {missing}.")
        losses = self.example_losses(y_pred, given)
        if sample_weight is None:
            return ops.mean(losses)
        if hasattr(sample_weight, "keys"):  # Keras repeats it for each entry of a dict of targets
            sample_weight = next(iter(sample_weight.values()))
        sample_weight = ops.cast(sample_weight, "float32")
        return ops.sum(losses * sample_weight) / ops.maximum(ops.sum(sample_weight), 1.0)

    def get_config(self):
        """Returns what every task model's config has."""
        return {
            "name": self.name,
            "trainable": self.trainable,
            "dtype": keras.dtype_policies.serialize(self.dtype_policy),
            "encoder": keras.saving.serialize_keras_object(self.encoder),
        }

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        for name, revive in (
            ("encoder", keras.saving.deserialize_keras_object),
            ("dtype", keras.dtype_policies.deserialize),
        ):
            if isinstance(config.get(name), dict):
                config[name] = revive(config[name])
        return cls(**config)
