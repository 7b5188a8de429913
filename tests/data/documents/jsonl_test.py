"""Tests of documents in JSON lines: three forms, losses, and messages about bad lines."""

import gzip
import json
import re

import pytest

from spanbert_keras.data.documents.jsonl import read_jsonl, write_jsonl
from spanbert_keras.errors import InputError
from spanbert_keras.preprocessing.document import Document

OWN = {
    "name": "a",
    "part": 2,
    "genre": "nw",
    "tokens": ["Ann", "left", ".", "She", "ran"],
    "sentences": [[0, 3], [3, 5]],
    "speakers": ["x", "x", "x", "", ""],
    "clusters": [[[0, 1], [3, 4]], [[1, 2]]],
}
WORDS = {
    "doc_key": "bc/cctv/00/cctv_0000_3",
    "sentences": [["Ann", "left", "."], ["She", "ran"]],
    "speakers": [["x", "x", "x"], ["-", "-"]],
    "clusters": [[[0, 1], [3, 3]]],
}
# Two segments, cut inside the second sentence. "Annabel's" is one word of four pieces, "don" one of [UNK].
PIECES = {
    "doc_key": "wb/x_0",
    "sentences": [
        ["[CLS]", "Anna", "##bel", "'", "s", "hat", ".", "She", "[SEP]"],
        ["[CLS]", "[UNK]", "run", "##ning", "[SEP]"],
    ],
    "speakers": [["[SPL]"] + ["x"] * 6 + ["-", "[SPL]"], ["[SPL]", "-", "-", "-", "[SPL]"]],
    "sentence_map": [0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 2],
    "subtoken_map": [0, 0, 0, 0, 0, 1, 2, 3, 3, 3, 4, 5, 5, 5],
    "clusters": [[[1, 4], [7, 7]], [[1, 5], [11, 12]]],
    "predicted_clusters": [],
}


def write(path, *values):
    text = "\n".join(value if isinstance(value, str) else json.dumps(value) for value in values)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonlines.gz"])
def test_our_own_form_is_read(tmp_path, name):
    found = read_jsonl(write(tmp_path / name, "", {"tokens": ["Hi"]}, " ", OWN))
    assert (found.format, found.left_out) == ("jsonl", ())
    assert found.documents == (
        Document(("Hi",), name="document_2"),
        Document(
            tokens=("Ann", "left", ".", "She", "ran"),
            sentences=((0, 3), (3, 5)),
            speakers=("x", "x", "x", "", ""),
            genre="nw",
            clusters=(((0, 1), (3, 4)), ((1, 2),)),
            name="a",
            part=2,
        ),
    )


def test_the_released_codes_words_are_read(tmp_path):
    bare = {"doc_key": "plain", "sentences": [["Hi"], []], "clusters": []}
    found = read_jsonl(write(tmp_path / "a", WORDS, bare))
    assert (found.format, found.left_out) == ("words", ())
    first, second = found.documents
    assert (first.name, first.part, first.genre) == ("bc/cctv/00/cctv_0000", 3, "bc")
    assert first.sentences == ((0, 3), (3, 5)) and first.speakers == ("x", "x", "x", "", "")
    assert first.clusters == (((0, 2), (3, 4)),)
    assert second == Document(("Hi",), name="plain")


def test_the_released_codes_pieces_become_words_again(tmp_path):
    found = read_jsonl(write(tmp_path / "a", PIECES))
    (document,) = found.documents
    assert found.format == "pieces"
    assert document.tokens == ("Annabel's", "hat", ".", "She", "[UNK]", "running")
    assert document.sentences == ((0, 3), (3, 6)) and document.speakers == ("x", "x", "x", "", "", "")
    assert document.clusters == (((0, 1), (3, 4)), ((0, 2), (5, 6)))
    assert (document.name, document.part, document.genre) == ("wb/x", 0, "wb")
    (said,) = found.left_out
    assert said.endswith("a, line 1: 1 words of document 'wb/x' became [UNK]; the file does not hold their text.")


