"""Gathers fine-tuning runs into the paper's Tables 1 and 2.

python -m tasks.question_answering.report --runs=runs --output=results.md
"""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

from spanbert_keras import program
from spanbert_keras.program import InputError
from tasks.shared.run_tables import ReportSettings, find_runs, group_runs, mean_of, number
from tasks.shared.task_report import Figure, Figures, ResultTable, TaskReport, published_figures

SQUAD = ("SQuAD 1.1", "SQuAD 2.0")
MRQA = ("NewsQA", "TriviaQA", "SearchQA", "HotpotQA", "NaturalQuestions")
NO_MRQA = (None,) * 6
# Joshi et al., 2020, Tables 1 and 2: large models, test sets. EM, F1 and EM, F1; then F1 of MRQA's sets, and the mean.
# The last row is on dev: the last one of Table 7, of half of the pre-training.
PUBLISHED: dict[str, tuple[float | None, ...]] = {
    "Human (paper)": (82.3, 91.2, 86.8, 89.4, *NO_MRQA),
    "Google BERT (paper)": (84.3, 91.3, 80.0, 83.3, 68.8, 77.5, 81.7, 78.3, 79.9, 77.3),
    "Our BERT (paper)": (86.5, 92.6, 82.8, 85.9, 71.0, 79.0, 81.8, 80.5, 80.5, 78.6),
    "Our BERT-1seq (paper)": (87.5, 93.3, 83.8, 86.6, 71.9, 80.4, 84.0, 80.3, 81.8, 79.7),
    "SpanBERT (paper)": (88.8, 94.6, 85.7, 88.7, 73.6, 83.6, 84.8, 83.0, 82.5, 81.5),
    "SpanBERT on dev, 1.2M steps (paper)": (None, None, None, 86.8, 74.1, 80.3, None, None, None, None),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(ReportSettings):
    """Settings of one report."""


@dataclasses.dataclass(frozen=True)
class Result:
    """Scores of one method on one data set.

    Attributes:
        exact, f1: float. Means over the runs.
        runs: int. Number of runs, such as seeds.
        split: str. The scored data, and the threshold.
    """

    exact: float
    f1: float
    runs: int
    split: str


def main(config: Config) -> None:
    """Writes the tables."""
    found = report(Path(config.runs), config.published)
    if not found.notes:
        raise InputError(f"--runs={config.runs} holds no finished question-answering run (run.json with scores).")
    config.write_or_print(found.markdown())


def report(folder: Path, published: bool = True) -> TaskReport:
    """Returns Tables 1 and 2, and a third one for data sets that are not in the paper.

    Args:
        folder: `Path`. Folder of the runs.
        published: bool. Adds the paper's rows.
    """
    return report_of(gather(folder), published)


def gather(folder: Path) -> dict[tuple[str, str], Result]:
    """Returns the results of all finished runs by (method, data set).

    Test scores take precedence over dev scores. Those of dev use a threshold fitted on other articles, else on dev
    itself, and are labelled accordingly. Seeds are averaged; see `group_runs`.
    """
    groups = group_runs(find_runs(folder, _is_reader, _figures))
    return {key: _mean([_result(record["scores"]) for record in records]) for key, records in groups.items()}


def _is_reader(record: dict) -> bool:
    """Returns whether a run's scores are those of question answering."""
    return not {"exact_match", "exact", "best_exact"}.isdisjoint(record["scores"].get("dev", {}))


def _figures(record: dict) -> tuple:
    """Returns the figures of one run."""
    result = _result(record["scores"])
    return result.exact, result.f1


def _result(scores: dict) -> Result:
    """Returns the scores of one run."""
    if "test" in scores:
        test = scores["test"]
        return Result(test.get("exact_match", test.get("exact")), test["f1"], 1, "test")
    dev = scores["dev"]
    if "calibrated_f1" in dev:
        return Result(dev["calibrated_exact"], dev["calibrated_f1"], 1, "dev, threshold fitted on other articles")
    if "best_f1" in dev:
        return Result(dev["best_exact"], dev["best_f1"], 1, "dev, threshold fitted on it")
    return Result(dev["exact_match"], dev["f1"], 1, "dev")


def _mean(runs: list[Result]) -> Result:
    """Returns the mean of runs; if some have test scores, only of those."""
    split = "test" if any(run.split == "test" for run in runs) else runs[0].split
    kept = [run for run in runs if run.split == split]
    exact, f1 = (sum(getattr(run, name) for run in kept) / len(kept) for name in ("exact", "f1"))
    return Result(exact, f1, len(kept), split)


def report_of(results: Mapping[tuple[str, str], Result], published: bool = True) -> TaskReport:
    """Returns the report on results by (method, data set)."""
    methods = list(dict.fromkeys(method for method, _ in results))
    others = sorted({dataset for _, dataset in results} - {*SQUAD, *MRQA})
    rows = {name: [number(value) for value in row] for name, row in PUBLISHED.items() if published}

    def pairs(title: str, datasets: Sequence[str], of_paper: dict[str, list[str]]) -> ResultTable:
        head = ["", *(f"{name} {score}" for name in datasets for score in ("EM", "F1"))]
        measured = {m: [cell for name in datasets for cell in _pair(results.get((m, name)))] for m in methods}
        return ResultTable(title, head, of_paper, measured, _notes(results, datasets))

    tables = [
        pairs("Table 1: SQuAD", SQUAD, {name: row[:4] for name, row in rows.items()}),
        ResultTable(
            "Table 2: MRQA",
            ["F1", *MRQA, "average"],
            {name: row[4:] for name, row in rows.items()},
            {m: _averaged([_f1(results.get((m, name))) for name in MRQA]) for m in methods},
            _notes(results, MRQA),
        ),
        *([pairs("Other data: question answering", others, {})] if others else []),
    ]
    places = dict(zip((*SQUAD, *MRQA), (1, 3, 4, 5, 6, 7, 8), strict=True))  # of F1
    of_paper = {name: {dataset: row[place] for dataset, place in places.items()} for name, row in PUBLISHED.items()}
    figures: Figures = published_figures(of_paper, published)
    for (method, dataset), result in results.items():
        if dataset in places:
            figures.setdefault(method, {})[dataset] = Figure(result.f1, result.split.partition(",")[0])
    return TaskReport(tables, figures)


def _notes(results: Mapping[tuple[str, str], Result], datasets: Sequence[str]) -> list[str]:
    """Returns the split and the number of runs of each result on some data sets."""
    return sorted(
        f"{dataset}: {one.split}, {one.runs} run{'s' * (one.runs > 1)} ({method})"
        for (method, dataset), one in results.items()
        if dataset in datasets
    )


def _pair(result: Result | None) -> list[str]:
    return ["-", "-"] if result is None else [number(result.exact), number(result.f1)]


def _f1(result: Result | None) -> float | None:
    return None if result is None else result.f1


def _averaged(values: list[float | None]) -> list[str]:
    return [number(value) for value in (*values, mean_of(values))]


if __name__ == "__main__":
    program.run(main, Config)
