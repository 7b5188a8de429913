"""Gathers fine-tuning runs into the paper's Table 5, and the files that the benchmark's site takes.

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
from tasks.shared.run_tables import ReportSettings, find_runs, group_runs, markdown_table, mean_of, method_of, number

Figures = tuple[float | None, ...]

# What stands in a column, as the paper has it; of MNLI both dev sets.
SHOWN = {
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
# Joshi et al., 2020, Table 5: large models, test sets; the average counts WNLI, which is not shown, as 65.1.
PUBLISHED: dict[str, tuple[Figures, ...]] = {
    "Google BERT (paper)": (
        (59.3,),
        (95.2,),
        (88.5, 84.3),
        (86.4, 88.0),
        (71.2, 89.0),
        (86.1, 85.7),
        (93.0,),
        (71.1,),
        (65.1,),
    ),
    "Our BERT (paper)": (
        (58.6,),
        (93.9,),
        (90.1, 86.6),
        (88.4, 89.1),
        (71.8, 89.3),
        (87.2, 86.6),
        (93.0,),
        (74.7,),
        (65.1,),
    ),
    "Our BERT-1seq (paper)": (
        (63.5,),
        (94.8,),
        (91.2, 87.8),
        (89.0, 88.4),
        (72.1, 89.5),
        (88.0, 87.4),
        (93.0,),
        (72.1,),
        (65.1,),
    ),
    "SpanBERT (paper)": (
        (64.3,),
        (94.8,),
        (90.9, 87.9),
        (89.9, 89.1),
        (71.9, 89.5),
        (88.1, 87.7),
        (94.3,),
        (79.0,),
        (65.1,),
    ),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(ReportSettings):
    """Settings of one report."""

    submission_dir: str | None = setting(
        "Folder for the site's files and their zip: of each set those of the run that is best on dev.",
        default=None,
        path=True,
    )
    submission_method: str | None = setting("Whose files; needed where the runs have several methods.", default=None)


def main(config: Config) -> None:
    """Writes the table, and the files for the site."""
    records = find_runs(Path(config.runs), lambda record: record["flags"].get("dataset") in SETS)
    if not records:
        raise InputError(f"--runs={config.runs} holds no finished run of a GLUE set (run.json with scores).")
    if config.submission_dir:
        write_submission(Path(config.submission_dir), _of_method(records, config.submission_method))
    config.deliver(table(group_runs(records), config.published))


def table(groups: Mapping[tuple[str, str], Sequence[dict]], published: bool = True) -> str:
    """Returns Table 5 with a row for each method: means over the runs, on dev, and under it how many there are.

    Args:
        groups: dict from (method, set) to records of runs; see `group_runs`.
        published: bool. Adds the paper's rows.
    """
    rows = {name: _cells(figures) for name, figures in PUBLISHED.items() if published}
    for method in dict.fromkeys(method for method, _ in groups):
        rows[method] = _cells([_means(groups.get((method, name), ()), shown) for name, shown in SHOWN.items()])
    notes = [
        f"{name}: dev, {_spread([_shown_mean(name, record) for record in records])} ({method})"
        for (method, name), records in groups.items()
    ]
    head = ["", *(f"{name} {' / '.join(map(_heading, shown))}" for name, shown in SHOWN.items()), "average"]
    return f"Table 5: GLUE\n\n{markdown_table(head, rows)}\n\nMeasured: {'; '.join(sorted(notes))}."


def _shown_mean(name: str, record: dict) -> float:
    """Returns the mean of a run's figures that the table shows."""
    return statistics.mean(record["scores"]["dev"][score] for score in SHOWN[name])


def _heading(score: str) -> str:
    """Returns what a column calls a score."""
    shown = {"accuracy": "acc.", "mismatched_accuracy": "mismatched acc.", "f1": "F1"}
    return shown.get(score, score.capitalize())


def _means(records: Sequence[dict], shown: Sequence[str]) -> Figures:
    """Returns the mean of each score over runs, `None` for each without a run."""
    return tuple(mean_of([record["scores"]["dev"][name] for record in records]) for name in shown)


def _cells(row: Sequence[Figures]) -> list[str]:
    """Returns a row's cells, and the mean over all sets, of which one with two figures counts with their mean."""
    cells = ["/".join(map(number, figures)) if None not in figures else "-" for figures in row]
    return [*cells, number(mean_of([mean_of(figures) for figures in row]))]


def _spread(values: Sequence[float]) -> str:
    """Returns words for the runs behind a mean."""
    if len(values) == 1:
        return "1 run"
    return f"{len(values)} runs, standard deviation {statistics.stdev(values):.1f}"


def _of_method(records: Sequence[dict], method: str | None) -> dict[str, list[dict]]:
    """Returns the runs of one method by set, whatever their settings.

    Raises:
        InputError: there is no such method, or none is named and there are several.
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
    """Writes the files that the benchmark's site takes, and `submission.zip` of them; names those that are missing.

    Args:
        folder: `Path`. Made where it is missing.
        runs: dict from a set to records of its runs.

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
        raise InputError("No run has predictions of a test file: there was none in --data_dir when it was fine-tuned.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            write_atomically(folder / name, lambda temporary, text=text: temporary.write_text(text, encoding="utf-8"))
        write_atomically(folder / "submission.zip", lambda temporary: _write_zip(temporary, texts))
    except OSError as error:
        raise InputError(f"--submission_dir={folder} cannot be written: {error.strerror}.") from error
    if missing:
        logging.warning("%s lacks files that the site asks for: %s.", folder / "submission.zip", ", ".join(missing))


def _write_zip(path: Path, texts: Mapping[str, str]) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in texts.items():
            archive.writestr(name, text)


if __name__ == "__main__":
    program.run(main, Config)
