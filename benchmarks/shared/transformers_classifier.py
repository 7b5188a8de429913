"""`BertForSequenceClassification` of `transformers` on torch, trained and used as its users do.

Shape letters: N rows, C classes.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks.shared.torch_optimizer import make_adamw

POOL_SIZE = 20  # batches per pool in which rows are sorted by length


class TransformersClassifier:
    """A model with its optimizer: AdamW (no decay of biases and layer norms), linear warm-up and decay, clipping.

    Args:
        encoder: str. Hugging Face folder of a BERT.
        classes: int. C; 1 for regression.
        learning_rate: float. Peak learning rate.
        total_steps: int.
        batch_size: int. Rows per step.
        max_length: int. Tokens per row.
        seed: int. Seed of head, order and dropout.
        pooler: bool. Whether the linear layer reads the folder's pooler, as usual, or [CLS].
        model_class: str. Name of the class in `transformers`.
    """

    def __init__(
        self,
        encoder: str,
        classes: int,
        learning_rate: float,
        total_steps: int,
        batch_size: int = 32,
        max_length: int = 128,
        seed: int = 0,
        pooler: bool = True,
        model_class: str = "BertForSequenceClassification",
    ):
        import torch
        import transformers

        transformers.utils.logging.set_verbosity_error()
        self.torch: Any = torch
        self.batch_size, self.max_length = batch_size, max_length
        self.random = np.random.default_rng(seed)
        torch.manual_seed(seed)
        self.model = getattr(transformers, model_class).from_pretrained(encoder, num_labels=classes)
        if not pooler:
            self.model.bert.pooler.register_forward_hook(lambda module, inputs, output: inputs[0][:, 0])
        self.tokenizer = transformers.AutoTokenizer.from_pretrained(encoder)
        self.optimizer = make_adamw(self.model, learning_rate)
        self.schedule = transformers.get_linear_schedule_with_warmup(
            self.optimizer, round(0.1 * total_steps), total_steps
        )

    def encode(self, texts: Sequence[str], pairs: Sequence[str] | None = None) -> dict[str, list]:
        """Returns tokenized rows, cut to `max_length`."""
        given = (list(texts),) if pairs is None else (list(texts), list(pairs))
        return dict(self.tokenizer(*given, truncation=True, max_length=self.max_length))

    def epoch(self, encoded: dict[str, list], grouped: bool = True) -> list[np.ndarray]:
        """Returns the batches of an epoch: shuffled rows, sorted by length in pools if `grouped`."""
        lengths = np.array([len(ids) for ids in encoded["input_ids"]])
        order, size = self.random.permutation(len(lengths)), self.batch_size
        if grouped:
            pools = [order[i : i + POOL_SIZE * size] for i in range(0, len(order), POOL_SIZE * size)]
            order = np.concatenate([pool[np.argsort(lengths[pool], kind="stable")] for pool in pools])
        batches = [order[i : i + size] for i in range(0, len(order), size)]
        return [batches[i] for i in self.random.permutation(len(batches))]

    def step(self, encoded: dict[str, list], targets: np.ndarray, rows: np.ndarray, padded: bool = False) -> float:
        """Trains on these rows, and returns their loss.

        Args:
            encoded: what `encode` returns, N rows.
            targets: int64 `(N,)`, class indices; float32 for regression.
            rows: int, the rows of the step.
            padded: bool. Whether rows are padded to `max_length` instead of the longest in the step.
        """
        self.model.train()
        return self.update(self._tensors(encoded, rows, padded), targets[rows])

    def update(self, batch: Any, targets: np.ndarray) -> float:
        """Trains on a batch of tensors with its targets, and returns its loss."""
        loss = self.model(**batch, labels=self.torch.from_numpy(targets)).loss
        loss.backward()
        self.torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.schedule.step()
        self.optimizer.zero_grad()
        return float(loss.item())

    def logits(self, encoded: dict[str, list], padded: bool = False) -> np.ndarray:
        """Returns the logits of all rows, float32 `(N, C)`; rows of similar length are computed together."""
        self.model.eval()
        lengths = [len(ids) for ids in encoded["input_ids"]]
        order = np.argsort(lengths, kind="stable")
        found = np.zeros((len(lengths), self.model.num_labels), np.float32)
        with self.torch.no_grad():
            for start in range(0, len(order), self.batch_size):
                rows = order[start : start + self.batch_size]
                found[rows] = self.model(**self._tensors(encoded, rows, padded)).logits.numpy()
        return found

    def _tensors(self, encoded: dict[str, list], rows: np.ndarray, padded: bool) -> Any:
        chosen = {key: [values[row] for row in rows.tolist()] for key, values in encoded.items()}
        how = {"padding": "max_length", "max_length": self.max_length} if padded else {}
        return self.tokenizer.pad(chosen, return_tensors="pt", **how)
