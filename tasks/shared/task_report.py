"""The results of one task: tables beside the paper's, how they were measured, and figures that compare methods."""

import dataclasses
from collections.abc import Mapping, Sequence

from tasks.shared.run_tables import markdown_table

# Rows of the paper's tables 1 to 5, large models. The baselines are those of section 4.3.
BASELINES = ("Google BERT (paper)", "Our BERT (paper)", "Our BERT-1seq (paper)")
SPANBERT = "SpanBERT (paper)"


@dataclasses.dataclass(frozen=True)
class ResultTable:
    """One table.

    Attributes:
        title: str.
        head: list of str. Heading of every column, also of the first, which names the rows.
        published: dict from the name of a row of the paper to its cells, without the name.
        measured: dict of the same for our runs.
        notes: list of str. The data and the number of runs of each of our figures.
    """

    title: str
    head: Sequence[str]
    published: Mapping[str, Sequence[str]]
    measured: Mapping[str, Sequence[str]]
    notes: Sequence[str] = ()

    @property
    def rows(self) -> dict[str, Sequence[str]]:
        """The rows that have figures, in order."""
        every = {**self.published, **self.measured}
        return {name: cells for name, cells in every.items() if any(cell != "-" for cell in cells)}

    def markdown(self) -> str:
        """Returns the table in Markdown, without its title."""
        return markdown_table([*self.head], {name: [*cells] for name, cells in self.rows.items()})


@dataclasses.dataclass(frozen=True)
class Figure:
    """One method's figure on one benchmark; higher is better.

    Attributes:
        value: float.
        split: str. `"test"` or `"dev"`.
    """

    value: float
    split: str = "test"


Figures = dict[str, dict[str, Figure]]  # by method and benchmark


@dataclasses.dataclass(frozen=True)
class TaskReport:
    """The results of one task.

    Attributes:
        tables: list of `ResultTable`.
        figures: dict from a method to its `Figure` by benchmark: one per benchmark of the paper.
    """

    tables: list[ResultTable]
    figures: Figures

    @property
    def notes(self) -> list[str]:
        """Those of all tables; empty without runs."""
        return sorted(note for table in self.tables for note in table.notes)

    def markdown(self) -> str:
        """Returns all tables, and after them all notes."""
        parts = [f"{table.title}\n\n{table.markdown()}" for table in self.tables if table.rows]
        return "\n\n".join([*parts, f"Measured: {'; '.join(self.notes)}."])


def published_figures(rows: Mapping[str, Mapping[str, float | None]], published: bool) -> Figures:
    """Returns the figures of the paper's baselines and of its SpanBERT.

    Args:
        rows: dict from the name of a row to its figure by benchmark.
        published: bool. Without it there are none.
    """
    return {
        method: {name: Figure(value) for name, value in rows[method].items() if value is not None}
        for method in (*BASELINES, SPANBERT)
        if published
    }
