"""`BertForTokenClassification` of `transformers` on torch. Shape letters: N rows, T tokens, C classes."""

from collections.abc import Sequence

import numpy as np

from benchmarks.shared.torch_optimizer import make_adamw
from benchmarks.shared.transformers_classifier import TransformersClassifier

IGNORED = -100  # a token without a target, as in `transformers`


class TransformersTagger(TransformersClassifier):
    """A class for each token.

    Args:
        encoder, classes, learning_rate, total_steps, **settings: see `TransformersClassifier`; the rate is that of the
            encoder.
        head_learning_rate: float. Rate of the first step of the layer on top: it falls linearly, without warm-up.
    """

    def __init__(
        self,
        encoder: str,
        classes: int,
        learning_rate: float,
        head_learning_rate: float,
        total_steps: int,
        **settings,
    ):
        settings |= {"model_class": "BertForTokenClassification"}
        super().__init__(encoder, classes, learning_rate, total_steps, **settings)
        head = list(self.model.classifier.parameters())
        self.optimizer = make_adamw(self.model.bert, learning_rate)
        self.optimizer.add_param_group({"params": head, "lr": head_learning_rate, "weight_decay": 0.0})
        warmup = round(0.1 * total_steps)

        def falling(step: int) -> float:
            return max(0.0, 1.0 - step / total_steps)

        def warmed_up(step: int) -> float:
            return step / warmup if step < warmup else max(0.0, (total_steps - step) / max(1, total_steps - warmup))

        shapes = [warmed_up] * (len(self.optimizer.param_groups) - 1) + [falling]
        self.schedule = self.torch.optim.lr_scheduler.LambdaLR(self.optimizer, shapes)

    def train_on(self, encoded: dict[str, list], targets: Sequence[np.ndarray], rows: np.ndarray) -> float:
        """Trains on these rows, and returns their loss.

        Args:
            encoded: rows as `encode` returns them.
            targets: for each row int64 `(T,)`, the class of each token or `IGNORED`.
            rows: int. The rows of the step.
        """
        self.model.train()
        batch = self._tensors(encoded, rows, padded=False)
        padded = np.full(tuple(batch["input_ids"].shape), IGNORED, np.int64)
        for place, row in enumerate(rows.tolist()):
            padded[place, : len(targets[row])] = targets[row]
        return self.update(batch, padded)

    def classes_of(self, encoded: dict[str, list]) -> list[np.ndarray]:
        """Returns the likeliest class of each token of every row."""
        self.model.eval()
        lengths = [len(ids) for ids in encoded["input_ids"]]
        order, found = np.argsort(lengths, kind="stable"), [np.zeros(0, np.int64)] * len(lengths)
        with self.torch.no_grad():
            for start in range(0, len(order), self.batch_size):
                rows = order[start : start + self.batch_size]
                logits = self.model(**self._tensors(encoded, rows, padded=False)).logits.numpy()
                for row, of_row in zip(rows.tolist(), logits, strict=True):
                    found[row] = of_row[: lengths[row]].argmax(axis=-1)
        return found
