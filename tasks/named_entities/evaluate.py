"""Scores a saved recognizer on a file of named entities, and shows its errors on a page.

python -m tasks.named_entities.evaluate --model=runs/entities/entity_recognizer.keras --data=test.tsv
"""

import dataclasses
import functools
from pathlib import Path
from typing import Any

import numpy as np
from absl import logging

from spanbert_keras import program
from spanbert_keras.files.json_files import write_json
from spanbert_keras.model_flag import load_task_model, print_precision_difference
from spanbert_keras.program import InputError
from tasks.named_entities import page, predictions
from tasks.named_entities.file_settings import FileSettings
from tasks.shared.calibrated_evaluation import CalibratedEvaluation, print_calibration
from tasks.shared.calibration import label_loss
from tasks.shared.extras import ENTITIES, load
from tasks.shared.task import log_left_out
from tasks.shared.text_files import listed

COUNTS = ("gold", "predicted", "correct")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(FileSettings, CalibratedEvaluation):
    """Settings of one evaluation."""


def main(config: Config) -> None:
    """Predicts, scores, and writes the results."""
    model = load_task_model(config.model, "SpanBertEntityRecognizer", config.precision)
    gold = not config.predict_only
    file = config.read(config.data, config.skip_bad_examples, gold)
    log_left_out(file.left_out)
    examples = file.examples
    if gold:
        _check_labels(config, model, examples)
        if not model.nested:
            load("seqeval.metrics", ENTITIES)  # a missing one is reported at once
    sample = [example.text for example in examples[:1]]
    print_precision_difference(
        config.model,
        model,
        config.precision,
        "logits",
        lambda model: next(iter(model.span_logits(sample, config.batch_size)))[1][:, 0],
    )
    found = predictions.predict(model, examples, config.batch_size)
    folder = config.make_folder()
    predictions.write(folder, examples, found, file.tag_columns)
    if config.predict_only:
        print(f"Predictions of {len(examples):,} texts are in {folder}.")
        return
    tables = predictions.score(model, examples, found)
    calibration = calibrate(config, model, folder, examples)
    write_json(folder / "scores.json", tables | {"calibration": calibration})
    if config.page:
        total = tables["all"]
        facts = {"model": config.model, "data": config.data, "texts": f"{len(examples):,}"}
        facts |= {name: f"{total[name]:.1f}" for name in ("f1", "precision", "recall")}
        page.write_page(folder / "errors.html", f"Entities in {Path(config.data).name}", examples, found, facts)
    print_tables(tables)
    print_calibration(calibration)
    print(f"Predictions, scores{' and errors.html' if config.page else ''} are in {folder}.")


def _check_labels(config: Config, model, examples) -> None:
    """Raises if the model knows none of the gold labels; logs a warning about those that it does not know."""
    labels = [label for example in examples for _, _, label in example.entities]
    unknown = [label for label in labels if label not in model.labels]
    if not labels or len(unknown) == len(labels):
        raise InputError(
            f"{config.data} has no entity of --model={config.model}. Expected: {', '.join(model.labels)}; for a file "
            f"without entities, --predict_only writes predictions. Received: {listed(unknown) or 'no entity'}."
        )
    if unknown:
        logging.warning("%d entities have labels that the model does not know: %s.", len(unknown), listed(unknown))


def calibrate(config: Config, model, folder: Path, examples) -> dict[str, float]:
    """Returns the calibration of the probabilities of predicted entities; see `CalibratedEvaluation.calibrate`.

    The temperature is fitted on the classes of all spans, the scores are those of the entities found with it. If none
    is found, there are no scores.
    """
    examples = predictions.readable(model, examples)
    computed = list(model.span_logits([example.text for example in examples], config.batch_size))

    def predicted(temperature: float) -> tuple[np.ndarray, np.ndarray]:
        scores, right = [], []
        for example, (words, logits) in zip(examples, computed, strict=True):
            found = model.entities_of(example.text, words, logits, temperature=temperature)
            for one in predictions.inside_sentences(example, found):
                scores.append(one.score)
                right.append((one.start, one.end, one.label) in example.entities)
        return np.array(scores), np.array(right, bool)

    @functools.cache
    def loss_of_classes():
        parts = [_classes(model, *one) for one in zip(examples, computed, strict=True)]
        return label_loss(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))

    if not len(predicted(model.temperature)[0]):
        if config.calibrated_model is not None:
            raise InputError(
                f"--model={config.model} finds no entity in {config.data}, so that it cannot be calibrated. "
                "Train it longer."
            )
        return {"temperature": model.temperature}
    return config.calibrate(model, folder, predicted, lambda temperature: loss_of_classes()(temperature))


def _classes(model, example, of_text: tuple) -> tuple[np.ndarray, np.ndarray]:
    """Returns the logits of the spans of a text that the model scores, `(M, C + 1)`, and their classes, `(M,)`."""
    words, logits = of_text
    targets = np.zeros(logits.shape[:2], np.int64)
    numbers = {label: number for number, label in enumerate(model.labels, 1)}
    for start, end, label in example.entities:
        place = words.words_of(start, end)
        if place is not None and place[1] - place[0] < targets.shape[1]:
            targets[place[0], place[1] - place[0]] = numbers.get(label, -1)
    known = words.candidates(targets.shape[1]) & (targets >= 0) & np.isfinite(logits[..., -1])
    return logits[known], targets[known]


def print_tables(tables: dict[str, dict[str, Any]]) -> None:
    """Prints the scores of all entities and of each label."""
    print(f"\n{'':16} {'precision':>9} {'recall':>9} {'f1':>9} {'gold':>9} {'predicted':>9} {'correct':>9}")
    for name, table in tables.items():
        cells = [f"{value:9,}" if key in COUNTS else f"{value:9.2f}" for key, value in table.items()]
        print(f"{name:16} {' '.join(cells)}")


if __name__ == "__main__":
    program.run(main, Config)
