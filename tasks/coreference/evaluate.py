"""Scores a saved model on documents, on WinoBias or on GAP, and shows its errors on a page.

python -m tasks.coreference.evaluate --model=runs/coreference/coreference_resolver.keras --data=dev.v4_gold_conll
"""

import dataclasses
import time
from pathlib import Path
from typing import Any

from absl import logging

from spanbert_keras import program
from spanbert_keras.files.json_files import write_json
from spanbert_keras.model_flag import (
    check_language_flag,
    language_setting,
    load_task_model,
    print_precision_difference,
)
from spanbert_keras.program import InputError, setting
from spanbert_keras.progress import Progress
from tasks.coreference import baselines, link_curve, metrics, page, predictions, pronouns
from tasks.coreference.error_kinds import errors_of
from tasks.shared.evaluation_settings import EvaluationSettings
from tasks.shared.task import log_left_out
from tasks.shared.text_files import write_lines

GAP_ENDINGS = (".tsv", ".tsv.gz")
COUNT_NAMES = ("documents", "examples", "missing", "missed", "invented", "merged", "split")  # not in per cent


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(EvaluationSettings):
    """Settings of one evaluation."""

    needs_gold = ("anti_data", "gold_mentions", "baselines", "link_curve")

    anti_data: str | None = setting(
        "WinoBias: the anti-stereotypical file, where --data is the pro-stereotypical one of the same type.",
        default=None,
        path=True,
    )
    language: str | None = language_setting()
    singletons: bool = setting(
        "Predicts likely mentions without an antecedent as chains of one mention.", default=False
    )
    min_score: float = setting("Lowest probability of a link between two mentions.", default=0.0, minimum=0, maximum=1)
    gold_mentions: bool = setting("Gives the model the gold mentions, so that only linking is scored.", default=False)
    baselines: bool = setting(
        "Also scores two rules on the gold mentions: each on its own, and mentions with equal words linked.",
        default=False,
    )
    link_curve: bool = setting(
        "Also resolves with ten limits of --min_score, and draws precision and recall of the links: links.png.",
        default=False,
    )


def main(config: Config) -> None:
    """Predicts, scores, and writes the results."""
    gap = config.data.endswith(GAP_ENDINGS)
    _check_flags(config, gap)
    model = load_task_model(config.model, "SpanBertCoreferenceResolver", config.precision)
    if gap:
        tables = _gap(config, model)
    else:
        tables = _documents(config, model)
    folder = config.make_folder()
    if config.predict_only:
        print(f"Predictions are in {folder}.")
        return
    write_json(folder / "scores.json", tables)
    print_tables(tables)
    others = ", scores and errors.html" if config.page and not gap else " and scores"
    others += ", and links.png" if config.link_curve else ""
    print(f"Predictions{others} are in {folder}.")


def _check_flags(config: Config, gap: bool) -> None:
    """Raises `InputError` for a flag that does not apply to the file of `--data`."""
    if not gap and config.language is not None:
        raise InputError(f"--language belongs to the raw texts of GAP. Received: --data={config.data}, in words.")
    check_language_flag(config.language)
    if gap and config.anti_data:
        raise InputError(f"--anti_data belongs to a WinoBias file. Received: --data={config.data}, a file of GAP.")
    if gap and (config.baselines or config.gold_mentions or config.link_curve):
        raise InputError(
            f"--baselines, --gold_mentions and --link_curve need gold clusters. Received: --data={config.data}, a file "
            "of GAP."
        )
    if config.link_curve:
        link_curve.need_library()
    if gap and config.singletons:
        raise InputError(
            f"--singletons changes no answer to GAP, which asks for links. Received: --data={config.data}, a file of "
            "GAP. Leave it out."
        )


def _read(config: Config, path: str) -> predictions.GoldFile:
    """Returns the documents of a file, and logs what is left out."""
    file = predictions.read(path, config.skip_bad_examples, gold=not config.predict_only)
    log_left_out(file.left_out)
    if not config.predict_only and not any(document.clusters for document in file.documents):
        raise InputError(
            f"{path} has no gold clusters to score. Expected: a file with some; for one without, --predict_only writes "
            f"predictions. Received: {len(file.documents)} documents without any."
        )
    return file


