"""Scores a saved recognizer on a file of named entities, and shows its errors on a page.

python -m tasks.named_entities.evaluate --model=runs/entities/entity_recognizer.keras --data=test.tsv
"""

import dataclasses
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

    The temperature is fitted on the classes of all spans, the scores are those of the entities found with it.
    """
    texts, logits, classes = [], [], []
    numbers = {label: number for number, label in enumerate(model.labels, 1)}
    of_examples = model.span_logits([example.text for example in examples], config.batch_size)
    for example, (words, found) in zip(examples, of_examples, strict=True):
        valid = words.candidates(model.windows.max_span_width)
        gold = {}
        for start, end, label in example.entities:
            place = words.words_of(start, end)
            if place is not None and place[1] - place[0] < found.shape[1]:
                gold[place] = numbers.get(label, -1)
        targets = np.zeros(valid.shape, np.int64)
        for (first, last), number in gold.items():
            targets[first, last - first] = number
        texts.append((words, found, gold))
        fitted = valid & (targets >= 0) & np.isfinite(found).all(axis=-1)
        logits.append(found[fitted])
        classes.append(targets[fitted])

    def predicted(temperature: float) -> tuple[np.ndarray, np.ndarray]:
        scores, right = [], []
        for words, found, gold in texts:
            for first, last, label, score in model.spans_of(words, found, temperature=temperature):
                scores.append(score)
                right.append(gold.get((first, last)) == label + 1)
        return np.array(scores), np.array(right, bool)

    if not len(predicted(model.temperature)[0]):
        raise InputError(
            f"--model={config.model} finds no entity in {config.data}: nothing can be scored. Train it longer."
        )
    return config.calibrate(model, folder, predicted, label_loss(np.concatenate(logits), np.concatenate(classes)))


def print_tables(tables: dict[str, dict[str, Any]]) -> None:
    """Prints the scores of all entities and of each label."""
    print(f"\n{'':16} {'precision':>9} {'recall':>9} {'f1':>9} {'gold':>9} {'predicted':>9} {'correct':>9}")
    for name, table in tables.items():
        cells = [f"{value:9,}" if key in COUNTS else f"{value:9.2f}" for key, value in table.items()]
        print(f"{name:16} {' '.join(cells)}")


if __name__ == "__main__":
    program.run(main, Config)
