"""Precision and recall of links by the lowest probability that they must have, as numbers and as a picture."""

import os
from collections.abc import Sequence

from spanbert_keras.files.writing import write_atomically
from spanbert_keras.progress import Progress
from tasks.coreference import predictions
from tasks.shared.extras import COREFERENCE, load

LIMITS = (0.0, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)  # with a probability below 0.3 hardly anything is linked
NAMES = ("precision", "recall", "f1")


def need_library() -> None:
    """Raises if matplotlib is missing: better now than after the predictions.

    Raises:
        InputError: matplotlib is not installed.
    """
    load("matplotlib", COREFERENCE)


def scores(model, documents: Sequence, batch_size: int, gold_mentions: bool = False) -> dict[str, dict[str, float]]:
    """Returns precision, recall and F1 of links in per cent, by MUC, for each of `LIMITS`.

    Every limit resolves the documents: a link that is left out changes the chains that later mentions are linked to.

    Args:
        model: `SpanBertCoreferenceResolver`.
        documents: list of `spanbert_keras.Document` with gold clusters.
        batch_size: int. Segments encoded at once.
        gold_mentions: bool. Whether the documents' gold mentions are linked instead of predicted ones.
    """
    found = {}
    with Progress(len(LIMITS), "limits") as progress:
        for limit in LIMITS:
            chains = predictions.predict(model, documents, batch_size, False, gold_mentions, min_score=limit)
            of_limit = predictions.score(documents, chains)
            found[f"{limit:g}"] = {name: of_limit[f"muc_{name}"] for name in NAMES}
            progress.advance(1)
    return found


def draw(path: str | os.PathLike, table: dict[str, dict[str, float]]) -> None:
    """Draws what `scores` returns.

    Args:
        path: path of the PNG file.
        table: dict, as `scores` returns it.

    Raises:
        InputError: matplotlib is not installed.
    """
    load("matplotlib", COREFERENCE).use("Agg")
    pyplot = load("matplotlib.pyplot", COREFERENCE)
    figure, axes = pyplot.subplots(figsize=(5.2, 3.6), layout="constrained")
    limits = [float(limit) for limit in table]
    for name, colour, marker in zip(NAMES, ("#1f6feb", "#9a6700", "#57606a"), "os^", strict=True):
        values = [row[name] for row in table.values()]
        axes.plot(limits, values, color=colour, marker=marker, markersize=4, label="F1" if name == "f1" else name)
    axes.set(xlabel="lowest probability of a link (min_score)", ylabel="links, per cent (MUC)", ylim=(0, 100))
    axes.grid(color="#d0d7de", linewidth=0.5)
    axes.legend(loc="lower left", frameon=False)
    write_atomically(path, lambda temporary: figure.savefig(temporary, format="png", dpi=130))
    pyplot.close(figure)
