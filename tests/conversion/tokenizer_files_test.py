"""Tests of reading vocabularies."""

import json

import pytest

from spanbert_keras.conversion.tokenizer_files import looks_lowercased, read_lines, read_settings, read_tokenizer_files
from spanbert_keras.errors import InputError


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("ended", [True, False])
def test_pieces_are_lines(tmp_path, end, ended):
    content = end.join(["[PAD]", "#", "the"]) + end * ended
    (tmp_path / "vocab.txt").write_bytes(content.encode())
    assert read_lines(tmp_path / "vocab.txt") == ["[PAD]", "#", "the"]


def test_odd_characters_do_not_end_a_piece(tmp_path):
    pieces = ["a\u2028b", "\u0085", "\x0c", "##é"]
    (tmp_path / "vocab.txt").write_text("\n".join(pieces) + "\n", encoding="utf-8")
    assert read_lines(tmp_path / "vocab.txt") == pieces


def test_the_library_of_tokenizers_file_serves_where_there_is_no_vocab_txt(tmp_path):
    model = {"type": "WordPiece", "vocab": {"b": 1, "[PAD]": 0, "c": 2}}
    (tmp_path / "tokenizer.json").write_text(json.dumps({"model": model, "normalizer": {"lowercase": True}}))
    assert read_tokenizer_files(tmp_path) == (["[PAD]", "b", "c"], True)
    (tmp_path / "tokenizer_config.json").write_text('{"do_lower_case": false}')
    assert read_tokenizer_files(tmp_path) == (["[PAD]", "b", "c"], False)
    (tmp_path / "vocab.txt").write_text("x\n")
    assert read_tokenizer_files(tmp_path) == (["x"], False)


def test_pieces_have_the_places_that_the_file_gives_them(tmp_path):
    model = {"type": "WordPiece", "vocab": {"a": 0, "b": 2}}
    whole = {"model": model, "added_tokens": [{"id": 1, "content": "[E1]"}, {"id": 2, "content": "b"}]}
    (tmp_path / "tokenizer.json").write_text(json.dumps(whole))
    assert read_tokenizer_files(tmp_path) == (["a", "[E1]", "b"], None)
    (tmp_path / "tokenizer.json").write_text(json.dumps({"model": model}))
    with pytest.raises(InputError, match="does not number its 2 pieces from 0 without a gap"):
        read_tokenizer_files(tmp_path)


def test_a_folder_without_vocabulary_has_none(tmp_path):
    assert read_tokenizer_files(tmp_path) == (None, None)


def test_other_tokenizers_and_damaged_files_are_refused(tmp_path):
    (tmp_path / "tokenizer.json").write_text(json.dumps({"model": {"type": "BPE", "vocab": {"a": 0}}}))
    with pytest.raises(InputError, match="is no WordPiece tokenizer. Received: 'BPE'"):
        read_tokenizer_files(tmp_path)
    (tmp_path / "tokenizer_config.json").write_text("{")
    with pytest.raises(InputError, match=r"tokenizer_config\.json is not JSON"):
        read_tokenizer_files(tmp_path)
    (tmp_path / "tokenizer_config.json").write_text("[]")
    with pytest.raises(InputError, match="must be a JSON object. Received: list"):
        read_settings(tmp_path / "tokenizer_config.json")
    (tmp_path / "vocab.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="cannot be read"):
        read_lines(tmp_path / "vocab.txt")
    with pytest.raises(InputError, match="cannot be read"):
        read_lines(tmp_path / "absent.txt")


@pytest.mark.parametrize("settings", [{"do_lower_case": "false"}, {"do_lower_case": True, "strip_accents": False}])
def test_settings_that_our_tokenizer_does_not_have_are_refused(tmp_path, settings):
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings))
    with pytest.raises(InputError, match="Expected: do_lower_case true or false, and accents stripped with it"):
        read_tokenizer_files(tmp_path)


def test_case_is_seen_in_ordinary_pieces_alone():
    assert looks_lowercased(["[CLS]", "[unused1]", "a", "##b", "é"])
    assert not looks_lowercased(["[CLS]", "a", "##B"])
