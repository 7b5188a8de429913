"""Tests of what is said of files in another encoding, and of JSON that is not one object per line."""

import json

import pytest

from spanbert_keras.data.file_faults import decode, json_lines_fault
from spanbert_keras.errors import InputError


@pytest.mark.parametrize("text", ["", "a", "caf\u00e9 \U0001f600\n", "\ufeffa", "a\0b c d", "\0"])
def test_utf_8_is_decoded_as_it_is(text):
    assert decode(text.encode(), "f") == text


@pytest.mark.parametrize(
    "content, line, sentence",
    [
        ("one\ntwo caf\u00e9".encode("latin-1"), 1, "f, line 2 is not UTF-8. .*ISO-8859-1.*0xe9 at byte 7 of the line"),
        (b"\x93quoted\x94", 12, "f, line 12 is not UTF-8. .*Received: b'.x93quoted.x94', with 0x93 at byte 0"),
        ("text\n".encode("utf-16"), 1, "f, line 1 is not UTF-8, but UTF-16 by .*iconv -f UTF-16 -t UTF-8"),
        ("text\n".encode("utf-16-le"), 1, "f, line 1 is not UTF-8, but UTF-16 by .*0x00 at byte 1"),
        ("text\n".encode("utf-16-be"), 3, "f, line 3 is not UTF-8, but UTF-16"),
        ("\u0442\u0435\u043a".encode("cp1251"), 1, "f, line 1 is not UTF-8"),
    ],
)
def test_another_encoding_is_named_with_file_line_and_byte(content, line, sentence):
    with pytest.raises(InputError, match=sentence) as caught:
        decode(content, "f", line)
    assert "skip" not in str(caught.value)


def test_half_characters_pass_where_they_may():
    assert decode(b"a\xed\xa0\x80", "f", errors="surrogatepass") == "a\ud800"


OBJECT = {"a": [1, 2], "b": {"c": "d"}}


@pytest.mark.parametrize(
    "text, fault",
    [
        (json.dumps(OBJECT), ""),
        (json.dumps(OBJECT) + "\n" + json.dumps(OBJECT), ""),
        (json.dumps(OBJECT) + "\n{broken", ""),
        (json.dumps(OBJECT, indent=2), "a JSON object over several lines"),
        ("\ufeff\n " + json.dumps(OBJECT, indent=2) * 2, "a JSON object over several lines"),
        (json.dumps([OBJECT]), "a JSON array"),
        (json.dumps([OBJECT], indent=2), "a JSON array"),
        ("[1", "a JSON array"),
        ("{broken\n}", ""),
        ("text\tlabel\n", ""),
        ("", ""),
        ('{"a":' * 100_000, ""),
    ],
)
def test_what_json_is_is_seen_by_its_first_value(text, fault):
    assert json_lines_fault(text) == fault