def test_mentions_inside_a_word_take_all_of_it_and_missing_words_are_recorded(tmp_path):
    changed = PIECES | {
        "clusters": [[[2, 3], [1, 4]]],
        "subtoken_map": [0, 0, 0, 0, 0, 2, 3, 4, 4, 4, 5, 7, 7, 7],
        "doc_key": "x",
    }
    del changed["sentence_map"]
    del changed["speakers"]
    found = read_jsonl(write(tmp_path / "a", changed))
    (document,) = found.documents
    assert document.clusters == (((0, 1),),) and document.sentences == ((0, 6),) and document.speakers == ("",) * 6
    assert [re.search("line 1: (.*)", said)[1] for said in found.left_out] == [
        "1 words of document 'x' became [UNK]; the file does not hold their text.",
        "2 words of document 'x' have no piece and are missing.",
        "1 mentions of document 'x' are twice in their cluster and count once, the first: [0, 1) in cluster 0.",
    ]


def test_specials_are_words_inside_a_segment(tmp_path):
    value = {
        "doc_key": "a",
        "sentences": [["[CLS]", "[SEP]", "a", "[SEP]"]],
        "subtoken_map": [0, 0, 1, 1],
        "clusters": [],
    }
    assert read_jsonl(write(tmp_path / "a", value)).documents[0].tokens == ("[SEP]", "a")


BAD_ANYWHERE = {
    "not JSON": ("{]", r"not valid JSON \(.*\)\. Expected: a document on each line\. Received: '\{\]'"),
    "no object": ("[1]", r"not an object\. Expected: .*Received: \[1\]"),
}
BAD_OWN = BAD_ANYWHERE | {
    "no tokens": ({"tokens": None}, r'"tokens" is missing\. Expected: that key\. Received: an object with the keys'),
    "text as tokens": ({"tokens": "Ann"}, r'"tokens" is not a list\. Received: \'Ann\''),
    "number as token": ({"tokens": [1]}, r"`tokens` have no text at index 0"),
    "number as name": ({"name": 3}, r'"name" is not a text\. Received: 3'),
    "text as part": ({"part": "one"}, r"`part` must be a whole number from 0\. Received: 'one'"),
    "no list of clusters": ({"clusters": [3]}, r'"clusters", 0 is not a list of pairs \[start, end\)\. Received: 3'),
    "no pair": ({"clusters": [[[0, 1], [{}, 2]]]}, r'"clusters", 0 is not a list of pairs'),
    "span outside": ({"clusters": [[[3, 6]]]}, r"a mention of cluster 0 is not inside.*<= 5.*\[3, 6\)"),
    "empty cluster": ({"clusters": [[]]}, r"cluster 0 has no mention"),
    "speakers": ({"speakers": ["a"]}, r"every token needs a speaker.*5 tokens and 1 speakers"),
    "sentences": ({"sentences": [[0, 3]]}, r"the sentences must hold all tokens"),
    "sentence of one number": ({"sentences": [[0]]}, r"sentence 0 is not a pair"),
    "name twice": ({}, r"document 'a', part 2, is in line 1 already"),
}
BAD_WORDS = BAD_ANYWHERE | {
    "no key": ({"doc_key": None}, r'"doc_key" is missing'),
    "words outside lists": ({"sentences": ["Ann"]}, r'"sentences", list 0 is not a list of texts\. Received: \'Ann\''),
    "number as word": ({"sentences": [["Ann"], [3]]}, r'"sentences", list 1 is not a list of texts'),
    "flat speakers": ({"speakers": ["x"] * 5}, r'"speakers", list 0 is not a list of texts'),
    "fewer speakers": ({"speakers": [["x"]]}, r'"speakers" must hold as many .*Expected: 5\. Received: 1'),
    "past the end": (
        {"clusters": [[[0, 0]], [[4, 5]]]},
        r'"clusters", 1 cannot be used.*last < 5\. Received: \[4, 5\]',
    ),
    "backwards": ({"clusters": [[[2, 1]]]}, r'"clusters", 0 cannot be used.*Received: \[2, 1\]'),
    "truth": ({"clusters": [[[False, True]]]}, r'"clusters", 0 cannot be used'),
    "number": ({"clusters": [3]}, r'"clusters", 0 cannot be used.*Received: 3'),
}
BAD_PIECES = BAD_ANYWHERE | {
    "no map": ({"subtoken_map": None}, r'"subtoken_map" is missing'),
    "short map": ({"subtoken_map": [0]}, r'"subtoken_map" must hold .*Expected: 14\. Received: 1, \[0\]'),
    "negative word": (
        {"subtoken_map": [-1, 0, 0, 0, 0, 1, 2, 3, 3, 3, 4, 5, 5, 5]},
        r'"subtoken_map" must hold a number from 0 .*Received: 14, \[-1',
    ),
    "negative words": ({"subtoken_map": [-1] * 14}, r'"subtoken_map" must hold a number from 0'),
    "huge word": ({"subtoken_map": [10**4000] * 14}, r'"subtoken_map" must hold a number from 0'),
    "texts in map": ({"sentence_map": ["a"] * 14}, r'"sentence_map" must hold a whole number'),
    "map goes back": (
        {"subtoken_map": [0, 0, 0, 0, 0, 2, 1, 3, 3, 3, 4, 5, 5, 5]},
        r'"subtoken_map" goes back at piece 6\. Expected: 2 or more\. Received: 1\.',
    ),
    "mention of specials": ({"clusters": [[[7, 8]]]}, r'"clusters", 0 has a mention that begins or ends .*\[7, 8\]'),
    "past the end": ({"clusters": [[[3, 14]]]}, r"last < 14\. Received: \[3, 14\]"),
}
CASES = [
    pytest.param(good, *case, id=f"{form}, {name}")
    for form, good, cases in (("own", OWN, BAD_OWN), ("words", WORDS, BAD_WORDS), ("pieces", PIECES, BAD_PIECES))
    for name, case in cases.items()
]


