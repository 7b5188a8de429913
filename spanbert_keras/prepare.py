"""Turns raw text into token shards for pre-training.

    python -m spanbert_keras.prepare --input=books.jsonl.gz,more/*.txt --vocabulary=vocab.txt --output_dir=shards/

Input: .txt (a blank line ends a document; one sentence or paragraph per line), a folder (one document per file), JSON
lines with a text field, each also .gz or .zst; Parquet with a text column; or `embedded`, the documentation that ships
with Python. The content decides, not the name. Archives and other files without text are rejected if they are named; in
a folder they are skipped and counted.
A stopped run continues when it is started again. On several machines: --shard=0/4 on the first, 1/4, 2/4, 3/4 on the
others, with the same --output_dir; each reads all input and does a quarter of the work.
"""

import sys

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from spanbert_keras import program
from spanbert_keras.data.corpus.preparation_settings import PreparationSettings

MAX_ROWS = 20


class Config(PreparationSettings):
    """Settings of one preparation."""


def main(config: Config) -> None:
    """Prepares the corpus and prints how much of each file was kept."""
    from spanbert_keras.data.corpus.prepare_corpus import prepare_corpus, warnings_of

    console = Console(width=None if sys.stdout.isatty() else 110)
    columns = (
        TextColumn("preparing"),
        BarColumn(),
        TextColumn("{task.percentage:.0f} %  {task.fields[counts]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("prepare", total=None, counts="")

        def show(done: int, total: int, documents: int, pieces: int) -> None:
            bar.update(task, completed=done, total=total, counts=f"{documents:,} documents, {pieces:,} tokens")

        manifest = prepare_corpus(config, show)
    console.print(report_table(manifest))
    for sentence in warnings_of(manifest):
        console.print(f"Warning: {sentence}", style="yellow", markup=False)
    console.print(f"The corpus is in {config.output_dir}.", markup=False)


def report_table(manifest: dict) -> Table:
    """Returns a table with one line per file (only the largest of many) and one for all."""
    table = Table(title="Prepared corpus", box=box.SIMPLE_HEAD, title_justify="left")
    table.add_column("file", overflow="ellipsis", no_wrap=True)
    for name in ("documents", "kept", "empty", "twice", "bad bytes", "tokens", "[UNK]"):
        table.add_column(escape(name), justify="right", no_wrap=True)
    rows = list(zip([source["path"] for source in manifest["sources"]], manifest["reports"], strict=True))
    largest = sorted(rows, key=lambda row: -row[1]["pieces"])[:MAX_ROWS]
    for path, report in largest:
        table.add_row(escape(shorten(path)), *_cells(report))
    if len(rows) > MAX_ROWS:
        table.add_row(f"... and {len(rows) - MAX_ROWS} more (all in manifest.json)")
    table.add_section()
    table.add_row("all", *_cells(manifest["totals"]), style="bold")
    return table


def shorten(path: str, width: int = 28) -> str:
    """Returns a path, shortened at its beginning to at most `width` characters."""
    return path if len(path) <= width else "..." + path[-(width - 3) :]


def _cells(report: dict[str, int]) -> list[str]:
    """Returns the numbers of one line of the table."""
    names = ["documents", "kept_documents", "empty_documents", "duplicate_documents", "undecodable_bytes"]
    share = report["unknown_pieces"] / max(1, report["kept_pieces"])
    return [*(f"{report[name]:,}" for name in [*names, "kept_pieces"]), f"{share:.3%}"]


if __name__ == "__main__":
    program.run(main, Config)
