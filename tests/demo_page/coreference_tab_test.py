"""The tab of a resolver: chains have a colour and a number, nested mentions stay inside of each other."""

import re
import types

from spanbert_keras import ResolvedDocument
from spanbert_keras.demo_page.coreference_tab import coreference_tab, show_document

TEXT = "Ann <i> met [her mother's] dog.\nIt & she left."
TOKENS = tuple(re.finditer(r"\w+|[^\w\s]", TEXT))
#         Ann           her mother's dog    it


def document(*chains):
    offsets = tuple(one.span() for one in TOKENS)
    links = tuple((None, *(0.5 + 0.1 * place for place in range(1, len(chain)))) for chain in chains)
    return ResolvedDocument(TEXT, tuple(one[0] for one in TOKENS), offsets, chains, (), links)


def span(words):
    start = TEXT.index(words)
    inside = [i for i, one in enumerate(TOKENS) if start <= one.start() < start + len(words)]
    return inside[0], inside[-1] + 1


NESTED = ((span("Ann"), span("her")), (span("her mother's] dog"), span("It")))


def test_the_text_is_whole_and_mentions_nest(read_result):
    found = read_result(show_document(document(*NESTED)))
    assert found["sb-text"] == [TEXT]
    assert sorted(found["mark"]) == sorted(["Ann", "her", "her mother's] dog", "It"])
    assert sorted(found["sub"]) == ["1", "1", "2", "2"] and len(found["li"]) == 2
    assert found["sb-note"][0].startswith("2 chains, 4 mentions. Weakest link of a chain: 60.0 %.")


def test_a_text_without_chains_is_shown(read_result):
    found = read_result(show_document(document()))
    assert found["sb-text"] == [TEXT] and found["sb-note"] == ["No mentions are linked."] and "mark" not in found


def test_chains_of_one_mention_have_no_link(read_result):
    assert "Weakest" not in read_result(show_document(document((span("Ann"),))))["sb-note"][0]


def test_the_resolver_is_asked_for_what_the_fields_hold(read_result):
    asked = []
    resolver = types.SimpleNamespace(
        genres=("bc", "nw"),
        default_genre="nw",
        resolve=lambda text, **options: asked.append((text, options)) or document(*NESTED),
    )
    tab = coreference_tab(resolver)
    assert tab.example[3] == "nw" and tab.fields[3].choices == ["bc", "nw"]
    tab.answer(TEXT, True, 0.5, "bc")
    assert asked == [(TEXT, {"singletons": True, "min_score": 0.5, "genre": "bc"})]
    assert read_result(tab.answer(" ", True, 0.5, "bc"))["sb-error"][0].startswith("The text is empty.")
    resolver.genres, resolver.default_genre = (), None
    coreference_tab(resolver).answer(TEXT, False, None)  # the number was deleted
    assert asked[1:] == [(TEXT, {"singletons": False, "min_score": 0.0})]
