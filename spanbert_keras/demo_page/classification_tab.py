"""The tab of a text classifier."""

from spanbert_keras.decoding.results import Classification
from spanbert_keras.demo_page import markup
from spanbert_keras.demo_page.tab import Field, Tab, written

TEXTS = (
    "The old lighthouse is beautiful, and the museum was a wonderful surprise.",
    "Visitors liked the museum in the lighthouse.",
)


def classification_tab(classifier) -> Tab:
    """Returns the tab of a `SpanBertTextClassifier`: a field for a text, two for a model of pairs."""
    pairs = classifier.takes_pairs
    second = Field(
        kind="text",
        label="Second text" if pairs else "Second text (of a pair)",
        example=TEXTS[1] if pairs else "",
        info="" if pairs else "Leave it empty to classify a single text.",
    )

    def show(first, second=""):
        first = written(first, "first text" if pairs else "text")
        if pairs:
            written(second, "second text")
        return show_classes(classifier.classify((first, second) if (second or "").strip() else first))

    return Tab(
        title="Classification",
        about="Finds the class of a text." if pairs is False else "Finds the class of a text, or of a pair of texts.",
        button="Classify",
        fields=[
            Field(kind="text", label="Text" if pairs is False else "First text", example=TEXTS[0]),
            *([] if pairs is False else [second]),
        ],
        show=show,
    )


def show_classes(found: Classification) -> str:
    """Returns the class or the classes of a text with all probabilities; the numbers of a regression."""
    if found.label is None and not found.labels:  # numbers
        numbers = found.scores or {"": found.score or 0.0}
        rows = [(markup.escaped(name or "score"), f"{number:.3f}") for name, number in numbers.items()]
        return markup.panel(markup.table(("Name", "Number"), rows))
    labels = found.labels if found.labels is not None else (found.label or "",)
    return markup.panel(
        markup.conclusion(", ".join(labels) or "No label is likely enough", markup.percent(found.score or 0.0)),
        markup.bars(found.scores.items(), chosen=labels),
    )
