import dataclasses
import gzip
import json
import re

import pytest

from spanbert_keras.program import InputError
from tasks.question_answering.data import Example, read, read_mrqa, read_squad
from tasks.question_answering.splits import split_articles

CONTEXT = "Ann and Bob wrote it."
HEADER = {"header": {"dataset": "toy", "split": "dev"}}


def squad_question(**changes):
    """A good question of SQuAD with changes; a change to `None` removes the key."""
    question = {"id": "q1", "question": "Who?", "answers": [{"text": "Ann", "answer_start": 0}], **changes}
    return {key: value for key, value in question.items() if value is not None}


def squad(*questions, context=CONTEXT, title="It"):
    return {"version": "x", "data": [{"title": title, "paragraphs": [{"context": context, "qas": list(questions)}]}]}


def detected(text, *spans):
    return {"text": text, "char_spans": [list(span) for span in spans], "token_spans": []}


def mrqa_question(**changes):
    question = {"id": "x", "qid": "q1", "question": "Who?", "answers": ["ann"]}
    question |= {"detected_answers": [detected("Ann", (0, 2))], **changes}
    return {key: value for key, value in question.items() if value is not None}


def mrqa(*questions, context=CONTEXT):
    return {"id": "c", "context": context, "context_tokens": [], "qas": list(questions)}


def write(path, *values, indent=None):
    """Writes values as JSON, one per line, gzipped if the name ends in .gz."""
    data = "\n".join(json.dumps(value, indent=indent) for value in values).encode()
    path.write_bytes(gzip.compress(data) if path.name.endswith(".gz") else data)
    return path


def write_squad(folder, *questions, **kwargs):
    return write(folder / "a.json", squad(*questions, **kwargs))


def write_mrqa(folder, *questions, **kwargs):
    return write(folder / "a.jsonl.gz", HEADER, mrqa(*questions, **kwargs))


@pytest.mark.parametrize("name", ["a.json", "a.json.gz", "a.jsonl.gz"])
@pytest.mark.parametrize("indent", [None, 1])
def test_squad_is_read_with_any_name_and_layout(tmp_path, name, indent):
    answers = [{"text": "Bob", "answer_start": 8}, {"text": "Ann", "answer_start": 0}]
    none = squad_question(id="q2", answers=None, is_impossible=True, plausible_answers=[{"text": "it"}])
    path = write(tmp_path / name, squad(squad_question(answers=answers, is_impossible=False), none), indent=indent)
    expected = [
        Example("q1", "Who?", CONTEXT, ("Bob", "Ann"), ((8, 11), (0, 3)), "It"),
        Example("q2", "Who?", CONTEXT, (), (), "It"),
    ]
    for reader in (read, read_squad):
        found = reader(path)
        assert (found.examples, found.format, found.has_unanswerable, found.bad) == (expected, "squad", True, [])
    with pytest.raises(
        InputError, match=r"does not have the format of MRQA\. Expected: MRQA's JSON lines.*Received: SQuAD's JSON"
    ):
        read_mrqa(path)


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz", "a.json"])
def test_mrqa_is_read_with_any_name(tmp_path, name):
    # The spans keep the file's order, and a span that stands there twice is kept twice.
    found = [detected("Bob", (8, 10)), detected("Ann", (0, 2)), detected("Ann", (0, 2))]
    first = mrqa_question(answers=["bob", "Ann."], detected_answers=found)
    second = mrqa_question(
        qid=None, id="q2", question="What?", answers=["it"], detected_answers=[detected("it", (18, 19))]
    )
    path = write(tmp_path / name, HEADER, mrqa(first), mrqa(second, context="Ann and Bob wrote it"))
    expected = [
        Example("q1", "Who?", CONTEXT, ("bob", "Ann."), ((8, 11), (0, 3), (0, 3)), ""),
        Example("q2", "What?", "Ann and Bob wrote it", ("it",), ((18, 20),), ""),
    ]
    for reader in (read, read_mrqa):
        found = reader(path)
        assert (found.examples, found.format, found.has_unanswerable, found.bad) == (expected, "mrqa", False, [])
    with pytest.raises(
        InputError, match=r"does not have the format of SQuAD\. Expected: SQuAD's JSON.*Received: MRQA's JSON lines"
    ):
        read_squad(path)


