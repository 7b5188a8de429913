"""Documents in groups, and from links to chains in words. The numbers are tested with TiledResolver."""

import dataclasses

import numpy as np
import pytest

from spanbert_keras import Document
from spanbert_keras.errors import InputError
from spanbert_keras.models.resolve_documents import resolve_documents, resolved, without_repetitions
from spanbert_keras.models.tiled_resolver import Links
from spanbert_keras.preprocessing.document_segments import DocumentSegments
from spanbert_keras.preprocessing.examples.given_documents import given_documents


def links_of(antecedents, mention_scores):
    """Links of words 0, 1, 2, ... whose best antecedents are given."""
    places = np.arange(len(antecedents))
    column = np.array(antecedents)[:, None]
    scores = np.where(column < 0, -np.inf, 1.0)
    pieces = places + 1  # after [CLS]
    return Links(pieces, pieces, np.array(mention_scores, "float32"), column, scores)


class FakeResolver:
    """Links every word to the one before the last; notes the groups."""

    def __init__(self, tokenizer):
        self.segments = DocumentSegments(tokenizer, 8, "pieces")
        self.groups = []

    def genre_row(self, genre):
        if genre == "xx":
            raise InputError("no such genre")
        return 3

    def links(self, cuts, genres, batch_size, mentions):
        self.groups.append(([len(cut.segments) for cut in cuts], list(genres), batch_size, list(mentions)))
        return [links_of([-1, -1, 0], [1, 1, 1]) for _ in cuts]


def given(*counts):
    documents = [Document(tuple("abcdefgh"[i % 8] for i in range(count))) for count in counts]
    return given_documents(documents, None, None, None, None, None, None)[0]


def test_documents_go_in_groups_of_about_four_batches_and_keep_their_order(tokenizer):
    resolver = FakeResolver(tokenizer)
    documents = given(3, 60, 4, 5, 6)
    found = resolve_documents(resolver, documents, 2, False)
    assert [one.tokens for one in found] == [tuple(one.tokens) for one in documents]
    assert [one.token_clusters for one in found] == [(((0, 1), (2, 3)),)] * 5
    assert [len(segments) for segments, *_ in resolver.groups] == [2, 3]  # the second document alone fills 8 segments
    assert all(group[1:] == ([3] * len(group[0]), 2, [None] * len(group[0])) for group in resolver.groups)
    assert resolve_documents(resolver, [], 2, False) == []


def test_an_unknown_genre_names_its_document(tokenizer):
    documents = given(3, 4)
    documents[1] = dataclasses.replace(documents[1], genre="xx")
    with pytest.raises(InputError, match="Document 1: no such genre"):
        resolve_documents(FakeResolver(tokenizer), documents, 2, False)


def test_likely_mentions_without_a_link_are_chains_of_one_if_wanted(tokenizer):
    (document,) = given(5)
    cut = DocumentSegments(tokenizer, 8, "pieces").cut(document.tokens, document.sentences, document.speakers)
    links = links_of([-1, -1, 0, -1], [0.5, 0.25, -1.0, -0.5])
    assert resolved(document, cut, links, False).token_clusters == (((0, 1), (2, 3)),)
    assert resolved(document, cut, links, True).token_clusters == (((0, 1), (2, 3)), ((1, 2),))


def test_a_mention_in_words_is_in_one_chain_and_crosses_none_of_its_own():
    given = [[(0, 2), (1, 3), (5, 6)], [(5, 6), (7, 8)], [(5, 6)], [(1, 3), (2, 9)]]
    assert without_repetitions(given) == [((0, 2), (5, 6)), ((7, 8),), (), ((1, 3),)]
    nested = [[(0, 9), (1, 2), (1, 3)], [(4, 6)]]
    assert without_repetitions(nested) == [((0, 9), (1, 2), (1, 3)), ((4, 6),)]


def linked(tokenizer, scores, **options):
    """Resolves a document of five words with the given antecedent scores (5, 2) of the two words before each."""
    (document,) = given(5)
    cut = DocumentSegments(tokenizer, 8, "pieces").cut(document.tokens, document.sentences, document.speakers)
    places = np.arange(5)
    antecedents = np.stack([places - 2, places - 1], 1)
    scores = np.where(antecedents < 0, -np.inf, np.array(scores, float))
    links = Links(places + 1, places + 1, np.array([4, 3, 2, 1, 0.5], "float32"), np.maximum(antecedents, -1), scores)
    return resolved(document, cut, links, **({"singletons": False} | options))


