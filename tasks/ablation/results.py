"""The scores of an ablation: gathered from its runs, as a file and as tables."""

import dataclasses
import math
import statistics
from collections.abc import Collection, Sequence
from typing import Any

from spanbert_keras.pretrain import Config as PretrainingConfig
from spanbert_keras.program import InputError
from tasks.ablation.column import AVERAGED, GLUE_AVERAGE, GLUE_WITH_WNLI, glue_averages
from tasks.ablation.plan import UNTRAINED, Plan
from tasks.ablation.pretrainings import METHODS, TABLE_ROWS, flags_of
from tasks.ablation.stage import record_of, scored_record
from tasks.shared.ablation_tables import PUBLISHED, ROWS, TASKS
from tasks.shared.run_tables import markdown_table, number

TITLES = {
    "6": "Table 6: masking schemes",
    "7": "Table 7: auxiliary objectives",
    "main": "The pre-trainings of Tables 1 to 5",
    "own": "Pre-trainings",
}
COMPARED_FACTS = ("corpus_fingerprint", "corpus_weights", "vocabulary_fingerprint")
NOTE = (
    "Dev scores, mean ± standard deviation; runs per cell: {runs}. (paper): Joshi et al., 2020. The last column is "
    "the mean difference from the first row over the data sets that both have; ~ marks a difference below two standard "
    "errors of fine-tuning seeds, which may be noise; noise of pre-training is not in it."
)


@dataclasses.dataclass
class Results:
    """Scores by row and data set.

    Attributes:
        rows: list of str. Names of the pre-trainings.
        tasks: list of str. Headings of the data sets, the paper's first.
        values: dict from (row, task) to the score of each run.
    """

    rows: list[str]
    tasks: list[str]
    values: dict[tuple[str, str], list[float]]

    def mean(self, row: str, task: str) -> float | None:
        """Returns the mean over the runs, `None` without any."""
        found = self.values.get((row, task))
        return statistics.fmean(found) if found else None

    def deviation(self, row: str, task: str) -> float | None:
        """Returns the standard deviation over the runs, `None` for fewer than two."""
        found = self.values.get((row, task), [])
        return statistics.stdev(found) if len(found) > 1 else None

    def to_json(self) -> dict[str, Any]:
        """Returns the content of `ablation.json`."""
        return {
            "rows": self.rows,
            "tasks": self.tasks,
            "mean": [[self.mean(row, task) for task in self.tasks] for row in self.rows],
            "std": [[self.deviation(row, task) for task in self.tasks] for row in self.rows],
            "values": [[self.values.get((row, task), []) for task in self.tasks] for row in self.rows],
        }


def gather(plan: Plan, failed: Collection[str] = ()) -> Results:
    """Returns the scores of all finished runs.

    Args:
        plan: `Plan`.
        failed: names of stages whose results, of an earlier attempt, do not count.
    """
    values: dict[tuple[str, str], list[float]] = {}
    for row in plan.rows:
        runs: dict[str, list[dict]] = {}
        for column in plan.config.columns:
            folders = plan.cell_folders(row, column)
            stale = [str(folder.relative_to(plan.folder)) in failed for folder in folders]
            runs[column.name] = [{} if old else scored_record(f) for f, old in zip(folders, stale, strict=True)]
            scores = [column.score(record) for record in runs[column.name]]
            values[row, column.title] = [score for score in scores if score is not None]
        if set(AVERAGED) <= set(runs):
            averages = [
                glue_averages({name: runs[name][number] for name in AVERAGED})
                for number in range(min(len(runs[name]) for name in AVERAGED))
            ]
            for name in (GLUE_AVERAGE, GLUE_WITH_WNLI):
                values[row, name] = [one[name] for one in averages if one[name] is not None]  # type: ignore[misc]
    found = dict.fromkeys(task for _, task in values)
    ordered = [task for task in TASKS if task in found] + [task for task in found if task not in TASKS]
    return Results(list(plan.rows), ordered, values)


