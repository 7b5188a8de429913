"""Tests of the readers: formats, compression, bytes that are not text, damage, memory bounds."""

import gzip
import io
import itertools
import json
import random
import tracemalloc

import numpy as np
import pytest

from spanbert_keras.data.corpus import text_readers
from spanbert_keras.data.corpus.text_readers import CorpusFile, decode, find_sources, read_raw_documents, split_lines
from spanbert_keras.errors import InputError

TEXT = "One.\nTwo is here.\n\n  \nÜber three.\n\n\nFour.\n"
DOCUMENTS = [["One.", "Two is here."], ["Über three."], ["Four."]]


def compress(path, data):
    """Writes data as the path's ending says."""
    if path.suffix == ".gz":
        data = gzip.compress(data)
    elif path.suffix == ".zst":
        data = pytest.importorskip("backports.zstd").compress(data)
    path.write_bytes(data)
    return str(path)


def documents_of(*inputs, text_column="text"):
    return [d for source in find_sources(inputs) for d in read_raw_documents(source, text_column)]


def lines_of(*inputs, **settings):
    return [document.lines for document in documents_of(*inputs, **settings)]


@pytest.mark.parametrize("ending", ["", ".gz", ".zst"])
def test_blank_lines_end_the_documents_of_a_text_file(tmp_path, ending):
    assert lines_of(compress(tmp_path / f"a.txt{ending}", TEXT.encode())) == DOCUMENTS


@pytest.mark.parametrize("ending", ["", ".gz", ".zst"])
def test_a_folder_holds_one_document_per_file(tmp_path, ending):
    (tmp_path / "below").mkdir()
    compress(tmp_path / "below" / f"z.txt{ending}", b"last")
    compress(tmp_path / f"b{ending}", TEXT.encode())
    compress(tmp_path / f"a.txt{ending}", b"")
    (tmp_path / ".hidden").write_text("no")
    assert lines_of(str(tmp_path)) == [[], sum(DOCUMENTS, []), ["last"]]


@pytest.mark.parametrize("ending", ["", ".gz", ".zst"])
def test_json_lines_hold_one_document_per_line(tmp_path, ending):
    rows = [{"id": 1, "text": "One.\nTwo is here."}, {"text": ""}, {"text": "Über\u2028x\r\n\nthree"}, {"text": None}]
    content = "\n\n".join(json.dumps(row, ensure_ascii=i % 2 == 0) for i, row in enumerate(rows))
    path = compress(tmp_path / f"a.jsonl{ending}", content.encode())
    assert lines_of(path) == [["One.", "Two is here."], [], ["Über\u2028x", "three"], []]


def test_json_lines_in_a_folder_hold_many_documents(tmp_path):
    compress(tmp_path / "a.jsonl.gz", b'{"text": "a"}\n{"text": "b"}\n')
    compress(tmp_path / "b.txt", b"c\n\nd")
    assert lines_of(str(tmp_path)) == [["a"], ["b"], ["c", "d"]]


def test_parquet_holds_one_document_per_row(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    texts = [f"row {i}\nmore" for i in range(150)] + [None]
    parquet.write_table(pyarrow.table({"n": range(151), "body": texts}), tmp_path / "a.parquet")
    path = str(tmp_path / "a.parquet")
    assert lines_of(path, text_column="body") == [t.split("\n") if t else [] for t in texts]
    with pytest.raises(InputError, match=r"a\.parquet has no column 'text'.*Received: n, body"):
        lines_of(path)
    with pytest.raises(InputError, match=r"a\.parquet, row 1: the column 'n' must hold text.*int"):
        lines_of(path, text_column="n")


def test_other_fields_may_hold_the_text(tmp_path):
    path = compress(tmp_path / "a.jsonl", b'{"text": "no", "body": "yes"}')
    assert lines_of(path, text_column="body") == [["yes"]]


def test_globs_and_lists_keep_their_order(tmp_path):
    for name in ("b.txt", "a.txt", "c.md"):
        compress(tmp_path / name, name.encode())
    assert lines_of(str(tmp_path / "c.md"), str(tmp_path / "*.txt")) == [["c.md"], ["a.txt"], ["b.txt"]]


@pytest.mark.parametrize(
    "inputs, said",
    [
        ([], "names no file"),
        (["no.txt"], "no.txt does not exist"),
        (["*.none"], "none does not exist"),
        (["empty"], "no files"),
    ],
)
def test_missing_input_is_named(tmp_path, inputs, said):
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=said):
        find_sources([str(tmp_path / item) for item in inputs])


