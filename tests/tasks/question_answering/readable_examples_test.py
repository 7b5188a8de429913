"""Examples that a model cannot read: named, rejected or left out."""

import pytest

from spanbert_keras.errors import InputError
from spanbert_keras.preprocessing.question_windows import QuestionWindows
from tasks.question_answering import readable_examples
from tasks.question_answering.data import Example
from tasks.question_answering.readable_examples import readable


@pytest.fixture(scope="module")
def windows(toy_tokenizer):
    return QuestionWindows(toy_tokenizer, window_length=11, max_question_pieces=4, stride=2)


def example(id, question="w40 w41", context="w0 w1 w2"):
    return Example(id, question, context, (), (), "")


def test_unreadable_examples_are_rejected_or_left_out(windows, monkeypatch):
    monkeypatch.setattr(readable_examples, "CHUNK_SIZE", 2)
    asked = [
        example("a"),
        example("b", context="\x00\x01"),
        example("c", question="\x00"),
        example("d", context="zz zz"),
        example("e", context="w1 zz"),
    ]
    good, bad = readable(asked, windows, "some.json", skip=True)
    assert [e.id for e in good] == ["a", "e"]
    assert bad[0] == "some.json: Context of question 'b' has no words. Expected: text. Received: '\\x00\\x01'."
    assert bad[1].startswith("some.json: Question 'c' has no words. ")
    assert bad[2].startswith("some.json: Context of question 'd' has no word that the vocabulary can spell. ")
    with pytest.raises(InputError, match=r"some\.json: Context of question 'b' has no words.*--skip_bad_examples"):
        readable(asked, windows, "some.json", skip=False)
    assert readable([asked[0], asked[4]], windows, "some.json", skip=False) == ([asked[0], asked[4]], [])
