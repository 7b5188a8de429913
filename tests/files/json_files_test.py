"""JSON that is damaged, nested too deeply, too large, or of another type gives one line."""

import json
import random
from typing import NotRequired

import pytest
from typing_extensions import TypedDict

from spanbert_keras.files import json_files
from spanbert_keras.files.json_files import CHECKSUM, parse_json, read_json, write_json


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
        ('{"sizes": "' + "x" * 100_000 + '"}', r"received 'x{20,40}\.\.\.x{20,40}'\)$"),
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


def test_a_file_with_a_checksum_is_read_without_it(tmp_path):
    value = {"sizes": {"a\ud800": 1}, "scores": {1: (0.1, float("inf"), None)}}
    write_json(tmp_path / "a.json", value, checksum=True)
    assert CHECKSUM in json.loads((tmp_path / "a.json").read_text())
    expected = {"sizes": {"a\ud800": 1}, "scores": {"1": [0.1, float("inf"), None]}}
    assert read_json(tmp_path / "a.json") == read_json(tmp_path / "a.json", Record) == expected
    (tmp_path / "a.json").write_text(json.dumps(dict(reversed(json.loads((tmp_path / "a.json").read_text()).items()))))
    assert read_json(tmp_path / "a.json") == expected


def test_no_damaged_byte_changes_a_value_silently(tmp_path):
    value = {"scores": {"dev": {"f1": 0.8125, "em": 12}}, "flags": {"name": "a b", "on": True}}
    write_json(tmp_path / "a.json", value, checksum=True)
    content, draw, silent = (tmp_path / "a.json").read_bytes(), random.Random(5), 0
    for _ in range(500):
        place, damage = draw.randrange(len(content)), draw.randint(1, 255)
        (tmp_path / "a.json").write_bytes(
            content[:place] + bytes([content[place] ^ damage]) + content[place + 1 :] if damage % 4 else content[:place]
        )
        try:
            found = read_json(tmp_path / "a.json")
        except ValueError:
            continue
        silent += any(found.get(key) != value[key] for key in value)
    assert not silent


def test_a_changed_value_is_reported(tmp_path):
    write_json(tmp_path / "a.json", {"f1": 0.8}, checksum=True)
    (tmp_path / "a.json").write_text((tmp_path / "a.json").read_text().replace("0.8", "0.9"))
    with pytest.raises(ValueError, match="differs from the checksum"):
        read_json(tmp_path / "a.json")
    (tmp_path / "a.json").write_text(f'{{"{CHECKSUM}": "", "a": ' + "[" * 900 + "]" * 900 + "}")
    with pytest.raises(ValueError, match="checksum|nested"):
        read_json(tmp_path / "a.json")
