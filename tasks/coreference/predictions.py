"""Reads documents, predicts their clusters, and scores and writes them."""

import collections
import contextlib
import dataclasses
import re
from collections.abc import Sequence
from pathlib import Path

from absl import logging

import spanbert_keras
from spanbert_keras.program import InputError
from spanbert_keras.progress import Progress
from tasks.coreference import baselines, metrics

BLANKS = re.compile(r"\s+")
NUM_PARTS = 20  # about as many updates of the progress bar
WORDS_PER_SEGMENT = 128  # a rough estimate, to size the parts
LENGTH_LIMITS = (500, 1000, 2000, 4000)  # words; documents are also scored by the first limit that they fit


@dataclasses.dataclass(frozen=True)
class GoldFile:
    """The documents of a file.

    Attributes:
        everything: list of `spanbert_keras.Document`, including those without words.
        left_out: list of str. A sentence for each bad document and each one without words.
        key: str or `None`. Path of the file if it is a CoNLL file and all of its documents are here.
    """

    everything: list
    left_out: list[str]
    key: str | None = None

    @property
    def documents(self) -> list:
        """The documents with words, at least one."""
        return [document for document in self.everything if document.tokens]


def read(path: str, skip_bad: bool, gold: bool = True) -> GoldFile:
    """Reads the documents of a file; see `spanbert_keras.read_documents`.

    Args:
        path: str.
        skip_bad: bool. Whether bad documents are left out.
        gold: bool. Whether gold clusters are read.

    Raises:
        InputError: the file cannot be read, a document is bad and `skip_bad` is off, or no document has words.
    """
    try:
        file = spanbert_keras.read_documents(path, skip_bad, clusters=gold)
    except InputError as error:
        hint = error.hint and "Correct the file, or leave such documents out with --skip_bad_examples."
        raise InputError(error.what, hint) from error
    for note in file.notes:
        logging.info("%s", note)
    empty = [f"{path}: {document.name!r} has no words." for document in file.documents if not document.tokens]
    if len(empty) == len(file.documents):
        raise InputError(f"{path} has no document with words.")
    is_whole = file.format == "conll" and not (skip_bad and file.left_out)
    return GoldFile(list(file.documents), [*file.left_out, *empty], path if is_whole else None)


def predict(
    model,
    documents: Sequence,
    batch_size: int = 16,
    singletons: bool = False,
    gold_mentions: bool = False,
    progress: bool = False,
    min_score: float = 0.0,
) -> list[tuple]:
    """Returns the clusters of each document, in words.

    Args:
        model: `SpanBertCoreferenceResolver`.
        documents: list of `spanbert_keras.Document` with words.
        batch_size: int. Segments encoded at once.
        singletons: bool. Whether likely mentions without an antecedent become clusters of one mention.
        gold_mentions: bool. Whether the documents' gold mentions are linked instead of predicted ones.
        progress: bool. Whether progress is shown: a bar in a terminal, log lines elsewhere.
        min_score: float. Lowest probability of a link between two mentions.
    """
    options = {"batch_size": batch_size, "singletons": singletons, "min_score": min_score}
    mentions = [baselines.mentions_of(document) for document in documents] if gold_mentions else None

    def resolve(part: slice) -> list[tuple]:
        given = mentions[part] if mentions else None
        found = model.resolve(documents[part], mentions=given, **options)
        return [document.token_clusters for document in found]

    found = []
    with contextlib.ExitStack() as stack:
        bar = stack.enter_context(Progress(len(documents), "documents")) if progress else None
        lengths = [len(document.tokens) for document in documents]
        for part in parts_of(lengths, batch_size) if bar else [slice(None)]:
            found += resolve(part)
            if bar:
                bar.advance(part.stop - part.start)
    if not any(found):
        logging.warning("The model links no mentions: none of the %d documents has a chain.", len(found))
    return found


