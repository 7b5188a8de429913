"""A resolved document: mentions at their places on any Unicode, and its page as a parser reads it."""

import dataclasses
import html.parser
import re
import time

import numpy as np
import pytest

import spanbert_keras
from spanbert_keras.decoding.resolved_document import ResolvedDocument
from spanbert_keras.decoding.results import Mention

VOID = {"meta", "link", "br", "img", "input", "hr", "base", "area", "embed", "source"}
HARD = [
    "cafe\u0301 a\u0301\u0327 b",
    "I 😀 you 👩\u200d👧 👍🏽 !",
    "中文 和 한글 \u1112\u1161\u11ab",
    "a\r\nb\r\n\r\nc \td",
    "zero\u200bwidth \ufeffmark soft\u00adhyphen",
    "a\u00a0b\u2028c\u3000e f",
    "\u0130x ½ \ufb01 \ufdfa नि กำ",
    " <b>bold</b> & \"quoted\" 'one' &lt; &amp;lt; </main> </mark> <!-- no -->  ",
    "𝒜𝓃𝓃 said שלום to مرحبا .",
]


class Page(html.parser.HTMLParser):
    """Reads a page strictly: every element that is opened is closed, in order."""

    def __init__(self, page):
        super().__init__()
        self.stack, self.elements, self.main, self.items, self.marks = [], [], [], [], []
        self.feed(page)
        self.close()
        assert self.stack == []

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag == "mark":
            self.marks.append([dict(attributes), len("".join(self.main)), None, ""])
        if tag == "li":
            self.items.append("")
        if tag not in VOID:
            self.stack.append((tag, len(self.marks) - 1))

    def handle_endtag(self, tag):
        opened, number = self.stack.pop()
        assert opened == tag
        if tag == "mark":
            self.marks[number][2] = len("".join(self.main))

    def handle_data(self, data):
        names = [tag for tag, _ in self.stack]
        if "li" in names:
            self.items[-1] += data
        if "main" in names and "sub" in names:
            self.marks[max(number for tag, number in self.stack if tag == "mark")][3] += data
        elif "main" in names:
            self.main.append(data)

    @property
    def text(self):
        return "".join(self.main)

    @property
    def spans(self):
        """(start, end, chain) of every element that marks a mention."""
        return [(start, end, int(attributes["data-chain"])) for attributes, start, end, _ in self.marks]


def document(text, *clusters):
    """A document of a text that is cut at white space; clusters are of tokens."""
    offsets = tuple(match.span() for match in re.finditer(r"\S+", text))
    return ResolvedDocument(text, tuple(text[a:b] for a, b in offsets), offsets, clusters)


def of_words(words, *clusters):
    return ResolvedDocument(None, tuple(words), (), clusters)


def random_clusters(rng, count, number, nested):
    """Spans of up to four of `count` tokens in chains; if `nested`, none crosses another."""
    spans = set()
    for _ in range(20 * number):
        start = int(rng.integers(0, count))
        new = (start, min(count, start + int(rng.integers(1, 5))))
        if nested and any(a[0] < b[0] < a[1] < b[1] for s in spans for a, b in ((new, s), (s, new))):
            continue
        spans.add(new)
        if len(spans) == number:
            break
    order = rng.permutation(sorted(spans)).tolist()
    return tuple(sorted(tuple(sorted(map(tuple, order[i : i + 3]))) for i in range(0, len(order), 3)))


def test_it_is_public_frozen_and_explained():
    assert spanbert_keras.ResolvedDocument is ResolvedDocument
    names = [field.name for field in dataclasses.fields(ResolvedDocument)]
    assert names == ["text", "tokens", "offsets", "token_clusters", "mention_scores", "link_probabilities"]
    assert all(f"{name}:" in ResolvedDocument.__doc__ for name in names)
    one = of_words(["a"])
    with pytest.raises(dataclasses.FrozenInstanceError):
        one.text = "b"
    assert one == of_words(["a"]) != of_words(["b"]) and len({one, of_words(["a"])}) == 1


@pytest.mark.parametrize("text", HARD)
def test_the_text_at_the_offsets_is_the_mention_on_any_unicode(text):
    count = len(text.split())
    spans = [(i, j) for i in range(count) for j in range(i + 1, count + 1)]
    found = document(text, tuple(spans[::2]), tuple(spans[1::2]))
    for cluster, expected in zip(found.clusters, (spans[::2], spans[1::2]), strict=True):
        assert len(cluster) == len(expected)
        for mention, (start, end) in zip(cluster, expected, strict=True):
            assert isinstance(mention, Mention)
            assert text[mention.start : mention.end] == mention.text
            assert mention.text.split() == text.split()[start:end]
            assert mention.text == mention.text.strip()


def test_mentions_of_words_count_words():
    found = of_words(["Ann", "'s", "hat", "and", "her"], ((0, 2), (4, 5)), ((2, 3),))
    assert found.clusters == [[Mention("Ann 's", 0, 2), Mention("her", 4, 5)], [Mention("hat", 2, 3)]]
    assert found.text is None


def test_no_chains():
    for found in (document("Ann left"), of_words(["Ann", "left"])):
        assert found.clusters == []
        page = Page(found.render())
        assert page.text == "Ann left" and page.marks == [] and page.items == []


