"""Tests of reading: the nine sets' official forms, custom files, every kind of bad line."""

import gzip
import json

import pytest

from spanbert_keras.program import InputError
from tasks.glue.benchmark_set import SETS, Columns
from tasks.glue.data import Example, read, unlabelled
from tests.tasks.glue.conftest import HEADERS, official

CLASSES = {
    "STS-B": ["0", "2.50", "5.000"],
    "MNLI": ["neutral", "contradiction", "entailment"],
    "QNLI": ["not_entailment", "entailment", "entailment"],
    "RTE": ["not_entailment", "entailment", "entailment"],
}
TEXTS = [('He said "no', "it's \"so''"), ("", " \u2028 a\x0bb"), ("😀 naïve ", "&amp; {}")]
WITH_IDS = ("STS-B", "QQP", "MNLI", "QNLI", "RTE", "WNLI")  # train and dev have an id
CUSTOM_SET = Columns("text", None, "label")
PAIR = Columns("a", "b", "c")


@pytest.fixture
def write(tmp_path):
    """Function that writes a file and returns its path."""

    def make(content, name="some.tsv"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))
        return str(path)

    return make


def rows_of(name):
    labels = CLASSES.get(name, ["0", "1", "1"])
    return [(text, pair, label) for (text, pair), label in zip(TEXTS, labels, strict=True)]


@pytest.mark.parametrize("name", HEADERS)
@pytest.mark.parametrize("form", ["plain", "packed", "windows", "unended"])
def test_train_and_dev_of_every_set_are_read_as_they_are(write, name, form):
    text = official(name, rows_of(name), first=3)
    if form == "windows":
        text = text.replace("\n", "\r\n")
    content = (text.removesuffix("\n") if form == "unended" else text).encode("utf-8")
    one = SETS[name]
    file = read(write(gzip.compress(content) if form == "packed" else content), one.labelled, one.labels)
    expected = []
    for number, (text, pair, label) in enumerate(rows_of(name)):
        id = str(3 + number if name in WITH_IDS else number)
        expected.append(Example(id, text, None if name in ("CoLA", "SST-2") else pair, label))
    assert file.examples == expected and file.left_out == []


@pytest.mark.parametrize("name", HEADERS)
def test_test_files_have_ids_and_no_labels(write, name):
    path = write(official(name, rows_of(name), test=True, first=9))
    for _, columns in SETS[name].test.values():
        examples = read(path, columns, None).examples
        pairs = [None] * 3 if name in ("CoLA", "SST-2") else [pair for _, pair, _ in rows_of(name)]
        assert [(one.id, one.text, one.pair, one.label) for one in examples] == [
            (str(9 + i), text, pairs[i], None) for i, (text, _) in enumerate(TEXTS)
        ]


def test_a_line_that_only_looks_empty_counts(write):
    path = write("text\tlabel\na\tx\n\n\tx\n\r\nb\ty\n")
    assert [(one.id, one.text) for one in read(path, CUSTOM_SET, None).examples] == [("0", "a"), ("1", ""), ("2", "b")]


def test_json_lines_hold_texts_and_labels_of_any_name_or_number(write):
    records = [{"text": 'a "b"\tc\n', "label": 1}, {"text": "", "label": "x", "more": [1]}, {"label": 0.5, "text": "é"}]
    lines = "\r\n\n".join(map(json.dumps, records))
    expected = [("0", 'a "b"\tc\n', None, "1"), ("1", "", None, "x"), ("2", "é", None, "0.5")]
    contents = [lines, "\ufeff" + lines, " \n" + lines + "\n", gzip.compress(lines.encode())]
    for number, content in enumerate(contents):
        found = read(write(content, f"file_{number}"), CUSTOM_SET, None).examples
        assert [(one.id, one.text, one.pair, one.label) for one in found] == expected
    pairs = read(write('{"c": -2, "b": "second", "a": "first"}'), PAIR, ()).examples
    assert pairs == [Example("0", "first", "second", "-2")]