@pytest.mark.parametrize("good, change, sentence", CASES)
def test_a_bad_line_is_named_and_can_be_left_out(tmp_path, good, change, sentence):
    key = "doc_key" if "doc_key" in good else "name"
    bad = change if isinstance(change, str) else {k: v for k, v in {**good, **change}.items() if v is not None}
    if isinstance(bad, dict) and change and key not in change:
        bad[key] = "other"
    path = write(tmp_path / "a.jsonl", good, bad, good | {key: "last"})
    with pytest.raises(InputError, match=rf"^{re.escape(str(path))}, line 2: .*{sentence}.*`skip_bad=True`\.$"):
        read_jsonl(path)
    found = read_jsonl(path, skip_bad=True)
    assert [document.name for document in found.documents][1:] == ["last"]
    assert len([said for said in found.left_out if re.search(sentence, said)]) == 1


def test_a_file_of_another_form_is_rejected(tmp_path):
    path = write(tmp_path / "a", {"text": "Once", "id": 3})
    with pytest.raises(InputError, match=r"line 1: a document of an unknown form.*keys 'text', 'id'\."):
        read_jsonl(path)
    with pytest.raises(InputError, match="gives no document: all are bad, the first: "):
        read_jsonl(path, skip_bad=True)
    with pytest.raises(InputError, match="gives no document: it is empty"):
        read_jsonl(write(tmp_path / "b", ""))


def test_written_documents_make_a_round_trip(tmp_path):
    documents = (
        *read_jsonl(write(tmp_path / "a", OWN)).documents,
        Document((), name="é\u2028"),
        Document(("\u00a0é",)),
    )
    write_jsonl(tmp_path / "b", documents)
    assert read_jsonl(tmp_path / "b").documents == documents


@pytest.mark.parametrize(
    "text, fault",
    [
        (json.dumps({"tokens": ["a"]}, indent=1), "a JSON object over several lines"),
        (
            json.dumps({"tokens": ["a"]}, indent=1) + "\n" + json.dumps({"tokens": ["b"]}, indent=1),
            "a JSON object over",
        ),
        (json.dumps([{"tokens": ["a"]}]), "a JSON array"),
        ("\n" + json.dumps([{"tokens": ["a"]}], indent=1), "a JSON array"),
    ],
)
@pytest.mark.parametrize("skip_bad", [False, True])
def test_json_that_is_not_one_object_per_line_is_named_without_a_hint_that_cannot_help(tmp_path, text, fault, skip_bad):
    (tmp_path / "a.jsonl").write_text(text)
    with pytest.raises(InputError, match=rf"a\.jsonl is {fault}.*Expected: JSON lines, one object per line") as caught:
        read_jsonl(tmp_path / "a.jsonl", skip_bad)
    assert "skip" not in str(caught.value)


@pytest.mark.parametrize("clusters", [[[[0, 9]]], "none", [[[0, 1]]]])
def test_clusters_are_read_only_on_request(tmp_path, clusters):
    (tmp_path / "a.jsonl").write_text(json.dumps({"tokens": ["a", "b"], "clusters": clusters}))
    assert read_jsonl(tmp_path / "a.jsonl", clusters=False).documents[0].clusters == ()
