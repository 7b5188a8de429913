"""Documents to bytes: from text with its own characters, from pieces with words put together."""

import json

import numpy as np
import pytest

from spanbert_keras.data.annotations.document_annotator import DocumentAnnotator, PreparedDocument
from spanbert_keras.errors import InputError
from spanbert_keras.preprocessing.tokenizer import SpanBertTokenizer

VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"the new New York Yor ##k ##er Tom ##my saw . ’ s".split()]


@pytest.fixture(scope="module")
def tokenizer():
    return SpanBertTokenizer(VOCABULARY)


@pytest.fixture(scope="module")
def annotator():
    return DocumentAnnotator("rules", ("entities",), {"vocabulary": VOCABULARY})


def document(tokenizer, *lines, from_text=True):
    ids = [tokenizer(line) for line in lines]
    pieces = np.array(sum(ids, []), np.uint16)
    lengths = np.array([len(one) for one in ids if one])
    return PreparedDocument(pieces, None if from_text else lengths, list(lines) if from_text else None, "Document 0")


def marked(annotator, tokenizer, prepared):
    """The mentions of the result, as text."""
    values, unknown = annotator.annotate(prepared)
    assert values["entities"].dtype == np.uint8 and values["entities"].shape == prepared.pieces.shape and not unknown
    assert set(values["entities"].tolist()) <= {0, 5, 7}
    mentions = []
    for piece, value in zip(prepared.pieces.tolist(), values["entities"].tolist(), strict=True):
        mentions += [[]] if value & 2 else []
        if value:
            mentions[-1].append(piece)
    return [tokenizer.detokenize(mention) for mention in mentions]


LINES = ("the New York saw Yorker.", "Tommy saw Tommy’s York", "saw Tom", "Tom", "saw Tom")


@pytest.mark.parametrize("from_text", [True, False])
def test_mentions_of_every_line_are_found_with_all_their_pieces(annotator, tokenizer, from_text):
    found = marked(annotator, tokenizer, document(tokenizer, *LINES, from_text=from_text))
    possessive = ["Tommy \u2019 s York"] if from_text else ["Tommy", "York"]  # without text its pieces are words
    assert found == ["New York", "Yorker", *possessive, "Tom", "Tom"]


def test_the_text_decides_where_it_is_given(annotator, tokenizer):
    lines = ("saw New  York", "\u201csaw\u201d  Zed Tom", "", "saw ", "saw Tom")
    assert marked(annotator, tokenizer, document(tokenizer, *lines)) == ["New York", "[UNK] Tom", "Tom"]


def test_without_text_unknown_words_are_not_mentions(annotator, tokenizer):
    prepared = document(tokenizer, "saw Zed", "saw Zed Tom", from_text=False)
    assert marked(annotator, tokenizer, prepared) == ["Tom"]


def test_words_are_put_together_with_one_space_between(annotator, tokenizer):
    prepared = document(tokenizer, "New  Yorker saw the York.", "Tom", from_text=False)
    lines, lengths, offsets = annotator._from_pieces(prepared)
    assert lines == ["New Yorker saw the York .", "Tom"] and lengths.tolist() == [7, 1]
    parts = [line[a:b] for line, part in zip(lines, np.split(offsets, [7]), strict=True) for a, b in part.tolist()]
    assert parts == [tokenizer.id_to_token(i).removeprefix("##") for i in prepared.pieces.tolist()]


def test_mentions_of_one_line_do_not_reach_into_the_next(tmp_path, tokenizer):
    rows = [{"text": "the Tom", "entities": [[0, 7, "X"]]}, {"text": "saw Tom", "entities": [[0, 3, "Y"]]}]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    annotator = DocumentAnnotator(f"jsonl:{tmp_path}/a.jsonl", ("entities",), {"vocabulary": VOCABULARY})
    values, unknown = annotator.annotate(document(tokenizer, "the Tom", "saw Tom", "saw the"))
    assert values["entities"].tolist() == [7, 5, 11, 0, 0, 0] and unknown == 1


def test_other_pieces_than_those_of_the_text_are_rejected(annotator, tokenizer):
    prepared = document(tokenizer, "saw Tom")
    for pieces in (prepared.pieces[::-1], prepared.pieces[:1]):
        wrong = PreparedDocument(pieces, None, prepared.lines, "Document 7 of the shard x")
        with pytest.raises(InputError, match="Document 7 of the shard x holds other tokens than its text gives"):
            annotator.annotate(wrong)


def test_every_piece_has_the_characters_of_its_word_in_an_uncased_vocabulary():
    lowered = {"vocabulary": [*VOCABULARY, "tom", "york"], "lowercase": True}
    annotator = DocumentAnnotator("rules", ("entities",), lowered)
    tokenizer = SpanBertTokenizer(**lowered)
    assert marked(annotator, tokenizer, document(tokenizer, "saw New York, Tóm")) == ["new york", "tom"]
