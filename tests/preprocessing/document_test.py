"""Tests of documents in words: what they check, their defaults, and clusters that share or repeat mentions."""

import dataclasses
import random

import numpy as np
import pytest

from spanbert_keras.errors import InputError
from spanbert_keras.preprocessing.document import Document, drop_repeats, genre_of, genre_place, merge_clusters

WORDS = ("Ann", "lost", "her", "hat", ".")


def test_the_default_is_one_sentence_of_an_unknown_speaker():
    document = Document(WORDS)
    assert (document.sentences, document.speakers, document.genre) == (((0, 5),), ("",) * 5, "")
    assert (document.clusters, document.name, document.part, document.cluster_numbers) == ((), "", 0, ())
    assert len(document) == 5


def test_lists_and_numpys_numbers_become_tuples_of_int():
    spans = np.array([[0, 1], [2, 3]])
    document = Document(
        list(WORDS), [[0, 3], (3, 5)], ["a"] * 5, clusters=[spans], part=np.int64(2), cluster_numbers=[7]
    )
    assert document == Document(
        WORDS, ((0, 3), (3, 5)), ("a",) * 5, clusters=(((0, 1), (2, 3)),), part=2, cluster_numbers=(7,)
    )
    assert {type(value) for span in document.clusters[0] for value in span} == {int}
    assert hash(document) == hash(dataclasses.replace(document))


def test_a_document_may_have_no_tokens():
    document = Document((), name="nw/empty", part=1)
    assert (len(document), document.sentences, document.speakers, document.clusters) == (0, (), (), ())


def test_new_clusters_forget_the_old_ones_numbers():
    document = Document(WORDS, clusters=(((0, 1), (2, 3)),), cluster_numbers=(9,), name="a", genre="nw")
    other = document.with_clusters([[(2, 4), (0, 1)], [(3, 4)]])
    assert other.clusters == (((2, 4), (0, 1)), ((3, 4),)) and other.cluster_numbers == ()
    assert (other.name, other.genre, other.tokens) == ("a", "nw", WORDS)


BAD = {
    "text for tokens": ({"tokens": "Ann"}, r"`tokens` is not a list.*Received: 'Ann'"),
    "number as token": (
        {"tokens": ("Ann", 3)},
        r"`tokens` have no text at index 1.*Received: 3",
    ),
    "empty token": ({"tokens": ("a", "", "b")}, r"token 1 has no text\. Expected: a word\. Received: ''"),
    "blank token": ({"tokens": ("a", " \t")}, r"token 1 has no text"),
    "half a character": ({"tokens": ("a", "\ud800")}, r"an unpaired surrogate.*Received: '\\ud800'"),
    "number as name": ({"name": 3}, r"`name` is not text.*Received: 3"),
    "no genre": ({"genre": None}, r"`genre` is not text"),
    "part below 0": ({"part": -1}, r"`part` must be a whole number from 0\. Received: -1"),
    "truth as part": ({"part": True}, r"`part` must be a whole number"),
    "fraction as part": ({"part": 1.0}, r"`part` must be a whole number"),
    "fewer speakers": ({"speakers": ("a",) * 4}, r"every token needs a speaker.*Received: 5 tokens and 4 speakers"),
    "gap between sentences": ({"sentences": ((0, 2), (3, 5))}, r"sentence 1 does not follow.*\[2, end\).*\[3, 5\)"),
    "late first sentence": ({"sentences": ((1, 5),)}, r"sentence 0 does not follow.*Received: \[1, 5\)"),
    "empty sentence": ({"sentences": ((0, 2), (2, 2), (2, 5))}, r"sentence 1.*has no tokens.*Received: \[2, 2\)"),
    "sentence past the end": ({"sentences": ((0, 6),)}, r"0 < end <= 5\. Received: \[0, 6\)"),
    "sentences stop early": ({"sentences": ((0, 2), (2, 4))}, r"must hold all tokens.*ends at 5\. Received: 4"),
    "sentences of nothing": ({"tokens": (), "sentences": ((0, 1),)}, r"sentence 0"),
    "no pair": ({"clusters": (((0, 1, 2),),)}, r"cluster 0, mention 0 is not a pair.*Received: \(0, 1, 2\)"),
    "fractions": ({"clusters": (((0, 1), (1.0, 2.0)),)}, r"cluster 0, mention 1 is not a pair"),
    "truths": ({"clusters": (((False, True),),)}, r"mention 0 is not a pair"),
    "text as mention": ({"clusters": (("01",),)}, r"mention 0 is not a pair"),
    "mention as cluster": ({"clusters": ((0, 1),)}, r"cluster 0, mention 0 is not a pair.*Received: 0"),
    "empty mention": ({"clusters": (((2, 2),),)}, r"cluster 0 is not inside.*start < end <= 5.*\[2, 2\)"),
    "before the start": ({"clusters": (((0, 1),), ((-1, 2),))}, r"cluster 1 is not inside.*\[-1, 2\)"),
    "past the end": ({"clusters": (((4, 6),),)}, r"is not inside the document.*\[4, 6\)"),
    "empty cluster": ({"clusters": ((),)}, r"cluster 0 has no mention"),
    "twice": ({"clusters": (((0, 1), (0, 1)),)}, r"cluster 0 holds the same mention twice"),
    "fewer numbers": (
        {"clusters": (((0, 1),), ((2, 3),)), "cluster_numbers": (1,)},
        r"its own number.*2 clusters",
    ),
    "same number": ({"clusters": (((0, 1),), ((2, 3),)), "cluster_numbers": (1, 1)}, r"its own number"),
    "number below 0": ({"clusters": (((0, 1),),), "cluster_numbers": (-1,)}, r"`cluster_numbers` must be"),
}


