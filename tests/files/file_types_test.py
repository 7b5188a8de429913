"""Tests of file types: JSON lines under any name, files without text, prose that only looks like them."""

import bz2
import gzip
import io
import json
import lzma
import pickle
import re
import sqlite3
import tarfile
import tracemalloc
import zipfile

import numpy as np
import pytest

from spanbert_keras.files.file_types import (
    begins_like_array,
    begins_like_object,
    binary_form,
    examine,
    looks_binary,
)

ROWS = "".join(json.dumps({"url": "x", "text": f"Row {i}."}) + "\n" for i in range(3))


def zst(data):
    return pytest.importorskip("backports.zstd").compress(data)


def tar(mode):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:
        member = tarfile.TarInfo("book.txt")
        member.size = 5
        archive.addfile(member, io.BytesIO(b"prose"))
    return buffer.getvalue()


def zipped(method=zipfile.ZIP_DEFLATED, members=("word/document.xml",)):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name in members:
            archive.writestr(name, "prose " * 9)
    return buffer.getvalue()


def saved(save):
    buffer = io.BytesIO()
    save(buffer)
    return buffer.getvalue()


def h5(path):
    import h5py

    with h5py.File(path, "w") as file:
        file["text"] = np.arange(3)
    return path.read_bytes()


def sqlite(path):
    with sqlite3.connect(path) as connection:
        connection.execute("create table texts (text)")
    connection.close()
    return path.read_bytes()


def record(text):
    return len(text).to_bytes(8, "little") + b"\x81\x92\xa3\xb4" + text + b"\xc5\xd6\xe7\xf8"