@pytest.mark.parametrize("text", HARD)
@pytest.mark.parametrize("nested", [True, False])
def test_the_page_shows_the_text_and_every_mention(text, nested):
    rng = np.random.default_rng(len(text))
    count = len(text.split())
    for number in (1, 3, 8):
        found = document(text, *random_clusters(rng, count, number, nested))
        page = Page(found.render())
        assert page.text == text
        expected = [(m.start, m.end, chain) for chain, cluster in enumerate(found.clusters) for m in cluster]
        if nested:
            assert sorted(page.spans) == sorted(expected)
            assert all(label == str(int(attributes["data-chain"]) + 1) for attributes, *_, label in page.marks)
        for chain in range(len(found.clusters)):  # what crosses is in pieces; together they are what they were
            places = lambda spans, chain=chain: sorted(p for a, b, c in spans if c == chain for p in range(a, b))  # noqa: E731
            assert places(page.spans) == places(expected)
        assert sum(label != "" for *_, label in page.marks) == len(expected)
        assert len(page.items) == len(found.clusters)


def test_nested_mentions_are_elements_inside_elements_and_crossing_ones_are_cut():
    words = ["a", "b", "c", "d", "e"]
    nested = Page(of_words(words, ((0, 4), (4, 5)), ((1, 3), (2, 3)), ((1, 3),)).render())
    assert sorted(nested.spans) == [(0, 7, 0), (2, 5, 1), (2, 5, 2), (4, 5, 1), (8, 9, 0)]
    crossing = Page(of_words(words, ((0, 3),), ((2, 5),)).render())
    assert crossing.text == "a b c d e"
    assert sorted(crossing.spans) == [(0, 5, 0), (4, 5, 1), (5, 9, 1)]
    assert [label for *_, label in crossing.marks] == ["1", "", "2"]


def test_every_chain_has_one_colour_and_an_item_that_names_it():
    found = document("Ann <i> saw Bob &amp; her", ((0, 2), (5, 6)), ((3, 4), (4, 5)))
    page = Page(found.render())
    hues = {}
    for tag, attributes in page.elements:
        if "data-chain" in attributes:
            assert tag in ("mark", "li")
            hues.setdefault(attributes["data-chain"], set()).add(attributes["style"])
    assert set(hues) == {"0", "1"} and all(len(styles) == 1 for styles in hues.values())
    assert hues["0"] != hues["1"]
    assert page.items == ["Ann <i> 2 mentions", "Bob 2 mentions"]


def test_a_chains_long_name_is_shortened():
    page = Page(document("word " * 40, ((0, 40),)).render())
    assert len(page.items[0]) < 80 and "..." in page.items[0]


def test_markup_in_the_text_the_title_and_the_names_is_text():
    bad = "<script>alert(1)</script>"
    found = document(f'{bad} "><img/src=x> &#60;b&#62;', ((0, 1), (1, 2)), ((2, 3),))
    raw = found.render(title=f"{bad}</title>")
    page = Page(raw)
    tags = [tag for tag, _ in page.elements]
    assert tags.count("script") == 1 and "img" not in tags
    assert page.text == found.text and bad not in raw and "alert(1)" in page.items[0]


@pytest.mark.parametrize("name", ["{{text}}", "{{chains}}", "{{count}}", "{{title}}", "\\1", "%s", "{0}"])
def test_the_pages_own_placeholders_are_text_too(name):
    found = document(f"{name} and {name}", ((0, 1), (2, 3)))
    page = Page(found.render(title=name))
    assert page.text == found.text
    assert page.items == [f"{name} 2 mentions"] and len(page.marks) == 2
    assert Page(document("Ann").render(title=name)).text == "Ann"


def test_the_page_loads_no_other_resource():
    raw = document("Ann saw her", ((0, 1), (2, 3))).render()
    assert raw.lower().startswith("<!doctype html>")
    for _, attributes in Page(raw).elements:
        assert not {"src", "href", "srcset", "data", "action", "background", "poster"} & set(attributes)
        assert not any(name.startswith("on") for name in attributes)
    assert not re.search(r"https?:|//[a-z]|url\(|@import|fetch\(|XMLHttpRequest|import ", raw)
    assert "charset" in raw and "Content-Security-Policy" in raw


def test_the_page_is_written_to_its_path(tmp_path):
    found = document(HARD[1] + " \u0000 \x85", ((0, 1), (2, 3)))
    raw = found.render(tmp_path / "page.html", title="Ä & Ö")
    assert (tmp_path / "page.html").read_bytes().decode("utf-8") == raw
    assert found.render(str(tmp_path / "again.html"), title="Ä & Ö") == raw
    assert (tmp_path / "again.html").read_bytes() == (tmp_path / "page.html").read_bytes()
    assert "<title>Ä &amp; Ö</title>" in raw and "Ä &amp; Ö</h1>" in raw


def test_an_unpaired_surrogate_does_not_stop_the_page(tmp_path):
    of_words(["a\ud800", "b"], ((0, 1), (1, 2))).render(tmp_path / "page.html")
    assert Page((tmp_path / "page.html").read_text(encoding="utf-8")).spans


def test_a_page_of_thousands_of_mentions_is_fast():
    words = [f"w{i}" for i in range(40_000)]
    rng = np.random.default_rng(5)
    starts = rng.integers(0, 39_990, 12_000)
    spans = sorted({(int(s), int(s + w)) for s, w in zip(starts, rng.integers(1, 8, 12_000), strict=True)})
    chains = tuple(tuple(spans[i::1500]) for i in range(1500))
    found = document(" ".join(words), *chains)
    begin = time.process_time()
    assert sum(map(len, found.clusters)) == len(spans) > 10_000
    raw = found.render()
    assert time.process_time() - begin < 5
    main = raw[raw.index("<main>") + 6 : raw.index("</main>")]
    shown = re.sub(r"<sub>\d+</sub>|</?mark[^>]*>", "", main)
    assert shown == found.text and main.count("</sub>") == len(spans)
