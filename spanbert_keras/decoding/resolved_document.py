"""A document with its chains of mentions, as objects and as a page."""

import dataclasses
import html
import os
import re
from collections.abc import Sequence
from pathlib import Path

from spanbert_keras.decoding.results import Mention

PLACEHOLDER = re.compile(r"\{\{(title|chains|count|text)\}\}")
GOLDEN_ANGLE = 137.508  # degrees; hues that many neighbours in number keep far apart


@dataclasses.dataclass(frozen=True)
class ResolvedDocument:
    """A document whose mentions are known, and which of them mean the same.

    Attributes:
        text: str or `None`. The text as given; `None` where tokens were.
        tokens: tuple of str. The words that the text was cut into, or those given.
        offsets: tuple of (start, end). Half-open character offsets of the tokens in `text`; empty without text.
        token_clusters: tuple of clusters, each a tuple of (start, end): half-open spans of tokens, in order.
    """

    text: str | None
    tokens: tuple[str, ...]
    offsets: tuple[tuple[int, int], ...]
    token_clusters: tuple[tuple[tuple[int, int], ...], ...]

    @property
    def clusters(self) -> list[list[Mention]]:
        """The chains: lists of `Mention` in the order of the text; the chain that begins first comes first."""
        return [[self._mention(start, end) for start, end in cluster] for cluster in self.token_clusters]

    def _mention(self, start: int, end: int) -> Mention:
        if self.text is None:
            return Mention(" ".join(self.tokens[start:end]), start, end)
        first, behind = self.offsets[start][0], self.offsets[end - 1][1]
        return Mention(self.text[first:behind], first, behind)

    def render(self, path: str | os.PathLike | None = None, title: str = "Coreference") -> str:
        """Returns a page of the text with its mentions coloured by chain; pointing at one shows its chain.

        Args:
            path: str or path. Where the page is written, too; `None` for nowhere.
            title: str. Of the page.

        Returns:
            str. HTML that needs no other file.
        """
        text, spans = self._characters()
        chains = "".join(
            f'<li style="--hue:{_hue(number)}" data-chain="{number}"><b>{html.escape(_shortened(names[0]))}</b> '
            f"<span>{len(names)} mentions</span></li>"
            for number, names in enumerate([m.text for m in cluster] for cluster in self.clusters)
        )
        filling = {
            "title": html.escape(title),
            "chains": chains,
            "count": f"{len(self.token_clusters)} chains, {len(spans)} mentions",
            "text": _marked(text, spans),
        }
        page = PLACEHOLDER.sub(lambda found: filling[found[1]], PAGE)  # once: a text may look like a placeholder
        if path is not None:
            Path(path).write_text(page, encoding="utf-8", errors="backslashreplace")
        return page

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


def _marked(text: str, spans: Sequence[tuple[int, int, int]]) -> str:
    """Returns the text as HTML with each span in an element; one that crosses another is cut in two."""
    opening: dict[int, list[tuple[int, int, int]]] = {}
    closing: dict[int, int] = {}
    for span in sorted(spans, key=lambda s: (s[0], -s[1])):
        opening.setdefault(span[0], []).append(span)
        closing[span[1]] = closing.get(span[1], 0) + 1
    parts: list[str] = []
    stack: list[tuple[int, int, int]] = []
    before = 0
    for place in sorted({*opening, *closing}):
        parts.append(html.escape(text[before:place]))
        before = place
        left = [span for span in stack if span[1] == place]
        reopened: list[tuple[int, int, int]] = []
        while left:
            span = stack.pop()
            parts.append(f"<sub>{span[2] + 1}</sub></mark>" if span[1] == place else "</mark>")
            if span in left:
                left.remove(span)
            else:
                reopened.append(span)
        for span in [*reversed(reopened), *opening.get(place, [])]:
            stack.append(span)
            parts.append(f'<mark style="--hue:{_hue(span[2])}" data-chain="{span[2]}" tabindex="0">')
    parts.append(html.escape(text[before:]))
    return "".join(parts)


def _hue(number: int) -> str:
    return f"{number * GOLDEN_ANGLE % 360:.0f}"


def _shortened(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= 60 else f"{text[:57]}..."


PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; base-uri 'none'; form-action 'none';
  style-src 'unsafe-inline'; script-src 'unsafe-inline'">
<title>{{title}}</title>
<style>
:root { --page: #f6f6f3; --text: #1d2024; --muted: #5a616b; --light: 88%; --strong: 42%; }
@media (prefers-color-scheme: dark) {
  :root { --page: #15171a; --text: #e6e7e9; --muted: #a3a9b2; --light: 24%; --strong: 66%; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 76rem; padding: 1rem 1.25rem 4rem; background: var(--page); color: var(--text);
  font: 17px/2.1 Georgia, "Noto Serif", serif; overflow-wrap: anywhere; }
h1 { font-size: 1.4rem; line-height: 1.3; margin: .5rem 0 0; }
p, ul { font-family: system-ui, sans-serif; font-size: .875rem; line-height: 1.5; color: var(--muted);
  margin: .25rem 0; }
ul { list-style: none; padding: .5rem 0; display: flex; flex-wrap: wrap; gap: .375rem; max-height: 10.5rem;
  overflow: auto; }
li { padding: .05rem .6rem; border-radius: 1rem; background: hsl(var(--hue) 65% var(--light)); cursor: pointer; }
li b { color: var(--text); font-weight: 600; }
main { white-space: pre-wrap; }
mark { color: inherit; background: hsl(var(--hue) 65% var(--light)); padding: .15em .1em; border-radius: .2em;
  border-bottom: 2px solid hsl(var(--hue) 60% var(--strong)); cursor: pointer; }
mark mark { padding: .02em .1em; }
sub { font: 600 .65em/1 system-ui, sans-serif; color: hsl(var(--hue) 60% var(--strong)); user-select: none;
  padding-left: .15em; }
:focus-visible { outline: 2px solid hsl(var(--hue) 60% var(--strong)); outline-offset: 1px; }
.chosen main mark, .chosen li { background: none; opacity: .55; } .chosen main mark { opacity: 1; }
.chosen mark.on, .chosen li.on { background: hsl(var(--hue) 75% var(--light));
  box-shadow: 0 0 0 2px hsl(var(--hue) 60% var(--strong)); opacity: 1; }
</style>
</head>
<body>
<h1>{{title}}</h1>
<p>{{count}}. Point at a mention to see its chain; click to hold it.</p>
<ul>{{chains}}</ul>
<main>{{text}}</main>
<script>
const all = document.querySelectorAll('[data-chain]');
let held = null;
function show(chain) {
  document.body.classList.toggle('chosen', chain !== null);
  all.forEach(e => e.classList.toggle('on', e.dataset.chain === chain));
}
const chainOf = event => event.target.closest('[data-chain]')?.dataset.chain ?? null;
document.addEventListener('mouseover', event => show(chainOf(event) ?? held));
document.addEventListener('focusin', event => show(chainOf(event) ?? held));
document.addEventListener('click', event => {
  const chain = chainOf(event);
  held = chain === held ? null : chain;
  show(held);
});
</script>
</body>
</html>
"""