def test_blank_lines_and_a_byte_order_mark_are_nothing(tmp_path):
    path = tmp_path / "a.jsonl"
    lines = ["", json.dumps(HEADER), "", json.dumps(mrqa(mrqa_question())), " "]
    path.write_bytes(b"\xef\xbb\xbf" + "\r\n".join(lines).encode())
    assert [example.id for example in read(path).examples] == ["q1"]


@pytest.mark.parametrize("context", ["\ud800 Ann \udfff", "\u0000\u200b Ann", "\U0001f600\u0301Ann\u202e", "北京Ann"])
def test_offsets_count_characters_of_any_unicode(tmp_path, context):
    start = context.index("Ann")
    path = write_squad(tmp_path, squad_question(answers=[{"text": "Ann", "answer_start": start}]), context=context)
    (first,) = read(path).examples
    path = write_mrqa(tmp_path, mrqa_question(detected_answers=[detected("Ann", (start, start + 2))]), context=context)
    (second,) = read(path).examples
    assert first.spans == second.spans == ((start, start + 3),)
    assert first.context == second.context == context
    assert sum(map(len, split_articles([second, dataclasses.replace(second, context="b")], 0.5))) == 2


BAD_ANYWHERE = {
    "no id": ({"id": None, "qid": None}, r'question 1: "id" is missing'),
    "number as id": ({"id": 7, "qid": 7}, r"question 7: the id is not text\. Expected: a string\. Received: 7"),
    "no question": ({"question": None}, r'question \'q1\': "question" is missing\. Expected: that key'),
    "empty question": ({"question": ""}, r"the question is empty\. Expected: visible text\. Received: ''"),
    "blank question": ({"question": " \n\u3000"}, r"the question is empty"),
    "question of controls": ({"question": "\u0000 \u200b\u007f"}, r"the question has only control characters"),
    "list as question": ({"question": ["Who?"]}, r"the question is not text.*Received: \['Who\?'\]"),
    "no answers": ({"answers": None}, r'"answers" is missing'),
    "text as answers": ({"answers": "Ann"}, r'"answers" has the wrong type\. Expected: a list\. Received: \'Ann\''),
}
BAD_SQUAD = BAD_ANYWHERE | {
    "no answer": ({"answers": []}, r'"answers" is empty\. Expected: an answer, or "is_impossible": true'),
    "answers though impossible": ({"is_impossible": True}, r'"is_impossible" is true\. Expected: no answers then'),
    "text as is_impossible": (
        {"is_impossible": "no"},
        r'"is_impossible" has the wrong type\. Expected: true or false',
    ),
    "no answer_start": ({"answers": [{"text": "Ann"}]}, r'"answer_start" is missing'),
    "text as offset": (
        {"answers": [{"text": "Ann", "answer_start": "0"}]},
        r"Expected: a whole number\. Received: '0'",
    ),
    "truth as offset": ({"answers": [{"text": "Ann", "answer_start": False}]}, r"Expected: a whole number"),
    "wrong offset": (
        {"answers": [{"text": "Ann", "answer_start": 0}, {"text": "Bob", "answer_start": 7}]},
        r"does not match the text\. Expected: 'Bob' from character 7 .*\(21 characters\)\. Received: ' Bo' there",
    ),
    "another case": ({"answers": [{"text": "ann", "answer_start": 0}]}, r"Expected: 'ann'.*Received: 'Ann'"),
    "offset from the end": ({"answers": [{"text": "it", "answer_start": -3}]}, r"character -3.*Received: nothing"),
    "offset after the end": ({"answers": [{"text": "it", "answer_start": 21}]}, r"character 21.*Received: nothing"),
    "answer cut by the end": ({"answers": [{"text": "it.!", "answer_start": 18}]}, r"Received: 'it\.' there"),
    "empty answer": ({"answers": [{"text": "", "answer_start": 0}]}, r"the answer is empty"),
    "no object as answer": ({"answers": ["Ann"]}, r'"text" is missing\. Expected: that key\. Received: \'Ann\''),
}
BAD_MRQA = BAD_ANYWHERE | {
    "no answer": ({"answers": []}, r"it has no answer.*Received: \[\] and 1 spans"),
    "number as answer": ({"answers": [7]}, r"an answer is not text"),
    "nothing detected": ({"detected_answers": []}, r"it has no answer.*Received: \['ann'\] and 0 spans"),
    "no detected_answers": ({"detected_answers": None}, r'"detected_answers" is missing'),
    "no spans": ({"detected_answers": [{"text": "Ann"}]}, r'"char_spans" is missing'),
    "no pair": ({"detected_answers": [detected("Ann", (0, 2, 3))]}, r"a span is not a pair.*Received: \[0, 2, 3\]"),
    "fraction": ({"detected_answers": [detected("Ann", (0, 2.0))]}, r"a span is not a pair.*Received: \[0, 2\.0\]"),
    "end before start": ({"detected_answers": [detected("Ann", (2, 0))]}, r"is not in the context.*Received: \[2, 0\]"),
    "before the text": (
        {"detected_answers": [detected("it", (-3, 1))]},
        r"0 <= start <= end < 21\. Received: \[-3, 1\]",
    ),
    "after the text": (
        {"detected_answers": [detected("it.", (18, 21))]},
        r"is not in the context.*Received: \[18, 21\]",
    ),
    "half-open before space": ({"detected_answers": [detected("Ann", (0, 3))]}, r"'Ann'.*Received: 'Ann ' there"),
    "half-open before a stop": ({"detected_answers": [detected("IT", (18, 20))]}, r"'IT'.*Received: 'it\.' there"),
    "half-open into a word": (
        {"detected_answers": [detected("An", (0, 2))]},
        r"span does not match the text\. Expected: 'An' in the characters 0 to 2, the last included\. Received: 'Ann'",
    ),
    "one short": ({"detected_answers": [detected("Bob", (8, 9))]}, r"Expected: 'Bob'.*Received: 'Bo' there"),
    "another sign": ({"detected_answers": [detected("!", (20, 20))]}, r"Expected: '!'.*Received: '\.' there"),
    "empty answer": ({"detected_answers": [detected("", (0, 0))]}, r"the detected answer is empty"),
}
CASES = [
    pytest.param(make, question, *case, id=f"{form}, {name}")
    for form, make, question, cases in (
        ("SQuAD", write_squad, squad_question, BAD_SQUAD),
        ("MRQA", write_mrqa, mrqa_question, BAD_MRQA),
    )
    for name, case in cases.items()
]


