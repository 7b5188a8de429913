"""Tests of JSON values from files: by line or as a whole, gzipped or not, and the errors about other files."""

import gzip
import json

import pytest

from spanbert_keras.program import InputError
from tasks.question_answering.json_file import first_value, opened, parsed

DATA = {"data": [1, 2]}


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
@pytest.mark.parametrize(
    "text, number, value, rest",
    [
        (json.dumps(DATA), 1, DATA, b""),
        ("\ufeff\n\n" + json.dumps(DATA), 3, DATA, b""),
        (json.dumps(DATA, indent=1), 1, DATA, b""),
        ('{"header": {}}\n{"a": 1}', 1, {"header": {}}, b'{"a": 1}'),
    ],
)
def test_the_first_value_is_a_line_or_the_whole_file(tmp_path, pack, text, number, value, rest):
    (tmp_path / "a").write_bytes(pack(text.encode()))
    with opened(str(tmp_path / "a")) as stream:
        assert first_value(stream, "a", "JSON") == (number, value)
        assert stream.read() == rest


@pytest.mark.parametrize(
    "content, sentence",
    [
        (b"{broken", r"^a is not valid JSON \(.*Expected: such JSON\. Received: b'\{broken'"),
        (b'{\n"a": 1\n}\n{\n"a": 2\n}', "^a holds a JSON object over several lines, and more. Expected: such JSON"),
        ('{"a":\n"\u00e9"}'.encode("latin-1"), "^a, line 2 is not UTF-8.*0xe9 at byte 1"),
        ('{"a": 1}'.encode("utf-16"), "^a, line 1 is not UTF-8, but UTF-16"),
        (b"PK\x03\x04\x14\x00\n\xe9", r"^a is an archive \(zip[^)]*\)\. Expected: UTF-8 text[^`]*$"),
        (b"\x28\xb5\x2f\xfd\x04\xe9", r"^a is compressed in a form that is not supported \(zstandard\)\.[^`]*$"),
        (b"PAR1\x15\x04\n\xe9", r"^a is a binary file \(Parquet\)\.[^`]*$"),
    ],
)
def test_a_file_of_something_else_is_named(tmp_path, content, sentence):
    (tmp_path / "a").write_bytes(content)
    with opened(str(tmp_path / "a")) as stream, pytest.raises(InputError, match=sentence) as caught:
        first_value(stream, "a", "such JSON")
    assert "skip" not in str(caught.value)


def test_a_line_of_something_else_is_named_with_its_number():
    assert parsed(b'{"a": 1}\n', "a", 7, "an object") == {"a": 1}
    with pytest.raises(InputError, match="a, line 7 is not valid JSON"):
        parsed(b"{", "a", 7, "an object")
    with pytest.raises(InputError, match="a, line 7 is not UTF-8"):
        parsed(b"\xff", "a", 7, "an object")
