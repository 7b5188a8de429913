"""Scores a saved model on a SQuAD or MRQA file, and shows every answer on a page.

python -m tasks.question_answering.evaluate --model=runs/squad/question_answerer.keras --data=dev-v2.0.json
"""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

from spanbert_keras import program
from spanbert_keras.files.json_files import write_json
from spanbert_keras.model_flag import SAMPLE, load_task_model, print_precision_difference
from spanbert_keras.program import setting
from tasks.question_answering import data, metrics, page, predictions, splits
from tasks.question_answering.readable_examples import readable
from tasks.shared.calibrated_evaluation import CalibratedEvaluation
from tasks.shared.calibration import prediction_loss
from tasks.shared.task import log_left_out


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(CalibratedEvaluation):
    """Settings of one evaluation."""

    needs_gold = ("calibration_share", *CalibratedEvaluation.needs_gold)

    split: str = setting(
        "Part of a file that is split in two by a hash of the context, as by fine-tuning with --halve_dev.",
        default="all",
        choices=("all", "dev", "test"),
    )
    calibration_share: float | None = setting(
        "Share of the articles on which the no-answer threshold is fitted; the rest is scored with it.",
        default=None,
        above=0,
        below=1,
    )


def main(config: Config) -> None:
    """Predicts, scores, and writes the results."""
    model = load_task_model(config.model, "SpanBertQuestionAnswerer", config.precision)
    file = data.read(config.data, config.skip_bad_examples, gold=not config.predict_only)
    examples = file.examples
    if config.split != "all":
        examples = dict(zip(("dev", "test"), splits.halve(examples), strict=True))[config.split]
    examples, unreadable = readable(examples, model.windows, config.data, config.skip_bad_examples)
    bad = [*file.bad, *unreadable]
    log_left_out(bad)
    predictions.check_calibration(config.calibration_share, examples, file.has_unanswerable)
    folder = config.make_folder("" if config.split == "all" else f"_{config.split}")
    sample = [[getattr(one, name) for one in examples[:SAMPLE]] for name in ("question", "context")]
    print_precision_difference(
        config.model,
        model,
        config.precision,
        "probabilities of answers",
        lambda model: [answer.score for answer in model.answer(*sample, batch_size=config.batch_size)],
    )
    candidates: dict = {}
    found = predictions.predict(model, examples, rows=config.batch_size, progress=True, candidates=candidates)
    predictions.write(folder, found, model.no_answer_threshold)
    if config.predict_only:
        print(f"Predictions of {len(found):,} questions are in {folder}.")
        return
    tables = score(examples, found, model.no_answer_threshold, file.has_unanswerable, config.calibration_share)
    tables["calibration"] = _calibrate(config, model, folder, examples, found, candidates)
    tables["limits that were hit"] = {name: model.counts[name] for name in ("questions_cut", "answers_at_limit")}
    write_json(folder / "scores.json", tables)
    if config.page:
        facts = {"model": config.model, "data": config.data, "questions": f"{len(examples):,}"}
        facts |= _headlines(tables)
        rows = [page_row(example, found[example.id], model.no_answer_threshold) for example in examples]
        page.write_page(folder / "errors.html", f"Answers to {Path(config.data).name}", rows, facts)
    print_tables(tables)
    if bad:
        print(f"{len(bad)} bad questions were left out.")
    print(f"Predictions{', scores and errors.html' if config.page else ' and scores'} are in {folder}.")


def score(
    examples, found, threshold: float | None, unanswerable: bool, calibration_share: float | None
) -> dict[str, dict[str, Any]]:
    """Returns a table of scores for each kind of no-answer threshold; those fitted on the scored questions are marked.

    Args:
        examples: list of `Example`.
        found: from `predictions.predict`.
        threshold: float or `None`. The model's threshold.
        unanswerable: bool. Whether some questions have no answer.
        calibration_share: float or `None`.
    """
    if not unanswerable:
        given = predictions.texts(found)
        given |= {id: "" for id, answers in found.items() if predictions.abstains(answers, threshold)}
        return {"all questions": metrics.squad_scores(examples, given)}
    tables = {}
    if threshold is not None:
        tables["the model's stored threshold"] = {
            **predictions.scores_at(examples, found, threshold),
            "threshold": threshold,
        }
    official = predictions.dev_scores(examples, found, True)
    fitted = predictions.fitted_threshold(examples, found)
    tables["threshold fitted on these very questions"] = {
        **predictions.scores_at(examples, found, fitted),
        "threshold": fitted,
        **{key: official[key] for key in official if key.startswith("best_")},
    }
    tables["always answering"] = predictions.scores_at(examples, found, float("inf"))
    tables["never answering"] = predictions.scores_at(examples, found, float("-inf"))
    if "average_precision" in official:
        tables["no-answer score"] = {"average_precision": official["average_precision"]}
    if calibration_share is not None:
        calibration, rest = splits.split_articles(examples, calibration_share)
        chosen = predictions.fitted_threshold(calibration, found)
        title = f"the rest, threshold fitted on {len(calibration)} questions of other articles"
        tables[title] = {**predictions.scores_at(rest, found, chosen), "threshold": chosen}
    return tables


def _calibrate(config: Config, model, folder: Path, examples, found, candidates) -> dict[str, float]:
    """Returns the calibration of the answers' scores; see `CalibratedEvaluation.calibrate`.

    The prediction is the model's: the best answer, or "no answer" above its threshold. It is right if it is an exact
    match.
    """
    refused = [predictions.abstains(found[one.id], model.no_answer_threshold) for one in examples]
    texts = ["" if no else found[one.id][0].text for no, one in zip(refused, examples, strict=True)]
    correct = np.array([metrics.exact_match(text, one.answers) == 1 for text, one in zip(texts, examples, strict=True)])

    def confidence(temperature: float) -> np.ndarray:
        shares = [candidates[one.id].probabilities(temperature) for one in examples]
        return np.array([none if no else best[0] for no, (best, none) in zip(refused, shares, strict=True)])

    return config.calibrate(model, folder, lambda t: (confidence(t), correct), prediction_loss(confidence, correct))


def _headlines(tables) -> dict[str, str]:
    """Returns the scores at the top of the page, by the kind of threshold."""
    return {
        table: f"exact {scores.get('exact_match', scores.get('exact')):.1f}, F1 {scores['f1']:.1f}"
        for table, scores in tables.items()
        if "f1" in scores
    }


def page_row(example, answers, threshold: float | None) -> page.PageRow:
    """Returns the row of the page for one question."""
    best = answers[0]
    abstains = predictions.abstains(answers, threshold)
    text = "" if abstains else best.text
    gold = tuple(dict.fromkeys(example.answers))
    return page.PageRow(
        id=example.id,
        question=example.question,
        context=example.context,
        article=example.article,
        gold=gold,
        gold_spans=tuple(dict.fromkeys(example.spans)),
        predicted=text,
        start=None if abstains else best.start,
        end=None if abstains else best.end,
        score=best.score,
        no_answer_score=best.no_answer_score,
        exact=bool(metrics.exact_match(text, gold)),
        f1=metrics.f1(text, gold, empty_agree=True),
        candidates=tuple((answer.text, answer.score) for answer in answers[:5]),
    )


def print_tables(tables: dict[str, dict[str, Any]]) -> None:
    """Prints every table under its title."""
    for title, scores in tables.items():
        print(f"\n{title}")
        for name, value in scores.items():
            count = name.endswith(("total", "missing", "cut", "limit"))
            print(f"  {name:26} {value:,.0f}" if count else f"  {name:26} {value:.2f}")


if __name__ == "__main__":
    program.run(main, Config)