@pytest.mark.parametrize("make, question, changes, sentence", CASES)
def test_a_bad_question_is_named_and_can_be_left_out(tmp_path, make, question, changes, sentence):
    good = {"id": "q2", "qid": "q2"}
    path = make(tmp_path, question(**changes), question(**good))
    with pytest.raises(InputError, match=rf"^{re.escape(str(path))}, .*{sentence}.*--skip_bad_examples\.$"):
        read(path)
    found = read(path, skip_bad_examples=True)
    assert [example.id for example in found.examples] == ["q2"] and not found.has_unanswerable
    (said,) = found.bad
    assert re.search(sentence, said) and said.startswith(f"{path}, ") and "--skip" not in said


@pytest.mark.parametrize("text", ["ANN-and Bob", "Ann- and  bób", "Ann and Bob!"])
def test_a_detected_text_may_differ_in_case_accents_space_and_punctuation(tmp_path, text):
    (found,) = read(write_mrqa(tmp_path, mrqa_question(detected_answers=[detected(text, (0, 10))]))).examples
    assert found.context[slice(*found.spans[0])] == "Ann and Bob" and found.answers == ("ann",)


@pytest.mark.parametrize("make, question", [(write_squad, squad_question), (write_mrqa, mrqa_question)])
@pytest.mark.parametrize(
    "context, what",
    [
        ("", "is empty"),
        ("\t\u2003", "is empty"),
        ("\u0007\u0000\u200e", "has only control characters"),
        ("\ud83d", "has only"),
        (None, r"is not text\. Expected: a string\. Received: None"),
    ],
)
def test_a_context_without_text_makes_each_of_its_questions_bad(tmp_path, make, question, context, what):
    path = make(tmp_path, question(), question(id="q2", qid="q2"), context=context)
    with pytest.raises(InputError, match=rf"question 'q1': the context {what}"):
        read(path)
    with pytest.raises(InputError, match="has no usable question: all 2 are bad, the first: .*'q1'"):
        read(path, skip_bad_examples=True)