def test_a_file_named_twice_is_rejected(tmp_path):
    path = compress(tmp_path / "a.txt", b"x")
    with pytest.raises(InputError, match=r"a\.txt twice"):
        find_sources([path, str(tmp_path / "*.txt")])


@pytest.mark.parametrize(
    "data, text, bad",
    [
        (b"caf\xc3\xa9", "café", 0),
        (b"a\xff\xfeb", "a\ufffd\ufffdb", 2),
        (b"\xc3", "\ufffd", 1),
        (b"\xed\xa0\x80 \xef\xbf\xbd", "\ufffd\ufffd\ufffd \ufffd", 3),  # an encoded surrogate; a genuine U+FFFD
    ],
)
def test_undecodable_bytes_are_replaced_and_counted(data, text, bad):
    assert decode(data) == (text, bad)


def test_undecodable_bytes_are_counted_for_their_document(tmp_path):
    path = compress(tmp_path / "a.txt", b"ok\n\n\xffbad\nmore\xfe\n\nok")
    assert [d.undecodable for d in documents_of(path)] == [0, 2, 0]
    path = compress(tmp_path / "a.jsonl", b'{"text": "x\xff"}\n{"text": "\\ud800 y"}\n')
    assert [(d.lines, d.undecodable) for d in documents_of(path)] == [(["x\ufffd"], 1), (["\ufffd y"], 1)]


@pytest.mark.parametrize("name", ["a.txt", "a.jsonl"])
def test_a_byte_order_mark_is_not_part_of_the_text(tmp_path, name):
    content = "Word" if name == "a.txt" else '{"text": "Word"}'
    assert lines_of(compress(tmp_path / name, b"\xef\xbb\xbf" + content.encode())) == [["Word"]]


def test_windows_line_ends_are_line_ends(tmp_path):
    assert lines_of(compress(tmp_path / "a.txt", b"One\r\nTwo\r\n\r\nThree")) == [["One", "Two"], ["Three"]]


@pytest.mark.parametrize(
    "line, said",
    [
        (b"{broken", "line 3 is not valid JSON"),
        (b'["text"]', "line 3 contains no text.*list"),
        (b'{"body": 1}', "line 3 contains no text.*the fields body"),
        (b'{"text": 7}', "line 3 contains no text.*int"),
        (b"{}", "line 3 contains no text"),
    ],
)
def test_malformed_json_lines_are_named(tmp_path, line, said):
    path = compress(tmp_path / "bad.jsonl", b'{"text": "a"}\n\n' + line + b"\n")
    with pytest.raises(InputError, match=r"bad\.jsonl, " + said):
        lines_of(path)