LINK_SCORES = [[0, 0], [0, -9], [3, -1], [2, 1], [1, -5]]  # links 2 -> 0, 3 -> 1, 4 -> 2


def test_mentions_carry_their_scores_and_chains_their_weakest_link(tokenizer):
    document = linked(tokenizer, LINK_SCORES)
    assert document.token_clusters == (((0, 1), (2, 3), (4, 5)), ((1, 2), (3, 4)))
    assert document.mention_scores == ((4.0, 2.0, 0.5), (3.0, 1.0))
    e = np.exp
    links = [e(3) / (1 + e(3) + e(-1)), e(1) / (1 + e(1) + e(-5)), e(2) / (1 + e(2) + e(1))]
    assert document.link_probabilities[0][0] is None and document.link_probabilities[1][0] is None
    np.testing.assert_allclose(document.link_probabilities[0][1:] + document.link_probabilities[1][1:], links)
    assert document.chain_scores == [pytest.approx(links[1]), pytest.approx(links[2])]
    chains = document.clusters
    assert [m.mention_score for m in chains[0]] == [4.0, 2.0, 0.5]
    assert [m.link_probability for m in chains[1]] == [None, pytest.approx(links[2])]


def test_links_below_the_lowest_probability_are_left_out(tokenizer):
    assert linked(tokenizer, LINK_SCORES, min_score=0.7).token_clusters == (((0, 1), (2, 3), (4, 5)),)
    assert linked(tokenizer, LINK_SCORES, min_score=0.8).token_clusters == (((0, 1), (2, 3)),)
    assert linked(tokenizer, LINK_SCORES, min_score=1.0).token_clusters == ()
    document = linked(tokenizer, LINK_SCORES, min_score=0.8, singletons=True)
    assert document.token_clusters == (((0, 1), (2, 3)), ((1, 2),), ((3, 4),), ((4, 5),))
    assert document.chain_scores[1:] == [None] * 3 and document.link_probabilities[3] == (None,)


def test_a_sure_link_has_the_highest_probability_and_words_have_the_scores_of_their_first_span(tokenizer):
    sure = linked(tokenizer, [[0, 0], [0, 0], [900, 0], [0, 0], [0, 0]], min_score=1.0)
    assert sure.token_clusters == (((0, 1), (2, 3)),) and sure.chain_scores == [1.0]
    documents = [Document(("ab", "c", "d"))]  # pieces: [CLS], two, one, one, [SEP]
    (document,) = given_documents(documents, None, None, None, None, None, None)[0]
    cut = DocumentSegments(tokenizer, 8, "pieces").cut(document.tokens, document.sentences, document.speakers)
    column = np.array([[-1], [0], [1]])
    links = Links(np.array([1, 1, 4]), np.array([1, 2, 4]), np.array([3, 2, 1], "float32"), column, column + 0.5)
    found = resolved(document, cut, links, False)
    assert found.token_clusters == (((0, 1), (2, 3)),) and found.mention_scores == ((3.0, 1.0),)


def test_a_mention_has_the_scores_of_its_own_chains_span(tokenizer):
    documents = [Document(("ab", "c", "d"))]
    (document,) = given_documents(documents, None, None, None, None, None, None)[0]
    cut = DocumentSegments(tokenizer, 8, "pieces").cut(document.tokens, document.sentences, document.speakers)
    column = np.array([[-1], [-1], [1]])  # the last span is linked to the second; the first covers the same word
    links = Links(np.array([1, 1, 4]), np.array([1, 2, 4]), np.array([-9, 5, 1], "float32"), column, column + 0.5)
    found = resolved(document, cut, links, False)
    assert found.token_clusters == (((0, 1), (2, 3)),) and found.mention_scores == ((5.0, 1.0),)


def test_scores_do_not_count_when_documents_are_compared(tokenizer):
    one, other = (
        linked(tokenizer, LINK_SCORES),
        linked(tokenizer, [[2 * score for score in row] for row in LINK_SCORES]),
    )
    assert one.link_probabilities != other.link_probabilities
    assert one == other and hash(one) == hash(other)