def check_alike(plan: Plan) -> None:
    """Raises unless all finished pre-trainings differ in the flags of the tables alone.

    Raises:
        InputError: two pre-trainings have other text, vocabulary, steps or sizes.
    """
    own = {name for row in plan.config.row_names for name in flags_of(row, plan.config.recipe)} | {"seed", "pair_units"}
    ignored = own | set(PretrainingConfig.changeable())
    first: tuple[str, dict] | None = None
    for row in plan.config.row_names:
        for seed in plan.pretraining_seeds:
            folder = plan.pretraining_folder(row, seed)
            record = record_of(folder)
            if not record:
                continue
            facts = {name: record["facts"].get(name) for name in COMPARED_FACTS}
            shared = {name: value for name, value in record["flags"].items() if name not in ignored} | facts
            if first is None:
                first = (str(folder), shared)
            for name in sorted(set(shared) | set(first[1])):
                if shared.get(name) != first[1].get(name):
                    raise InputError(
                        f"The pre-trainings {first[0]} and {folder} cannot be compared: {name} is "
                        f"{first[1].get(name)!r} in the first and {shared.get(name)!r} in the second. Expected: "
                        "differences in the flags of the tables alone. Give a new --output_dir."
                    )


def markdown(results: Results, table: str, published: bool = True) -> str:
    """Returns a table in Markdown.

    Args:
        results: `Results`.
        table: str, a key of `TABLE_ROWS`.
        published: bool. Adds the paper's figures under each row.
    """
    names = rows_of(results, table)
    lines: dict[str, list[str]] = {}
    for row in names:
        lines[title_of(row, table)] = [cell(results, row, task) for task in results.tasks] + [
            difference(results, names[0], row) if row != names[0] else ""
        ]
        if published and row in PUBLISHED and table != "main":
            paper = dict(zip(TASKS, PUBLISHED[row], strict=True))
            if set(paper) & set(results.tasks):
                lines[f"{title_of(row, table)} (paper)"] = [number(paper.get(task)) for task in results.tasks] + [""]
    runs = sorted({len(found) for found in results.values.values() if found}) or [0]
    counted = f"{runs[0]}" if len(runs) == 1 else f"{runs[0]} to {runs[-1]}"
    body = markdown_table(["", *results.tasks, "difference"], lines)
    return f"{TITLES[table]}\n\n{body}\n\n{NOTE.format(runs=counted)}\n"


def rows_of(results: Results, table: str) -> list[str]:
    """Returns the rows of a table that are compared here, the untrained encoder last."""
    wanted = TABLE_ROWS[table] or results.rows
    return [row for row in dict.fromkeys((*wanted, UNTRAINED)) if row in results.rows]


def title_of(row: str, table: str) -> str:
    """Returns the title of a row."""
    if row == UNTRAINED:
        return "Initial encoder"
    return METHODS.get(row, row) if table == "main" else ROWS.get(row, row)


def cell(results: Results, row: str, task: str) -> str:
    """Returns "84.0 ± 0.2", "84.0" for one run, "-" without any."""
    mean, deviation = results.mean(row, task), results.deviation(row, task)
    return number(mean) if mean is None or deviation is None else f"{mean:.1f} ± {deviation:.1f}"


def difference(results: Results, first: str, row: str) -> str:
    """Returns the mean difference of a row from the first over the tasks that both have, such as "+0.4" or "~ -0.1".

    The standard error is that of a mean of independent differences; with one run of a cell it is not known.
    """
    both = [task for task in results.tasks if results.values.get((row, task)) and results.values.get((first, task))]
    shared = [task for task in both if task not in (GLUE_AVERAGE, GLUE_WITH_WNLI)]  # their sets count themselves
    if not shared:
        return ""
    gaps = [results.mean(row, task) - results.mean(first, task) for task in shared]  # type: ignore[operator]
    gap = statistics.fmean(gaps)
    squares = [_squared_error(results, name, task) for task in shared for name in (first, row)]
    if any(square is None for square in squares):
        return f"{gap:+.1f} (one run)"
    error = math.sqrt(sum(squares)) / len(shared)  # type: ignore[arg-type]
    return f"~ {gap:+.1f}" if abs(gap) < 2 * error else f"{gap:+.1f}"


def _squared_error(results: Results, row: str, task: str) -> float | None:
    deviation: Sequence[Any] | float | None = results.deviation(row, task)
    return None if deviation is None else float(deviation) ** 2 / len(results.values[row, task])
