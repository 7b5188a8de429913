"""Two rule-based baselines that are given the gold mentions: scores that a model should beat."""

import collections
from collections.abc import Sequence

Spans = tuple[tuple[int, int], ...]


def alone(document) -> tuple[Spans, ...]:
    """Returns each gold mention of a `spanbert_keras.Document` as a chain of its own."""
    return tuple((mention,) for mention in mentions_of(document))


def equal_words(document) -> tuple[Spans, ...]:
    """Returns the gold mentions of a `spanbert_keras.Document` linked where their words are equal, in lower case."""
    chains = collections.defaultdict(list)
    for start, end in mentions_of(document):
        chains[tuple(word.lower() for word in document.tokens[start:end])].append((start, end))
    return tuple(map(tuple, chains.values()))


def mentions_of(document) -> Sequence[tuple[int, int]]:
    """Returns the gold mentions of a `spanbert_keras.Document`, each once, in order."""
    return sorted({mention for cluster in document.clusters for mention in cluster})


RULES = {"every gold mention alone": alone, "equal gold mentions linked": equal_words}