CONTENTS = {
    "books.tar": (lambda _: tar("w"), r"archive \(tar\)"),
    "books.tar.gz": (lambda _: tar("w:gz"), r"archive \(tar\)"),
    "books.tgz": (lambda _: tar("w:gz"), r"archive \(tar\)"),
    "books.txt": (lambda _: tar("w:gz"), r"archive \(tar\)"),
    "books.tar.zst": (lambda _: zst(tar("w")), r"archive \(tar\)"),
    "books.tar.bz2": (lambda _: tar("w:bz2"), r"compressed .*bzip2"),
    "books.tar.xz": (lambda _: tar("w:xz"), r"compressed .*xz"),
    "books.zip": (lambda _: zipped(), r"archive \(zip"),
    "letter.docx": (lambda _: zipped(zipfile.ZIP_STORED), r"archive \(zip"),
    "empty.zip": (lambda _: zipped(members=()), r"archive \(zip"),
    "books.7z": (lambda _: b"7z\xbc\xaf\x27\x1c\x00\x04rest", r"archive \(7z"),
    "books.rar": (lambda _: b"Rar!\x1a\x07\x01\x00rest", r"archive \(rar"),
    "crawl.warc.gz": (lambda _: gzip.compress(b"WARC/1.0\r\nWARC-Type: warcinfo\r\n"), r"archive \(WARC"),
    "a.txt.bz2": (lambda _: bz2.compress(b"prose"), "bzip2"),
    "b.bz2": (lambda _: bz2.compress(b""), "bzip2"),
    "a.txt.xz": (lambda _: lzma.compress(b"prose"), r"\(xz"),
    "a.lzma": (lambda _: lzma.compress(b"prose", lzma.FORMAT_ALONE), "lzma"),
    "a.lz4": (lambda _: b"\x04\x22\x4d\x18\x64\x40\xa7rest", "lz4"),
    "a.sz": (lambda _: b"\xff\x06\x00\x00sNaPpYrest", "snappy"),
    "a.txt.Z": (lambda _: b"\x1f\x9d\x90rest", r"\(Z\)"),
    "a.txt.br": (lambda _: b"\x0b\x02\x80prose\xe9\x03", "Brotli"),
    "twice.txt.gz": (lambda _: gzip.compress(gzip.compress(b"prose")), "compressed twice"),
    "table.parquet.gz": (lambda _: gzip.compress(b"PAR1rest"), "Parquet in a compressed file"),
    "paper.pdf": (lambda _: b"%PDF-1.7\n1 0 obj", "PDF"),
    "old.doc": (lambda _: b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1rest", "Office"),
    "note.rtf": (lambda _: b"{\\rtf1\\ansi prose}", "RTF"),
    "picture.png": (lambda _: b"\x89PNG\r\n\x1a\nrest", "PNG"),
    "photo.txt": (lambda _: b"\xff\xd8\xff\xe0rest", "JPEG"),
    "moving.gif": (lambda _: b"GIF89arest", "GIF"),
    "state.pkl": (lambda _: pickle.dumps({"a": 1}), "pickle"),
    "old.pkl": (lambda _: pickle.dumps({"a": 1}, 2), "pickle"),
    "array.npy": (lambda _: saved(lambda file: np.save(file, np.arange(3))), "NumPy"),
    "array.npz": (lambda _: saved(lambda file: np.savez(file, a=np.arange(3))), "zip"),
    "weights.h5": (lambda folder: h5(folder / "x"), "HDF5"),
    "texts.db": (lambda folder: sqlite(folder / "x"), "SQLite"),
    "rows.tfrecord": (lambda _: record(b"prose"), "NUL bytes"),
    "no_mark.txt": (lambda _: "prose".encode("utf-16-le"), "NUL bytes; if it is UTF-16"),
    "wide.txt": (lambda _: "\ufeffprose".encode("utf-32-le"), "UTF-32"),
    "controls": (lambda _: bytes(range(1, 256)) * 2, "control characters"),
    "big.txt": (lambda _: b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n", "git lfs pull"),
    "array.json": (lambda _: json.dumps([{"text": "a"}, {"text": "b"}]).encode(), "JSON array.*JSON lines"),
    "strings.json": (lambda _: json.dumps(["a text", "b text"]).encode(), "JSON array"),
    "array.jsonl": (lambda _: json.dumps([{"text": "a"}], indent=1).encode(), "JSON array"),
    "lists.txt": (lambda _: b'["a text"]\n["b text"]\n', "JSON array"),
    "long.json": (lambda _: json.dumps([{"text": "word " * 99_999}] * 2).encode(), "JSON array"),
    "many.json": (lambda _: json.dumps([f"text {i}" for i in range(99_999)]).encode(), "JSON array"),
    "one.json": (lambda _: json.dumps({"text": "a", "n": 1}, indent=2).encode(), "JSON on several lines"),
    "one.txt": (lambda _: json.dumps({"data": [{"text": "a"}]}, indent=2).encode(), "JSON on several lines"),
    "one.jsonl": (lambda _: json.dumps({"text": "a"}, indent=2).encode(), "JSON on several lines"),
    "huge.json.gz": (
        lambda _: gzip.compress(json.dumps({"data": ["word " * 9] * 9_999}, indent=1).encode()),
        "JSON on several lines",
    ),
}


@pytest.mark.parametrize("name", CONTENTS)
def test_files_without_text_are_named(tmp_path, name):
    make, said = CONTENTS[name]
    (tmp_path / name).write_bytes(make(tmp_path))
    kind, reason = examine(str(tmp_path / name), "document")
    assert kind == "document" and re.search(said, reason)


@pytest.mark.parametrize("name", ["a.json", "a.txt", "a", "a.jsonl", "c4-train.00000-of-01024.json.gz", "a.json.zst"])
@pytest.mark.parametrize("compress", [bytes, gzip.compress, zst])
@pytest.mark.parametrize(
    "content",
    [
        ROWS,
        "\n \n" + ROWS,
        "\ufeff" + ROWS,
        ROWS.splitlines()[0],
        json.dumps({"text": "word " * 99_999}) + "\n" + ROWS,
        ROWS.replace("\n", "\r\n"),
        ROWS + '{"text": "cut',
    ],
)
def test_json_lines_are_found_under_any_name(tmp_path, name, compress, content):
    compress = {".gz": gzip.compress, ".zst": zst}.get(name[name.rfind(".") :], compress)
    (tmp_path / name).write_bytes(compress(content.encode()))
    assert examine(str(tmp_path / name), "text") == ("jsonl", "")


def test_json_lines_in_utf_16_are_found(tmp_path):
    (tmp_path / "a.json").write_bytes(ROWS.encode("utf-16"))
    assert examine(str(tmp_path / "a.json"), "text") == ("jsonl", "")


@pytest.mark.parametrize(
    "content",
    [
        "",
        "\n\n",
        "{",
        "[",
        "{}\nAn empty object, and then a story.",
        "{Enter the king.}\nKING. Who is there?",
        "{{Infobox | name = x}}\nThe text of a wiki page.",
        '{"key": 1} is an object of JSON.\nSo is {"a": 2}.',
        '{"To be": "or not", he said, and left.}\nThen he came back.',
        '{"a": 1}\nThat was JSON.\nThis is not.\n{"b": 2}\nNor is this.',
        "[Illustration]\n\nCHAPTER I.\n",
        "[1] A footnote.\n[2] Another.",
        "[1, 2, 3]\nare numbers.",
        '["Come in," he said.]\nShe came.',
        "[[Category:Books]]\nA page.",
        "\"Who is there?\"\n'I am.'",
        "Prose with a NUL? No.\x0cA new page\x1b[0m.\n" * 9,
        "ORC and BM and MZ begin words, Rar! and PK too.",
        "7 words and a %PDF- inside of the text",
    ],
)
@pytest.mark.parametrize("kind", ["text", "document"])
def test_prose_stays_prose(tmp_path, content, kind):
    (tmp_path / "a.txt").write_text(content, encoding="utf-8")
    assert examine(str(tmp_path / "a.txt"), kind) == (kind, "")


def test_latin_1_is_still_text_with_undecodable_bytes(tmp_path):
    (tmp_path / "a.txt").write_bytes("Größe und Ähnliches, déjà vu. ".encode("latin-1") * 99)
    assert examine(str(tmp_path / "a.txt"), "text") == ("text", "")


def test_damaged_json_lines_stay_json_lines(tmp_path):
    (tmp_path / "a.txt").write_text('{"text": "cut here\n' + ROWS)
    assert examine(str(tmp_path / "a.txt"), "text") == ("jsonl", "")
    (tmp_path / "a.json").write_text('{"text": "cut')
    assert examine(str(tmp_path / "a.json"), "text") == ("jsonl", "")


def test_a_document_in_json_without_a_text_field_has_no_text(tmp_path):
    path = str(tmp_path / "info.json")
    (tmp_path / "info.json").write_text('{"name": "corpus", "version": 2}')
    kind, reason = examine(path, "document", "body")
    assert kind == "document" and "without the field 'body'" in reason
    assert examine(path, "document", "name") == ("jsonl", "") and examine(path, "text", "body") == ("jsonl", "")


@pytest.mark.parametrize("name", ["a.parquet", "a.txt", "part-0"])
def test_parquet_is_found_under_any_name(tmp_path, name):
    (tmp_path / name).write_bytes(b"PAR1rest")
    assert examine(str(tmp_path / name), "text") == ("parquet", "")


def test_memory_does_not_grow_with_the_files_size(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"word " * 2_000_000)
    (tmp_path / "bomb.gz").write_bytes(gzip.compress(bytes(range(32, 127)) * 500_000))
    tracemalloc.start()
    assert examine(str(tmp_path / "a.txt"), "text") == ("text", "")
    assert examine(str(tmp_path / "bomb.gz"), "text") == ("text", "")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 << 20


@pytest.mark.parametrize("text", ["PARENTS read.", "PARE", "LZIP is a format.", "ARROW1 flies."])
def test_prose_that_begins_with_capital_letters_is_prose(tmp_path, text):
    (tmp_path / "a.txt").write_text(text)
    assert examine(str(tmp_path / "a.txt"), "text") == ("text", "") and binary_form(text.encode()) == ""
    (tmp_path / "b.txt").write_bytes(b"PARE\x15\x04\x15")
    assert examine(str(tmp_path / "b.txt"), "text") == ("text", "a binary file (encrypted Parquet)")


def test_binary_content_is_named_for_readers_of_text():
    assert binary_form(zipped()).startswith("an archive (zip; also the form of .docx, .xlsx,")
    assert binary_form(tar("w")) == "an archive (tar)" and binary_form(tar("w:gz")) == "compressed with gzip"
    assert "zstandard" in binary_form(b"\x28\xb5\x2f\xfd\x00") and "Parquet" in binary_form(b"PAR1\x15")
    assert binary_form(ROWS.encode()) == binary_form(b"") == ""
    assert looks_binary(b"text\0") and looks_binary(bytes(range(1, 256))) and not looks_binary(b"")
    assert not looks_binary(ROWS.encode()) and not looks_binary("caf\xe9 \x93".encode("latin-1") * 20_000 + b"\0")


def test_the_beginning_of_json_is_recognised():
    assert begins_like_object(' {"a": [1') and begins_like_object('{\n"a": "b')
    assert not begins_like_object("{x}") and not begins_like_object("{'a': 1}") and not begins_like_object("[1]")
    assert begins_like_array('[{"a": "b') and begins_like_array('[["a"], ["b')
    assert not begins_like_array("[x] y") and not begins_like_array("[1] y") and not begins_like_array("[")