@pytest.mark.parametrize("changes, sentence", BAD.values(), ids=BAD)
def test_invalid_documents_are_rejected(changes, sentence):
    with pytest.raises(InputError, match=sentence):
        Document(**{"tokens": WORDS, **changes})


def test_a_message_names_the_document():
    with pytest.raises(InputError, match=r"^Document 'nw/x', part 3: token 0 has no text"):
        Document(("",), name="nw/x", part=3)


@pytest.mark.parametrize(
    "name, genre", [("bc/cctv/00/cctv_0000", "bc"), ("wb_x", "wb"), ("lb/105_persuasion", ""), ("", ""), ("n", "")]
)
def test_a_genre_is_what_a_name_begins_with(name, genre):
    assert genre_of(name) == genre


@pytest.mark.parametrize("genre, place", [("x", 0), ("y", 1), ("", 2), (None, 2), ("z", 2)])
def test_a_genres_place_is_that_among_the_models_or_of_its_default(genre, place):
    assert genre_place(genre, ["x", "y", "z"], "z") == genre_place(genre, ("x", "y", "z"), "z") == place


def test_an_unknown_genre_is_rejected():
    with pytest.raises(InputError, match=r"The genre 'q' is not one of the model's. Expected: one of \['x', 'y'\]."):
        genre_place("q", ("x", "y"), "x")


def test_repeats_inside_a_cluster_are_dropped_and_returned():
    clusters = [[(4, 5), (0, 1), (4, 5), (4, 5)], [(0, 1)]]
    assert drop_repeats(clusters) == ((((4, 5), (0, 1)), ((0, 1),)), [(0, (4, 5)), (0, (4, 5))])


def components(clusters):
    """The partition that sharing a mention generates, by brute force."""
    sets = [set(cluster) for cluster in clusters if cluster]
    changed = True
    while changed:
        changed = False
        for i in range(len(sets)):
            for j in range(i + 1, len(sets)):
                if sets[i] & sets[j]:
                    sets[i] |= sets.pop(j)
                    changed = True
                    break
            if changed:
                break
    return sets


def test_clusters_that_share_a_mention_become_one():
    assert merge_clusters([[(0, 1)], [(2, 3)], [(4, 5), (2, 3)], [(0, 1), (4, 5)], []]) == (((0, 1), (2, 3), (4, 5)),)
    source = random.Random(0)
    for _ in range(200):
        pool = [(i, i + 1) for i in range(source.randint(1, 25))]
        clusters = [source.choices(pool, k=source.randint(0, 4)) for _ in range(source.randint(0, 9))]
        merged = merge_clusters(clusters)
        assert sorted(map(sorted, merged)) == sorted(map(sorted, components(clusters)))
        firsts = [min(i for i, cluster in enumerate(clusters) if set(cluster) & set(group)) for group in merged]
        assert firsts == sorted(firsts) and all(len(set(group)) == len(group) for group in merged)
