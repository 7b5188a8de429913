"""The scores of an ablation: gathered from its runs, as a file and as tables."""

import dataclasses
import math
import statistics
from collections.abc import Collection, Sequence
from typing import Any

from spanbert_keras.pretrain import Config as PretrainingConfig
from spanbert_keras.program import InputError
from tasks.ablation.column import AVERAGED, GLUE_AVERAGE, GLUE_WITH_WNLI, glue_averages
from tasks.ablation.plan import Plan
from tasks.ablation.pretrainings import METHODS, TABLE_ROWS, flags_of
from tasks.ablation.stage import record_of, scored_record
from tasks.shared import ablation_tables
from tasks.shared.ablation_tables import PUBLISHED, TASKS, UNTRAINED
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
    "errors, which may be noise. {noise}"
)
ONE_PRETRAINING = "The errors are those of fine-tuning seeds; noise of pre-training is not in them."
SEVERAL_PRETRAININGS = "The errors are those of pre-training seeds: the runs from one encoder count as one."


@dataclasses.dataclass
class Results:
    """Scores by row and data set.

    Attributes:
        rows: list of str. Names of the pre-trainings.
        tasks: list of str. Headings of the data sets, the paper's first.
        values: dict from (row, task) to the score of each run.
        encoders: dict from (row, task) to the encoder of each run, as the seed of its pre-training.
    """

    rows: list[str]
    tasks: list[str]
    values: dict[tuple[str, str], list[float]]
    encoders: dict[tuple[str, str], list[int]] = dataclasses.field(default_factory=dict)

    @property
    def has_several_pretrainings(self) -> bool:
        """Whether a cell has runs from several encoders."""
        return any(len(set(seeds)) > 1 for seeds in self.encoders.values())

    def mean(self, row: str, task: str) -> float | None:
        """Returns the mean over the runs, `None` without any."""
        found = self.values.get((row, task))
        return statistics.fmean(found) if found else None

    def deviation(self, row: str, task: str) -> float | None:
        """Returns the standard deviation over the runs, `None` for fewer than two."""
        found = self.values.get((row, task), [])
        return statistics.stdev(found) if len(found) > 1 else None

    def squared_error(self, row: str, tasks: Sequence[str]) -> float | None:
        """Returns the squared standard error of a row's mean over tasks, `None` if it is not known.

        With one pre-training per row, runs are independent. With several, runs from one encoder are not: the mean over
        all tasks from each encoder counts as one draw.
        """
        if self.has_several_pretrainings and row != UNTRAINED:
            draws = self._means_by_encoder(row, tasks)
            return statistics.variance(draws) / len(draws) if len(draws) > 1 else None
        cells = [self.values.get((row, task), []) for task in tasks]
        if any(len(found) < 2 for found in cells):
            return None
        return sum(statistics.variance(found) / len(found) for found in cells) / len(cells) ** 2

    def _means_by_encoder(self, row: str, tasks: Sequence[str]) -> list[float]:
        """Returns the mean over tasks from each encoder that has a run on all of them."""
        found: dict[int, dict[str, list[float]]] = {}
        for task in tasks:
            key = (row, task)
            for value, seed in zip(self.values.get(key, []), self.encoders.get(key, []), strict=True):
                found.setdefault(seed, {}).setdefault(task, []).append(value)
        complete = [of_task for of_task in found.values() if len(of_task) == len(tasks)]
        return [statistics.fmean(statistics.fmean(values) for values in of_task.values()) for of_task in complete]

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
    scores: dict[tuple[str, str], list[float | None]] = {}
    encoders: dict[str, list[int]] = {}
    for row in plan.rows:
        runs: dict[str, list[dict]] = {}
        for column in plan.config.columns:
            cells = plan.cell_folders(row, column)
            encoders[row] = [seed for seed, _ in cells]
            stale = [str(folder.relative_to(plan.folder)) in failed for _, folder in cells]
            runs[column.name] = [{} if old else scored_record(f) for (_, f), old in zip(cells, stale, strict=True)]
            scores[row, column.title] = [column.score(record) for record in runs[column.name]]
        if set(AVERAGED) <= set(runs):
            averages = [
                glue_averages({name: runs[name][number] for name in AVERAGED}) for number in range(len(encoders[row]))
            ]
            for name in (GLUE_AVERAGE, GLUE_WITH_WNLI):
                scores[row, name] = [one[name] for one in averages]
    found = dict.fromkeys(task for _, task in scores)
    ordered = [task for task in TASKS if task in found] + [task for task in found if task not in TASKS]
    return Results(
        list(plan.rows),
        ordered,
        {key: [one for one in of_runs if one is not None] for key, of_runs in scores.items()},
        {
            (row, task): [seed for seed, one in zip(encoders[row], of_runs, strict=True) if one is not None]
            for (row, task), of_runs in scores.items()
        },
    )


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
            facts = {name: (record.get("facts") or {}).get(name) for name in COMPARED_FACTS}
            flags = record.get("flags") or {}
            shared = {name: value for name, value in flags.items() if name not in ignored} | facts
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
    noise = SEVERAL_PRETRAININGS if results.has_several_pretrainings else ONE_PRETRAINING
    counted = f"{runs[0]}" if len(runs) == 1 else f"{runs[0]} to {runs[-1]}"
    body = markdown_table(["", *results.tasks, "difference"], lines)
    return f"{TITLES[table]}\n\n{body}\n\n{NOTE.format(runs=counted, noise=noise)}\n"


def rows_of(results: Results, table: str) -> list[str]:
    """Returns the rows of a table that are compared here, the untrained encoder last."""
    wanted = TABLE_ROWS[table] or results.rows
    return [row for row in dict.fromkeys((*wanted, UNTRAINED)) if row in results.rows]


def title_of(row: str, table: str) -> str:
    """Returns the title of a row."""
    title = ablation_tables.title_of(row)
    return METHODS.get(row, title) if table == "main" else title


def cell(results: Results, row: str, task: str) -> str:
    """Returns "84.0 ± 0.2", "84.0" for one run, "-" without any."""
    mean, deviation = results.mean(row, task), results.deviation(row, task)
    return number(mean) if mean is None or deviation is None else f"{mean:.1f} ± {deviation:.1f}"


def difference(results: Results, first: str, row: str) -> str:
    """Returns the mean difference of a row from the first over the tasks that both have, such as "+0.4" or "~ -0.1".

    Rows are independent. With one run of a cell the standard error is not known.
    """
    both = [task for task in results.tasks if results.values.get((row, task)) and results.values.get((first, task))]
    shared = [task for task in both if task not in (GLUE_AVERAGE, GLUE_WITH_WNLI)]  # their sets count themselves
    if not shared:
        return ""
    gaps = [results.mean(row, task) - results.mean(first, task) for task in shared]  # type: ignore[operator]
    gap = statistics.fmean(gaps)
    squares = [results.squared_error(name, shared) for name in (first, row)]
    if any(square is None for square in squares):
        return f"{gap:+.1f} (one {'pre-training' if results.has_several_pretrainings else 'run'})"
    error = math.sqrt(sum(squares))  # type: ignore[arg-type]
    return f"~ {gap:+.1f}" if abs(gap) < 2 * error else f"{gap:+.1f}"
