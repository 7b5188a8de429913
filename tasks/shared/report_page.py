"""Writes tables with their notes into one HTML page and into one Markdown file."""

import html
import re
from collections.abc import Sequence
from pathlib import Path

from tasks.shared.task_report import ResultTable

SHELL = Path(__file__).with_name("report_page.html")
PLACEHOLDER = re.compile(r"\{\{(title|lead|tables)\}\}")
FIGURE = re.compile(r"-|[\d./± -]+")


def markdown_page(title: str, lead: str, tables: Sequence[ResultTable]) -> str:
    """Returns a Markdown page.

    Args:
        title: str. Heading of the page.
        lead: str. Text under the heading.
        tables: sequence of `ResultTable`.
    """
    parts = [f"# {title}", lead]
    for table in tables:
        notes = [f"{'; '.join(table.notes)}."] if table.notes else []
        parts += [f"## {table.title}", table.markdown(), *notes]
    return "\n\n".join(parts)


def html_page(title: str, lead: str, tables: Sequence[ResultTable]) -> str:
    """Returns the same as a self-contained HTML page: our rows are coloured, markup in any text is shown as text."""
    values = {
        "title": html.escape(title),
        "lead": html.escape(lead),
        "tables": "\n".join(map(_section, tables)),
    }
    return PLACEHOLDER.sub(lambda found: values[found[1]], SHELL.read_text(encoding="utf-8"))


def _section(table: ResultTable) -> str:
    rows = table.rows
    kinds = ["figure" if all(map(FIGURE.fullmatch, column)) else "text" for column in zip(*rows.values(), strict=True)]
    head = _row(table.head[0], table.head[1:], kinds, "col")
    body = "\n".join(
        f'<tr class="{"ours" if name in table.measured else "paper"}">{_row(name, cells, kinds)}</tr>'
        for name, cells in rows.items()
    )
    notes = "".join(f"<li>{html.escape(note)}</li>" for note in table.notes)
    return (
        f'<section><h2>{html.escape(table.title)}</h2>\n<div class="wide"><table>\n<thead><tr>{head}</tr></thead>\n'
        f"<tbody>\n{body}\n</tbody>\n</table></div>" + (f"\n<ul>{notes}</ul>" if notes else "") + "</section>"
    )


def _row(name: str, cells: Sequence[str], kinds: Sequence[str], scope: str = "row") -> str:
    """Returns the cells of a row: the first is its heading, as are all of them with `scope="col"`."""
    first, others = f'<th scope="{scope}"', 'th scope="col"' if scope == "col" else "td"
    return f"{first}>{html.escape(name)}</th>" + "".join(
        f'<{others} class="{kind}">{html.escape(cell)}</{others[:2]}>' for kind, cell in zip(kinds, cells, strict=True)
    )
