"""The objective of `fine_tune`, which also scores. Shape letters: B rows, C classes."""

from keras import ops

from spanbert_keras.fine_tuning.objective import ExampleObjective


class ScoredObjective(ExampleObjective):
    """`ExampleObjective` whose predictions are what scores are sums of: evaluation needs the targets too.

    Args:
        model, weighted: see `ExampleObjective`. A model whose `problem_type` is `"single_label"` also has an accuracy.
    """

    def __init__(self, model, weighted: bool = False):
        super().__init__(model, weighted)
        self.evaluation_keys = self.target_keys
        self._has_classes = getattr(model, "problem_type", None) == "single_label"

    def predict(self, outputs, batch):
        """Returns sums of every row, float32 `(B,)`: `losses` and, of single labels, `right`."""
        sums = self.score(outputs, batch)
        if self._has_classes:
            found, gold = (ops.argmax(x, axis=-1) for x in (outputs["logits"], batch["label_targets"]))  # (B, C)
            sums["right"] = ops.cast(ops.equal(found, gold), "float32")
        return sums

    def scores(self, sums: dict[str, float]) -> dict[str, float]:
        """Returns the `loss`, in nats, and of single labels the `accuracy`.

        Args:
            sums: dict of what `predict` returns, summed over all examples; `rows` is their number.
        """
        found = {"loss": sums["losses"] / sums["rows"]}
        return found | ({"accuracy": sums["right"] / sums["rows"]} if self._has_classes else {})
