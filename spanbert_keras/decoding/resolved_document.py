"""A document with its chains of mentions, as objects and as an HTML page."""

import dataclasses
import functools
import html
import os
import re
from pathlib import Path

from spanbert_keras.decoding.marked_text import MarkedPart, hue, marked_text
from spanbert_keras.decoding.results import Mention

PLACEHOLDER = re.compile(r"\{\{(title|chains|count|text)\}\}")


@dataclasses.dataclass(frozen=True)
class ResolvedDocument:
    """A document with its mentions, and with which of them refer to the same entity.

    Attributes:
        text: str or `None`. The text as given; `None` where tokens were.
        tokens: tuple of str. The words that the text was cut into, or those given.
        offsets: tuple of (start, end). Half-open character offsets of the tokens in `text`; empty without text.
        token_clusters: tuple of clusters, each a tuple of (start, end): half-open spans of tokens, in order.
        mention_scores: tuple of tuples of float, one for each mention: see `Mention`. Empty if unknown.
        link_probabilities: tuple of tuples of float or `None`, one for each mention: see `Mention`. Empty if unknown.

    Example:

    ```python
    from spanbert_keras import ResolvedDocument

    document = ResolvedDocument(None, ("Ann", "met", "her", "mother"), (), (((0, 1), (2, 3)),))
    [[mention.text for mention in chain] for chain in document.clusters]  # [["Ann", "her"]]
    page = document.render("page.html", title="Ann")  # writes the page, and returns its HTML
    ```
    """

    text: str | None
    tokens: tuple[str, ...]
    offsets: tuple[tuple[int, int], ...]
    token_clusters: tuple[tuple[tuple[int, int], ...], ...]
    mention_scores: tuple[tuple[float, ...], ...] = dataclasses.field(default=(), compare=False)
    link_probabilities: tuple[tuple[float | None, ...], ...] = dataclasses.field(default=(), compare=False)

    @property
    def clusters(self) -> list[list[Mention]]:
        """The chains: lists of `Mention` in the order of the text; the chain that begins first comes first."""
        return [
            [self._mention(start, end, chain, place) for place, (start, end) in enumerate(cluster)]
            for chain, cluster in enumerate(self.token_clusters)
        ]

    @property
    def chain_scores(self) -> list[float | None]:
        """The lowest link probability of each chain, its weakest link; `None` for a chain of one, or if unknown."""
        if not self.link_probabilities:
            return [None] * len(self.token_clusters)
        known = [[one for one in chain if one is not None] for chain in self.link_probabilities]
        return [min(chain, default=None) for chain in known]

    def _mention(self, start: int, end: int, chain: int, place: int) -> Mention:
        scores = [table[chain][place] if table else None for table in (self.mention_scores, self.link_probabilities)]
        if self.text is None:
            return Mention(" ".join(self.tokens[start:end]), start, end, *scores)
        text_start, text_end = self.offsets[start][0], self.offsets[end - 1][1]
        return Mention(self.text[text_start:text_end], text_start, text_end, *scores)

    def render(self, path: str | os.PathLike | None = None, title: str = "Coreference") -> str:
        """Returns a page of the text with its mentions coloured by chain; pointing at one shows its chain.

        Args:
            path: str or path. A file to write the page to, too. `None`: none is written.
            title: str. Title of the page.

        Returns:
            str. HTML that needs no other file.
        """
        filling = {"title": html.escape(title), **self.render_parts()}
        page = PLACEHOLDER.sub(lambda found: filling[found[1]], _page())  # once: a text may look like a placeholder
        if path is not None:
            Path(path).write_text(page, encoding="utf-8", errors="backslashreplace")
        return page

    def render_parts(self) -> dict[str, str]:
        """Returns the HTML that `render` puts into its page, for another page: that page chooses colours and layout.

        Returns:
            dict with `"text"`, the text with its mentions as `mark` elements; `"chains"`, an `li` element for each
            chain; `"count"`, a few words with the number of chains and mentions. All elements of chain number i have
            `data-chain="i"` and the hue `--hue`.
        """
        text, spans = self._characters()
        chains = "".join(
            f'<li style="--hue:{hue(number)}" data-chain="{number}"><b>{html.escape(_shortened(names[0]))}</b> '
            f"<span>{len(names)} mentions</span></li>"
            for number, names in enumerate([m.text for m in cluster] for cluster in self.clusters)
        )
        return {
            "text": marked_text(text, [MarkedPart(*span, note=str(span[2] + 1)) for span in spans]),
            "chains": chains,
            "count": f"{len(self.token_clusters)} chain{'s' * (len(self.token_clusters) != 1)}, {len(spans)} mentions",
        }

    def _characters(self) -> tuple[str, list[tuple[int, int, int]]]:
        """Returns a text and the (start, end, chain) of its mentions, in characters."""
        text, offsets = self.text, list(self.offsets)
        if text is None:
            text, offsets = " ".join(self.tokens), []
            for token in self.tokens:
                start = offsets[-1][1] + 1 if offsets else 0
                offsets.append((start, start + len(token)))
        spans = [
            (offsets[start][0], offsets[end - 1][1], number)
            for number, cluster in enumerate(self.token_clusters)
            for start, end in cluster
        ]
        return text, spans


@functools.cache
def _page() -> str:
    """Returns the page with its placeholders; read when a document is first rendered."""
    return Path(__file__).with_name("resolved_document.html").read_text(encoding="utf-8")


def _shortened(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= 60 else f"{text[:57]}..."
