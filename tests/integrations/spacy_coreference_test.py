"""Chains in spaCy documents: where they are, their scores, and the text with names for pronouns."""

import pytest

from spanbert_keras import Document
from tests.integrations.conftest import TEXT

spacy = pytest.importorskip("spacy", reason="components of spaCy's pipelines, extra `linguistic`")


@pytest.fixture
def pipeline(resolver_path):
    """Function of the component's settings: a blank pipeline with it."""

    def make(*before, **config):
        nlp = spacy.blank("en")
        for name in before:
            nlp.add_pipe(name)
        nlp.add_pipe("spanbert_coref", config={"model": str(resolver_path)} | config)
        return nlp

    return make


def places(doc):
    return [[(span.start_char, span.end_char) for span in chain] for chain in doc._.coref_clusters]


@pytest.mark.parametrize("text", [TEXT, f"  {TEXT} ", "Ann left. Bob met her."])
def test_without_sentences_chains_are_those_of_resolve(pipeline, resolver, text):
    doc = pipeline(singletons=True)(text)
    expected = resolver.resolve(text, singletons=True)
    assert places(doc) == [[(m.start, m.end) for m in chain] for chain in expected.clusters] != []
    assert list(doc.spans) == [f"coref_clusters_{number}" for number in range(1, len(expected.clusters) + 1)]
    for group, chain, score in zip(doc._.coref_clusters, expected.clusters, expected.chain_scores, strict=True):
        assert [span.text for span in group] == [mention.text for mention in chain]
        assert group.attrs["mention_scores"] == pytest.approx([m.mention_score for m in chain], rel=1e-4)
        assert group.attrs["link_probabilities"][1:] == pytest.approx([m.link_probability for m in chain][1:], rel=1e-4)
        assert group.attrs["link_probabilities"][0] is None and (group.attrs["score"] is None) == (score is None)


def test_a_documents_own_words_and_sentences_are_used(pipeline, resolver):
    doc = pipeline("sentencizer", singletons=True)(TEXT)
    words = [token for token in doc if not token.is_space]
    bounds = [sum(token.i < sentence.end for token in words) for sentence in doc.sents]
    sentences = tuple(zip([0, *bounds], bounds, strict=False))
    expected = resolver.resolve(Document(tuple(t.text for t in words), sentences), singletons=True)
    found = [[span.text.split() for span in chain] for chain in doc._.coref_clusters]
    assert found == [[mention.text.split() for mention in chain] for chain in expected.clusters]
    begins = [[span.start_char for span in chain] for chain in doc._.coref_clusters]
    assert begins == [[words[mention.start].idx for mention in chain] for chain in expected.clusters]


def test_without_sentences_the_text_is_in_the_pipelines_language(resolver_path, resolver):
    text = "Ann left am 3. Oslo"
    for language in ("de", "en"):
        nlp = spacy.blank(language)
        nlp.add_pipe("spanbert_coref", config={"model": str(resolver_path), "singletons": True})
        expected = resolver.resolve(text, singletons=True, language=language)
        assert len(expected.tokens) == {"de": 5, "en": 6}[language]
        assert [list(chain.attrs["mention_scores"]) for chain in nlp(text)._.coref_clusters] == [
            pytest.approx([mention.mention_score for mention in chain], rel=1e-4) for chain in expected.clusters
        ]


def test_settings_reach_the_model_and_earlier_chains_are_replaced(pipeline):
    every, sure = pipeline(singletons=True), pipeline(min_score=0.999999)
    doc = every(TEXT)
    doc.spans["others"] = [doc[0:1]]
    before = places(doc)
    sure.get_pipe("spanbert_coref")(doc)
    assert places(doc) == places(sure(TEXT)) != before and "others" in doc.spans
    assert len(doc.spans) == 1 + len(doc._.coref_clusters)


@pytest.fixture(scope="module", autouse=True)
def registered():
    """spaCy loads the components, and with them the extensions, when a pipeline first names them."""
    spacy.blank("en").add_pipe("spanbert_coref")


def chained(words, *chains, tags=None):
    doc = spacy.tokens.Doc(spacy.blank("en").vocab, words=words.split(), tags=tags)
    for number, chain in enumerate(chains, 1):
        doc.spans[f"coref_clusters_{number}"] = [doc[start:end] for start, end in chain]
    return doc


@pytest.mark.parametrize(
    "words, chains, expected",
    [
        ("Ann left . She met Bob", [[(0, 1), (3, 4)]], "Ann left . Ann met Bob "),
        ("She met Bob and Ann", [[(0, 1), (4, 5)]], "Ann met Bob and Ann "),
        ("Ann lost her hat . Bob saw her .", [[(0, 1), (2, 3), (7, 8)]], "Ann lost Ann's hat . Bob saw Ann . "),
        ("Ann saw his hat", [[(2, 3)]], "Ann saw his hat "),  # a chain without a name
        ("A man met his wife", [[(0, 2), (3, 4)], [(3, 5)]], "A man met A man's wife "),
        ("Bob lost its key", [[(0, 1)], [(2, 3)]], "Bob lost its key "),
        ("Ann left", [], "Ann left "),
    ],
)
def test_pronouns_become_the_first_name_of_their_chain(words, chains, expected):
    assert chained(words, *chains)._.resolved_text == expected


def test_tags_decide_between_her_and_him():
    doc = chained("Ann saw her yesterday", [(0, 1), (2, 3)], tags=["NNP", "VBD", "PRP", "NN"])
    assert doc._.resolved_text == "Ann saw Ann yesterday "
    doc = chained("Ann saw her yesterday", [(0, 1), (2, 3)], tags=["NNP", "VBD", "PRP$", "NN"])
    assert doc._.resolved_text == "Ann saw Ann's yesterday "


def test_chains_are_in_order_beyond_nine():
    doc = chained("a b c d e f g h i j k l", *[[(place, place + 1)] for place in range(12)])
    assert [chain[0].start for chain in doc._.coref_clusters] == list(range(12))
