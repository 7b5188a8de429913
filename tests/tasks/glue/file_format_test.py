"""Tests of tables and JSON lines with a similar beginning."""

import pytest

from spanbert_keras.program import InputError
from tasks.glue.benchmark_set import Columns
from tasks.glue.data import Example, read
from tasks.glue.file_format import holds_json_lines

CUSTOM_SET = Columns("text", None, "label")


@pytest.fixture
def write(tmp_path):
    """Function that writes a file and returns its path."""

    def make(content):
        (tmp_path / "some.tsv").write_bytes(content.encode())
        return str(tmp_path / "some.tsv")

    return make


def test_json_lines_are_distinguished_from_tables():
    assert holds_json_lines('{"a": 1}', 1) and holds_json_lines('{"a": "x}', 1) and holds_json_lines(" \n{a", 2)
    assert not holds_json_lines("{a", 1) and not holds_json_lines('{"a": 1} b\tc', 1) and not holds_json_lines("", 2)
    assert holds_json_lines('{"a":\t1', 2) is False and holds_json_lines('{"a":\t1\n{"a": 1}', 2)


BRACKETS = ["[x] y", "{x} y", "[1] y", '{"a": 1} y', '["a", "b"] y', "[[", "{", "{}", "[]", '{"a": ', "[laughs]"]


@pytest.mark.parametrize("text", BRACKETS)
def test_a_table_may_begin_with_a_bracket(write, text):
    expected = [Example("0", text, None, "pos"), Example("1", "z", None, "neg")]
    without = Columns("1", None, "2")
    assert read(write(f"{text}\tpos\nz\tneg\n"), without, None).examples == expected
    assert read(write(f"\ufeff{text}\tpos\r\nz\tneg\r\n"), without, None).examples == expected
    named = Columns(text, None, "label")
    assert read(write(f"{text}\tlabel\n{text}\tpos\nz\tneg\n"), named, None).examples == expected
    other = Columns("second", None, "label")
    content = f"{text}\tsecond\tlabel\n{text}\t{text}\tpos\n{text}\tz\tneg\n"
    assert read(write(content), other, None).examples == expected


@pytest.mark.parametrize("text", ["[x] y", "{x} y", "[laughs]", "{", '["a" y', "{'a': 1}"])
def test_a_table_of_texts_alone_may_begin_with_a_bracket(write, text):
    found = read(write(f"{text}\nz\n"), Columns("1"), None).examples
    assert [one.text for one in found] == [text, "z"]


@pytest.mark.parametrize(
    "line", ["{broken", "{'text': 'a', 'label': 'b'}", '{"text": "a", "label": }', '{"text": "a",\t"label" "b"}']
)
def test_a_first_line_of_json_that_is_damaged_is_a_line_of_json(write, line):
    path = write(f'{line}\n{{"text": "a", "label": "b"}}\n')
    with pytest.raises(InputError, match="some.tsv, line 1 must be a JSON object. Received: {"):
        read(path, CUSTOM_SET, None)
    assert len(read(path, CUSTOM_SET, None, skip_bad=True).examples) == 1
    if "\t" not in line:
        with pytest.raises(InputError, match="some.tsv, line 1 must be a JSON object. Received: {"):
            read(write(line), CUSTOM_SET, None)
