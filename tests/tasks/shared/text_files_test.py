"""Tests of reading and writing whole text files."""

import gzip

import pytest

from spanbert_keras.program import InputError
from tasks.shared.text_files import listed, open_binary, read_text, shortened, write_lines

TEXT = "one\ttwo\r\nπ 😀\n"


@pytest.mark.parametrize("name", ["a.tsv", "a.tsv.gz"])
@pytest.mark.parametrize("pack", [lambda content: content, gzip.compress])
def test_gzip_is_detected_from_the_content(tmp_path, name, pack):
    (tmp_path / name).write_bytes(pack(TEXT.encode()))
    assert read_text(str(tmp_path / name), "text") == TEXT


def test_an_error_while_a_stream_is_read_is_one_about_the_file(tmp_path):
    (tmp_path / "a").write_bytes(gzip.compress(b"one\n" * 999, mtime=0)[:-9])
    with (
        pytest.raises(InputError, match="a cannot be read: .* Expected: a list."),
        open_binary(tmp_path / "a", "a list") as stream,
    ):
        assert stream.readline() == b"one\n"
        stream.read()


def test_a_byte_order_mark_is_removed(tmp_path):
    (tmp_path / "a").write_bytes(b"\xef\xbb\xbf" + TEXT.encode())
    assert read_text(str(tmp_path / "a"), "text") == TEXT


@pytest.mark.parametrize(
    "content, reason",
    [
        (None, "No such file or directory"),
        (gzip.compress(b"a" * 99, mtime=0)[:-9], "Compressed file ended"),
        (b"\x1f\x8b12", "Unknown compression|ended before"),
    ],
)
def test_an_unreadable_file_is_reported_in_one_sentence(tmp_path, content, reason):
    if content is not None:
        (tmp_path / "a").write_bytes(content)
    with pytest.raises(InputError, match=f"a cannot be read: .*({reason}).*Expected: a list of words") as caught:
        read_text(str(tmp_path / "a"), "a list of words")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "content, sentence",
    [
        (
            "a\ncaf\u00e9\n".encode("latin-1"),
            "line 2 is not UTF-8. .*`iconv -f ISO-8859-1 .*0xe9 at byte 3 of the line",
        ),
        ("one\ntwo".encode("utf-16"), "line 1 is not UTF-8, but UTF-16 by its first bytes.*`iconv -f UTF-16 -t UTF-8`"),
        (gzip.compress(b"\x80", mtime=0), "line 1 is not UTF-8.*0x80 at byte 0 of the line"),
    ],
)
def test_another_encoding_is_named_with_line_and_byte(tmp_path, content, sentence):
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(InputError, match=f"a, {sentence}") as caught:
        read_text(str(tmp_path / "a"), "a list of words")
    assert "skip" not in str(caught.value)


def test_lines_are_written_in_utf8_with_an_end_each_and_folders_are_made(tmp_path):
    path = tmp_path / "some" / "deep" / "a.tsv"
    write_lines(path, (line for line in ["π 😀", "", "two\tthree"]))
    assert path.read_bytes() == "π 😀\n\ntwo\tthree\n".encode()
    write_lines(path, [])
    assert path.read_bytes() == b"" and [one.name for one in path.parent.iterdir()] == ["a.tsv"]


@pytest.mark.parametrize("broken", ["a line", "\ud800"])
def test_lines_that_cannot_be_written_leave_the_old_file(tmp_path, broken):
    def lines():
        yield broken
        raise ValueError("no more lines")

    (tmp_path / "a").write_text("old")
    with pytest.raises(ValueError):
        write_lines(tmp_path / "a", lines() if broken == "a line" else [broken])
    assert (tmp_path / "a").read_text() == "old" and [one.name for one in tmp_path.iterdir()] == ["a"]


def test_names_are_listed_once_in_order_up_to_a_limit():
    assert listed(["b", "a", "b"]) == "a, b" and len(listed(f"label {i}" for i in range(99))) == 120


def test_long_values_are_cut_in_their_middle():
    assert shortened({"a": 1, "b": 2}) == "an object with the keys 'a', 'b'" and shortened({}).endswith("(none)")
    assert shortened([1]) == "[1]" and len(shortened("x" * 99)) == 60