BAD_ROWS = [
    ("RTE", "4\ta\tb", "must have 4 cells, separated by tabs. Received: 3."),
    ("RTE", "4\ta\tb\tentailment\t", "must have 4 cells, separated by tabs. Received: 5."),
    ("RTE", "4\ta\tb\tneutral", "the label must be one of entailment, not_entailment. Received: 'neutral'."),
    ("RTE", "4\ta\tb\t", "the label must be one of entailment, not_entailment. Received: ''."),
    ("RTE", "4\ta\tb\tentailment ", "the label must be one of .* Received: 'entailment '."),
    ("CoLA", "gj04\t1\t\ta\tb", "must have 4 cells, separated by tabs. Received: 5."),
    ("CoLA", "gj04\t2\t\ta", "the label must be one of 0, 1. Received: '2'."),
    ("SST-2", "no tab", "must have 2 cells, separated by tabs. Received: 1."),
    ("MRPC", "1.0\tx\ty\ta\tb", "the label must be one of 0, 1. Received: '1.0'."),
    *(
        (
            "STS-B",
            "\t".join("index genre f y o s1 s2 a b".split()) + f"\t{label}",
            f"the label must be a number. Received: '{label}'",
        )
        for label in ("nan", "inf", "-Infinity", "", "high", "1e999", "1e39", "0x1", "1,5", "1_0", "٣")
    ),
]


@pytest.mark.parametrize("name, line, message", BAD_ROWS, ids=[f"{row[0]} {row[1]!r}" for row in BAD_ROWS])
def test_a_bad_line_of_a_table_is_rejected_or_left_out(write, name, line, message):
    lines = official(name, rows_of(name)[1:]).removesuffix("\n").split("\n")
    path, one = write("\n".join([*lines[:-1], line, lines[-1]])), SETS[name]
    place = len(lines)  # counted from 1, including the header if there is one
    rejected_or_left_out(path, one.labelled, one.labels, f"some.tsv, line {place}:? {message}", 2)


BAD_LINES = [
    ("[1, 2]", r"must be a JSON object. Received: \[1, 2\]"),
    ("{broken", "must be a JSON object. Received: {broken"),
    ("null", "must be a JSON object. Received: null"),
    ("[" * 100_000, "must be a JSON object"),
    ("9" * 5000, "must be a JSON object"),
    ('{"a": "x", "c": "y"}', "must have the keys b. Received: a, c."),
    ("{}", "must have the keys a, b, c. Received: "),
    ('{"a": 3, "b": "x", "c": "y"}', ": a must be text. Received: 3."),
    ('{"a": "x", "b": null, "c": "y"}', ": b must be text. Received: null."),
    ('{"a": "x", "b": "x", "c": true}', ": c must be text or a number. Received: true."),
    ('{"a": "x", "b": "x", "c": ["y"]}', r": c must be text or a number. Received: \[\"y\"\]."),
    ('{"a": "x", "b": "x", "c": ""}', ": the label must be printable text on one line. Received: ''."),
    (r'{"a": "x", "b": "x", "c": "y\nz"}', r": the label must be printable text on one line. Received: 'y\\nz'\."),
    (r'{"a": "x", "b": "x", "c": "\ud800"}', r": the label must be printable text on one line. Received: '\\ud800'\."),
]


@pytest.mark.parametrize("line, message", BAD_LINES, ids=[line[:30] for line, _ in BAD_LINES])
def test_a_bad_line_of_json_is_rejected_or_left_out(write, line, message):
    good = json.dumps({"a": "x", "b": "y", "c": "z"})
    rejected_or_left_out(write(f"{good}\n\n{line}\n{good}"), PAIR, None, f"some.tsv, line 3 ?{message}", 2)


def test_numbers_of_json_lines_must_be_numbers(write):
    for label in ("NaN", "-Infinity", "1e999", '"x"', "true"):
        path = write('{"text": "a", "label": 1e-3}\n{"text": "b", "label": LABEL}'.replace("LABEL", label))
        rejected_or_left_out(path, CUSTOM_SET, (), "line 2: .*label must be .*Received: ", 1)


def rejected_or_left_out(path, columns, labels, message, good):
    """Checks one bad line: the error with file, line and reason, or the examples without it."""
    with pytest.raises(InputError, match=message) as caught:
        read(path, columns, labels)
    said = str(caught.value)
    assert said.endswith("Correct the file, or leave bad examples out with --skip_bad_examples.")
    assert "\n" not in said and len(said) < 400
    file = read(path, columns, labels, skip_bad=True)
    assert len(file.examples) == good and len(file.left_out) == 1
    assert said.startswith(file.left_out[0]) and "--skip_bad" not in file.left_out[0]


