"""What a model makes of the documents of a file, and its scores."""

from collections.abc import Sequence
from pathlib import Path

import spanbert_keras
from tasks.coreference import metrics

LENGTHS = (500, 1000, 2000, 4000)  # words; documents are also scored by the first of these that holds them


def predict(model, documents: Sequence, batch_size: int = 16) -> list[tuple]:
    """Returns the clusters of each document, in words.

    Args:
        model: `SpanBertCoreferenceResolver`.
        documents: list of `spanbert_keras.Document` with words.
        batch_size: int. Segments encoded at once.
    """
    return [found.token_clusters for found in model.resolve(documents, batch_size=batch_size)]


def score(documents: Sequence, found: Sequence[Sequence]) -> dict[str, float]:
    """Returns the scores of a set of documents, in per cent; see `metrics.Scores.summary`."""
    return metrics.score(zip([d.clusters for d in documents], found, strict=True)).summary()


def score_by(documents: Sequence, found: Sequence[Sequence]) -> dict[str, dict[str, float]]:
    """Returns the scores of all documents, and of those of each genre and of each length where there are several."""
    tables = {"all documents": score(documents, found)}
    for what, name_of in (("genre", lambda d: d.genre or "unknown"), ("words", _length)):
        names = [name_of(document) for document in documents]
        for name in sorted(set(names)):
            chosen = [i for i, other in enumerate(names) if other == name]
            if len(chosen) < len(documents):
                tables[f"{what}: {name.strip()}"] = score([documents[i] for i in chosen], [found[i] for i in chosen])
    return tables


def _length(document) -> str:
    """Returns the range of lengths that a document is in; blanks make the ranges sort by size."""
    limit = next((n for n in LENGTHS if n >= len(document.tokens)), None)
    return f"{limit:>6} at most" if limit else f"more than {LENGTHS[-1]}"


def write(folder: Path, documents: Sequence, found: Sequence[Sequence]) -> None:
    """Writes the clusters as a CoNLL-2012 file, which the official scorer reads."""
    folder.mkdir(parents=True, exist_ok=True)
    resolved = [document.with_clusters(clusters) for document, clusters in zip(documents, found, strict=True)]
    spanbert_keras.write_conll(folder / "predictions.conll", resolved)
