"""The part of a fine-tuning task that classifiers of texts and of relations share."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from absl import logging

from tasks.shared.label_targets import label_targets
from tasks.shared.task import Task

if TYPE_CHECKING:
    from spanbert_keras.fine_tuning.run import TrainingRows


class ClassificationTask(Task):
    """A task whose model gives logits for each row; a subclass reads files, gives raw examples and scores.

    Attributes:
        train, dev, test_examples: lists of examples.
    """

    train: list
    dev: list
    test_examples: list

    def __init__(self, config: Any):
        super().__init__(config)
        self._reported: set[int] = set()

    def build(self, model_class: Callable, encoder, **settings):
        """Returns the task's model, whose pooler, if it has one, starts from that of the encoder's source."""
        model, pooler = super().build(model_class, encoder, **settings), getattr(encoder, "source_pooler", None)
        if model.head.pooler:
            start = "starts from that of" if pooler is not None else "is initialised randomly: there is none in"
            logging.info("The pooler %s --encoder=%s.", start, self.config.encoder)
            if pooler is not None:
                model.head.pooler_dense.set_weights(pooler)
        return model

    def sets(self) -> dict[str, list]:
        """Returns the examples."""
        return {"train": self.train, "dev": self.dev, "test": self.test_examples}

    def inputs_of(self, examples: Sequence) -> list:
        """Returns each example as the model's preprocessor takes it."""
        raise NotImplementedError

    def rows_of(self, model, examples: Sequence) -> list:
        """Returns the model's row of each example."""
        return model.preprocessor.rows(self.inputs_of(examples)).rows

    def targets_of(self, model, examples: Sequence) -> np.ndarray:
        """Returns the targets of training examples, float32 `(N, C)`; by default from their labels."""
        config = self.config
        return label_targets(
            self.places_of(model, examples), len(model.labels), config.label_smoothing, config.class_weights
        )

    def places_of(self, model, examples: Sequence) -> list[int]:
        """Returns the index of each example's label among the model's."""
        raise NotImplementedError

    def scores_of(self, model, examples: Sequence, logits: np.ndarray) -> dict[str, float]:
        """Returns the scores of examples, from their logits `(N, C)`."""
        raise NotImplementedError

    def write(self, model, folder: Path, examples: Sequence, logits: np.ndarray) -> None:
        """Writes the predictions of a set into a folder of its own."""
        raise NotImplementedError

    def training_rows(self, model) -> "TrainingRows":
        """Returns the training rows."""
        rows = model.preprocessor.rows(self.inputs_of(self.train), self.targets_of(model, self.train))
        logging.info("%d training examples, %d of them cut; %d dev examples.", len(self.train), rows.cut, len(self.dev))
        if model.problem_type == "single_label":
            unseen = sorted(set(range(len(model.labels))).difference(self.places_of(model, self.train)))
            names = ", ".join(model.labels[place] for place in unseen)[:120]
            if unseen:
                logging.warning("%d labels have no training example: %s.", len(unseen), names)
        return rows

    def evaluate(self, model, predict, rows: int) -> dict[str, float]:
        """Returns the scores on dev."""
        return self.scores_of(model, self.dev, self._logits(model, self.dev, predict, rows))

    def finish(self, model, folder: Path, predict, rows: int) -> dict[str, Any]:
        """Writes dev's predictions, and returns dev's scores."""
        logits = self._logits(model, self.dev, predict, rows)
        self.write(model, folder / "dev", self.dev, logits)
        return self.scores_of(model, self.dev, logits)

    def test(self, model, folder: Path) -> dict[str, Any]:
        """Writes test's predictions, and returns the scores on test; {} without a test set."""
        if not self.test_examples:
            return {}
        logits = self._logits(model, self.test_examples)
        self.write(model, folder / "test", self.test_examples, logits)
        return self.scores_of(model, self.test_examples, logits)

    def _logits(self, model, examples: Sequence, predict=None, rows: int = 32) -> np.ndarray:
        made = self.rows_of(model, examples)
        cut = sum(row.cut for row in made)
        if cut and id(examples) not in self._reported:  # each set once
            self._reported.add(id(examples))
            logging.info("%d of %d examples to predict are cut.", cut, len(examples))
        return model.logits_of(made, rows, predict)
