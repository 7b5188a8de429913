"""Tables on the terminal: held-out examples and scores after a run, and its cost before it."""

from spanbert_keras.pretraining.piece_scores import KINDS
from spanbert_keras.pretraining.span_examples import SpanExample
from spanbert_keras.training.monitoring.flops import Shape, step_flops

DAY = 86_400


def print_examples(examples: list[SpanExample]) -> None:
    """Prints held-out spans: the text with the span, both heads' predictions (green if right), and the truth."""
    from rich.table import Table
    from rich.text import Text

    table = Table(title="Held-out text: the masked span, and the prediction of each head", show_lines=True, expand=True)
    table.add_column("text (the span in brackets)", ratio=5)
    for title in ("masked LM", "span boundary", "truth"):
        table.add_column(title, ratio=2)
    for example in examples:
        context = Text.assemble(
            (example.before + " ", "dim"), (f"[{example.truth}]", "bold"), (" " + example.after, "dim")
        )
        guesses = (
            Text(guess, style="bold green" if guess == example.truth else "yellow")
            for guess in (example.masked_lm, example.span_boundary)
        )
        table.add_row(context, *guesses, Text(example.truth, style="bold"))
    _console().print(table)


def print_scores(summaries: dict[str, dict[str, float]]) -> None:
    """Prints the held-out scores of every scheme: losses by kind of mask, beside the unigram baseline."""
    from rich.table import Table

    table = Table(title="Held-out scores (nats per token; accuracy in %)")
    for title in ("masked by", "tokens", "unigram", "MLM loss", "MLM acc.", "SBO loss", "SBO acc."):
        table.add_column(title, justify="left" if title in ("masked by", "tokens") else "right")
    for name, summary in summaries.items():
        for group, suffix in (("all", ""), *((kind, f"_{kind}") for kind in KINDS)):
            if f"masked_lm/loss{suffix}" in summary:
                table.add_row(name, group, *_score_cells(summary, suffix))
        if "span_boundary/loss_other_boundaries" in summary:
            loss = f"{summary['span_boundary/loss_other_boundaries']:.3f}"
            table.add_row(name, "all, with other spans' boundaries", "", "", "", loss, "")
    _console().print(table)
    if any("next_sentence/loss" in summary for summary in summaries.values()):
        _print_pair_scores(summaries)


def _print_pair_scores(summaries: dict[str, dict[str, float]]) -> None:
    """Prints the held-out scores of next-sentence prediction, beside those of always predicting one label."""
    from rich.table import Table

    table = Table(title="Held-out pairs of segments: is the second one next? (loss in nats; shares in %)")
    for title in ("masked by", "random", "majority acc.", "NSP loss", "NSP acc."):
        table.add_column(title, justify="left" if title == "masked by" else "right")
    for name, summary in summaries.items():
        if "next_sentence/loss" not in summary:  # held-out rows of one segment
            continue
        tags = ("random_share", "majority_accuracy", "loss", "accuracy")
        random, majority, loss, accuracy = (summary[f"next_sentence/{tag}"] for tag in tags)
        table.add_row(name, f"{100 * random:.1f}", f"{100 * majority:.1f}", f"{loss:.3f}", f"{100 * accuracy:.1f}")
    _console().print(table)


def _score_cells(summary: dict[str, float], suffix: str) -> list[str]:
    """Returns the numbers in a row of the table of scores."""
    cells = [f"{summary[f'masked_lm/unigram_loss{suffix}']:.3f}"]
    for head in ("masked_lm", "span_boundary"):
        loss, accuracy = (summary.get(f"{head}/{what}{suffix}") for what in ("loss", "accuracy"))
        cells += ["-", "-"] if loss is None or accuracy is None else [f"{loss:.3f}", f"{100 * accuracy:.1f}"]
    return cells


def print_cost(
    shape: Shape,
    parameters: dict[str, int],
    batch: dict,
    *,
    steps: int,
    rows_per_epoch: int,
    padding_share: float,
    memory: dict[str, float],
    tokens_per_second: float | None,
    span_boundary: bool = True,
) -> None:
    """Prints the table of `--dry_run`: parameters, tokens, epochs, arithmetic, memory, days, shapes.

    Args:
        shape: `Shape`. Sizes of a step.
        parameters: dict from a part of the model to its number of parameters.
        batch: dict of arrays. The first batch.
        steps: int. Updates of the run.
        rows_per_epoch: int. Rows of one epoch of all corpora.
        padding_share: float. Share of an epoch's positions that are padding.
        memory: dict from a part of the memory to its bytes, from `memory_bytes`.
        tokens_per_second: float or `None`. Rate from which days are computed, without padding, as in TensorBoard.
        span_boundary: bool. Whether the span boundary head is trained.
    """
    from rich.table import Table

    table = Table(title="Dry run", show_header=False)
    table.add_column()
    table.add_column(justify="right")
    for part, count in parameters.items():
        table.add_row(f"parameters, {part}", f"{count:,}")
    tokens = shape.batch_rows * shape.sequence_length
    flops = step_flops(shape, span_boundary)
    table.add_row("tokens per step", f"{tokens:,} ({shape.batch_rows} rows of {shape.sequence_length})")
    table.add_row("masked tokens per row, at most", f"{shape.predictions}")
    if shape.pairs:
        table.add_row("pairs of segments per row, at most", f"{shape.pairs}")
    table.add_row("padding", f"{100 * padding_share:.2f} %")
    table.add_row("rows per epoch", f"{rows_per_epoch:,}")
    table.add_row("epochs", f"{steps * shape.batch_rows / rows_per_epoch:,.2f} ({steps:,} steps)")
    table.add_row("arithmetic", f"{flops:.3g} FLOP per step, {flops * steps:.3g} in all")
    for part, size in memory.items():
        table.add_row(f"memory, {part} (estimate)", f"{size / 2**30:,.2f} GiB")
    if tokens_per_second:
        real = tokens * (1.0 - padding_share)
        days = steps * real / tokens_per_second / DAY
        rate = flops / real * tokens_per_second
        table.add_row(f"at {tokens_per_second:,.0f} tokens/s", f"{days:,.2f} days ({rate / 1e12:,.2f} TFLOP/s)")
    for name, array in batch.items():
        table.add_row(f"batch, {name}", f"{array.dtype} {array.shape}")
    _console().print(table)


def _console():
    """Returns a console that is wide enough for tables where the output is a file or a pipe."""
    from rich.console import Console

    console = Console()
    return console if console.is_terminal else Console(width=120)
