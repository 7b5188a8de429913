"""Relations between two entities of a sentence. Shape letters: B batch, T tokens, C classes."""

from collections.abc import Mapping, Sequence

import keras

from spanbert_keras.arguments import list_of_names, one_of
from spanbert_keras.decoding.results import Relation
from spanbert_keras.errors import shown
from spanbert_keras.models.row_classifier import RowClassifier
from spanbert_keras.preprocessing.entity_rows import MODES, EntityPair, EntityRows, assign_markers, marker_names
from spanbert_keras.preprocessing.examples.document_pairs import document_pairs
from spanbert_keras.preprocessing.examples.given_entities import given_pairs
from spanbert_keras.preprocessing.examples.given_texts import given_list
from spanbert_keras.preprocessing.preprocessors.relation_extractor_preprocessor import (
    SpanBertRelationExtractorPreprocessor,
)


@keras.saving.register_keras_serializable(package="spanbert_keras")
class SpanBertRelationExtractor(RowClassifier):
    """Predicts the relation of a subject to an object of the same sentence: an encoder and a linear layer on [CLS].

    A functional model. Each entity is replaced by one marker of its type, `[SUBJ-PERSON]` (entity masking, section
    4.1). Markers are [unusedN] pieces of the vocabulary; which stands for which is saved with the model.

    Args:
        encoder: `SpanBertEncoder`, with its tokenizer.
        labels: sequence of str. The relations, in the order of the logits.
        subject_types, object_types: sequences of str. Entity types that get markers, in this order. Not needed if
            `markers` are given.
        feature_mode: `"ner"`, the paper's; `"text"`, `"text_ner"` or `"ner_text"`, as in the released code. See
            `EntityRows`.
        markers: dict from a marker's name (`SUBJ-PERSON`) to its piece (`[unused1]`), or `None`, which takes the
            vocabulary's [unusedN] in order. If the markers that a model was trained with are not known, give `{}`: the
            model computes, but reads no sentences until `markers` are set.
        row_length: int or `None`. Longest row, in word pieces; longer sentences keep what is nearest to the entities.
            `None`: `128` (paper, appendix B), or the encoder's `max_sequence_length` if that is less.
        pooler: bool. Whether a dense layer with tanh precedes the linear one, as in the released code.
            Defaults to `False` (paper, section 4.1).
        dropout: float. Dropout rate before the linear layer. Defaults to `0.1`.
        temperature: float. Number that logits are divided by for probabilities: above 1 they become less sure.
            `tasks.relation_extraction.evaluate --calibrated_model` fits it. Defaults to `1.0`. May be set.
        **kwargs: `preprocessor`, `dtype`, `name`, `trainable`; `backbone` means `encoder`. See `TaskModel`.

    Call arguments:
        token_ids, segment_ids, padding_mask: int32 `(B, T)`. See `SpanBertEncoder`.

    Returns:
        `{"logits": (B, C)}`, float32.

    Raises:
        ValueError: an unknown mode, duplicate labels, a vocabulary with too few [unusedN], a row longer than the
            encoder reads, or no tokenizer.

    Example:

    ```python
    from spanbert_keras import SpanBertEncoder, SpanBertRelationExtractor, SpanBertTokenizer

    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[unused1]", "[unused2]", "was", "born", "in", "."]
    tokenizer = SpanBertTokenizer(vocabulary)
    encoder = SpanBertEncoder(len(vocabulary), 1, 2, 8, 16, max_sequence_length=32, tokenizer=tokenizer)
    extractor = SpanBertRelationExtractor(
        encoder, labels=["no_relation", "per:city_of_birth"], subject_types=["PERSON"], object_types=["CITY"]
    )
    extractor.markers  # {"SUBJ-PERSON": "[unused1]", "OBJ-CITY": "[unused2]"}
    tokens = "Ann was born in Oslo .".split()
    example = {"tokens": tokens, "subject": (0, 1), "object": (4, 5), "subject_type": "PERSON", "object_type": "CITY"}
    extractor.fit([example], ["per:city_of_birth"], epochs=2, verbose=0)
    relation = extractor.extract(tokens, (0, 1), (4, 5), subject_type="PERSON", object_type="CITY")
    list(relation.scores)  # ["no_relation", "per:city_of_birth"]
    ```

    Reference: Joshi et al., 2020, section 4.1; Zhang et al., 2017 (TACRED).
    """

    preprocessor_cls = SpanBertRelationExtractorPreprocessor

    def __init__(
        self,
        encoder=None,
        labels=(),
        subject_types=(),
        object_types=(),
        feature_mode="ner",
        markers=None,
        row_length=None,
        pooler=False,
        dropout=0.1,
        temperature=1.0,
        **kwargs,
    ):
        encoder = self.only_encoder(encoder, kwargs)
        labels = list_of_names("labels", labels)
        subject_types = list_of_names("subject_types", subject_types)
        object_types = list_of_names("object_types", object_types)
        if not labels:
            raise ValueError("`labels` must name the relations. Received: none.")
        one_of("feature_mode", feature_mode, MODES)
        if markers is None and feature_mode != "text" and not (subject_types and object_types):
            raise ValueError(
                "`subject_types` and `object_types` must name the types that sentences come with "
                f"in mode {feature_mode!r}. "
                f"Received: {shown(subject_types)} and {shown(object_types)}."
            )
        head = (row_length, pooler, dropout)
        super().__init__(encoder, labels, *head, problem_type="single_label", temperature=temperature, **kwargs)
        if markers is None:
            markers = assign_markers(encoder.tokenizer, marker_names(feature_mode, subject_types, object_types))
        self.entities = EntityRows(encoder.tokenizer, markers, feature_mode, self.row_length)
        self.counts = {"sentences": 0, "sentences_cut": 0}

    @property
    def markers(self) -> dict[str, str]:
        """The piece of each marker, e.g. `{"SUBJ-PERSON": "[unused1]"}`; may be set."""
        return dict(self.entities.markers)

    @markers.setter
    def markers(self, markers: Mapping[str, str]) -> None:
        self.entities.markers = dict(markers)

    def extract(
        self,
        sentences: str | Sequence,
        subject=None,
        object=None,
        subject_type=None,
        object_type=None,
        batch_size: int = 32,
        min_score: float = 0.0,
    ):
        """Returns the relation of a subject to an object; several threads may call it.

        Give one sentence with its entities, or lists: of sentences, and of as many subjects, objects and types. The
        model's `counts` are the number of sentences read, and of those that were cut.

        Args:
            sentences: list of str, the tokens of a sentence, or str; or a list of these.
            subject, object: (start, end). Half-open ranges of tokens; of characters if the sentence is a str.
            subject_type, object_type: str, e.g. `"PERSON"`: one of the types in `markers`. Not needed in mode `"text"`.
            batch_size: int. Rows of the longest length that are computed at once; of shorter ones as many tokens.
            min_score: float, from 0 to 1. Below this probability `Relation.label` is `None`. Defaults to `0.0`.

        Returns:
            `Relation`; a list of them for a list of sentences.

        Raises:
            InputError: an entity is out of range, its type has no marker, the lists have different lengths, or the
                model has no markers.
        """
        pairs, single = given_pairs(sentences, subject, object, subject_type, object_type)
        found = self.extract_pairs(pairs, batch_size, min_score)
        return found[0] if single else found

    def extract_pairs(
        self, pairs: Sequence[EntityPair], batch_size: int = 32, min_score: float = 0.0
    ) -> list[Relation]:
        """Returns the relation of each `EntityPair`; see `extract`."""
        lowest = self.lowest_score(min_score)
        pairs, _ = given_list(pairs, "pairs", "a list of `EntityPair`", (EntityPair,))
        rows = self.entities.rows(pairs)
        logits = self.logits_of(rows, batch_size)
        with self._one_call:
            self.counts["sentences"] += len(rows)
            self.counts["sentences_cut"] += sum(row.cut for row in rows)
        relations = []
        for row in self.probabilities(logits):
            best = int(row.argmax())
            scores = dict(zip(self.labels, row.tolist(), strict=True))
            relations.append(Relation(self.labels[best] if row[best] >= lowest else None, float(row[best]), scores))
        return relations

    def extract_document(
        self, doc, types: Mapping[str, str] | None = None, batch_size=32, min_score=0.0
    ) -> list[tuple]:
        """Returns the relation of every ordered pair of entities that share a sentence of a spaCy document.

        Args:
            doc: `spacy.tokens.Doc` with sentences and entities (extra `linguistic`, and your own spaCy pipeline).
            types: dict from spaCy's entity labels to the types that this model's markers name; `None` translates those
                of spaCy's English models to TACRED's. Entities whose type has no marker are left out.
            batch_size, min_score: see `extract`.

        Returns:
            List of (subject, object, `Relation`), the first two spaCy spans; pairs without a relation included.

        Raises:
            InputError: `doc` is not a spaCy document or has no sentence boundaries, or the model has no markers.
        """
        found = document_pairs(doc, self.markers, types)
        relations = self.extract_pairs([pair for _, _, pair in found], batch_size, min_score)
        return [(subject, other, one) for (subject, other, _), one in zip(found, relations, strict=True)]

    def preprocessor_settings(self):
        return {
            "labels": list(self.labels),
            "markers": self.markers,
            "feature_mode": self.entities.mode,
            "row_length": self.row_length,
        }

    def get_config(self):
        return super().get_config() | {"feature_mode": self.entities.mode, "markers": self.markers}
