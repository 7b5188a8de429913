"""JSON that is damaged, nested too deeply, too large, or of another type gives one line."""

from typing import NotRequired

import pytest
from typing_extensions import TypedDict

from spanbert_keras.files import json_files
from spanbert_keras.files.json_files import parse_json, read_json, write_json


class Record(TypedDict):
    """A schema."""

    sizes: dict[str, int]
    rate: NotRequired[float]


@pytest.mark.parametrize("text", ['{"sizes": {"a": 1}}', '{"sizes": {}, "rate": 2, "other": [null]}'])
def test_a_value_of_the_schema_is_returned_as_it_is(text):
    assert parse_json(text, Record) == parse_json(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", r"the value: .*dictionary \(received \[\]\)"),
        ("{}", r"\['sizes'\]: field required"),
        ('{"sizes": {"a": "1"}}', r"\['sizes'\]\['a'\]: .*integer \(received '1'\)"),
        ('{"sizes": {"a": true}}', "integer"),
        ('{"sizes": {"a": 1.0}}', "integer"),
        ('{"sizes": {}, "rate": null}', r"\['rate'\]: .*number \(received None\)"),
        ('{"sizes": "' + "x" * 100_000 + '"}', r"received '.{59}\.\.\.\)$"),
        ("[" * 100_000, "nested too deeply"),
        ('{"a":' * 100_000, "nested too deeply"),
        ("{", "Expecting property name"),
        (b"\xff\xfe\xfa", "decode"),
    ],
)
def test_another_value_gives_one_line(text, message):
    with pytest.raises(ValueError, match=message) as found:
        parse_json(text, Record)
    assert "\n" not in str(found.value) and len(str(found.value)) < 300


def test_a_written_value_is_read_again_with_unpaired_surrogates(tmp_path):
    value = {"sizes": {"a\ud800": 1}}
    write_json(tmp_path / "a" / "a.json", value)
    assert read_json(tmp_path / "a" / "a.json", Record) == value


def test_files_above_the_limit_and_not_in_utf_8_are_rejected(tmp_path, monkeypatch):
    (tmp_path / "a").write_bytes(b'"\xff"')
    with pytest.raises(ValueError, match="utf-8"):
        read_json(tmp_path / "a")
    monkeypatch.setattr(json_files, "MAX_BYTES", 3)
    with pytest.raises(ValueError, match="more than 3 bytes"):
        (tmp_path / "a").write_bytes(b'"ab"')
        read_json(tmp_path / "a")