@pytest.mark.parametrize("make, question", [(write_squad, squad_question), (write_mrqa, mrqa_question)])
def test_an_id_counts_once(tmp_path, make, question):
    path = make(tmp_path, question(), question(question="When?"), question(id="q3", qid="q3"))
    with pytest.raises(
        InputError, match=r"question 'q1': the id 'q1' is that of .*question 'q1' already\. Expected: unique"
    ):
        read(path)
    found = read(path, skip_bad_examples=True)
    assert [(example.id, example.question) for example in found.examples] == [("q1", "Who?"), ("q3", "Who?")]
    assert len(found.bad) == 1


def test_places_are_counted_from_one(tmp_path):
    good = [squad_question(id=str(i)) for i in range(3)]
    whole = squad(good[0])
    whole["data"].append({"title": "b", "paragraphs": [{"context": CONTEXT, "qas": [q]} for q in good[1:]]})
    whole["data"][1]["paragraphs"][1]["qas"].append({})
    with pytest.raises(InputError, match=r"a\.json, article 2, paragraph 2, question 2: "):
        read(write(tmp_path / "a.json", whole))
    with pytest.raises(InputError, match=r"a\.jsonl, line 3, question 2: "):
        read(write(tmp_path / "a.jsonl", HEADER, mrqa(mrqa_question(qid="a")), mrqa(mrqa_question(), {})))


@pytest.mark.parametrize(
    "values, sentence",
    [
        (
            [mrqa(mrqa_question())],
            r'lacks the header line of MRQA\. Expected: \{"header": \{\.\.\.\}\} on its first line',
        ),
        (
            [{"articles": []}],
            r"has neither SQuAD's nor MRQA's format\. Expected: SQuAD.*Received: an object with the keys 'art",
        ),
        ([[1]], r"has neither SQuAD's nor MRQA's.*Received: a JSON array, \[1\]"),
        ([{}], r"has neither.*the keys \(none\)"),
        ([{"data": {}}], r'lacks "data"\. Expected: a list under that key\. Received: an object'),
        ([{"data": [{"title": "It"}]}], r'article 1 lacks "paragraphs".*Received: an object with the keys \'title\''),
        ([{"data": ["It"]}], r'article 1 lacks "paragraphs".*Received: \'It\''),
        ([{"data": [{"title": 3, "paragraphs": []}]}], r'article 1 lacks "title"\. Expected: text.*Received: 3'),
        ([{"data": [{"paragraphs": [{"qas": []}]}]}], r'article 1, paragraph 1 lacks "context"'),
        ([{"data": [{"paragraphs": [{"context": "a"}]}]}], r'article 1, paragraph 1 lacks "qas"'),
        ([{"data": []}], r"has no usable question: it has no question"),
        ([squad(squad_question()), {}], r"is not valid JSON \(Extra data"),
        ([HEADER], r"has no usable question: it has no question"),
        ([HEADER, {"qas": []}], r'line 2 lacks "context"'),
        ([HEADER, {"context": "a"}], r'line 2 lacks "qas"'),
        ([HEADER, HEADER], r'line 2 lacks "context".*\'header\''),
        ([HEADER, ["a"]], r'line 2 lacks "context".*Received: \[\'a\'\]'),
    ],
)
def test_a_file_of_another_form_is_rejected_even_if_questions_are_skipped(tmp_path, values, sentence):
    path = write(tmp_path / "a.json", *values)
    with pytest.raises(InputError, match=rf"^{re.escape(str(path))}.*{sentence}"):
        read(path, skip_bad_examples=True)


