"""Coreference resolution in a spaCy pipeline: `nlp.add_pipe("spanbert_coref", config={"model": "resolver.keras"})`."""

import bisect
import re
from collections.abc import Sequence
from typing import Any

from spacy.language import Language
from spacy.tokens import Doc, Span, SpanGroup

from spanbert_keras import Document
from spanbert_keras.integrations.spacy_component import SpacyComponent

PREFIX = "coref_clusters"
KEY = re.compile(rf"{PREFIX}_(\d+)")
POSSESSIVES = {"his", "its", "their", "hers", "theirs"}
PRONOUNS = POSSESSIVES | set("he him she her it they them himself herself itself themselves".split())


class SpacyCoreference(SpacyComponent):
    """Puts the chains of mentions that corefer into `doc.spans["coref_clusters_1"]` and so on.

    The attributes `mention_scores`, `link_probabilities` and `score` (the weakest link) of such a group are those of
    `Mention` and `ResolvedDocument`. `doc._.coref_clusters` is the list of these groups; `doc._.resolved_text` is the
    text with the first name of a chain in place of its English pronouns. Words and sentences are the document's; one
    without sentences is cut into words and sentences as `resolve` does.

    Args:
        name, model: see `SpacyComponent`.
        language: str or `None`. The pipeline's language, for documents without sentences.
        min_score, singletons, batch_size: see `SpanBertCoreferenceResolver.resolve`.
    """

    model_class = "SpanBertCoreferenceResolver"

    def __init__(
        self, name: str, model: str, language: str | None, min_score: float, singletons: bool, batch_size: int
    ):
        super().__init__(name, model)
        self.options: dict[str, Any] = {"min_score": min_score, "singletons": singletons, "batch_size": batch_size}
        self.options["language"] = language

    def annotate(self, docs: Sequence) -> None:
        docs = [doc for doc in docs if any(not token.is_space for token in doc)]
        if not docs:
            return
        given = [(doc, *_given(doc)) for doc in docs]
        found = self.task_model.resolve([document for _, document, _ in given], **self.options)
        for (doc, _, places), resolved in zip(given, found, strict=True):
            for key in [key for key in doc.spans if KEY.fullmatch(key)]:
                del doc.spans[key]
            for number, (chain, score) in enumerate(zip(resolved.clusters, resolved.chain_scores, strict=True), 1):
                attributes = {
                    "mention_scores": [mention.mention_score for mention in chain],
                    "link_probabilities": [mention.link_probability for mention in chain],
                    "score": score,
                }
                spans = [_span(doc, places, mention.start, mention.end) for mention in chain]
                key = f"{PREFIX}_{number}"
                doc.spans[key] = SpanGroup(doc, name=key, spans=spans, attrs=attributes)


def _given(doc) -> tuple[str | Document, list[int] | None]:
    """Returns a document as `resolve` takes it; of one with sentences also the place of each word among its tokens."""
    if not doc.has_annotation("SENT_START"):
        return doc.text, None
    places = [token.i for token in doc if not token.is_space]
    words = tuple(doc[place].text for place in places)
    ends = [bisect.bisect_left(places, sentence.end) for sentence in doc.sents]
    sentences = [(start, end) for start, end in zip([0, *ends], ends, strict=False) if start < end]
    return Document(words, tuple(sentences)), places


def _span(doc, places: list[int] | None, start: int, end: int) -> Span:
    """Returns a mention, in characters or in words, as a span of tokens."""
    if places is None:
        return doc.char_span(start, end, alignment_mode="expand")
    return doc[places[start] : places[end - 1] + 1]


def coref_clusters(doc) -> list[SpanGroup]:
    """Returns the chains of a document, in order."""
    keys = [key for key in doc.spans if KEY.fullmatch(key)]
    return [doc.spans[key] for key in sorted(keys, key=lambda key: int(key.rpartition("_")[2]))]


def resolved_text(doc) -> str:
    """Returns the text with the first name of each chain in place of its English pronouns."""
    names: dict[int, str] = {}
    for chain in coref_clusters(doc):
        spans = sorted(chain, key=lambda span: (span.start, span.end))
        name = next((span.text for span in spans if span.text.lower() not in PRONOUNS), None)
        pronouns = [span for span in spans if len(span) == 1 and span.text.lower() in PRONOUNS]
        names |= {span.start: name + ("'s" if _is_possessive(span[0]) else "") for span in pronouns if name}
    return "".join(names.get(token.i, token.text) + token.whitespace_ for token in doc)


def _is_possessive(token) -> bool:
    """Returns whether a pronoun is possessive; "her" is if a noun may follow, unless the pipeline's tags tell."""
    if token.tag_:
        return token.tag_ == "PRP$"
    following = token.nbor() if token.i + 1 < len(token.doc) else None
    word = token.text.lower()
    return (
        word in POSSESSIVES or word == "her" and following is not None and following.is_alpha and not following.is_stop
    )


for _name, _getter in (("coref_clusters", coref_clusters), ("resolved_text", resolved_text)):
    if not Doc.has_extension(_name):
        Doc.set_extension(_name, getter=_getter)


@Language.factory(
    "spanbert_coref",
    assigns=["doc.spans", "doc._.coref_clusters", "doc._.resolved_text"],
    default_config={"model": "", "min_score": 0.0, "singletons": False, "batch_size": 16},
)
def make_coreference(nlp, name: str, model: str, min_score: float, singletons: bool, batch_size: int):
    """Makes the component; spaCy calls it for `nlp.add_pipe("spanbert_coref")`."""
    return SpacyCoreference(name, model, nlp.lang or None, min_score, singletons, batch_size)
