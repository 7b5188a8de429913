"""Gathers fine-tuning runs into the paper's Table 5, and into a submission for the benchmark's site.

python -m tasks.glue.report --runs=runs --output=table5.md --submission_dir=submission
"""

import dataclasses
import statistics
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from absl import logging

from spanbert_keras import program
from spanbert_keras.files.writing import write_atomically
from spanbert_keras.program import InputError, setting
from tasks.glue.benchmark_set import SETS
from tasks.shared.run_tables import (
    ReportSettings,
    find_runs,
    group_runs,
    mean_of,
    method_of,
    number,
    number_of_runs,
)
from tasks.shared.task_report import Figure, Figures, ResultTable, TaskReport, published_figures

Cell = tuple[float | None, ...]

# Scores in each column, as in the paper's table; for MNLI those of both dev sets.
COLUMN_SCORES = {
    "CoLA": ("matthews",),
    "SST-2": ("accuracy",),
    "MRPC": ("f1", "accuracy"),
    "STS-B": ("pearson", "spearman"),
    "QQP": ("f1", "accuracy"),
    "MNLI": ("accuracy", "mismatched_accuracy"),
    "QNLI": ("accuracy",),
    "RTE": ("accuracy",),
    "WNLI": ("majority",),
}
# Joshi et al., 2020, Table 5: large models, test sets; WNLI is not in that table, and
# counts as 65.1 in the average.
PUBLISHED_ROWS = {
    "Google BERT (paper)": "59.3 95.2 88.5/84.3 86.4/88.0 71.2/89.0 86.1/85.7 93.0 71.1 65.1",
    "Our BERT (paper)": "58.6 93.9 90.1/86.6 88.4/89.1 71.8/89.3 87.2/86.6 93.0 74.7 65.1",
    "Our BERT-1seq (paper)": "63.5 94.8 91.2/87.8 89.0/88.4 72.1/89.5 88.0/87.4 93.0 72.1 65.1",
    "SpanBERT (paper)": "64.3 94.8 90.9/87.9 89.9/89.1 71.9/89.5 88.1/87.7 94.3 79.0 65.1",
}
PUBLISHED: dict[str, tuple[Cell, ...]] = {
    method: tuple(tuple(map(float, cell.split("/"))) for cell in row.split()) for method, row in PUBLISHED_ROWS.items()
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(ReportSettings):
    """Settings of one report."""

    submission_dir: str | None = setting(
        "Folder for the submission files and their zip, from the best run on dev of each set.", default=None, path=True
    )
    submission_method: str | None = setting("Method that is submitted; needed if the runs have several.", default=None)


def main(config: Config) -> None:
    """Writes the table, and the files for the site."""
    records = _runs_in(Path(config.runs))
    if not records:
        raise InputError(f"--runs={config.runs} holds no finished run of a GLUE set (run.json with scores).")
    if config.submission_dir:
        write_submission(Path(config.submission_dir), _of_method(records, config.submission_method))
    config.write_or_print(report(Path(config.runs), config.published).markdown())


def _runs_in(folder: Path) -> list[dict]:
    return find_runs(folder, lambda record: record["flags"].get("dataset") in SETS, _figures)


def _figures(record: dict) -> list:
    """Returns the figures of one run on dev."""
    return [record["scores"]["dev"][name] for name in (*COLUMN_SCORES[record["flags"]["dataset"]], "score")]


def report(folder: Path, published: bool = True) -> TaskReport:
    """Returns Table 5 with a row for each method: means over the runs, on dev.

    Args:
        folder: `Path`. Folder of the runs.
        published: bool. Adds the paper's rows.
    """
    groups = group_runs(_runs_in(folder))
    rows = {
        method: [_means(groups.get((method, name), ()), scores) for name, scores in COLUMN_SCORES.items()]
        for method in dict.fromkeys(method for method, _ in groups)
    }
    notes = [
        f"{name}: dev, {number_of_runs([_mean_in_table(name, record) for record in records])} ({method})"
        for (method, name), records in groups.items()
    ]
    head = ["", *(f"{name} {' / '.join(map(_heading, scores))}" for name, scores in COLUMN_SCORES.items()), "average"]
    of_paper = {name: _cells(row) for name, row in PUBLISHED.items() if published}
    measured = {method: _cells(row) for method, row in rows.items()}
    figures: Figures = published_figures({name: _benchmarks(row) for name, row in PUBLISHED.items()}, published)
    for method, row in rows.items():
        known = {name: value for name, value in _benchmarks(row).items() if value is not None}
        figures[method] = {name: Figure(value, "dev") for name, value in known.items()}
    return TaskReport([ResultTable("Table 5: GLUE", head, of_paper, measured, sorted(notes))], figures)


def _benchmarks(row: Sequence[Cell]) -> dict[str, float | None]:
    """Returns the mean figure of each set, without WNLI, which the paper does not count."""
    return {name: mean_of(cell) for name, cell in zip(COLUMN_SCORES, row, strict=True) if name != "WNLI"}


def _mean_in_table(name: str, record: dict) -> float:
    """Returns the mean of a run's scores in the table."""
    return statistics.mean(record["scores"]["dev"][score] for score in COLUMN_SCORES[name])


def _heading(score: str) -> str:
    """Returns the heading of a score."""
    names = {"accuracy": "acc.", "mismatched_accuracy": "mismatched acc.", "f1": "F1"}
    return names.get(score, score.capitalize())


def _means(records: Sequence[dict], scores: Sequence[str]) -> Cell:
    """Returns the mean of each score over runs, `None` without runs."""
    return tuple(mean_of([record["scores"]["dev"][name] for record in records]) for name in scores)


def _cells(row: Sequence[Cell]) -> list[str]:
    """Returns a row's cells and the mean over all sets; a set with two figures counts with their mean."""
    cells = ["/".join(map(number, figures)) if None not in figures else "-" for figures in row]
    return [*cells, number(mean_of([mean_of(figures) for figures in row]))]


def _of_method(records: Sequence[dict], method: str | None) -> dict[str, list[dict]]:
    """Returns the runs of one method by set, with any settings.

    Raises:
        InputError: the method is unknown, or `None` if there are several.
    """
    methods = list(dict.fromkeys(map(method_of, records)))
    if method is None and len(methods) == 1:
        method = methods[0]
    if method not in methods:
        raise InputError(f"--submission_method must be one of: {'; '.join(methods)}. Received: {method}.")
    runs: dict[str, list[dict]] = {}
    for record in records:
        if method_of(record) == method:
            runs.setdefault(record["flags"]["dataset"], []).append(record)
    return runs


def write_submission(folder: Path, runs: Mapping[str, Sequence[dict]]) -> None:
    """Writes the files of a submission and `submission.zip`; logs the missing ones.

    Args:
        folder: `Path`. Created if missing.
        runs: dict from the name of a set to the records of its runs.

    Raises:
        InputError: no run has written predictions of a test file, or the folder cannot be written.
    """
    texts, missing = {}, []
    for name, one in SETS.items():
        best = max(runs.get(name, ()), key=lambda record: record["scores"]["dev"]["score"], default=None)
        for file in one.test:
            path = best["folder"] / "submission" / f"{file}.tsv" if best else None
            if path and path.is_file():
                texts[path.name] = path.read_text(encoding="utf-8")
            else:
                missing.append(f"{file}.tsv")
    if not texts:
        raise InputError("No run has predictions of a test file: --data_dir had none when it was fine-tuned.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            write_atomically(folder / name, lambda temporary, text=text: temporary.write_text(text, encoding="utf-8"))
        write_atomically(folder / "submission.zip", lambda temporary: _write_zip(temporary, texts))
    except OSError as error:
        raise InputError(f"--submission_dir={folder} cannot be written: {error.strerror}.") from error
    if missing:
        logging.warning("%s lacks files that the site expects: %s.", folder / "submission.zip", ", ".join(missing))


def _write_zip(path: Path, texts: Mapping[str, str]) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in texts.items():
            archive.writestr(name, text)


if __name__ == "__main__":
    program.run(main, Config)
