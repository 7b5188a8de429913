"""Documents to chains of mentions: in groups through a model's stages, then from links of spans to words."""

from collections.abc import Sequence

from spanbert_keras.decoding.antecedent_clusters import antecedent_clusters
from spanbert_keras.decoding.link_probabilities import sure_links
from spanbert_keras.decoding.resolved_document import ResolvedDocument
from spanbert_keras.errors import InputError
from spanbert_keras.models.tiled_resolver import Links
from spanbert_keras.preprocessing.document_segments import SegmentedDocument
from spanbert_keras.preprocessing.examples.given_documents import GivenDocument

GROUP_BATCHES = 4  # documents are resolved together until they fill that many batches of segments


def resolve_documents(
    resolver, documents: Sequence[GivenDocument], batch_size: int, singletons: bool, min_score: float = 0.0
) -> list[ResolvedDocument]:
    """Returns each document with its chains; a bounded number of documents is held at a time.

    Args:
        resolver: `SpanBertCoreferenceResolver`.
        documents: sequence of `GivenDocument`.
        batch_size: int. Segments encoded at once.
        singletons, min_score: see `SpanBertCoreferenceResolver.resolve`.

    Raises:
        InputError: a document's genre is unknown to the model.
    """
    found: list[ResolvedDocument] = []
    group: list[tuple[GivenDocument, SegmentedDocument, int]] = []
    for number, document in enumerate(documents):
        try:
            genre = resolver.genre_row(document.genre)
        except InputError as error:
            raise InputError(f"Document {number}: {error}") from error
        group.append((document, resolver.segments.cut(document.tokens, document.sentences, document.speakers), genre))
        segments = sum(len(cut.segments) for _, cut, _ in group)
        if number == len(documents) - 1 or segments >= GROUP_BATCHES * batch_size:
            given, cuts, genres = zip(*group, strict=True)
            links = resolver.links(cuts, genres, batch_size, [document.mentions for document in given])
            found += [resolved(*parts, singletons, min_score) for parts in zip(given, cuts, links, strict=True)]
            group = []
    return found


def resolved(
    document: GivenDocument, cut: SegmentedDocument, links: Links, singletons: bool, min_score: float = 0.0
) -> ResolvedDocument:
    """Returns a document with the chains that its links make.

    Args:
        document: `GivenDocument`. The text and words as the user gave them.
        cut: `SegmentedDocument`. Tells which words the pieces of a span belong to.
        links: `Links`.
        singletons: bool. Whether likely mentions (score above 0) without a link are chains of one.
        min_score: float. Links of a lower probability are left out, which cuts their chains in two.
    """
    best, probabilities = sure_links(links.best(), links.scores, links.antecedents, min_score)
    clusters = antecedent_clusters(best.tolist())
    if singletons:
        linked = {place for cluster in clusters for place in cluster}
        clusters += [[place] for place in range(len(best)) if place not in linked and links.mention_scores[place] > 0]
    spans = [cut.words_of(int(start), int(end)) for start, end in zip(links.starts, links.ends, strict=True)]
    chains = []
    for cluster, kept in zip(clusters, without_repetitions([[spans[p] for p in c] for c in clusters]), strict=True):
        if kept and (singletons or len(kept) > 1):
            place_of = {spans[place]: place for place in reversed(cluster)}
            chains.append((kept, [place_of[span] for span in kept]))
    chains.sort()
    return ResolvedDocument(
        text=document.text,
        tokens=tuple(document.tokens),
        offsets=tuple(document.offsets),
        token_clusters=tuple(kept for kept, _ in chains),
        mention_scores=tuple(tuple(float(links.mention_scores[place]) for place in places) for _, places in chains),
        link_probabilities=tuple((None, *(float(probabilities[p]) for p in places[1:])) for _, places in chains),
    )


def without_repetitions(clusters: Sequence[Sequence[tuple[int, int]]]) -> list[tuple[tuple[int, int], ...]]:
    """Returns clusters in which each mention occurs once and none crosses another of its cluster; the first is kept.

    A cluster of which nothing is kept is empty.

    With candidates that are whole words this changes nothing. With `candidates="pieces"` different spans of pieces may
    cover the same words, or words that cross, which no file of clusters can hold.
    """
    seen: set[tuple[int, int]] = set()
    found = []
    for cluster in clusters:
        kept: list[tuple[int, int]] = []
        for start, end in sorted(cluster):
            crosses = any(a < start < b < end for a, b in kept)
            if (start, end) not in seen and not crosses:
                seen.add((start, end))
                kept.append((start, end))
        found.append(tuple(kept))
    return found