def test_left_out_lines_are_reported_and_ids_stay(write):
    path = write("text\tlabel\na\t1\nb\nc\t1\nd\t5\ne\t0\n")
    file = read(path, CUSTOM_SET, ("0", "1"), skip_bad=True)
    assert [(one.id, one.text) for one in file.examples] == [("0", "a"), ("2", "c"), ("4", "e")]
    assert [sentence.removeprefix(path) for sentence in file.left_out] == [
        ", line 3 must have 2 cells, separated by tabs. Received: 1.",
        ", line 5: the label must be one of 0, 1. Received: '5'.",
    ]


def test_bad_lines_of_a_test_file_are_rejected_without_a_hint_that_does_not_help(write):
    path = write(official("RTE", rows_of("RTE"), test=True) + "8\ta\n")
    with pytest.raises(InputError, match=r"line 5 must have 3 cells, separated by tabs\. Received: 2\.$"):
        read(path, SETS["RTE"].test["RTE"][1], None)


@pytest.mark.parametrize(
    "content, message",
    [
        ("", "line 1 must name the columns text, label, each once. Received: nothing."),
        ("text\tLabel\na\tb\n", r"line 1 must name the columns label, each once. Received: text, Label\."),
        ('[{"text": "a"}]', "some.tsv is a JSON array. Expected: tab-separated lines, or one JSON object per line"),
        ("text\tlabel\ttext\na\tb\tc\n", "must name the columns text, each once. Received: text, label, text."),
        ("text\tlabel\n", "some.tsv holds no example. Expected: at least one. Received: none."),
        ("text\tlabel\n\n\r\n", "some.tsv holds no example"),
        ("text\tlabel\na\n", "holds no example"),
        ("{}", "holds no example"),
        (b"PK\x03\x04\x14\x00\n\xe9", r"some.tsv is an archive \(zip[^)]*\)\. Expected: UTF-8 text[^`]*$"),
        (b"BZh91AY&SY\xe9\n\xe9", r"some.tsv is compressed in a form that is not supported \(bzip2\)[^`]*$"),
        (b"\xff\xfe\x00", "some.tsv, line 1 is not UTF-8, but UTF-16 by its first bytes. Expected: UTF-8"),
    ],
)
def test_a_file_without_an_example_is_rejected(write, content, message):
    with pytest.raises(InputError, match=message) as caught:
        read(write(content), CUSTOM_SET, None, skip_bad=True)
    assert len(str(caught.value)) < 400


def test_a_file_of_another_set_is_rejected_by_its_columns(write):
    for name, other, missing in (
        ("QNLI", "RTE", "question, sentence"),
        ("MRPC", "SST-2", "#1 String, #2 String, Quality"),
        ("STS-B", "RTE", "score"),
    ):
        one = SETS[name]
        with pytest.raises(InputError, match=f"line 1 must name the columns {missing}, each once. Received: "):
            read(write(official(other, rows_of(other))), one.labelled, one.labels)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(InputError, match="no.tsv cannot be read: No such file"):
        read(str(tmp_path / "no.tsv"), CUSTOM_SET, None)


@pytest.mark.parametrize("name", HEADERS)
def test_every_line_of_the_real_files_is_an_example(data_folder, name):
    paths = sorted((data_folder / "glue" / name).glob("*.tsv.gz"))
    assert {"train.tsv.gz", "dev_matched.tsv.gz" if name == "MNLI" else "dev.tsv.gz"} <= {path.name for path in paths}
    one = SETS[name]
    tests = dict(one.test.values())
    for path in paths:
        columns = tests.get(path.name.removesuffix(".gz"), one.labelled)
        lines = [line for line in gzip.decompress(path.read_bytes()).split(b"\n") if line]
        header = name != "CoLA" or columns is not one.labelled
        examples = read(str(path), columns, one.labels).examples
        assert len(examples) == len(lines) - header
        if columns is one.labelled and one.labels:
            assert {example.label for example in examples} == set(one.labels)


def test_an_id_that_would_break_a_line_of_predictions_is_rejected(write):
    columns = Columns("text", None, "label", "id")
    path = write('{"text": "a", "label": "b", "id": "1\\t2"}\n{"text": "a", "label": "b", "id": 7}\n')
    with pytest.raises(InputError, match=r"line 1: id must be printable text on one line. Received: '1\\t2'"):
        read(path, columns, None)
    assert [one.id for one in read(path, columns, None, skip_bad=True).examples] == ["7"]


