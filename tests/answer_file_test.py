"""Tests of answering a file of questions: both forms, the output, bounded memory, messages about bad files."""

import bz2
import gzip
import json

import keras
import pytest

from spanbert_keras import SpanBertEncoder, SpanBertQuestionAnswerer, answer, program
from spanbert_keras.answer_file import answers, read_questions
from spanbert_keras.program import InputError

CONTEXTS = ["w3 w4 w5 w6 w7 w8", "w9 w10 " * 20 + "\u00e9 w1", "w20 w21 w22"]
ROWS = [
    {"id": id, "question": f"w{i % 9} w2", "context": CONTEXTS[i % 3], "other": i}
    for i, id in enumerate(["a", 7, "caf\u00e9", None, 1.5, *map(str, range(30))])
]


@pytest.fixture(scope="module")
def reader(toy_tokenizer, randomize):
    keras.utils.set_random_seed(1)
    encoder = SpanBertEncoder(64, 1, 2, 8, 12, max_sequence_length=24, tokenizer=toy_tokenizer)
    model = SpanBertQuestionAnswerer(encoder, max_question_pieces=6, no_answer_threshold=0.0)
    randomize(model)
    found = model.answer([row["question"] for row in ROWS], [row["context"] for row in ROWS])
    model.no_answer_threshold = sorted(one.no_answer_score for one in found)[len(found) // 2]  # some have no answer
    return model


@pytest.fixture(scope="module")
def model_path(reader, tmp_path_factory):
    path = tmp_path_factory.mktemp("answer") / "reader.keras"
    reader.save(path)
    return path


@pytest.fixture
def ask(model_path, tmp_path, eagerly):
    def run(content, *flags, output="answers.jsonl"):
        path = tmp_path / "questions"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        flags = [f"--model={model_path}", f"--input={path}", f"--output={tmp_path / output}", *flags]
        answer.main(program.parse(answer.Config, flags))
        content = (tmp_path / output).read_bytes()
        content = gzip.decompress(content) if output.endswith(".gz") else content
        return [json.loads(line) for line in content.splitlines()]

    return run


def lines(rows=ROWS):
    return "".join(json.dumps(row) + "\n" for row in rows)


def mrqa(rows=ROWS):
    asked = ({"qid": row["id"], "id": "x", "question": row["question"], "answers": ["?"]} for row in rows)
    return [
        {"header": {"dataset": "d"}},
        *({"context": row["context"], "qas": [qa]} for row, qa in zip(rows, asked, strict=True)),
    ]


def squad(rows=ROWS):
    paragraphs = [{"context": row["context"], "qas": [{"id": row["id"], "question": row["question"]}]} for row in rows]
    return {"version": "x", "data": [{"title": "t", "paragraphs": paragraphs[:9]}, {"paragraphs": paragraphs[9:]}]}


@pytest.mark.parametrize(
    "content",
    [
        lines().encode(),
        ("\ufeff\n" + lines().replace("\n", "\r\n\n")).encode(),
        lines().encode("utf-16"),
        gzip.compress(("\ufeff" + json.dumps(squad(), indent=1)).encode("utf-16-be")),
        gzip.compress(json.dumps(squad()).encode()),
        json.dumps(squad(), indent=1).encode(),
        lines(mrqa()).encode(),
    ],
    ids=["lines", "lines with blanks", "utf-16", "utf-16-be, gzip", "squad, gzip", "pretty squad", "mrqa"],
)
def test_each_question_has_its_line_with_the_answer_that_the_model_gives(reader, ask, content, capsys):
    found = ask(content, "--batch_size=4")
    expected = reader.answer([row["question"] for row in ROWS], [row["context"] for row in ROWS])
    assert [row["id"] for row in found] == [row["id"] for row in ROWS]
    assert [(row["text"], row["start"], row["end"]) for row in found] == [(a.text, a.start, a.end) for a in expected]
    assert [row["score"] for row in found] == pytest.approx([a.score for a in expected], abs=1e-5)
    assert {"" if row["start"] is None else "text" for row in found} == {"", "text"}
    assert set(found[0]) == {"id", "text", "start", "end", "score", "no_answer_score"}
    assert "35 questions: " in capsys.readouterr().out


def test_several_answers_are_a_list_and_the_output_may_be_gzipped(ask):
    found = ask(lines(ROWS[:4]), "--n_best=3", output="a.jsonl.gz")
    for row in found:
        assert len(row["answers"]) == 3 and row["answers"][0].items() <= row.items()


def test_questions_without_an_id_are_numbered(ask):
    assert [row["id"] for row in ask(lines({k: v for k, v in row.items() if k != "id"} for row in ROWS[:3]))] == [
        0,
        1,
        2,
    ]


@pytest.mark.parametrize(
    "given, found",
    [
        ([1, ..., 0, ...], [1, 3, 0, 5]),
        ([..., "0", "x"], [1, "0", "x"]),
        ([7.0, ...], [7.0, 9]),
        ([..., ..., "a"], [0, 1, "a"]),
        ([None, ..., -4, 1e300, "9" * 5000], [None, 1, -4, 1e300, "9" * 5000]),
    ],
)
@pytest.mark.parametrize("form", ["lines", "mrqa", "squad"])
def test_numbers_of_questions_without_an_id_are_unused_ids(ask, form, given, found):
    rows = [{"question": "w1", "context": "w3"} | ({} if id is ... else {"id": id}) for id in given]
    if form == "mrqa":
        qas = [{"question": "w1"} | ({} if id is ... else {"qid": id}) for id in given]
        rows = [{"header": {}}, {"context": "w3", "qas": qas}]
    elif form == "squad":
        rows = [{"data": [{"paragraphs": [{"context": "w3", "qas": rows}]}]}]
    names = [row["id"] for row in ask(lines(rows))]
    assert len(set(map(str, names))) == len(names)
    assert names == found


def test_lines_may_have_other_fields_of_any_name(ask):
    rows = [{"id": i, "question": "w1", "context": "w3", "data": "dev"} for i in range(3)]
    assert [row["id"] for row in ask(lines(rows))] == [0, 1, 2]


def test_a_bounded_number_of_questions_is_held(reader, tmp_path):
    path = tmp_path / "a"
    path.write_text(lines(ROWS * 40))
    taken = 0

    def counted():
        nonlocal taken
        for one in read_questions(str(path)):
            taken += 1
            yield one

    most = done = 0
    for _ in answers(reader, counted(), 1, 1, None):
        done += 1
        most = max(most, taken - done)
    assert done == taken == 1400 and most < 60


BAD = {
    "an array": (json.dumps(ROWS), "questions is a JSON array. Expected: JSON lines"),
    "pretty": (json.dumps(ROWS[0], indent=1), "questions is a JSON object over several lines. Expected: JSON lines"),
    "text": ("Once upon", "questions is text that is not JSON. Expected: JSON lines.*Received: 'Once upon'"),
    "empty": ("\n", r"questions is empty. Expected: JSON lines, [^.]*, or SQuAD's JSON, [^.]*[.]{3}[^.]*\.$"),
    "no bytes": (b"", "questions is empty. Expected: JSON lines"),
    "CSV": ("id,question,context\n1,who?,w3\n", r"is a table \(CSV\). Expected: JSON lines.*Received: 'id,question"),
    "TSV": ('"question"\t"context"\nwho?\tw3\n', r"is a table \(TSV\). Expected: JSON lines"),
    "semicolons": ("Question;Context\nwho?;w3\n", r"is a table \(CSV\)"),
    "a JSON text": ('"who?"\n', "is JSON, but not an object. Expected: JSON lines"),
    "broken line": ('{"question": who?}\n', "is not valid JSON lines. Expected: JSON lines"),
    "zip": (
        b"PK\x03\x04\x14\x00\x06\x00\xe9\n\xe9",
        r"is an archive \(zip[^)]*\). Expected: UTF-8 text, gzipped or not\.$",
    ),
    "bzip2": (bz2.compress(b"text"), r"is compressed in a form that is not supported \(bzip2\)\. Exp[^`]*$"),
    "zstandard": (b"\x28\xb5\x2f\xfd\x04\xe9\n\xe9", r"\(zstandard\)\. Expected: UTF-8 text, gzipped or not\.$"),
    "no question": (
        lines([{"id": 1, "context": "w3"}]),
        'questions, line 1: "question" must be text.*Received: nothing',
    ),
    "number": (lines([ROWS[0], {"question": "w1", "context": 3}]), 'line 2: "context" must be text.*Received: 3'),
    "broken": (lines(ROWS[:2]) + "\n{broken", "line 4 is not a JSON object"),
    "list": (lines(ROWS[:2]) + "[1]", "line 3 is not a JSON object"),
    "latin": (b'{"question": "w1",\n' + '"context": "\u00e9"}'.encode("latin-1"), "line 2 is not UTF-8.*0xe9"),
    "blank": (lines([ROWS[0], {"question": " ", "context": "w3"}]), "Question in .*questions, line 2, has no words"),
    "no words": (lines([{"question": "w1", "context": "\u0001"}]), "Context in .*questions, line 1, has no words"),
    "squad": (json.dumps({"data": [{"paragraphs": [{"context": "w3"}]}]}), 'article 1, paragraph 1 has no list "qas"'),
    "no data": (json.dumps({"data": []}), "questions holds no question"),
}


@pytest.mark.parametrize("content, sentence", BAD.values(), ids=BAD)
def test_a_bad_file_is_named_before_anything_is_written(ask, tmp_path, content, sentence):
    (tmp_path / "answers.jsonl").write_text("old")
    with pytest.raises(InputError, match=sentence):
        ask(content)
    assert (tmp_path / "answers.jsonl").read_text() == "old" and len(list(tmp_path.iterdir())) == 2


def test_an_interrupted_run_leaves_the_existing_file(reader, ask, tmp_path, monkeypatch):
    (tmp_path / "answers.jsonl").write_text("old")
    monkeypatch.setattr(SpanBertQuestionAnswerer, "answers_of", lambda *args, **options: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        ask(lines())
    assert (tmp_path / "answers.jsonl").read_text() == "old" and len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize(
    "flags, sentence",
    [
        (
            ["--input=a"],
            r"Give --question and --context_file \(or --context\), or --input and --output. Received: --input.",
        ),
        ([], "Received: none of them"),
        (["--question=w1", "--context_file=a", "--output=b"], "Received: --question, --context_file, --output"),
        (["--question=w1"], "Received: --question"),
        (["--input=a", "--output=b", "--n_best=0"], "--n_best must be positive. Received: 0"),
        (["--input=a", "--output=b", "--batch_size=0"], "--batch_size must be positive"),
        (["--input=a", "--output=no/folder/b"], "--output=no/folder/b: its folder does not exist"),
        (["--input=none.jsonl", "--output=b"], "--input=none.jsonl cannot be read: No such file"),
    ],
)
def test_inconsistent_settings_are_one_sentence(model_path, flags, sentence):
    with pytest.raises(InputError, match=sentence):
        answer.main(program.parse(answer.Config, [f"--model={model_path}", *flags]))


def test_progress_is_logged(ask, caplog):
    caplog.set_level("INFO")
    ask(lines(ROWS[:10]))
    assert sum("of 10 questions, " in record.getMessage() for record in caplog.records) == 10
