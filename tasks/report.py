"""Gathers all fine-tuning runs and ablations into the paper's Tables 1 to 7: one Markdown file, one HTML page.

python -m tasks.report --runs=runs
"""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

from absl import logging

from spanbert_keras import program
from spanbert_keras.files.writing import input_error_if_unwritable, write_text
from spanbert_keras.program import InputError, Settings, setting
from tasks.coreference import report as coreference
from tasks.glue import report as glue
from tasks.question_answering import report as question_answering
from tasks.relation_extraction import report as relation_extraction
from tasks.shared.ablation_tables import ablation_tables, read_ablation
from tasks.shared.report_page import html_page, markdown_page
from tasks.shared.task_report import BASELINES, SPANBERT, Figures, ResultTable

REPORTS = (question_answering.report, coreference.report, relation_extraction.report, glue.report)
ABLATION = "ablation.json"
TITLE = "SpanBERT: the paper's tables"
LEAD = (
    "Rows of the paper are marked as such (Joshi et al., 2020): large models, test sets in Tables 1 to 5, dev sets in "
    "Tables 6 and 7. Our rows are means over runs; the data and the number of runs are listed below each table."
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """Settings of one report."""

    runs: str = setting(
        "Folder of the runs and ablations, at any depth; runs are grouped by --method and --dataset.",
        default="runs",
        path=True,
    )
    output: str | None = setting(
        "Markdown file to write; the HTML page is written beside it, with the ending .html. Default: tables.md in the "
        "folder of the runs.",
        default=None,
        path=True,
    )
    published: bool = setting("Adds the results of the paper.", default=True)
    baselines: tuple[str, ...] = setting(
        "Rows that every other model is compared with. Default: the paper's three baselines.", default=()
    )


@dataclasses.dataclass(frozen=True)
class Comparison:
    """One model against all baselines.

    Attributes:
        better: list of str. Benchmarks on which its figure is above that of every baseline.
        not_better: list of str. The other benchmarks on which it and all baselines have a figure.
        unlike: int. Number of these benchmarks on which dev scores are compared with test scores.
    """

    better: list[str]
    not_better: list[str]
    unlike: int


def main(config: Config) -> None:
    """Writes both files."""
    tables = gather(Path(config.runs), config.published, config.baselines)
    output = Path(config.runs, "tables.md") if config.output is None else Path(config.output)
    if output.suffix == ".html":
        raise InputError(f"--output={output} must be a Markdown file. The HTML page is written beside it.")
    for path, make in ((output, markdown_page), (output.with_suffix(".html"), html_page)):
        with input_error_if_unwritable(path):
            write_text(path, make(TITLE, LEAD, tables) + "\n", errors="backslashreplace")
        logging.info("Wrote %s.", path)


def gather(folder: Path, published: bool = True, baselines: Sequence[str] = ()) -> list[ResultTable]:
    """Returns all tables that have rows.

    Args:
        folder: `Path`. Folder of the runs.
        published: bool. Adds the paper's rows.
        baselines: sequence of str. Names of rows, see `compare`; by default the paper's.

    Raises:
        InputError: there are neither runs nor ablations, or no row has the name of a baseline.
    """
    reports = [make(folder, published) for make in REPORTS]
    ablations = sorted(folder.rglob(ABLATION))
    if not ablations and not any(report.notes for report in reports):
        raise InputError(f"--runs={folder} holds no finished fine-tuning run (run.json with scores) and no {ABLATION}.")
    tables = [table for report in reports for table in report.tables]
    figures: Figures = {}
    for report in reports:
        for method, of_method in report.figures.items():
            figures.setdefault(method, {}).update(of_method)
    chosen = tuple(baselines) or (BASELINES if published else ())
    if chosen:
        tables.append(wins_table(compare(figures, chosen), chosen))
    for path in ablations:
        where = path.parent.relative_to(folder).as_posix()
        tables += ablation_tables(read_ablation(path), published, "" if where == "." else where)
    if not ablations:
        tables += ablation_tables(None, published)
    return [table for table in tables if table.rows]


def compare(figures: Figures, baselines: Sequence[str]) -> dict[str, Comparison]:
    """Compares every model with all baselines, on the benchmarks on which all of them have a figure.

    Figures are F1 for question answering, average F1 for coreference, F1 for TACRED, and for GLUE the mean of a set's
    scores. The paper's own count is 14 of 17 (section 5.2): MRPC, QQP and SST-2 are the others.

    Raises:
        InputError: a baseline has no figures.
    """
    unknown = [name for name in baselines if name not in figures]
    if unknown:
        raise InputError(
            f"--baselines must be names of rows. Expected: some of: {'; '.join(figures)}. Received: {unknown[0]}."
        )
    shared = set.intersection(*(set(figures[name]) for name in baselines))
    found = {}
    for method, of_method in figures.items():
        if method in baselines:
            continue
        names = [name for name in figures[baselines[0]] if name in of_method and name in shared]
        better = [n for n in names if all(of_method[n].value > figures[other][n].value for other in baselines)]
        unlike = [n for n in names if any(of_method[n].split != figures[other][n].split for other in baselines)]
        found[method] = Comparison(better, [name for name in names if name not in better], len(unlike))
    return found


def wins_table(comparisons: Mapping[str, Comparison], baselines: Sequence[str]) -> ResultTable:
    """Returns a table of the benchmarks on which models are better than all baselines."""
    head = ["", "better on", "of", "not better on", "of these, dev beside test"]
    rows = {
        method: [
            str(len(one.better)),
            str(len(one.better) + len(one.not_better)),
            ", ".join(one.not_better) or "none",
            str(one.unlike),
        ]
        for method, one in comparisons.items()
        if one.better or one.not_better
    }
    of_paper = {method: cells for method, cells in rows.items() if method in (*BASELINES, SPANBERT)}
    ours = {method: cells for method, cells in rows.items() if method not in of_paper}
    return ResultTable(
        "Overall trends: better than all baselines", head, of_paper, ours, [f"Baselines: {'; '.join(baselines)}"]
    )


if __name__ == "__main__":
    program.run(main, Config)
