"""Gathers fine-tuning runs into the paper's Table 4, and the same table for Re-TACRED.

python -m tasks.relation_extraction.report --runs=runs --output=table4.md
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from spanbert_keras import program
from spanbert_keras.program import InputError
from tasks.shared.run_tables import ReportSettings, find_runs, group_runs, mean_of, number, number_of_runs, scores_of
from tasks.shared.task_report import Figure, ResultTable, TaskReport, published_figures

SCORES = ("precision", "recall", "f1")
HEAD = ["", "P", "R", "F1"]
TITLES = {"TACRED": "Table 4: TACRED", "Re-TACRED": "Re-TACRED"}
# Precision, recall and F1 on the test sets. TACRED: Joshi et al., 2020, Table 4, large models; its asterisk: trained on
# text with linked entities, too. Re-TACRED: Stoica et al., 2021.
PUBLISHED: dict[str, dict[str, tuple[float | None, ...]]] = {
    "TACRED": {
        "BERT_EM, Soares et al., 2019 (paper)": (None, None, 70.1),
        "BERT_EM+MTB*, Soares et al., 2019 (paper)": (None, None, 71.5),
        "Google BERT (paper)": (69.1, 63.9, 66.4),
        "Our BERT (paper)": (67.8, 67.2, 67.5),
        "Our BERT-1seq (paper)": (72.4, 67.9, 70.1),
        "SpanBERT (paper)": (70.8, 70.9, 70.8),
    },
    "Re-TACRED": {"SpanBERT (Stoica et al., 2021)": (None, None, 85.3)},
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(ReportSettings):
    """Settings of one report."""


def main(config: Config) -> None:
    """Writes the tables."""
    found = report(Path(config.runs), config.published)
    if not found.notes:
        raise InputError(f"--runs={config.runs} holds no finished relation extraction run (run.json with scores).")
    config.write_or_print(found.markdown())


def report(folder: Path, published: bool = True) -> TaskReport:
    """Returns Table 4, the same table for Re-TACRED, and one for data sets without published rows.

    Seeds are averaged. Test scores take precedence over dev scores. SemEval's official score is a column of its own.

    Args:
        folder: `Path`. Folder of the runs.
        published: bool. Adds the published rows.
    """
    groups = group_runs(find_runs(folder, _is_extractor, _figures))
    rows: dict[str, dict[str, list[str]]] = {dataset: {} for dataset in TITLES}
    others: dict[str, list[str]] = {}
    notes: dict[str, list[str]] = {}
    figures = published_figures({name: {"TACRED": row[-1]} for name, row in PUBLISHED["TACRED"].items()}, published)
    for (method, dataset), records in groups.items():
        split, scores = scores_of(records)
        means = [mean_of([one.get(name) for one in scores]) for name in (*SCORES, "macro_f1")]
        note = f"{dataset}: {split}, {number_of_runs([one['f1'] for one in scores])} ({method})"
        notes.setdefault(dataset if dataset in rows else "", []).append(note)
        if dataset in rows:
            rows[dataset][method] = _cells(means[:3])
        else:
            others[f"{method}, {dataset}"] = _cells(means)
        if dataset == "TACRED" and means[2] is not None:
            figures[method] = {dataset: Figure(means[2], split)}
    tables = [
        ResultTable(title, HEAD, _published(name, published), rows[name], notes.get(name, ()))
        for name, title in TITLES.items()
    ]
    other = ResultTable("Other data: relations", [*HEAD, "macro F1"], {}, others, notes.get("", ()))
    return TaskReport([*tables, other], figures)


def _is_extractor(record: dict) -> bool:
    """Returns whether a run is one of relation extraction."""
    return "feature_mode" in record["flags"] and "f1" in record["scores"].get("dev", {})


def _figures(record: dict) -> list:
    """Returns the figures of one run; all but F1 may be missing."""
    [scores] = scores_of([record])[1]
    return [scores["f1"], *(scores[name] for name in (*SCORES, "macro_f1") if scores.get(name) is not None)]


def _published(dataset: str, published: bool) -> dict[str, list[str]]:
    return {name: _cells(row) for name, row in PUBLISHED[dataset].items() if published}


def _cells(figures: Sequence[float | None]) -> list[str]:
    return [number(value) for value in figures]


if __name__ == "__main__":
    program.run(main, Config)
