"""Gathers fine-tuning runs into the paper's Table 3.

python -m tasks.coreference.report --runs=runs --output=table3.md
"""

import dataclasses
import statistics
from collections.abc import Sequence
from pathlib import Path

from spanbert_keras import program
from spanbert_keras.program import InputError
from tasks.shared.run_tables import ReportSettings, find_runs, group_runs, number, number_of_runs, scores_of
from tasks.shared.task_report import Figure, ResultTable, TaskReport, published_figures

DATASET = "OntoNotes"
METRICS = {"muc": "MUC", "b_cubed": "B³", "ceaf": "CEAF-φ4"}
PARTS = {"precision": "P", "recall": "R", "f1": "F1"}
AVERAGE = "average_f1"
HEAD = ["", *(f"{metric} {part}" for metric in METRICS.values() for part in PARTS.values()), "average F1"]
SCORES = [*(f"{metric}_{part}" for metric in METRICS for part in PARTS), AVERAGE]
# Joshi et al., 2020, Table 3: large models, test set, in the order of `SCORES`. The averages are as printed: that of
# Our BERT, whose CEAF-phi4 F1 does not follow from its precision and recall either, is 0.1 above the mean.
PUBLISHED = {
    "Lee et al., 2018 (paper)": (81.4, 79.5, 80.4, 72.2, 69.5, 70.8, 68.2, 67.1, 67.6, 73.0),
    "Google BERT (paper)": (84.9, 82.5, 83.7, 76.7, 74.2, 75.4, 74.6, 70.1, 72.3, 77.1),
    "Our BERT (paper)": (85.1, 83.5, 84.3, 77.3, 75.5, 76.4, 75.0, 71.9, 73.9, 78.3),
    "Our BERT-1seq (paper)": (85.5, 84.1, 84.8, 77.8, 76.7, 77.2, 75.3, 73.5, 74.4, 78.8),
    "SpanBERT (paper)": (85.8, 84.8, 85.3, 78.3, 77.9, 78.1, 76.4, 74.2, 75.3, 79.6),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(ReportSettings):
    """Settings of one report."""


def main(config: Config) -> None:
    """Writes the table."""
    found = report(Path(config.runs), config.published)
    if not found.notes:
        raise InputError(f"--runs={config.runs} holds no finished coreference run (run.json with scores).")
    config.write_or_print(found.markdown())


def report(folder: Path, published: bool = True) -> TaskReport:
    """Returns Table 3, and a second table for data sets that are not in the paper.

    Seeds are averaged. Test scores take precedence over dev scores.

    Args:
        folder: `Path`. Folder of the runs.
        published: bool. Adds the paper's rows.
    """
    groups = group_runs(find_runs(folder, lambda record: AVERAGE in record["scores"].get("dev", {}), _figures))
    rows, others = {}, {}
    notes: dict[bool, list[str]] = {True: [], False: []}  # of the paper's data set, of others
    figures = published_figures({name: {DATASET: row[-1]} for name, row in PUBLISHED.items()}, published)
    for (method, dataset), records in groups.items():
        split, scores = scores_of(records)
        means = [statistics.fmean(one[name] for one in scores) for name in SCORES]
        notes[dataset == DATASET].append(
            f"{dataset}: {split}, {number_of_runs([one[AVERAGE] for one in scores])} ({method})"
        )
        if dataset == DATASET:
            rows[method] = _cells(means)
            figures[method] = {DATASET: Figure(means[-1], split)}
        else:
            others[f"{method}, {dataset}"] = _cells(means)
    of_paper = {name: _cells(row) for name, row in PUBLISHED.items() if published}
    table = ResultTable("Table 3: OntoNotes", HEAD, of_paper, rows, notes[True])
    return TaskReport([table, ResultTable("Other data: coreference", HEAD, {}, others, notes[False])], figures)


def _figures(record: dict) -> list:
    """Returns the figures of one run."""
    return [scores[name] for scores in scores_of([record])[1] for name in SCORES]


def _cells(figures: Sequence[float]) -> list[str]:
    return [number(value) for value in figures]


if __name__ == "__main__":
    program.run(main, Config)