def parts_of(words: Sequence[int], batch_size: int) -> list[slice]:
    """Splits documents into about twenty parts at most, each large enough for full batches.

    Args:
        words: sequence of int. Words of each document.
        batch_size: int. Segments encoded at once.
    """
    segments = [max(1, count // WORDS_PER_SEGMENT) for count in words]
    enough = max(sum(segments) / NUM_PARTS, batch_size)
    parts, start, held = [], 0, 0
    for place, count in enumerate(segments, 1):
        held += count
        if held >= enough or place == len(segments):
            parts.append(slice(start, place))
            start, held = place, 0
    return parts


def score(documents: Sequence, found: Sequence[Sequence]) -> dict[str, float]:
    """Returns the scores of a set of documents, in per cent; see `metrics.Scores.summary`."""
    return metrics.score(zip([d.clusters for d in documents], found, strict=True)).summary()


def score_all(documents: Sequence, found: Sequence[Sequence]) -> dict[str, dict[str, float]]:
    """Returns the scores of all documents.

    If the gold has clusters of one mention, as in LitBank but not in OntoNotes, the scores without them are in a second
    table.
    """
    tables = {"all documents": score(documents, found)}
    if any(len(cluster) == 1 for document in documents for cluster in document.clusters):
        gold = [_without_singletons(document.clusters) for document in documents]
        without = metrics.score(zip(gold, map(_without_singletons, found), strict=True)).summary()
        tables["without chains of one mention"] = without
    return tables


def score_by(documents: Sequence, found: Sequence[Sequence]) -> dict[str, dict[str, float]]:
    """Returns the tables of `score_all`, and one for each genre and each range of lengths if there are several."""
    tables = score_all(documents, found)
    for what, name_of in (("genre", lambda d: d.genre or "unknown"), ("words", _length_range)):
        names = [name_of(document) for document in documents]
        for name in sorted(set(names)):
            chosen = [i for i, other in enumerate(names) if other == name]
            if len(chosen) < len(documents):
                tables[f"{what}: {name.strip()}"] = score([documents[i] for i in chosen], [found[i] for i in chosen])
    return tables


def _one_column(text: str) -> str:
    return BLANKS.sub("_", text)


def _without_singletons(clusters: Sequence) -> list:
    """Returns the clusters with more than one mention."""
    return [cluster for cluster in clusters if len(cluster) > 1]


def _length_range(document) -> str:
    """Returns the range that a document's length is in; padding with blanks makes the ranges sort by size."""
    limit = next((n for n in LENGTH_LIMITS if n >= len(document.tokens)), None)
    return f"{limit:>6} at most" if limit else f"more than {LENGTH_LIMITS[-1]}"


def write(
    folder: Path,
    documents: Sequence,
    found: Sequence[Sequence],
    name: str = "predictions.conll",
    key: str | None = None,
) -> None:
    """Writes the clusters as a CoNLL-2012 file, which the official scorer reads.

    If all documents are from one CoNLL file, everything but the clusters is copied from it, since the scorer looks
    documents up by their headers. In a new file, a blank in a word, a speaker or a name becomes `_`: the format has no
    blanks in cells, and no scorer reads these. Documents with the same name and part are renamed. A document without
    words is written without words, as in the gold file.

    Args:
        folder: `Path`. Created if missing.
        documents: list of `spanbert_keras.Document`.
        found: list of the clusters of each document that has words.
        name: str. Name of the file.
        key: str or `None`. Path of the CoNLL file that all documents were read from.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if key is not None:
        clusters = iter(found)
        resolved = [document.with_clusters(next(clusters) if document.tokens else ()) for document in documents]
        spanbert_keras.write_conll(folder / name, resolved, key=key)
        return
    names: collections.Counter = collections.Counter()
    renamed = []
    with_words = [place for place, document in enumerate(documents) if document.tokens]
    clusters_at = dict(zip(with_words, found, strict=True))
    for place, document in enumerate(documents):
        title = _one_column(document.name)
        names[title, document.part] += 1
        again = names[title, document.part]
        renamed.append(
            dataclasses.replace(
                document.with_clusters(clusters_at.get(place, ())),
                name=f"{title}_{again}" if again > 1 else title,
                tokens=tuple(map(_one_column, document.tokens)),
                speakers=tuple(map(_one_column, document.speakers)),
            )
        )
    spanbert_keras.write_conll(folder / name, renamed)
