"""Pairs of entities of a spaCy document."""

from collections.abc import Collection, Mapping

from spanbert_keras.errors import InputError
from spanbert_keras.preprocessing.entity_rows import EntityPair

# Entity types of spaCy's English models (OntoNotes) and the names that TACRED gives them; others keep theirs.
TACRED_TYPES = {
    "ORG": "ORGANIZATION",
    "GPE": "LOCATION",
    "LOC": "LOCATION",
    "FAC": "LOCATION",
    "NORP": "NATIONALITY",
    "CARDINAL": "NUMBER",
    "TIME": "DURATION",
    "LAW": "MISC",
    "PRODUCT": "MISC",
    "EVENT": "MISC",
    "WORK_OF_ART": "MISC",
}


def document_pairs(doc, markers: Collection[str], types: Mapping[str, str] | None = None):
    """Returns every ordered pair of different entities of a sentence whose types have markers.

    Args:
        doc: `spacy.tokens.Doc` with sentences and entities.
        markers: names of the model's markers, e.g. `SUBJ-PERSON`. If none of them names a type (mode `"text"`), all
            entities are used.
        types: dict from spaCy's labels to the model's types; `None`: `TACRED_TYPES`. A label that is not in it keeps
            its name.

    Returns:
        List of (subject, object, pair): two spaCy spans and the `EntityPair` of their sentence.

    Raises:
        InputError: `doc` is not a spaCy document, or has no sentence boundaries.
    """
    if not all(hasattr(doc, name) for name in ("ents", "sents", "has_annotation")):
        raise InputError(f"`doc` must be a spaCy document. Received: {type(doc).__name__}.")
    if not doc.has_annotation("SENT_START"):
        raise InputError(
            "The spaCy document has no sentences. Add a component that sets them, e.g. nlp.add_pipe('sentencizer')."
        )
    types = TACRED_TYPES if types is None else types
    typed = any(not name.endswith(("-START", "-END")) for name in markers)
    found = []
    for sentence in doc.sents:
        units = tuple(token.text for token in sentence)
        entities = [(span, types.get(span.label_, span.label_)) for span in sentence.ents]
        for subject, subject_type in entities:
            for other, other_type in entities:
                known = not typed or {f"SUBJ-{subject_type}", f"OBJ-{other_type}"} <= set(markers)
                if subject is other or not known:
                    continue
                first, second = ((span.start - sentence.start, span.end - sentence.start) for span in (subject, other))
                found.append((subject, other, EntityPair(units, first, second, subject_type, other_type)))
    return found
