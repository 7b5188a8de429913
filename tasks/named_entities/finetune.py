"""Fine-tunes an encoder for named entities: CoNLL-2003, nested entities in stacked columns, and JSON lines.

python -m tasks.named_entities.finetune --flagfile=configs/entities_nested.flags --encoder=encoder.keras \\
    --train_file=train.tsv --dev_file=dev.tsv --output_dir=runs/entities
"""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

from absl import logging

import spanbert_keras
from spanbert_keras import program
from spanbert_keras.fine_tuning.settings import FineTuningSettings
from spanbert_keras.program import InputError, setting
from tasks.named_entities import data, predictions
from tasks.named_entities.file_settings import FileSettings
from tasks.shared.extras import ENTITIES, load
from tasks.shared.task import Task, fine_tune
from tasks.shared.text_files import listed

if TYPE_CHECKING:
    from spanbert_keras.fine_tuning.run import TrainingRows


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(FileSettings, FineTuningSettings):
    """Settings of one fine-tuning run."""

    # --- data
    train_file: tuple[str, ...] = setting(
        "Training files: columns of tags or JSON lines, also .gz; several with commas.", path=True, changeable=True
    )
    dev_file: str = setting("Dev file, by which the best model is chosen.", path=True, changeable=True)
    test_file: str | None = setting(
        "Test file, scored once at the end by the chosen model.", default=None, path=True, changeable=True
    )
    dataset: str | None = setting("Name of the data in run.json, e.g. CoNLL-2003.", default=None, changeable=True)
    skip_bad_examples: bool = setting("Skips and reports bad examples.", default=False, changeable=True)
    # --- how
    epochs: float = setting("Passes over the training texts.", default=10.0, above=0)
    evaluations_per_epoch: int = setting("Evaluations on dev per epoch.", default=1, minimum=1)
    task_learning_rate: float = setting(
        "Initial learning rate of the layer on top of the encoder, without warm-up.", default=5e-4, above=0
    )
    # --- model
    max_sequence_length: int = setting("Tokens per row; at most the encoder's maximum.", default=512, minimum=3)
    max_span_width: int = setting("Words of the longest entity.", default=16, minimum=1)
    nested: bool = setting("Allows entities inside others.", default=True)
    hidden_dim: int = setting("Width of the task's hidden layer.", default=256, minimum=1)
    task_dropout: float = setting("Dropout rate of the task's layer.", default=0.1, minimum=0, below=1)


class NamedEntities(Task):
    """Named entities as a `FineTuningTask`.

    Args:
        config: `Config`.
    """

    model_name = "entity_recognizer"
    select_by = "f1"

    def __init__(self, config: Config):
        super().__init__(config)
        self._columns: dict[str, int] = {}
        self.task_learning_rate = config.task_learning_rate
        if not config.nested:
            load("seqeval.metrics", ENTITIES)  # a missing one is reported at once
        self.train = [example for path in config.train_file for example in self._read(path)]
        self.labels = data.labels_of(self.train)
        self.dev = self._read(config.dev_file)
        for flag, examples in (("train_file", self.train), ("dev_file", self.dev)):
            if not any(example.entities for example in examples):
                raise InputError(
                    f"--{flag} must have entities, for training and for choosing the best model. "
                    f"Received: {len(examples)} texts without any."
                )
        self.test_examples = self._read(config.test_file) if config.test_file else []
        for flag, examples in (("dev_file", self.dev), ("test_file", self.test_examples)):
            unknown = [label for example in examples for _, _, label in example.entities if label not in self.labels]
            if unknown:
                logging.warning(
                    "--%s has labels that are not in the training data (%d entities): %s.",
                    flag,
                    len(unknown),
                    listed(unknown),
                )

    def _read(self, path: str) -> list[data.Example]:
        file = self.config.read(path, self.config.skip_bad_examples)
        self.left_out += file.left_out
        self._columns[path] = file.tag_columns
        entities = sum(len(example.entities) for example in file.examples)
        logging.info(
            "%s: %d texts, %d entities, %d columns of tags.", path, len(file.examples), entities, file.tag_columns
        )
        return file.examples

    def sets(self) -> dict[str, list]:
        """Returns the examples."""
        return {"train": self.train, "dev": self.dev, "test": self.test_examples}

    def make_model(self):
        """Returns the model over the encoder, with the labels of the training data."""
        config = self.config
        encoder, row_length = self.load_encoder("max_sequence_length")
        self.log_left_out()
        return self.build(
            spanbert_keras.SpanBertEntityRecognizer,
            encoder,
            labels=self.labels,
            max_span_width=config.max_span_width,
            nested=config.nested,
            row_length=row_length,
            hidden_dim=config.hidden_dim,
            dropout=config.task_dropout,
        )

    def training_rows(self, model) -> "TrainingRows":
        """Returns the training rows, and logs what cannot be a target."""
        train = predictions.readable(model, self.train)
        rows = model.preprocessor.rows([one.text for one in train], [list(one.entities) for one in train])
        logging.info("Training data: %s", {name: n for name, n in rows.counts.items() if n})
        return rows

    def evaluate(self, model, predict, rows: int) -> dict[str, float]:
        """Returns the scores on dev."""
        return predictions.score(model, self.dev, predictions.predict(model, self.dev, rows))["all"]

    def finish(self, model, folder: Path, predict, rows: int) -> dict[str, Any]:
        """Writes dev's predictions, and returns dev's scores."""
        return self._scored(model, self.dev, folder / "dev", self.config.dev_file)

    def test(self, model, folder: Path) -> dict[str, Any]:
        """Returns the scores on test; {} without a test set."""
        test_file = self.config.test_file
        return self._scored(model, self.test_examples, folder / "test", test_file) if test_file else {}

    def _scored(self, model, examples, folder: Path, path: str) -> dict[str, Any]:
        found = predictions.predict(model, examples)
        predictions.write(folder, examples, found, self._columns[path])
        tables = predictions.score(model, examples, found)
        outer = tables.get("outermost", {})
        return tables["all"] | {f"outermost_{name}": outer[name] for name in ("precision", "recall", "f1") if outer}


def main(config: Config) -> None:
    """Fine-tunes, evaluates, and writes the results."""
    fine_tune(config, NamedEntities)


if __name__ == "__main__":
    program.run(main, Config)
