"""Tests of messages for files in another encoding, and for JSON that is not one object per line."""

import bz2
import gzip
import json
import lzma
import pickle

import pytest

from spanbert_keras.errors import InputError
from spanbert_keras.files.text_errors import decode, json_lines_fault

ZIP = b"PK\x03\x04\x14\x00\x06\x00\x08\x00"
FORMS = {
    "xlsx": (ZIP + b"\xe9\n\xe9", r"an archive \(zip; also the form of .docx, "),
    "zip, text so far": (ZIP, r"an archive \(zip; also the form of .docx, "),
    "bzip2": (bz2.compress(b"text\n" * 99), r"compressed in a form that is not supported \(bzip2\)"),
    "xz": (lzma.compress(b"text\n" * 99), r"compressed in a form that is not supported \(xz\)"),
    "zstandard": (b"\x28\xb5\x2f\xfd\x04\x00\xe9\n\xe9", r"compressed in a form that is not supported \(zstandard\)"),
    "gzip in gzip": (gzip.compress(b"text\n"), "compressed with gzip"),
    "Parquet": (b"PAR1\x15\x04\x15\x20", r"a binary file \(Parquet\)"),
    "pickle": (pickle.dumps({"text": "a"}), r"a binary file \(pickle\)"),
    "PDF": (b"%PDF-1.4\n", "a PDF document"),
    "git-lfs": (b"version https://git-lfs.github.com/spec/v1\n", "a pointer of git-lfs"),
    "UTF-32": ("text\n".encode("utf-32"), "UTF-32 text; convert it to UTF-8"),
    "tar": (b"a.txt".ljust(257, b"\0") + b"ustar\x0000", r"an archive \(tar\)"),
    "NUL bytes": (b"\xe9\x00\x00\x00\x10\x27\x00\x00ab\xffcd", "a binary file: it has NUL bytes or many"),
    "controls": (bytes(range(1, 256)), "a binary file: it has NUL bytes or many control characters"),
}


@pytest.mark.parametrize("content, form", FORMS.values(), ids=FORMS)
def test_binary_files_are_named_without_advice_for_text(content, form):
    with pytest.raises(InputError, match=f"^f is {form}") as caught:
        decode(content, "f")
    assert "iconv" not in str(caught.value) and "Expected: UTF-8 text, gzipped or not." in str(caught.value)


@pytest.mark.parametrize(
    "text", ["PK is a club", "PARE the apples", "PAR1", "LZIP", "ARROW1 x", "BZh9 ok", "]", "GIF8"]
)
def test_words_that_begin_like_other_files_are_text(text):
    assert decode(text.encode(), "f") == text
    assert decode(ZIP + b"", "f", 2) == ZIP.decode()  # in a later line, first bytes mean nothing


@pytest.mark.parametrize("text", ["", "a", "caf\u00e9 \U0001f600\n", "\ufeffa", "a\0b c d", "\0"])
def test_utf_8_is_decoded_unchanged(text):
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


def test_unpaired_surrogates_pass_if_errors_allows_them():
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
        ('[{"a": "b"}, {"a": ', "a JSON array"),
        ('[\n{"a": "b"},\n{"a": "c"}\n', "a JSON array"),
        ('[\n{"a": "b"}\n', "a JSON array"),
        ("[1, 2]\n[3, 4]\n", "a JSON array"),
        ("[]", "a JSON array"),
        ("[x] y\tpos\n", ""),
        ("[1] y\tpos\n", ""),
        ('["a", "b"] y\tpos\n', ""),
        ('["a", "b" y\tpos\n', ""),
        ('[{"a": 1}] y\tpos\n', ""),
        ("[text]\t[label]\n", ""),
        ("[", ""),
        ("[\t1", ""),
        ("[laughter]\n", ""),
        ("{x} y\tpos\n", ""),
        ('{"a": 1} y\tpos\n', ""),
        ("{broken\n}", ""),
        ("text\tlabel\n", ""),
        ("", ""),
        ('{"a":' * 100_000, ""),
    ],
)
def test_the_form_of_json_is_detected_by_its_first_value(text, fault):
    assert json_lines_fault(text) == fault
