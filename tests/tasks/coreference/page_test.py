"""Tests of the page of errors: what it embeds, and what a browser shows."""

import pytest

from spanbert_keras import Document
from tasks.coreference.page import coreference_data, write_page

TOKENS = ("Ann", "😀", "met", "Bob", ".", "She", "likes", "him", "</script>", ".")
ANN, BOB, SHE, HIM, SMILE = (0, 1), (3, 4), (5, 6), (7, 8), (1, 2)


def document(clusters, name="nw/a", part=0):
    return Document(TOKENS, ((0, 5), (5, 10)), clusters=clusters, name=name, part=part)


def cut(text, span):
    """What JavaScript's `text.slice(...span)` gives."""
    units = text.encode("utf-16-le")
    return units[2 * span[0] : 2 * span[1]].decode("utf-16-le")


GOLD = ((ANN, SHE), (BOB, HIM))


def test_spans_are_the_words_and_a_sentence_is_a_line():
    data = coreference_data([document(GOLD)], [[[SHE, ANN], [(5, 8), SMILE]]], {"F1": "1"})
    [made] = data["documents"]
    assert made["text"] == "Ann 😀 met Bob .\nShe likes him </script> ."
    assert [[cut(made["text"], span) for span in chain] for chain in made["gold"]] == [["Ann", "She"], ["Bob", "him"]]
    assert [[cut(made["text"], span) for span in chain] for chain in made["predicted"]] == [
        ["Ann", "She"],
        ["😀", "She likes him"],
    ]
    assert data["facts"] == [["F1", "1"]]


def test_each_error_is_a_row_that_points_into_its_document():
    perfect, wrong = document(GOLD), document(GOLD, part=1)
    found = [GOLD, [[ANN, BOB, SHE], [SMILE, (6, 7)]]]
    data = coreference_data([perfect, wrong], found, {})
    assert [made["name"] for made in data["documents"]] == ["nw/a", "nw/a, part 1"]
    assert data["rows"] == [
        {"kind": "missed", "document": 1, "chain": 1, "mention": 1},
        {"kind": "invented", "document": 1, "chain": 1, "mention": 0},
        {"kind": "invented", "document": 1, "chain": 1, "mention": 1},
        {"kind": "merged", "document": 1, "chain": 0, "others": [0, 1]},
    ]
    split = coreference_data([document(((ANN, SHE, BOB, HIM),))], [[[HIM, BOB], [SHE, ANN]]], {})
    assert split["rows"] == [{"kind": "split", "document": 0, "chain": 0, "others": [0, 1]}]


def test_a_mention_in_two_gold_chains_and_a_document_without_any_are_written(tmp_path, embedded):
    twice = Document(TOKENS, clusters=((ANN, SHE), (ANN, HIM)), name="twice")
    write_page(tmp_path / "page.html", "Title", [twice, document(())], [[], []], {})
    rows = embedded(tmp_path / "page.html")["rows"]
    assert [row["kind"] for row in rows] == ["missed"] * 3


def marks(texts, *names):
    """The texts of the marks of cards that have all of the classes; numbers come after it."""
    return [text for a, text in texts["mark"] if set(names) <= set(a["class"].split()) and text not in LEGEND]


LEGEND = ("gold mention", "predicted mention")


@pytest.mark.parametrize(
    "show, heading, marked",
    [
        ("missed", "him", {("gold", "target", "first", "last"): ["him", "him"], ("gold",): ["Bob", "him"] * 2}),
        ("invented", "😀", {("predicted", "target"): ["😀", "😀"]}),
        ("merged", "“Ann” with “Bob”", {("numbered",): ["Ann1", "Bob2", "She1", "Ann1", "She1", "Bob2"]}),
    ],
)
def test_a_browser_shows_an_error_in_its_text(tmp_path, browser, texts_of, show, heading, marked):
    path = tmp_path / "page.html"
    write_page(path, "Errors", [document(GOLD)], [[[ANN, BOB, SHE, SMILE]]], {"model": "tiny"})
    texts = texts_of(browser(f"{path.as_uri()}#show={show}"))
    assert [text for _, text in texts["h2"]] == [heading]
    assert [text for _, text in texts["b"]] == ["3", "1", "1", "1", "0"]
    for names, expected in marked.items():
        assert marks(texts, *names) == expected
    assert any(a.get("class") == "context" and "</script>" in text for a, text in texts["p"])


def test_a_browser_distinguishes_mentions_without_a_chain(tmp_path, browser, texts_of):
    write_page(tmp_path / "page.html", "Errors", [document((*GOLD, (SMILE,)))], [[[ANN, SHE]]], {})
    texts = texts_of(browser(f"{(tmp_path / 'page.html').as_uri()}#show=lone"))
    assert [text for _, text in texts["h2"]] == ["😀"]
    assert [text for _, text in texts["b"]] == ["3", "3", "0", "0", "0", "2", "1"]


def test_a_browser_shortens_a_novel_around_the_mention(tmp_path, browser, texts_of):
    words = ["Ann", "sat", *(["word"] * 50_000), "and", "she", "left"]
    long = Document(words, clusters=(((0, 1), (len(words) - 2, len(words) - 1)),), name="novel")
    write_page(tmp_path / "page.html", "Errors", [long], [[]], {})
    texts = texts_of(browser((tmp_path / "page.html").as_uri()))
    contexts = [text for a, text in texts["p"] if a.get("class") == "context"]
    assert len(contexts) == 2 and all(len(text) < 3000 and "characters" in text for text in contexts)
    assert [text for _, text in texts["h2"]] == ["Ann", "she"] and "Show all" in [text for _, text in texts["button"]]
