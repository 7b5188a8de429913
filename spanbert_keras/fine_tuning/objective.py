"""The objective of a task model. Shape letters: B rows."""

from keras import ops


class ExampleObjective:
    """The mean of a task model's losses over the examples of a batch; see `Objective`.

    A batch has `example_weights`, float32 `(B,)`: 1 for an example, 0 for an empty row.

    Args:
        model: a task model with `target_keys` and `example_losses(outputs, batch)`, float32 `(B,)`.
        weighted: bool. Whether a batch also has `row_weights`, float32 `(B,)`, by which each loss is multiplied. The
            sum is still divided by the number of examples, as in Keras.
    """

    evaluation_keys = ()
    count_keys = ("example_weights",)
    score_keys = ("losses",)

    def __init__(self, model, weighted: bool = False):
        self.target_keys = (*model.target_keys, "example_weights", *(("row_weights",) if weighted else ()))
        self._losses = model.example_losses

    def score(self, outputs, batch):
        """Returns `losses`, float32 `(B,)`, in nats."""
        losses = self._losses(outputs, batch)
        return {"losses": losses * batch["row_weights"] if "row_weights" in self.target_keys else losses}

    def loss(self, scores, batch, counts):
        """Returns the sum of the examples' losses, divided by the number of examples in the whole batch."""
        return ops.sum(scores["losses"] * batch["example_weights"]) / ops.maximum(counts[0], 1.0)

    def predict(self, outputs, batch):
        """Returns the model's outputs in float32."""
        return {name: ops.cast(value, "float32") for name, value in outputs.items()}