@pytest.mark.parametrize(
    "name, content, sentence",
    [
        ("a.json", b"", r"is not valid JSON \(Expecting value.*Received: b''"),
        ("a.json", b"Once upon a time", r"is not valid JSON .*Received: b'Once upon a time'"),
        ("a.json", b'{"data": [\xff]}', r"line 1 is not UTF-8\. .*iconv.*0xff at byte 10 of the line"),
        ("a.json", b"[" * 200_000, r"is not valid JSON \(maximum recursion"),
        ("a.jsonl", b'{"header": {}}\n{"context"', r"line 2 is not valid JSON .*Expected: an object with \"context\""),
        (
            "a.json.gz",
            b'{"data": []}',
            r"is not gzipped, though its name ends in \.gz.*Received: b'\{\"data\": \[\]\}'",
        ),
        ("a.json.gz", b"", r"is not gzipped"),
        ("a.json.gz", gzip.compress(b"{}" * 999, mtime=0)[:-9], r"cannot be read: "),
        ("a.json", gzip.compress(b"{}" * 999, mtime=0)[:9] + b"\0" * 99, r"cannot be read: "),
    ],
)
def test_a_file_that_cannot_be_read_is_named(tmp_path, name, content, sentence):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=rf"{re.escape(name)}.*{sentence}"):
        read(tmp_path / name)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(InputError, match=r"gone\.json cannot be read: No such file"):
        read(tmp_path / "gone.json")
    with pytest.raises(InputError, match="cannot be read: Is a directory"):
        read(tmp_path)


REAL = {
    "squad/dev-v1.1.16articles.json": (2975, "squad", False, 16),
    "squad/dev-v2.0.16articles.json": (6078, "squad", True, 16),
    "squad/train-v2.0.first10articles.json": (4719, "squad", True, 10),
    "squad/new_wiki.json": (7938, "squad", False, 48),
    "mrqa/HotpotQA.train.jsonl.gz": (90, "mrqa", False, 1),
    "mrqa/NaturalQuestions.qed.train.jsonl.gz": (805, "mrqa", False, 1),
    "mrqa/NaturalQuestions.qed.dev.jsonl.gz": (143, "mrqa", False, 1),
}


@pytest.mark.parametrize("name", REAL)
def test_every_question_of_real_files_is_good(data_folder, name):
    found = read(data_folder / name)
    articles = len({example.article for example in found.examples})
    assert (len(found.examples), found.format, found.has_unanswerable, articles) == REAL[name]
    for example in found.examples:
        texts = [example.context[start:end] for start, end in example.spans]
        assert texts == list(example.answers) if found.format == "squad" else set(texts) == set(example.answers)


def test_triviaqa_asks_one_question_of_two_documents_under_one_id(data_folder):
    path = data_folder / "mrqa" / "TriviaQA.sample.jsonl.gz"
    with pytest.raises(
        InputError, match="line 6, question 'tc_3': the id 'tc_3' is that of line 3, question 'tc_3' already"
    ):
        read(path)
    found = read(path, skip_bad_examples=True)
    assert (len(found.examples), len(found.bad)) == (7, 1)
    spans = next(example.spans for example in found.examples if example.id == "tc_3")
    assert spans[0] == (9737, 9750) and min(spans) == (1556, 1560)  # in the file's order, not sorted