@pytest.mark.parametrize("ending", [".gz", ".zst", ".parquet"])
@pytest.mark.parametrize("damage", ["cut", "flipped", "garbage"])
def test_damaged_files_are_named(tmp_path, ending, damage):
    pytest.importorskip("pyarrow")
    path = tmp_path / f"a.txt{ending}"
    text = "".join(random.Random(1).choices("abc \n", k=60_000)).encode()
    if ending == ".parquet":
        import pyarrow
        from pyarrow import parquet

        parquet.write_table(pyarrow.table({"text": text.decode().split("\n\n")}), path)
    else:
        compress(path, text)
    data = bytearray(path.read_bytes())
    if damage == "flipped" and ending != ".gz":
        pytest.skip("zstandard frames and Parquet pages carry no checksum by default")
    data[len(data) // 2] ^= 0x40
    path.write_bytes({"cut": bytes(data[: len(data) // 3]), "flipped": bytes(data), "garbage": b"nonsense" * 9}[damage])
    with pytest.raises(InputError, match=rf"a\.txt\{ending}"):
        lines_of(str(path))


def test_long_documents_come_in_parts_cut_at_line_ends(tmp_path, monkeypatch):
    monkeypatch.setattr(text_readers, "MAX_DOCUMENT_CHARACTERS", 25)
    lines = [f"line number {i}" for i in range(6)]
    expected = [([lines[0]], False), *(([line], True) for line in lines[1:])]
    path = compress(tmp_path / "a.txt", ("\n".join(lines) + "\n\nshort").encode())
    assert [(d.lines, d.continued) for d in documents_of(path)] == [*expected, (["short"], False)]
    path = compress(tmp_path / "a.jsonl", json.dumps({"text": "\n".join(lines)}).encode())
    assert [(d.lines, d.continued) for d in documents_of(path)] == expected


def test_long_lines_are_cut_at_spaces_and_nothing_is_lost(tmp_path, monkeypatch):
    monkeypatch.setattr(text_readers, "MAX_LINE_BYTES", 16)
    text = "some words in a long line and averyveryverylongwordindeed 北京北京北京北京北京 ü"
    for name, content in (("a.txt", text), ("b.jsonl", json.dumps({"text": text}))):
        (document,) = documents_of(compress(tmp_path / name, content.encode()))
        assert "".join(document.lines) == text and document.undecodable == 0
        assert max(len(line.encode()) if name == "a.txt" else len(line) for line in document.lines) <= 2 * 16
        assert document.lines[0] == "some words in a "


def test_frames_of_zstandard_may_follow_each_other(tmp_path):
    zstd = pytest.importorskip("backports.zstd")
    words = "".join(random.Random(2).choices("abcdefgh ", k=300_000))
    parts = [zstd.compress(part.encode()) for part in (words, "\n\nsecond", "")]
    (tmp_path / "a.txt.zst").write_bytes(b"".join(parts))
    assert lines_of(str(tmp_path / "a.txt.zst")) == [[words], ["second"]]


def test_a_document_above_the_limit_is_named_before_it_is_read_whole(tmp_path):
    large = json.dumps({"text": "a " * 3_000_000}).encode()
    path = compress(tmp_path / "a.jsonl.gz", b'{"text": "small"}\n' + large + b"\n")
    assert len(list(read_raw_documents(find_sources([path])[0]))) == 3
    (source,) = find_sources([path], max_document_bytes=1_000_000)
    documents = read_raw_documents(source)
    assert next(documents).lines == ["small"]
    tracemalloc.start()
    with pytest.raises(InputError, match=r"gz, line 2: the document has more than 1,000,000 bytes.*--max_document_b"):
        next(documents)
    assert tracemalloc.get_traced_memory()[1] < 3_500_000
    tracemalloc.stop()


def test_rows_of_a_dictionary_in_parquet_are_expanded_one_by_one(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    column = pyarrow.DictionaryArray.from_arrays(np.zeros(400, np.int32), pyarrow.array(["a " * 500_000]))
    path = tmp_path / "a.parquet"
    parquet.write_table(pyarrow.table({"text": column}), path)
    assert path.stat().st_size < 200_000
    (source,) = find_sources([str(path)])
    before = pyarrow.default_memory_pool().max_memory()
    assert sum(1 for _ in itertools.islice(read_raw_documents(source), 100)) == 100
    assert pyarrow.default_memory_pool().max_memory() < max(before, 30_000_000)
    (source,) = find_sources([str(path)], max_document_bytes=999_999)
    with pytest.raises(InputError, match=r"parquet, row 1: the document has more than 999,999 bytes"):
        next(read_raw_documents(source))


def test_a_large_value_of_parquet_is_rejected_before_it_becomes_text(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    path = tmp_path / "a.parquet"
    parquet.write_table(pyarrow.table({"text": ["small", None, "é" * 5_000_000]}), path, compression="zstd")
    documents = read_raw_documents(find_sources([str(path)], max_document_bytes=9_999_999)[0])
    assert [next(documents).lines, next(documents).lines] == [["small"], []]
    tracemalloc.start()
    with pytest.raises(InputError, match=r"parquet, row 3: the document has more than 9,999,999 bytes"):
        next(documents)
    assert tracemalloc.get_traced_memory()[1] < 1_000_000
    tracemalloc.stop()


def test_split_lines_drops_blank_ones_only():
    assert split_lines("a\n \n\u2028b\r\n\tc\n") == ["a", "\u2028b", "\tc"]


def test_positions_rise_to_the_size_of_the_file(tmp_path):
    path = compress(tmp_path / "a.txt", b"\n\n".join(b"word " * 2000 for _ in range(30)))
    positions = [d.position for d in documents_of(path)]
    assert positions == sorted(positions) and positions[-1] == find_sources([path])[0].size


def test_missing_packages_are_named_with_their_extra(tmp_path, monkeypatch):
    import sys

    (tmp_path / "a.parquet").write_bytes(b"")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(InputError, match=r'pip install "spanbert-keras\[parquet\]"'):
        lines_of(str(tmp_path / "a.parquet"))


def test_a_file_that_vanishes_is_named(tmp_path):
    with pytest.raises(InputError, match=r"gone\.txt cannot be read"):
        list(read_raw_documents(CorpusFile(str(tmp_path / "gone.txt"), "text", 1)))


def test_streams_are_read_line_by_line():
    stream = io.BytesIO(b"a\nb\xffc")
    assert list(text_readers._text_lines(stream)) == [("a", 0), ("b\ufffdc", 1)]


def test_json_lines_are_read_under_any_name(tmp_path):
    rows = b'{"url": "x", "text": "One.\\nTwo."}\n{"url": "y", "text": "Three."}\n'
    for name in ("c4-train.00000-of-01024.json.gz", "a.txt", "part-0", "b.json.zst", "c.JSON.GZ"):
        data = gzip.compress(rows) if name.lower().endswith(".gz") else rows
        path = compress(tmp_path / name, data) if name.endswith(".zst") else str(tmp_path / name)
        if not name.endswith(".zst"):
            (tmp_path / name).write_bytes(data)
        assert lines_of(path) == [["One.", "Two."], ["Three."]]
    assert lines_of(str(tmp_path)) == [["One.", "Two."], ["Three."]] * 5


def test_parquet_is_read_under_any_name(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    parquet.write_table(pyarrow.table({"text": ["a", "b"]}), tmp_path / "train-00000")
    assert lines_of(str(tmp_path / "train-00000")) == [["a"], ["b"]]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_text_and_json_lines_may_have_a_byte_order_mark(tmp_path, encoding):
    (tmp_path / "a.txt").write_bytes("Über one.\r\n\r\n北京".encode(encoding))
    (tmp_path / "b.jsonl").write_bytes('{"text": "Ünd"}\n{"text": "c"}'.encode(encoding))
    assert lines_of(str(tmp_path / "a.txt"), str(tmp_path / "b.jsonl")) == [["Über one."], ["北京"], ["Ünd"], ["c"]]


def test_damaged_utf_16_is_counted(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"\xff\xfe" + "word".encode("utf-16-le") + b"x")
    assert [(d.lines, d.undecodable) for d in documents_of(str(tmp_path / "a.txt"))] == [(["word\ufffd"], 1)]


def test_files_without_text_are_rejected_by_name_and_skipped_in_a_folder(tmp_path):
    (tmp_path / "books.tar.gz").write_bytes(gzip.compress(bytes(257) + b"ustar" + bytes(250)))
    (tmp_path / "list.json").write_text('[{"text": "a"}]')
    (tmp_path / "z.txt").write_text("prose")
    for name, said in (("books.tar.gz", r"an archive \(tar\)"), ("list.json", "a JSON array; expected: JSON lines")):
        for item in (name, name[:3] + "*"):
            with pytest.raises(InputError, match=rf"{name} cannot be read as text: it is {said}"):
                find_sources([str(tmp_path / item)])
    sources = find_sources([str(tmp_path)])
    assert [source.kind for source in sources] == ["skipped", "skipped", "document"]
    assert [d.lines for source in sources for d in read_raw_documents(source)] == [["prose"]]
    (tmp_path / "z.txt").unlink()
    with pytest.raises(
        InputError, match=r"contains no text. Received: .*tar.gz is an archive \(tar\); .*list.json is a J"
    ):
        find_sources([str(tmp_path)])


def test_many_skipped_files_are_summed_up():
    sources = [CorpusFile(f"{i}.png", "skipped", 1, "a picture (PNG)") for i in range(1005)]
    assert text_readers.listed_skipped(sources[:1]) == "0.png is a picture (PNG)"
    assert text_readers.listed_skipped(sources).endswith("2.png is a picture (PNG); and 1,002 more")