def _documents(config: Config, model) -> dict[str, dict[str, Any]]:
    """Scores a file of documents, or both halves of WinoBias; writes predictions and the page.

    With `predict_only` it writes predictions and returns {}.
    """
    file = _read(config, config.data)
    anti_file = _read(config, config.anti_data) if config.anti_data else None
    documents, others = file.documents, anti_file.documents if anti_file else []
    if anti_file and len(others) != len(documents):
        raise InputError(
            "--data and --anti_data must be the two halves of one WinoBias set, with the same number of documents. "
            f"Received: {len(documents)} and {len(others)}."
        )
    folder = config.make_folder()
    start = time.monotonic()
    options = (config.batch_size, config.singletons, config.gold_mentions, True, config.min_score)
    _compare_precisions(config, model, [document for document in documents if document.tokens][:1])
    found = predictions.predict(model, documents, *options)
    logging.info("Resolved %d documents in %.1f s.", len(documents), time.monotonic() - start)
    predictions.write(folder, file.everything, found, key=file.key)
    if config.predict_only:
        return {}
    tables = predictions.score_by(documents, found)
    tables["errors"] = count_errors(documents, found)
    if config.baselines:
        tables |= score_baselines(documents)
    if config.link_curve:
        curve = link_curve.scores(model, documents, config.batch_size, config.gold_mentions)
        link_curve.draw(folder / "links.png", curve)
        tables |= {f"links with a probability of at least {limit}": row for limit, row in curve.items()}
    if anti_file:
        anti = predictions.predict(model, others, *options)
        predictions.write(folder, anti_file.everything, anti, "predictions_anti.conll", anti_file.key)
        tables = {"WinoBias": _winobias(documents, found, others, anti)} | tables
    if config.page:
        facts = {"model": config.model, "data": config.data, "documents": f"{len(documents):,}"} | headlines(tables)
        page.write_page(folder / "errors.html", f"Coreference in {Path(config.data).name}", documents, found, facts)
    return tables


def _compare_precisions(config: Config, model, sample: list) -> None:
    """Prints what `--precision` changes in the mention scores of these documents."""
    print_precision_difference(
        config.model,
        model,
        config.precision,
        "mention scores",
        lambda model: model.mention_scores(sample, language=config.language),
    )


def _winobias(documents, found, others, anti) -> dict[str, float]:
    """Returns the average F1 of both halves of a WinoBias set, their mean and their difference."""
    scores = pronouns.winobias_scores(
        zip([document.clusters for document in documents], found, strict=True),
        zip([document.clusters for document in others], anti, strict=True),
    )
    return {
        "pro_average_f1": 100.0 * scores.pro.average_f1,
        "anti_average_f1": 100.0 * scores.anti.average_f1,
        "average": 100.0 * scores.average,
        "difference": 100.0 * scores.difference,
    }


def _gap(config: Config, model) -> dict[str, dict[str, Any]]:
    """Scores a file of GAP, and writes the answers in the form that its official scorer reads."""
    left_out: list[str] | None = [] if config.skip_bad_examples else None
    examples = pronouns.read_gap(config.data, left_out, gold=not config.predict_only)
    log_left_out(left_out or ())
    folder = config.make_folder()
    texts = [example.text for example in examples]
    _compare_precisions(config, model, texts[:1])
    found: list = []
    options = {"batch_size": config.batch_size, "min_score": config.min_score, "language": config.language}
    with Progress(len(texts), "texts") as progress:
        for part in predictions.parts_of([len(text.split()) for text in texts], config.batch_size):
            found += model.resolve(texts[part], **options)
            progress.advance(part.stop - part.start)
    if not any(document.clusters for document in found):
        logging.warning("The model links no mentions: none of the %d texts has a chain.", len(found))
    answers = {}
    for example, document in zip(examples, found, strict=True):
        clusters = [[(mention.start, mention.end) for mention in cluster] for cluster in document.clusters]
        answers[example.id] = pronouns.refers(example, clusters)
    lines = ("\t".join((id, *("TRUE" if said else "FALSE" for said in pair))) for id, pair in answers.items())
    write_lines(folder / "predictions.tsv", lines)
    if config.predict_only:
        return {}
    return {"GAP": pronouns.gap_scores(examples, answers)}


def count_errors(documents, found) -> dict[str, int]:
    """Returns how many errors of each kind a set of documents has."""
    totals = {kind: 0 for kind in ("missed", "invented", "merged", "split")}
    for document, predicted in zip(documents, found, strict=True):
        errors = errors_of(document.clusters, predicted)
        for kind in totals:
            totals[kind] += len(getattr(errors, kind))
    return totals


def score_baselines(documents) -> dict[str, dict[str, float]]:
    """Returns the scores of `baselines.RULES`, with and without chains of one mention if the gold has any."""
    tables = {}
    for name, rule in baselines.RULES.items():
        for part, scores in predictions.score_all(documents, [rule(document) for document in documents]).items():
            tables[f"baseline: {name}, {part}"] = scores
    return tables


def headlines(tables: dict[str, dict[str, Any]]) -> dict[str, str]:
    """Returns the scores at the top of the page, as they are printed."""
    scores = tables["all documents"]
    names = {"average F1": "average_f1", "mentions F1": "mentions_f1", "MUC F1": "muc_f1", "B-cubed F1": "b_cubed_f1"}
    return {title: _format_score(name, scores[name]) for title, name in (names | {"CEAF-phi4 F1": "ceaf_f1"}).items()}


def print_tables(tables: dict[str, dict[str, Any]]) -> None:
    """Prints every table under its name; percentages are truncated to two decimals, as by the official scorer."""
    for title, scores in tables.items():
        print(f"\n{title}")
        for name, value in scores.items():
            print(f"  {name:20} {_format_score(name, value)}")


def _format_score(name: str, value: float | None) -> str:
    if value is None:
        return "-"
    if name in COUNT_NAMES:
        return f"{value:,}"
    return f"{value:.2f}" if name == "bias" else f"{metrics.truncated_percent(value / 100):.2f}"


if __name__ == "__main__":
    program.run(main, Config)
