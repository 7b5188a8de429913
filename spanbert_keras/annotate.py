"""Marks named entities and noun phrases in a prepared corpus, for the masking schemes of section 6.1.

    python -m spanbert_keras.annotate --corpus=shards/ --input=books.jsonl.gz,more/*.txt \
        --annotations=entities,noun_phrases --annotator=spacy:en_core_web_sm
    python -m spanbert_keras.pretrain --corpus=shards/ --scheme=named_entity

Writes one byte per token beside the shards. The input is what `prepare` read: each document is found by its text.
Without --input, text is put together from the tokens. Annotators: a spaCy pipeline (`pip install
"spanbert-keras[linguistic]"`, then `python -m spacy download en_core_web_sm`); `model:FILE`, a recognizer that
tasks.named_entities.finetune saved (with --workers=1 it uses all cores); `rules`, runs of capitalised words, without a
model; `jsonl:FILE`, your own mentions, one line of {"text": "...", "entities": [[start, end, "LABEL"], ...],
"noun_phrases": [[start, end], ...]} per document.
A stopped run continues when it is started again. On several machines: --shard=0/4 on the first, 1/4, 2/4, 3/4 on the
others, with the same --corpus.
"""

import sys
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from spanbert_keras import program
from spanbert_keras.data.annotations.annotation_settings import AnnotationSettings

if TYPE_CHECKING:
    from spanbert_keras.data.annotations.annotation_report import AnnotationReport


class Config(AnnotationSettings):
    """Settings of one annotation."""


def main(config: Config) -> None:
    """Annotates the corpus and prints what was found."""
    from spanbert_keras.data.annotations.annotate_corpus import annotate_corpus
    from spanbert_keras.data.annotations.annotation_report import report_annotation
    from spanbert_keras.data.shards.token_shards import TokenShards

    console = Console(width=None if sys.stdout.isatty() else 110)
    if not config.input:
        console.print(
            "Warning: without --input, the text is put together from word pieces: unknown words and the original "
            "spacing are lost, and fewer mentions are found.",
            style="yellow",
            markup=False,
        )
    columns = (
        TextColumn("annotating"),
        BarColumn(),
        TextColumn("{task.percentage:.0f} %  {task.completed:,.0f} of {task.total:,.0f} tokens"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("annotate", total=1)
        run = annotate_corpus(config, lambda done, total: bar.update(task, completed=done, total=total))
    for sentence in run.warnings:
        console.print(f"Warning: {sentence}", style="yellow", markup=False)
    if not run.finished:
        console.print(
            f"Part {config.shard} is done. The annotations of {config.corpus} are complete when all parts are.",
            markup=False,
        )
        return
    shards = TokenShards(config.corpus)
    for name in config.annotations:
        console.print(report_table(report_annotation(shards, name)))
    console.print(f"The annotations are in {config.corpus}.", markup=False)


def report_table(report: "AnnotationReport") -> Table:
    """Returns a table of what an annotation contains."""
    title = f"{report.name.replace('_', ' ').capitalize()} of the corpus"
    table = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left", show_header=False)
    table.add_column("fact", no_wrap=True)
    table.add_column("value")
    table.add_row("mentions", f"{report.mentions:,}, of which {report.masked:,} are masked by default")
    if report.missing:
        table.add_row("documents without mentions", f"{report.missing:,}, which the input lacked")
    table.add_row("tokens in mentions", f"{report.piece_share:.2%}")
    table.add_row("mentions per 100 words", f"{report.per_100_words:.2f}")
    table.add_row("labels", ", ".join(f"{escape(label)} {count:,}" for label, count in report.labels.items()) or "-")
    table.add_row(
        "most frequent, masked", ", ".join(f"{escape(text)} ({count:,})" for text, count in report.frequent) or "-"
    )
    return table


if __name__ == "__main__":
    program.run(main, Config)
