"""Scores a saved extractor on a file in TACRED's format, and shows its errors on a page.

python -m tasks.relation_extraction.evaluate --model=runs/tacred/relation_extractor.keras --data=test.json
"""

import dataclasses
import functools
from pathlib import Path
from typing import Any

import numpy as np
from absl import logging

from spanbert_keras import program
from spanbert_keras.files.json_files import write_json
from spanbert_keras.model_flag import load_task_model
from spanbert_keras.program import InputError, setting
from tasks.relation_extraction import confusion_picture, data, metrics, page, predictions
from tasks.shared.calibrated_evaluation import CalibratedEvaluation, print_calibration
from tasks.shared.classifier_predictions import calibrate, compare_precisions, logits_of, warn_if_alike
from tasks.shared.example_collector import ExampleCollector
from tasks.shared.task import log_left_out
from tasks.shared.text_files import listed


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(CalibratedEvaluation):
    """Settings of one evaluation."""

    needs_gold = ("labels", *CalibratedEvaluation.needs_gold)

    labels: str | None = setting("Re-TACRED labels of the file, JSON from id to relation.", default=None, path=True)
    no_relation: str = setting("Label of no relation, which is excluded from the scores.", default=data.NO_RELATION)


def main(config: Config) -> None:
    """Predicts, scores, and writes the results."""
    if not config.predict_only:
        confusion_picture.need_library()
    model = load_task_model(config.model, "SpanBertRelationExtractor", config.precision)
    file = data.read(config.data, config.skip_bad_examples, config.labels, gold=not config.predict_only)
    examples, unknown = _known(model, file.examples, config)
    log_left_out([*file.left_out, *unknown])
    if file.unlabelled:
        logging.info("%s: %d examples have no entry in --labels and are left out.", config.data, file.unlabelled)
    if not config.predict_only and config.no_relation not in model.labels:
        raise InputError(
            f"--no_relation={config.no_relation} is not a relation of the model. "
            f"Expected: one of {', '.join(model.labels)}."
        )
    if not config.predict_only:
        _check_gold(config, model, examples)
    rows = _rows(model, examples, config.data)
    compare_precisions(config, model, rows)
    logits = logits_of(model, rows, config.batch_size)
    warn_if_alike(predictions.labels_of(model, logits), "sentences")
    folder = config.make_folder()
    predictions.write(folder, model, examples, logits, gold=not config.predict_only)
    if config.predict_only:
        print(f"Predictions of {len(examples):,} sentences are in {folder}.")
        return
    tables = score(model, examples, logits, config.no_relation)
    calibration = calibrate(config, model, folder, logits, [example.relation for example in examples])
    write_json(folder / "scores.json", tables | {"calibration": calibration})
    gold = [example.relation for example in examples]
    labels = [*model.labels, *sorted(set(gold) - set(model.labels))]
    counts = metrics.confusion(gold, predictions.labels_of(model, logits), labels)
    confusion_picture.draw(folder / "confusion.png", counts, labels)
    if config.page:
        facts = {"model": config.model, "data": config.data, "sentences": f"{len(examples):,}"} | headlines(tables)
        shares = model.probabilities(logits)
        title = f"Relations in {Path(config.data).name}"
        page.write_page(folder / "errors.html", title, examples, shares, model.labels, config.no_relation, facts)
    print_tables(tables, config.no_relation)
    print_calibration(calibration)
    others = ", confusion.png and errors.html" if config.page else " and confusion.png"
    print(f"Predictions, scores{others} are in {folder}.")


def _check_gold(config: Config, model, examples) -> None:
    """Raises if the model knows none of the gold relations; logs a warning about those that it does not know."""
    unknown = [example.relation for example in examples if example.relation not in model.labels]
    if len(unknown) == len(examples):
        raise InputError(
            f"{config.data} has no relation of --model={config.model}. Expected: {', '.join(model.labels)}. "
            f"Received: {listed(unknown)}."
        )
    if unknown:
        logging.warning("%d examples have relations that the model does not know: %s.", len(unknown), listed(unknown))


def _known(model, examples, config: Config) -> tuple[list, list[str]]:
    """Returns the examples whose types the model has markers for, and a sentence for each of the others.

    Raises:
        InputError: an example has another type and bad examples are not left out, or no example is left.
    """

    def check(example, place: str):
        try:
            model.entities.check_types(example.pair)
        except InputError as error:
            raise InputError(f"{place}: {error}") from error
        return example

    if not model.markers:  # every example has the same error, so leaving examples out does not help
        check(examples[0], config.data)
    collector = ExampleCollector(config.data, config.skip_bad_examples)
    for example in examples:
        collector.add(functools.partial(check, example, f"{config.data}, example {example.id!r}"))
    if not collector.examples:
        raise InputError(f"{config.data} has no example that the model can read: {collector.left_out[0]}")
    return collector.examples, collector.left_out


def _rows(model, examples, path: str) -> list:
    """Returns the model's row of each example, and logs how many sentences were cut."""
    try:
        rows = model.entities.rows([example.pair for example in examples])
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    logging.info(
        "%d sentences, %d of them cut to %d tokens.", len(rows), sum(row.cut for row in rows), model.row_length
    )
    return rows


def score(model, examples, logits: np.ndarray, no_relation: str) -> dict[str, dict[str, Any]]:
    """Returns the scores of all relations together, and of each."""
    gold, found = [example.relation for example in examples], predictions.labels_of(model, logits)
    tables = {"all relations": metrics.score(gold, found, no_relation, model.labels)}
    for name, figure in metrics.by_relation(gold, found, no_relation).items():
        tables[name] = figure.summary() | {"gold": figure.gold, "predicted": figure.predicted}
    return tables


def headlines(tables: dict[str, dict[str, Any]]) -> dict[str, str]:
    """Returns the scores that stand at the top of the page."""
    names = ("precision", "recall", "f1", "macro_f1", "accuracy")
    return {name: f"{tables['all relations'][name]:.2f}" for name in names if name in tables["all relations"]}


def print_tables(tables: dict[str, dict[str, Any]], no_relation: str) -> None:
    """Prints the scores: all relations together, then a line each."""
    whole = tables["all relations"]
    print(f"\nall {whole['examples']:,} sentences, {no_relation} left out; accuracy counts it")
    for name in ("precision", "recall", "f1", "accuracy"):
        print(f"  {name:10} {whole[name]:.2f}")
    if "macro_f1" in whole:
        print("\nmacro-averaged, both directions of a relation together (the official score of SemEval-2010 Task 8)")
        for name in ("macro_precision", "macro_recall", "macro_f1"):
            print(f"  {name:15} {whole[name]:.2f}")
    width = max(map(len, tables))
    print(f"\n{'':{width}} precision  recall      f1    gold  predicted")
    for name, scores in tables.items():
        if name != "all relations":
            figures = f"{scores['precision']:9.2f} {scores['recall']:7.2f} {scores['f1']:7.2f}"
            print(f"{name:{width}} {figures} {scores['gold']:7,} {scores['predicted']:10,}")


if __name__ == "__main__":
    program.run(main, Config)
