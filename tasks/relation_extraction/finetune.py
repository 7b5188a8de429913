"""Fine-tunes an encoder for relation extraction: TACRED, Re-TACRED, and files in their format.

python -m tasks.relation_extraction.finetune --flagfile=configs/tacred.flags --encoder=encoder.keras \\
    --train_file=train.json --dev_file=dev.json --output_dir=runs/tacred
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from absl import logging

import spanbert_keras
from spanbert_keras import program
from spanbert_keras.program import InputError, setting
from tasks.relation_extraction import data, metrics, predictions
from tasks.shared.classification_settings import ClassificationSettings
from tasks.shared.classification_task import ClassificationTask
from tasks.shared.classifier_predictions import warn_if_alike
from tasks.shared.task import fine_tune
from tasks.shared.text_files import listed


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(ClassificationSettings):
    """Settings of one fine-tuning run."""

    # --- data
    train_file: tuple[str, ...] = setting(
        "Training files: TACRED's JSON, or one object per line, also .gz; several with commas.",
        path=True,
        changeable=True,
    )
    dev_file: str = setting("Dev file, by which the best model is chosen.", path=True, changeable=True)
    test_file: str | None = setting(
        "Test file, scored once at the end by the chosen model.", default=None, path=True, changeable=True
    )
    train_labels: str | None = setting(
        "Re-TACRED labels of the training file, JSON from id to relation.", default=None, path=True, changeable=True
    )
    dev_labels: str | None = setting(
        "Re-TACRED labels of the dev file, JSON.", default=None, path=True, changeable=True
    )
    test_labels: str | None = setting(
        "Re-TACRED labels of the test file, JSON.", default=None, path=True, changeable=True
    )
    dataset: str | None = setting("Name of the data in run.json, e.g. TACRED.", default=None, changeable=True)
    no_relation: str = setting("Label of no relation, which is excluded from the scores.", default=data.NO_RELATION)
    skip_bad_examples: bool = setting("Skips and reports bad examples.", default=False, changeable=True)
    # --- model
    feature_mode: str = setting(
        "Form of the entities: masked by their type (ner) as in the paper, or with their words (text) as in the "
        "released code, or both.",
        default="ner",
        choices=("ner", "text", "text_ner", "ner_text"),
    )


class RelationExtraction(ClassificationTask):
    """Relation extraction as a `FineTuningTask`.

    Args:
        config: `Config`.
    """

    model_name = "relation_extractor"
    select_by = "f1"

    def __init__(self, config: Config):
        super().__init__(config)
        if config.train_labels and len(config.train_file) > 1:
            raise InputError("--train_labels needs a single training file. Received: several in --train_file.")
        if config.test_labels and not config.test_file:
            raise InputError(f"--test_labels={config.test_labels} needs --test_file. Received: none.")
        self.train = [one for path in config.train_file for one in self._read(path, config.train_labels)]
        if all(example.relation != config.no_relation for example in self.train):
            logging.warning("No training example has the label --no_relation=%s.", config.no_relation)
        if len(data.labels_of(self.train, config.no_relation)) < 2:
            raise InputError(
                f"--train_file must have a relation besides --no_relation={config.no_relation}. "
                f"Received: {len(self.train)} examples with only that label."
            )
        self.dev = self._read(config.dev_file, config.dev_labels)
        self.test_examples = self._read(config.test_file, config.test_labels) if config.test_file else []
        known = {example.relation for example in self.train} | {config.no_relation}
        for flag, examples in (("dev_file", self.dev), ("test_file", self.test_examples)):
            unknown = [example.relation for example in examples if example.relation not in known]
            if unknown:
                logging.warning(
                    "--%s has relations that are not in the training data (%d occurrences): %s.",
                    flag,
                    len(unknown),
                    listed(unknown),
                )

    def _read(self, path: str, labels: str | None) -> list:
        file = data.read(path, self.config.skip_bad_examples, labels)
        self.left_out += file.left_out
        if file.unlabelled:
            logging.info("%s: %d examples have no entry in %s and are left out.", path, file.unlabelled, labels)
        return file.examples

    def make_model(self):
        """Returns the model on the encoder: with the relations of the training data and markers of all entity types."""
        config = self.config
        encoder, row_length = self.load_encoder("max_sequence_length")
        self.log_left_out()
        subjects, objects = data.types_of([*self.train, *self.dev, *self.test_examples])
        return self.build(
            spanbert_keras.SpanBertRelationExtractor,
            encoder,
            labels=data.labels_of(self.train, config.no_relation),
            subject_types=subjects,
            object_types=objects,
            feature_mode=config.feature_mode,
            row_length=row_length,
            pooler=config.pooler,
            dropout=config.classifier_dropout,
        )

    def inputs_of(self, examples: Sequence) -> list:
        """Returns the `EntityPair` of each example."""
        return [example.pair for example in examples]

    def places_of(self, model, examples: Sequence) -> list[int]:
        """Returns the place of each example's relation among the model's."""
        places = {label: place for place, label in enumerate(model.labels)}
        return [places[example.relation] for example in examples]

    def scores_of(self, model, examples: Sequence, logits: np.ndarray) -> dict[str, float]:
        """Returns precision, recall and F1 without `no_relation` in per cent; for directed relations, SemEval's."""
        gold, found = [example.relation for example in examples], predictions.labels_of(model, logits)
        warn_if_alike(found, "sentences")
        return metrics.score(gold, found, self.config.no_relation, model.labels)

    def write(self, model, folder: Path, examples: Sequence, logits: np.ndarray) -> None:
        """Writes the predictions of a set."""
        predictions.write(folder, model, examples, logits)


def main(config: Config) -> None:
    """Fine-tunes, evaluates, and writes the results."""
    fine_tune(config, RelationExtraction)


if __name__ == "__main__":
    program.run(main, Config)
