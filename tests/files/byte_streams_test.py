"""Tests of the byte streams: compression by content, UTF-16 recoded, invalid bytes stay detectable."""

import gzip
import random
import tracemalloc

import pytest

from spanbert_keras.errors import InputError
from spanbert_keras.files import byte_streams
from spanbert_keras.files.byte_streams import gunzipped, open_binary, read_gunzipped, utf_16_of

TEXT = "Žluťoučký кот 北京 🙂\r\n\nsecond\n"


def content_of(path):
    stream, raw = open_binary(str(path))
    with raw, stream:
        return stream.read()


def zst(data):
    return pytest.importorskip("backports.zstd").compress(data)


@pytest.mark.parametrize("name", ["a.txt", "a.gz.txt", "a"])
@pytest.mark.parametrize("compress", [bytes, gzip.compress, zst])
def test_compression_is_recognised_by_content(tmp_path, name, compress):
    (tmp_path / name).write_bytes(compress(TEXT.encode()))
    assert content_of(tmp_path / name) == TEXT.encode()


def test_gzip_files_may_have_several_members(tmp_path):
    (tmp_path / "a").write_bytes(gzip.compress(b"one ") + gzip.compress(b"") + gzip.compress(b"two"))
    assert content_of(tmp_path / "a") == b"one two"


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("compress", [bytes, gzip.compress, zst])
def test_utf_16_with_a_byte_order_mark_is_recoded(tmp_path, encoding, compress):
    text = TEXT + "".join(random.Random(1).choices("aé北🙂\n", k=100_000))
    (tmp_path / "a.txt").write_bytes(compress(("\ufeff" + text).encode(encoding)))
    assert content_of(tmp_path / "a.txt") == text.encode()


@pytest.mark.parametrize(
    "data, expected",
    [
        (b"", b""),
        (b"a\x00b", b"a\xff"),  # a single last byte
        (b"a\x00\x00\xd8", b"a\xff"),  # an unpaired surrogate at the end
        (b"\x00\xdca\x00", b"\xed\xb0\x80a"),  # an unpaired surrogate inside
    ],
)
def test_damaged_utf_16_stays_undecodable(tmp_path, data, expected):
    (tmp_path / "a.txt").write_bytes(b"\xff\xfe" + data)
    assert content_of(tmp_path / "a.txt") == expected


@pytest.mark.parametrize(
    "head, encoding",
    [
        (b"\xff\xfea\x00", "utf-16-le"),
        (b"\xfe\xff\x00a", "utf-16-be"),
        (b"\xff\xfe", "utf-16-le"),
        (b"\xff\xfe\x00\x00", None),
        (b"\xef\xbb\xbfa", None),
        (b"", None),
    ],
)
def test_the_byte_order_mark_gives_the_encoding(head, encoding):
    assert utf_16_of(head) == encoding


def test_a_zstandard_bomb_is_read_piece_by_piece(tmp_path):
    zstd = pytest.importorskip("backports.zstd")
    (tmp_path / "a.zst").write_bytes(zstd.compress(bytes(1 << 28)))
    assert (tmp_path / "a.zst").stat().st_size < 1 << 16
    stream, raw = open_binary(str(tmp_path / "a.zst"))
    with raw, stream:
        tracemalloc.start()
        assert not any(stream.read(1 << 20))
        assert tracemalloc.get_traced_memory()[1] < 10 << 20
        tracemalloc.stop()


@pytest.mark.parametrize("cut", [5, 40, -1])
def test_a_truncated_zstandard_frame_is_an_error(tmp_path, cut):
    (tmp_path / "a.zst").write_bytes(zst(random.Random(1).randbytes(300))[:cut])
    with pytest.raises((OSError, EOFError)):
        content_of(tmp_path / "a.zst")


def test_a_gzip_bomb_is_rejected_where_its_file_is_read_whole(tmp_path, monkeypatch):
    content = bytes(3 << 20)
    (tmp_path / "a.gz").write_bytes(gzip.compress(content))
    assert read_gunzipped(str(tmp_path / "a.gz")) == content
    monkeypatch.setattr(byte_streams, "UNBOUNDED_BYTES", 1 << 20)
    with pytest.raises(InputError, match="a.gz cannot be read to its end: decompressed, it is more than 100 times as"):
        read_gunzipped(str(tmp_path / "a.gz"))
    text = random.Random(1).randbytes(1 << 19).hex().encode() * 4
    (tmp_path / "b.gz").write_bytes(gzip.compress(text))
    assert read_gunzipped(str(tmp_path / "b.gz")) == text


def test_a_file_that_cannot_be_opened_is_closed(tmp_path):
    (tmp_path / "a.gz").write_bytes(b"nonsense")
    with pytest.raises(OSError, match="gzip"):
        open_binary(str(tmp_path / "a.gz"))


@pytest.mark.parametrize("name", ["a.txt", "a.gz"])
@pytest.mark.parametrize("compress", [bytes, gzip.compress])
def test_gzip_is_recognised_by_content_under_any_name(tmp_path, name, compress):
    (tmp_path / name).write_bytes(compress(TEXT.encode()))
    assert read_gunzipped(str(tmp_path / name)) == TEXT.encode()
    with gunzipped(str(tmp_path / name)) as stream:
        assert list(stream) == TEXT.encode().splitlines(keepends=True)


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(InputError, match=r"^--input=.*none cannot be read: No such file.*Expected: the path of a file"):
        read_gunzipped(str(tmp_path / "none"), "--input=")
    with pytest.raises(InputError, match=f"^{tmp_path} cannot be read: Is a directory"):
        read_gunzipped(str(tmp_path))


@pytest.mark.parametrize("damage", [lambda data: data[:-20], lambda data: data[:30] + b"?" * 20 + data[50:]])
def test_damaged_gzip_is_named(tmp_path, damage):
    (tmp_path / "a.gz").write_bytes(damage(gzip.compress(random.Random(1).randbytes(300))))
    with pytest.raises(InputError, match=r"a\.gz cannot be read to its end: .* Expected: a whole file"):
        read_gunzipped(str(tmp_path / "a.gz"))
