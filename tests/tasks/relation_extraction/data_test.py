"""Tests of TACRED's JSON: positions, every kind of bad input, Re-TACRED's labels, orders of labels and types."""

import gzip
import json

import pytest

from spanbert_keras import EntityPair
from spanbert_keras.program import InputError
from tasks.relation_extraction import data
from tasks.relation_extraction.data import Example, read, read_labels
from tests.tasks.relation_extraction.conftest import record

ANN = {
    "id": "e1",
    "relation": "per:title",
    "token": ["The", "chief", "-LRB-", "Ann", "Lee", "-RRB-"],
    "subj_start": 3,
    "subj_end": 4,
    "obj_start": 1,
    "obj_end": 1,
    "subj_type": "PERSON",
    "obj_type": "TITLE",
}


@pytest.fixture
def write(tmp_path):
    """Function that writes a file and returns its path."""

    def make(content, name="some.json"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
        return path

    return make


def test_inclusive_ends_become_half_open(write):
    [example] = read(write([ANN])).examples
    pair = EntityPair(tuple(ANN["token"]), (3, 5), (1, 2), "PERSON", "TITLE")
    assert example == Example("e1", pair, "per:title")
    assert [example.pair.units[slice(*span)] for span in (pair.subject, pair.object)] == [("Ann", "Lee"), ("chief",)]


def test_lists_lines_and_gzipped_files_are_read_alike(write):
    records = [record(number) for number in range(5)]
    lines = "\n\n".join(map(json.dumps, records)).encode() + b"\r\n"
    listed = json.dumps(records, indent=1).encode()
    contents = [listed, lines, gzip.compress(listed), gzip.compress(lines), b"\xef\xbb\xbf" + listed, b" \n" + listed]
    found = [read(write(content, f"file_{i}")) for i, content in enumerate(contents)]
    assert [file.examples for file in found] == [found[0].examples] * 6 and len(found[0].examples) == 5
    assert all(file.left_out == [] and file.unlabelled == 0 for file in found)


BAD = [
    ({"subj_end": 2}, r"\('bad'\): subj_start and subj_end must be indices of the 6 .* Received: 3 and 2"),
    ({"subj_end": 6}, r"subj_start and subj_end must be indices .* Received: 3 and 6"),
    ({"obj_start": -1}, r"obj_start and obj_end must be indices .* Received: -1 and 1"),
    ({"obj_start": 0.0}, r"obj_start and obj_end must be indices .* Received: 0.0 and 1"),
    ({"obj_start": True}, r"obj_start and obj_end must be indices .* Received: True and 1"),
    ({"obj_end": None}, r"obj_start and obj_end must be indices .* Received: 1 and None"),
    ({"obj_end": 3}, r"subject and object share tokens. Expected: disjoint spans. Received: \(3, 5\) and \(1, 4\)"),
    ({"obj_start": 4, "obj_end": 4}, r"subject and object share tokens.* Received: \(3, 5\) and \(4, 5\)"),
    ({"token": []}, r"`token` must be a list of at least one string. Received: \[\]"),
    ({"token": "The chief"}, r"`token` must be a list of at least one string"),
    ({"token": ["a", 3, "b", "c", "d", "e"]}, r"`token` must be a list of at least one string"),
    ({"relation": ""}, r"`relation` must be printable text on one line. Received: ''"),
    ({"relation": "per:title\nx"}, r"`relation` must be printable text"),
    ({"relation": "\ud800"}, r"`relation` must be printable text"),
    ({"relation": None}, r"`relation` must be printable text on one line. Received: None"),
    ({"subj_type": 3}, r"`subj_type` must be printable text"),
    ({"obj_type": " "}, r"`obj_type` must be printable text"),
    ({"id": 7}, r"\(7\): `id` must be printable text"),
    ({"id": ["x"]}, r"`id` must be printable text"),
    ({"id": "e0"}, r"the id 'e0' is that of (line 1|example 0) already\. Expected: unique ids\."),
]


@pytest.mark.parametrize("changes, message", BAD, ids=[str(changes)[:40] for changes, _ in BAD])
@pytest.mark.parametrize("lines", [False, True])
def test_a_bad_example_is_rejected_or_left_out(write, changes, message, lines):
    records = [ANN | {"id": "e0"}, ANN | {"id": "bad"} | changes, ANN | {"id": "e2"}]
    path = write("\n".join(map(json.dumps, records)).encode() if lines else records)
    where = "some.json, line 2 " if lines else "some.json, example 1 "
    if changes == {"id": "e0"}:
        where = where.rstrip() + ": "
    with pytest.raises(InputError, match=message) as caught:
        read(path)
    said = str(caught.value)
    assert (
        where in said
        and said.endswith("Correct the file, or leave bad examples out with --skip_bad_examples.")
        and "\n" not in said
    )
    file = read(path, skip_bad=True)
    assert [example.id for example in file.examples] == ["e0", "e2"]
    assert len(file.left_out) == 1 and where in file.left_out[0] and "--skip_bad" not in file.left_out[0]


@pytest.mark.parametrize("key", data.KEYS)
def test_a_missing_key_is_named(write, key):
    path = write([ANN, {name: value for name, value in ANN.items() if name != key}])
    with pytest.raises(InputError, match=rf"some.json, example 1 lacks {key}\. Expected: .*obj_type, relation\. Rec"):
        read(path)
    assert len(read(path, skip_bad=True).left_out) == 1


@pytest.mark.parametrize("line", [b"{broken", b"[1, 2]", b"7", b"null", b'"text"', b"[" * 100_000, b"9" * 5000])
def test_a_line_that_is_not_an_example_is_rejected_or_left_out(write, line):
    path = write(json.dumps(ANN).encode() + b"\n" + line + b"\n" + json.dumps(ANN | {"id": "e2"}).encode())
    with pytest.raises(InputError, match="some.json, line 2 is (not valid JSON|not an example)") as caught:
        read(path)
    assert len(str(caught.value)) < 400
    file = read(path, skip_bad=True)
    assert len(file.examples) == 2 and len(file.left_out) == 1


def test_bad_examples_are_left_out_and_good_ones_stay(write):
    records = [ANN | {"id": f"e{i}"} | (BAD[i][0] if i % 2 else {}) for i in range(10)]
    file = read(write(records), skip_bad=True)
    assert [example.id for example in file.examples] == ["e0", "e2", "e4", "e6", "e8"] and len(file.left_out) == 5


GZIPPED = gzip.compress(json.dumps([ANN] * 50).encode())


@pytest.mark.parametrize("skip_bad", [False, True])
@pytest.mark.parametrize(
    "content, message",
    [
        (b"", r"some.json holds no example. Expected: at least one. Received: none"),
        (b"  \n\n ", r"some.json holds no example"),
        ([], r"some.json holds no example"),
        (b"[{]", r"some.json is not valid JSON. Expected: TACRED's form, an object with id, .*Received: '\[\{\]'"),
        (b"\xff\xfe\x00\x01", r"some.json, line 1 is not UTF-8, but UTF-16"),
        (b"PK\x03\x04\x14\x00\n\xe9", r"some.json is an archive \(zip[^)]*\)\. Expected: UTF-8 text[^`]*$"),
        (b"BZh91AY&SY\xe9\n\xe9", r"some.json is compressed in a form that is not supported \(bzip2\)\.[^`]*$"),
        (GZIPPED[:-30], r"some.json cannot be read: .*(Compressed file ended|CRC|Error)"),
        (GZIPPED[:20] + b"damage" + GZIPPED[26:], r"some.json cannot be read"),
        (b"\x1f\x8bno gzip at all", r"some.json cannot be read"),
    ],
)
def test_a_file_of_another_form_is_rejected(write, content, message, skip_bad):
    with pytest.raises(InputError, match=message):
        read(write(content), skip_bad=skip_bad)


def test_other_json_is_rejected(write):
    with pytest.raises(InputError, match="some.json, line 1 lacks id, token, .*Received: data, version"):
        read(write({"data": [], "version": "1.1"}))
    with pytest.raises(InputError, match="some.json, example 0 is not an example. .*Received: 3"):
        read(write([3, 4]))
    with pytest.raises(InputError, match="some.json holds no example"):
        read(write([3, 4]), skip_bad=True)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(InputError, match=r"no.json cannot be read: No such file"):
        read(tmp_path / "no.json")
    with pytest.raises(InputError, match=r"cannot be read: Is a directory"):
        read(tmp_path)


def test_retacreds_labels_replace_relations_and_leave_others_out(write):
    path = write([record(number) for number in range(4)])
    labels = write({"e0": "per:city_of_birth", "e2": "org:members", "elsewhere": "x"}, "labels.json")
    file = read(path, labels=labels)
    assert [(example.id, example.relation) for example in file.examples] == [
        ("e0", "per:city_of_birth"),
        ("e2", "org:members"),
    ]
    assert file.unlabelled == 2 and file.left_out == []
    plain = read(path).examples
    assert [example.pair for example in file.examples] == [plain[0].pair, plain[2].pair]
    with pytest.raises(InputError, match=r"some.json holds no example whose id is in .*other.json"):
        read(path, labels=write({"x": "y"}, "other.json"))


@pytest.mark.parametrize(
    "content, message",
    [
        ({"no_relation": 0, "org:members": 1}, "labels.json is not a file of labels. Expected: Re-TACRED's form"),
        ([record(0)], "labels.json is not a file of labels"),
        ({}, "labels.json is not a file of labels"),
        ({"e0": ""}, "labels.json is not a file of labels"),
        ({"e0": "a\nb"}, "labels.json is not a file of labels"),
        (b"e0 per:title", "labels.json is not valid JSON. Expected: Re-TACRED's form, one JSON object"),
        (b"\xff\xfe", "labels.json, line 1 is not UTF-8, but UTF-16"),
    ],
)
def test_an_invalid_file_of_labels_is_rejected(write, content, message):
    labels = write(content, "labels.json")
    with pytest.raises(InputError, match=message):
        read_labels(labels)
    with pytest.raises(InputError, match=message):
        read(write([ANN]), labels=labels)


def examples_of(*relations):
    pair = read_pair()
    return [Example(str(number), pair, relation) for number, relation in enumerate(relations)]


def read_pair(subject_type="PERSON", object_type="CITY"):
    return EntityPair(("a", "b"), (0, 1), (1, 2), subject_type, object_type)


def test_labels_begin_with_no_relation_then_come_by_frequency_then_by_name():
    assert data.labels_of(examples_of("b", "c", "no_relation", "a", "d", "d", "a", "c", "d")) == [
        "no_relation",
        "d",
        "a",
        "c",
        "b",
    ]
    assert data.labels_of(examples_of("b", "a")) == ["no_relation", "a", "b"]
    assert data.labels_of(examples_of("Other", "no_relation"), "Other") == ["Other", "no_relation"]


def test_types_are_sorted():
    pairs = [read_pair("PERSON", "DATE"), read_pair("ORGANIZATION", "CITY"), read_pair("PERSON", "CITY")]
    examples = [Example(str(number), pair, "x") for number, pair in enumerate(pairs)]
    assert data.types_of(examples) == (["ORGANIZATION", "PERSON"], ["CITY", "DATE"])


def test_semeval_in_tacreds_form_is_read_whole(data_folder):
    train, dev = (read(data_folder / "re" / f"semeval_{name}.json.gz") for name in ("train", "dev"))
    assert [len(train.examples), len(dev.examples)] == [7200, 800] and train.left_out == dev.left_out == []
    labels = data.labels_of(train.examples)
    assert len(labels) == 19 and labels[0] == "no_relation" and set(data.labels_of(dev.examples)) < set(labels)
    counts = [sum(example.relation == label for example in train.examples) for label in labels[1:]]
    assert counts == sorted(counts, reverse=True)


@pytest.mark.parametrize("name", ["tacred", "retacred"])
def test_the_released_tables_of_labels_are_not_files_of_labels(data_folder, name):
    with pytest.raises(InputError, match="is not a file of labels"):
        read_labels(data_folder / "re" / f"{name}_rel2id.json")


@pytest.mark.parametrize(
    "content, fault",
    [
        (json.dumps(ANN, indent=1), "a JSON object over several lines"),
        ("\n".join(json.dumps(one, indent=1) for one in (ANN, record(1))), "a JSON object over several lines"),
    ],
)
@pytest.mark.parametrize("skip_bad", [False, True])
def test_json_that_is_neither_a_list_nor_lines_is_named(write, content, fault, skip_bad):
    with pytest.raises(InputError, match=f"some.json is {fault}. Expected: TACRED's form") as caught:
        read(write(content.encode()), skip_bad)
    assert "--skip_bad" not in str(caught.value)


@pytest.mark.parametrize(
    "content, helps",
    [
        (b"text\tlabel\na\tb", False),
        (json.dumps([{"sentence": "a"}]).encode(), False),
        (json.dumps([ANN | {"subj_end": 99}]).encode(), True),
        (json.dumps([{"id": "x"}, ANN]).encode(), True),
    ],
)
def test_leaving_examples_out_is_suggested_if_it_can_help(write, content, helps):
    with pytest.raises(InputError) as caught:
        read(write(content))
    assert ("--skip_bad_examples" in str(caught.value)) == helps and "predict_only" not in str(caught.value)


@pytest.mark.parametrize("relation", [{}, {"relation": None}])
def test_a_file_without_relations_names_the_flag_that_it_needs(write, relation):
    records = [{key: value for key, value in record(i).items() if key != "relation"} | relation for i in range(3)]
    with pytest.raises(InputError, match="For a file without relations, `evaluate --predict_only` writes") as caught:
        read(write(records))
    assert "--skip_bad" not in str(caught.value)
    assert [one.relation for one in read(write(records), gold=False).examples] == [""] * 3
