"""Our training steps on a task's rows, without files, logs and checkpoints."""

import numpy as np


class TrainingSteps:
    """Steps of a task's model: AdamW at a fixed learning rate, clipped gradients, rows of similar length together.

    Args:
        model: a task's model.
        rows: its training rows, with `lengths` and `batch`.
        batch_size: int. Rows per step.
        learning_rate: float.
    """

    def __init__(self, model, rows, batch_size: int, learning_rate: float):
        from spanbert_keras.fine_tuning.objective import ExampleObjective
        from spanbert_keras.preprocessing.length_buckets import LengthBuckets
        from spanbert_keras.training.backend import has_accelerator, make_step
        from spanbert_keras.training.steps.objective import StepSettings, seed_generators
        from spanbert_keras.training.steps.optimizers import make_adamw

        self.rows, self.batch_size = rows, batch_size
        self.batches = LengthBuckets(rows.lengths, rows.batch, batch_size, (0, 1))
        optimizer = make_adamw(model.trainable_variables, learning_rate, weight_decay=0.01)
        settings = StepSettings(objective=ExampleObjective(model), compile=has_accelerator())
        self.step = make_step(model, optimizer, settings)
        self.seeds = np.ones((1, 1, 1, len(seed_generators(model)), 2), np.uint32)

    def warm_up(self) -> None:
        """Compiles every shape."""
        shortest = np.full(self.batch_size, np.argmin(self.rows.lengths), np.int64)  # fits every length
        for length in self.batches.row_lengths:
            batch = self.rows.batch(shortest, length)
            self._train(batch | {"example_weights": np.ones(self.batch_size, np.float32)})

    def _train(self, batch: dict) -> float:
        stacked = {key: value[np.newaxis] for key, value in batch.items()}
        return float(self.step.to_numpy(self.step.train(stacked, self.seeds, 1.0, 0))["loss"][0])

    def train(self, first: int, last: int) -> None:
        """Runs these steps."""
        for number in range(first, last):
            self._train(self.batches.batch(number))
