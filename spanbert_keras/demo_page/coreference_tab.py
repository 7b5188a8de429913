"""The tab of a coreference resolver."""

from spanbert_keras.decoding.resolved_document import ResolvedDocument
from spanbert_keras.demo_page import markup
from spanbert_keras.demo_page.tab import Field, Tab, written

TEXT = (
    "Maria Holm built the lighthouse when she was thirty. The engineer had asked her brother for his boat, and he gave "
    "it to her. Their mother never saw the tower, but she kept a picture of it."
)


def coreference_tab(resolver) -> Tab:
    """Returns the tab of a `SpanBertCoreferenceResolver`."""
    genres = list(resolver.genres or ())
    usual = {"example": resolver.default_genre, "value": resolver.default_genre}
    genre = [Field(kind="choice", label="Genre", choices=genres, **usual)] if genres else []

    def show(text, singletons, min_score, *genre):
        chosen = {"genre": genre[0] or None} if genre else {}
        found = resolver.resolve(written(text, "text"), singletons=singletons, min_score=min_score or 0.0, **chosen)
        return show_document(found)

    return Tab(
        title="Coreference",
        about="Finds which words of a text refer to the same person or thing: a chain, with its colour and number.",
        button="Resolve",
        fields=[
            Field(kind="text", label="Text", example=TEXT),
            Field(kind="switch", label="Also likely mentions without a link", example=False, value=False),
            Field(
                kind="number", label="Lowest probability of a link", example=0.0, value=0.0, choices=(0.0, 1.0, 0.05)
            ),
            *genre,
        ],
        show=show,
    )


def show_document(document: ResolvedDocument) -> str:
    """Returns a text with its mentions coloured by chain, and the chains."""
    parts = document.render_parts()
    if not document.token_clusters:
        return markup.panel(markup.note("No mentions are linked."), f'<div class="sb-text">{parts["text"]}</div>')
    scores = [score for score in document.chain_scores if score is not None]
    ends = [markup.percent(find(scores)) for find in (min, max)] if scores else []
    weakest = f" Weakest link of a chain: {' to '.join(dict.fromkeys(ends))}." if scores else ""
    return markup.panel(
        markup.note(f"{parts['count']}.{weakest} Point at a mention to see its chain."),
        f'<ol class="sb-chains">{parts["chains"]}</ol><div class="sb-text">{parts["text"]}</div>',
    )
