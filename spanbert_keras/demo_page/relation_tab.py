"""The tab of a relation extractor."""

import re

from spanbert_keras.decoding.marked_text import MarkedPart, marked_text
from spanbert_keras.decoding.results import Relation
from spanbert_keras.demo_page import markup
from spanbert_keras.demo_page.tab import Field, Tab, written
from spanbert_keras.errors import InputError, shown

NUMBERED = re.compile(r"(?P<words>.*\S)\s*#(?P<number>[1-9]\d{0,5})\s*", re.DOTALL)
TEXT = "The engineer Maria Holm was born in Bergen and built the lighthouse in 1871."
HINT = "As it is written in the sentence; “her #2” is the second “her”."


def relation_tab(extractor) -> Tab:
    """Returns the tab of a `SpanBertRelationExtractor`."""
    types = {role: entity_types(extractor.markers, role) for role in ("SUBJ", "OBJ")}
    has_types = any(types.values())

    def show(sentence, subject, other, *chosen):
        sentence = written(sentence, "sentence")
        spans = [find_words(sentence, subject, "subject"), find_words(sentence, other, "object")]
        found = extractor.extract(sentence, *spans, *(one or None for one in chosen))
        return show_relation(found, sentence, *spans)

    def type_of(role, label, usual):
        example = next((one for one in usual if one in types[role]), next(iter(types[role]), ""))
        value = next(iter(types[role]), "")
        return Field(kind="choice", label=label, example=example, value=value, choices=types[role])

    return Tab(
        title="Relation extraction",
        about="Finds the relation of one entity of a sentence, the subject, to another one, the object.",
        button="Extract",
        fields=[
            Field(kind="text", label="Sentence", example=TEXT),
            Field(kind="line", label="Subject", example="Maria Holm", info=HINT),
            Field(kind="line", label="Object", example="Bergen"),
            *([type_of("SUBJ", "Type of the subject", ("PERSON", "PER"))] if has_types else []),
            *([type_of("OBJ", "Type of the object", ("CITY", "LOCATION", "GPE", "LOC"))] if has_types else []),
        ],
        show=show,
    )


def entity_types(markers, role: str) -> list[str]:
    """Returns the entity types of a role, `"SUBJ"` or `"OBJ"`, that have a marker; those of boundaries have none."""
    names = [name.removeprefix(f"{role}-") for name in markers if name.startswith(f"{role}-")]
    return [name for name in names if name not in ("START", "END")]


def find_words(sentence: str, words: str | None, name: str) -> tuple[int, int]:
    """Returns where some words are in a sentence, as a half-open range of characters.

    Args:
        sentence: str.
        words: str. A part of the sentence, found as whole words if possible; with ` #2` after it, its second place.
        name: str. What the part is called in messages: `"subject"` or `"object"`.

    Raises:
        InputError: it is empty, or not in the sentence, or not that many times.
    """
    words = written(words, name).strip()
    number, match = 1, NUMBERED.fullmatch(words)
    if words not in sentence and match:
        words, number = match["words"], int(match["number"])
    pattern = re.escape(words)
    places = [one.span() for one in re.finditer(rf"(?<!\w){pattern}(?!\w)", sentence)]
    places = places or [one.span() for one in re.finditer(pattern, sentence)]
    if len(places) < number:
        raise InputError(
            f"The {name} must be a part of the sentence, written in the same way. Received: {shown(words)}, which is "
            f"there {len(places)} times."
        )
    return places[number - 1]


def show_relation(relation: Relation, sentence: str, subject: tuple[int, int], other: tuple[int, int]) -> str:
    """Returns a relation, its sentence with both entities marked, and the probabilities of all relations.

    Args:
        relation: `Relation`.
        sentence: str.
        subject, other: (start, end). Half-open ranges of characters.
    """
    marks = [MarkedPart(*subject, number=0, note="subject"), MarkedPart(*other, number=1, note="object")]
    return markup.panel(
        markup.conclusion(relation.label or "No relation is likely enough", markup.percent(relation.score)),
        f'<div class="sb-text">{marked_text(sentence, marks)}</div>',
        markup.heading("All relations"),
        markup.bars(relation.scores.items(), chosen=[relation.label or ""]),
    )
