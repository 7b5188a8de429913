"""Scores a saved classifier on a file of GLUE or of your own, and shows its errors on a page.

python -m tasks.glue.evaluate --model=runs/rte/text_classifier.keras --dataset=RTE --data=RTE/dev.tsv
"""

import dataclasses
from pathlib import Path

from absl import logging

from spanbert_keras import program
from spanbert_keras.files.json_files import write_json
from spanbert_keras.model_flag import load_task_model
from spanbert_keras.program import InputError
from tasks.glue import data, metrics, page, predictions
from tasks.glue.benchmark_set import CUSTOM_SET, BenchmarkSet
from tasks.glue.file_settings import FileSettings
from tasks.shared.calibrated_evaluation import CalibratedEvaluation, print_calibration
from tasks.shared.classifier_predictions import calibrate, compare_precisions, logits_of, warn_if_alike
from tasks.shared.task import log_left_out
from tasks.shared.text_files import listed


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(FileSettings, CalibratedEvaluation):
    """Settings of one evaluation."""


def main(config: Config) -> None:
    """Predicts, scores, and writes the results."""
    if not config.predict_only:
        metrics.need_libraries()
    model = load_task_model(config.model, "SpanBertTextClassifier", config.precision)
    wanted = _in_order(config.benchmark_set(), model)
    if config.calibrated_model and model.problem_type == "regression":
        raise InputError("--calibrated_model needs a model with probabilities. Received: a regression.")
    if not config.predict_only or config.dataset != CUSTOM_SET:
        _check_labels(config, model, wanted)
    try:
        model.check_kind(wanted.labelled.pair is not None)
    except InputError as error:
        raise InputError(f"--model={config.model} does not fit --dataset={config.dataset}: {error}") from error
    columns = data.unlabelled(config.data, wanted) if config.predict_only else wanted.labelled
    if columns.width is not None and data.unlabelled(config.data, wanted).width is None:
        raise InputError(f"{config.data} is a test file of {config.dataset}. {data.NO_GOLD}")
    file = data.read(config.data, columns, wanted.labels, config.skip_bad_examples)
    log_left_out(file.left_out)
    if not config.predict_only:
        _check_gold(config, model, file.examples)
    rows = model.preprocessor.rows(predictions.inputs_of(file.examples)).rows
    logging.info("%d examples, %d of them cut to %d tokens.", len(rows), sum(row.cut for row in rows), model.row_length)
    compare_precisions(config, model, rows)
    logits = logits_of(model, rows, config.batch_size)
    found = predictions.found_of(model, logits)
    warn_if_alike(found, "texts")
    if config.predict_only:
        folder = config.make_folder("" if config.dataset == CUSTOM_SET else f"_{config.dataset}")
        submitted = found if config.dataset == CUSTOM_SET else predictions.for_site(found)
        predictions.write(folder / "predictions.tsv", [example.id for example in file.examples], submitted)
        print(f"Predictions of {len(found):,} texts are in {folder}.")
        return
    scores = metrics.score_examples(wanted.scores, file.examples, found, wanted.chosen)
    folder = config.make_folder("" if config.dataset == CUSTOM_SET else f"_{config.dataset}")
    predictions.write(folder / "predictions.tsv", [example.id for example in file.examples], found)
    is_number = model.problem_type == "regression"
    gold = [example.label for example in file.examples]
    calibration = {} if is_number else calibrate(config, model, folder, logits, gold)
    write_json(folder / "scores.json", scores | ({"calibration": calibration} if calibration else {}))
    print()
    for name in wanted.scores:
        print(f"{name:10} {scores[name]:.2f}")
    print(f"{'examples':10} {scores['examples']:,}")
    if calibration:
        print_calibration(calibration)
    if config.page:
        facts = {"model": config.model, "data": config.data, "examples": f"{len(found):,}"}
        facts |= {name: f"{scores[name]:.2f}" for name in wanted.scores}
        shares = None if is_number else model.probabilities(logits)
        title = f"Labels in {Path(config.data).name}"
        page.write_page(folder / "errors.html", title, file.examples, found, shares, model.labels, facts)
    print(f"Predictions{', scores and errors.html' if config.page else ' and scores'} are in {folder}.")


def _in_order(wanted: BenchmarkSet, model) -> BenchmarkSet:
    """Returns the set with its target columns in the model's order, if they are the model's."""
    columns = wanted.labelled.label
    if not isinstance(columns, tuple) or sorted(map(str, columns)) != sorted(model.labels):
        return wanted
    return dataclasses.replace(wanted, labelled=dataclasses.replace(wanted.labelled, label=model.labels))


def _check_labels(config: Config, model, wanted: BenchmarkSet) -> None:
    """Raises `InputError` if the model and the data have different labels."""
    labels, received = wanted.labels, ", ".join(model.labels) or "numbers"
    same = wanted.problem_type == model.problem_type
    if not same or (labels and sorted(labels) != sorted(model.labels)):
        expected = "numbers" if labels == () else ", ".join(labels or ("names",))
        if {wanted.problem_type, model.problem_type} == {"single_label", "multi_label"}:
            several = "several labels for each text (--multi_label)"
            expected, received = (several, received) if model.problem_type == "single_label" else (expected, several)
        elif model.problem_type == "regression" and model.labels:
            received = f"numbers ({received})"
        raise InputError(
            f"--model={config.model} has other labels than --dataset={config.dataset}. Expected: {expected}. "
            f"Received: {received}."
        )


def _check_gold(config: Config, model, examples) -> None:
    """Raises if the model knows the labels of no example; logs a warning about labels that it does not know.

    An example with several labels counts as known if the model knows each of them.
    """
    if model.problem_type == "regression":
        if data.width_of(examples[0]) != (len(model.labels) or 1):
            raise InputError(
                f"{config.data} does not have as many numbers per line as --model={config.model} predicts. Expected: "
                f"{len(model.labels) or 1} ({', '.join(model.labels) or 'a number'}). "
                f"Received: {data.width_of(examples[0])}."
            )
        columns = config.target_columns
        if columns and sorted(columns) != sorted(model.labels):
            names = ", ".join(model.labels) or "one number without a name"
            logging.warning("--target_columns are matched by position to the model's numbers: %s.", names)
        return
    every = [set(one.label) if isinstance(one.label, tuple) else {one.label} for one in examples]
    unknown = [labels - set(model.labels) for labels in every if labels - set(model.labels)]
    names = listed(set().union(*unknown))
    if unknown and not any(labels and labels <= set(model.labels) for labels in every):
        some = any(labels & set(model.labels) for labels in every)
        what = "example whose labels are all labels" if some else "label"
        raise InputError(
            f"{config.data} has no {what} of --model={config.model}. Expected: {', '.join(model.labels)}. "
            f"Received: {names}."
        )
    if unknown:
        logging.warning("%d examples have labels that the model does not know: %s.", len(unknown), names)


if __name__ == "__main__":
    program.run(main, Config)
