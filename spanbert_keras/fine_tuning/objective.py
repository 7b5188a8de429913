"""The objective of a task model. Shape letters: B rows."""

from keras import ops


class ExampleObjective:
    """The mean of a task model's losses over the examples of a batch; see `Objective`.

    Args:
        model: a task model with `target_keys` and `example_losses(outputs, batch)`, float32 `(B,)`.

    A batch has `example_weights`, float32 `(B,)`: 1 for an example, 0 for an empty row.
    """

    evaluation_keys = ()
    count_keys = ("example_weights",)
    score_keys = ("losses",)

    def __init__(self, model):
        self.target_keys = (*model.target_keys, "example_weights")
        self._losses = model.example_losses

    def score(self, outputs, batch):
        """Returns `losses`, float32 `(B,)`, in nats."""
        return {"losses": self._losses(outputs, batch)}

    def loss(self, scores, batch, counts):
        """Returns the sum of the examples' losses, divided by the number of examples in the whole batch."""
        return ops.sum(scores["losses"] * batch["example_weights"]) / ops.maximum(counts[0], 1.0)

    def predict(self, outputs, batch):
        """Returns the model's outputs in float32."""
        return {name: ops.cast(value, "float32") for name, value in outputs.items()}