NUMBERED = Columns("1", None, "2")


def read_rows(path, columns, labels=None):
    return [(one.id, one.text, one.pair, one.label) for one in read(path, columns, labels).examples]


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_a_table_without_a_header_has_columns_by_number_the_first_is_1(write, ending):
    path = write(ending.join(["good\t1\tx", "bad\t0\ty", ""]))
    assert read_rows(path, NUMBERED) == [("0", "good", None, "1"), ("1", "bad", None, "0")]
    assert read_rows(path, Columns("3", "1", "2")) == [("0", "x", "good", "1"), ("1", "y", "bad", "0")]
    assert [row[3] for row in read_rows(path, Columns("3", None, ("2", "2")), ())] == [("1", "1"), ("0", "0")]


def test_a_header_that_names_numbers_wins(write):
    path = write("2\t1\nlabel a\ttext a\n")
    assert read_rows(path, NUMBERED) == [("0", "text a", None, "label a")]
    # A single matching name is not a header.
    assert read_rows(write("1\tx\nfirst\tsecond\n"), NUMBERED)[0] == ("0", "1", None, "x")
    assert read_rows(write(json.dumps({"1": "text", "2": "label"})), NUMBERED) == [("0", "text", None, "label")]


@pytest.mark.parametrize(
    "columns, content, message",
    [
        (
            Columns("1", None, "4"),
            "a\tb\tc\n",
            "some.tsv, line 1 must have a column 4, counted from 1. Received: 3 col",
        ),
        (Columns("0", None, "1"), "a\tb\n", "line 1 must have a column 0, counted from 1. Received: 2 columns"),
        (Columns("1", "5", "9"), "a\tb\n", "line 1 must have a column 5 and 9, counted from 1"),
        (NUMBERED, "a\tb\nc\n", "some.tsv, line 2 must have 2 cells, separated by tabs. Received: 1"),
        (NUMBERED, "a\tb\nc\td\te\n", "some.tsv, line 2 must have 2 cells, separated by tabs. Received: 3"),
        (
            Columns("1", None, "label"),
            "a\tb\n",
            "line 1 must name the columns 1, label, .* give all columns by number",
        ),
        (Columns("text", None, "label"), "a\tb\n", "must name the columns text, label, each once. Received: a, b.$"),
        (Columns("-1", None, "2"), "a\tb\n", "must name the columns -1, 2, each once. Received: a, b."),
    ],
)
def test_columns_that_are_not_there_are_named_with_file_and_line(write, columns, content, message):
    with pytest.raises(InputError, match=message):
        read(write(content), columns, None)


SEVERAL = Columns("text", None, "label", separator=",")


def test_several_labels_are_a_list_or_a_cell_with_a_separator(write):
    expected = [("a", "b"), (), ("c d",)]
    records = [{"text": "w", "label": labels} for labels in (["a", "b", "a"], [], ["c d"])]
    path = write("\n".join(map(json.dumps, records)))
    assert [row[3] for row in read_rows(path, SEVERAL)] == expected
    for separator in (",", "|", ", "):
        cells = [separator.join(labels) for labels in (["a", "b", "a"], [], ["c d"])]
        path = write("text\tlabel\n" + "".join(f"w\t{cell}\n" for cell in cells))
        columns = Columns("text", None, "label", separator=separator)
        assert [row[3] for row in read_rows(path, columns)] == expected
    headless = Columns("1", None, "2", separator=",")
    assert [row[3] for row in read_rows(write("w\ta, b,\nw\t\n"), headless)] == [("a", "b"), ()]
    assert [row[3] for row in read_rows(write(json.dumps({"text": "w", "label": [1, 2.0]})), SEVERAL)] == [("1", "2")]


@pytest.mark.parametrize(
    "record, message",
    [
        ({"text": "w", "label": "a,b"}, 'line 1: label must be a list of labels. Received: "a,b"'),
        ({"text": "w", "label": None}, "line 1: label must be a list of labels. Received: null"),
        ({"text": "w", "label": ["a", None]}, "line 1: label must be text or a number. Received: null"),
        ({"text": "w", "label": ["a", " "]}, "line 1: the label must be printable text on one line"),
        ({"text": "w"}, "line 1 must have the keys label"),
    ],
)
def test_an_invalid_list_of_labels_is_rejected(write, record, message):
    with pytest.raises(InputError, match=message):
        read(write(json.dumps(record)), SEVERAL, None)


