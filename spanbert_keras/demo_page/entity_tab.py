"""The tab of an entity recognizer."""

from collections.abc import Sequence

from spanbert_keras.decoding.marked_text import MarkedPart, hue, marked_text
from spanbert_keras.demo_page import markup
from spanbert_keras.demo_page.tab import Field, Tab, written

TEXT = "Maria Holm, an engineer from Bergen, built the lighthouse of the Northern Harbour Company in 1871."


def entity_tab(recognizer) -> Tab:
    """Returns the tab of a `SpanBertEntityRecognizer`."""

    def show(text):
        return show_entities(recognizer.recognize(written(text, "text")), text)

    return Tab(
        title="Entities",
        about="Finds names and other mentions of entities, and their kinds. They may nest.",
        button="Recognize",
        fields=[Field(kind="text", label="Text", example=TEXT)],
        show=show,
    )


def show_entities(entities: Sequence, text: str) -> str:
    """Returns a text with its entities coloured by label, and a table of them.

    Args:
        entities: sequence of records with `text`, `label`, `start`, `end` (half-open, characters) and `score`.
        text: str.
    """
    if not entities:
        return markup.panel(
            markup.note("No entities are found."), f'<div class="sb-text">{marked_text(text, [])}</div>'
        )
    number_of = {label: number for number, label in enumerate(sorted({one.label for one in entities}))}
    marks = [MarkedPart(one.start, one.end, number_of[one.label], one.label) for one in entities]
    counts = {label: sum(one.label == label for one in entities) for label in number_of}
    labels = "".join(
        f'<li style="--hue:{hue(number)}" data-chain="{number}"><b>{markup.escaped(label)}</b> '
        f"<span>{counts[label]}</span></li>"
        for label, number in number_of.items()
    )
    rows = [(markup.escaped(one.text), markup.escaped(one.label), markup.percent(one.score)) for one in entities]
    return markup.panel(
        f'<ul class="sb-chains">{labels}</ul><div class="sb-text">{marked_text(text, marks)}</div>',
        markup.heading("All entities"),
        markup.table(("Text", "Label", "Probability"), rows),
    )
