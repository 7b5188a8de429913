"""The paper's Tables 6 and 7, and the results of an ablation beside them."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from typing_extensions import TypedDict

from spanbert_keras.files.json_files import read_json
from spanbert_keras.program import InputError
from tasks.shared.run_tables import is_number, number
from tasks.shared.task_report import ResultTable

UNTRAINED = "initial"  # row of the encoder that pre-training starts from
TASKS = ("SQuAD 2.0", "NewsQA", "TriviaQA", "Coreference", "MNLI-m", "QNLI", "GLUE average")
ROWS = {
    "subword_2seq": "Subword tokens",
    "whole_word_2seq": "Whole words",
    "named_entity_2seq": "Named entities",
    "noun_phrase_2seq": "Noun phrases",
    "span_2seq": "Geometric spans, 2seq + NSP",
    "span_1seq": "Geometric spans, 1seq",
    "span_1seq_sbo": "Geometric spans, 1seq + SBO",
}
OTHER_ROWS = {
    "subword_1seq": "Subword tokens, 1seq",
    "google_bert": "Google BERT",
    UNTRAINED: "Initial encoder",
}
TABLES = {
    "Table 6: masking schemes": (
        "subword_2seq",
        "whole_word_2seq",
        "named_entity_2seq",
        "noun_phrase_2seq",
        "span_2seq",
    ),
    "Table 7: auxiliary objectives": ("span_2seq", "span_1seq", "span_1seq_sbo"),
}
# Joshi et al., 2020, Tables 6 and 7: dev sets, in the order of `TASKS`. Both tables have the row of `span_2seq`.
PUBLISHED = {
    "subword_2seq": (83.8, 72.0, 76.3, 77.7, 86.7, 92.5, 83.2),
    "whole_word_2seq": (84.3, 72.8, 77.1, 76.6, 86.3, 92.8, 82.9),
    "named_entity_2seq": (84.8, 72.7, 78.7, 75.6, 86.0, 93.1, 83.2),
    "noun_phrase_2seq": (85.0, 73.0, 77.7, 76.7, 86.5, 93.2, 83.5),
    "span_2seq": (85.4, 73.0, 78.8, 76.4, 87.0, 93.3, 83.4),
    "span_1seq": (86.7, 73.4, 80.0, 76.3, 87.3, 93.8, 83.8),
    "span_1seq_sbo": (86.8, 74.1, 80.3, 79.0, 87.6, 93.9, 84.0),
}
FORM = '{"rows": [R names], "tasks": [T names], "mean": R lists of T numbers or null, "std": the same}'


@dataclasses.dataclass(frozen=True)
class AblationResults:
    """Dev scores of an ablation's pre-trainings.

    Attributes:
        rows: list of str. Names of the pre-trainings, e.g. those of `ROWS`.
        tasks: list of str. Names of the tasks, e.g. those of `TASKS`.
        mean: list of lists, (rows, tasks). Means over seeds; `None` for a task without a result.
        std: list of lists, (rows, tasks). Standard deviations over seeds; `None` for one seed.
    """

    rows: Sequence[str]
    tasks: Sequence[str]
    mean: Sequence[Sequence[float | None]]
    std: Sequence[Sequence[float | None]]

    def cell(self, row: str, task: str) -> str:
        """Returns "84.0 ± 0.2", "84.0" for one seed, "-" without a result."""
        if row not in self.rows or task not in self.tasks:
            return "-"
        place = (self.rows.index(row), self.tasks.index(task))
        mean, deviation = (of[place[0]][place[1]] for of in (self.mean, self.std))
        return number(mean) if mean is None or deviation is None else f"{number(mean)} ± {number(deviation)}"


class _Form(TypedDict):
    """What `ablation.json` must have."""

    rows: list[str]
    tasks: list[str]
    mean: list[list[float | None]]
    std: list[list[float | None]]


def read_ablation(path: Path) -> AblationResults:
    """Reads the `ablation.json` of an ablation: lists `rows`, `tasks`, `mean` and `std`, as in `AblationResults`.

    Raises:
        InputError: the file cannot be read or has another form.
    """
    try:
        found = read_json(path, _Form)
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path} cannot be read as the results of an ablation. Expected: {FORM}. Received: {error}."
        ) from error
    results = AblationResults(*(found[field.name] for field in dataclasses.fields(AblationResults)))
    if not all(_is_grid(of, len(results.rows), len(results.tasks)) for of in (results.mean, results.std)):
        raise InputError(f"{path} does not have the form of an ablation's results. Expected: {FORM}.")
    return results


def _is_grid(value: list[list[float | None]], rows: int, columns: int) -> bool:
    """Returns whether lists of numbers are `rows` lists of `columns` finite numbers or `None`."""
    is_whole = len(value) == rows and all(len(row) == columns for row in value)
    return is_whole and all(cell is None or is_number(cell) for row in value for cell in row)


def ablation_tables(results: AblationResults | None, published: bool = True, where: str = "") -> list[ResultTable]:
    """Returns Tables 6 and 7, and a third one for rows that are in neither of them.

    Args:
        results: `AblationResults`, or `None` for the paper's rows alone.
        published: bool. Adds the paper's rows.
        where: str. Origin of the results, for the titles.
    """
    ours = AblationResults((), (), (), ()) if results is None else results
    tasks = [*TASKS, *(task for task in ours.tasks if task not in TASKS)]
    others = [row for row in ours.rows if row not in ROWS]
    tables = []
    for title, rows in [*TABLES.items(), ("Other pre-trainings", others)]:
        of_paper = {f"{ROWS[row]} (paper)": _published(row, len(tasks)) for row in rows if published and row in ROWS}
        measured = {title_of(row): [ours.cell(row, task) for task in tasks] for row in rows}
        tables.append(ResultTable(f"{title} ({where})" if where else title, ["dev", *tasks], of_paper, measured))
    return tables


def title_of(row: str) -> str:
    """Returns the title of a row."""
    return (ROWS | OTHER_ROWS).get(row, row)


def _published(row: str, columns: int) -> list[str]:
    cells = [number(value) for value in PUBLISHED[row]]
    return [*cells, *["-"] * (columns - len(cells))]