def test_several_numbers_are_columns_or_a_list(write):
    columns = Columns("text", None, ("x", "y"))
    expected = [("1", "-2.5"), ("0.5", "3")]
    assert [row[3] for row in read_rows(write("x\ttext\ty\n1\tw\t-2.5\n0.5\tw\t3\n"), columns, ())] == expected
    records = [{"text": "w", "x": 1, "y": -2.5}, {"text": "w", "x": 0.5, "y": 3}]
    assert [row[3] for row in read_rows(write("\n".join(map(json.dumps, records))), columns, ())] == expected
    listed = "\n".join(json.dumps({"text": "w", "label": [one["x"], one["y"]]}) for one in records)
    assert [row[3] for row in read_rows(write(listed), CUSTOM_SET, ())] == expected
    for content, message in (
        (listed + '\n{"text": "w", "label": [1]}', "line 3 must have 2 numbers, like the lines before it. Received: 1"),
        (listed + '\n{"text": "w", "label": 1}', "line 3 must have 2 numbers, like the lines before it. Received: 1"),
        (listed + '\n{"text": "w", "label": [1, "x"]}', "line 3: the label must be a number. Received: 'x'"),
        ('{"text": "w", "label": []}', r"line 1: label must be text or a number. Received: \[\]"),
    ):
        with pytest.raises(InputError, match=message):
            read(write(content), CUSTOM_SET, ())
    with pytest.raises(InputError, match="line 2: the label must be a number. Received: 'no'"):
        read(write("x\ttext\ty\n1\tw\tno\n"), columns, ())
    with pytest.raises(InputError, match="line 1 must name the columns y, each once"):
        read(write("x\ttext\n1\tw\n"), columns, ())


@pytest.mark.parametrize(
    "content, fault",
    [
        (json.dumps({"text": "a", "label": "b"}, indent=1), "a JSON object over several lines"),
        (json.dumps([{"text": "a", "label": "b"}], indent=1), "a JSON array"),
    ],
)
@pytest.mark.parametrize("skip_bad", [False, True])
def test_json_that_is_not_lines_is_named(write, content, fault, skip_bad):
    with pytest.raises(InputError, match=f"some.tsv is {fault}. Expected: tab-separated lines, or one JSON") as caught:
        read(write(content), CUSTOM_SET, None, skip_bad)
    assert "--skip_bad" not in str(caught.value)


@pytest.mark.parametrize(
    "lines, helps",
    [
        ([{"t": "a", "label": "b"}] * 2, False),
        ([{"t": "a", "label": "b"}, {"text": "a", "label": "b"}], True),
        ([{"text": "a"}, {"text": "a", "label": "b"}], True),
        ([{"text": 7, "label": "b"}], True),
        ([{"text": "a", "label": ""}, {"text": "a", "label": "b"}], True),
    ],
)
def test_leaving_lines_out_is_suggested_if_it_can_help(write, lines, helps):
    with pytest.raises(InputError) as caught:
        read(write("\n".join(map(json.dumps, lines))), CUSTOM_SET, None)
    assert ("--skip_bad_examples" in str(caught.value)) == helps and "predict_only" not in str(caught.value)


@pytest.mark.parametrize("name", SETS)
def test_files_without_labels_have_the_columns_of_the_sets_test_files_or_of_dev(write, name):
    one = SETS[name]
    for test in (True, False):
        path = write(official(name, [("a", "b", "0")], test), f"{test}.tsv")
        columns = unlabelled(path, one)
        assert columns.label is None
        [example] = read(path, columns, one.labels).examples
        assert (example.text, example.pair, example.label) == (
            "a",
            "b" if one.labelled.pair is not None else None,
            None,
        )


@pytest.mark.parametrize(
    "content",
    [
        "text\nsome\n",
        "text\tlabel\nsome\t\nother\t \n",
        json.dumps({"text": "some"}) + "\n" + json.dumps({"text": "other"}),
        json.dumps({"text": "some", "label": None}) + "\n" + json.dumps({"text": "other", "label": ""}),
    ],
)
def test_a_file_without_labels_names_the_flag_that_it_needs(write, content):
    for skip_bad in (False, True):
        with pytest.raises(InputError, match="For a file without labels, `evaluate --predict_only` writes") as caught:
            read(write(content), CUSTOM_SET, None, skip_bad)
        assert "--skip_bad" not in str(caught.value)
