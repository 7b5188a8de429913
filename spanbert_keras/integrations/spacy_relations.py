"""Relation extraction in a spaCy pipeline: `nlp.add_pipe("spanbert_relations", config={"model": "x.keras"})`."""

from collections.abc import Sequence

from spacy.language import Language
from spacy.tokens import Doc

from spanbert_keras import Relation
from spanbert_keras.integrations.spacy_component import SpacyComponent
from spanbert_keras.preprocessing.examples.document_pairs import document_pairs

KEY = "spanbert_relations"  # in `doc.user_data`, which is saved with the document


class SpacyRelations(SpacyComponent):
    """Puts the relations between the entities of each sentence into `doc._.relations`.

    It is a list of (subject, object, `Relation`), the first two spans of the document. The pipeline must set entities
    and sentences before.

    Args:
        name, model: see `SpacyComponent`.
        types: dict or `None`. See `SpanBertRelationExtractor.extract_document`.
        min_score, batch_size: see `SpanBertRelationExtractor.extract`.
        no_relation: str. Label of no relation; such pairs are left out.
    """

    model_class = "SpanBertRelationExtractor"

    def __init__(self, name: str, model: str, types: dict | None, min_score: float, batch_size: int, no_relation: str):
        super().__init__(name, model)
        self.types = types
        self.min_score = min_score
        self.batch_size = batch_size
        self.no_relation = no_relation

    def annotate(self, docs: Sequence) -> None:
        pairs = [document_pairs(doc, self.task_model.markers, self.types) if doc.ents else [] for doc in docs]
        every = [pair for found in pairs for _, _, pair in found]
        relations = iter(self.task_model.extract_pairs(every, self.batch_size, self.min_score) if every else [])
        for doc, found in zip(docs, pairs, strict=True):
            doc.user_data[KEY] = [
                (subject.start, subject.end, other.start, other.end, relation.label, relation.score, relation.scores)
                for (subject, other, _), relation in zip(found, relations, strict=False)
                if relation.label not in (None, self.no_relation)
            ]


def relations(doc) -> list[tuple]:
    """Returns the relations of a document: (subject, object, `Relation`) for each."""
    return [
        (doc[a:b], doc[c:d], Relation(label, score, dict(scores)))
        for a, b, c, d, label, score, scores in doc.user_data.get(KEY, [])
    ]


if not Doc.has_extension("relations"):
    Doc.set_extension("relations", getter=relations)


@Language.factory(
    "spanbert_relations",
    requires=["doc.ents", "token.sent_start"],
    assigns=["doc._.relations"],
    default_config={"model": "", "types": None, "min_score": 0.0, "batch_size": 32, "no_relation": "no_relation"},
)
def make_relations(nlp, name: str, model: str, types: dict | None, min_score: float, batch_size: int, no_relation: str):
    """Makes the component; spaCy calls it for `nlp.add_pipe("spanbert_relations")`."""
    return SpacyRelations(name, model, types, min_score, batch_size, no_relation)
