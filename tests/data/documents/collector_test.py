"""Tests of what the readers of coreference files share."""

import gzip

import pytest

from spanbert_keras.data.documents.collector import (
    BadDocumentError,
    DocumentCollector,
    read_lines,
    read_whole_lines,
)
from spanbert_keras.errors import InputError
from spanbert_keras.preprocessing.document import Document

ANN = Document(("Ann",), name="a")


def fail(line, sentence):
    raise BadDocumentError(line, sentence)


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_lines_are_read_gzipped_or_not_under_any_name(tmp_path, pack):
    path = tmp_path / "any.name"
    path.write_bytes(pack(b"\xef\xbb\xbfone\r\n\ntw\xc3\xb6\xe2\x80\xa8x\x0c"))
    assert list(read_lines(str(path))) == [(1, "one"), (2, ""), (3, "twö\u2028x\x0c")]


def test_whole_lines_keep_their_ends_and_the_byte_order_mark(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"\xef\xbb\xbfone\r\n\ntwo\r")
    assert list(read_whole_lines(str(path))) == [(1, "\ufeffone\r\n"), (2, "\n"), (3, "two\r")]


def test_documents_that_were_read_alike_share_one_note():
    collector = DocumentCollector("f", False)
    collector.add(1, lambda: ANN)
    for line, sentence in ((1, "5 columns."), (9, "7 columns."), (4, "5 columns.")):
        collector.remark(line, sentence)
    assert collector.result("conll").notes == (
        "f, line 1: 5 columns. Documents read like this: 2.",
        "f, line 9: 7 columns. Documents read like this: 1.",
    )


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(InputError, match=r"none cannot be read: No such file"):
        list(read_lines(str(tmp_path / "none")))
    with pytest.raises(InputError, match="cannot be read: Is a directory"):
        list(read_lines(str(tmp_path)))
    cut = tmp_path / "cut.gz"
    cut.write_bytes(gzip.compress(b"x\n" * 9)[:-9])
    with pytest.raises(InputError, match=r"cut\.gz cannot be read to its end: Compressed file ended"):
        list(read_lines(str(cut)))
    cut.write_bytes(b"good\nb\xff\n")
    with pytest.raises(InputError, match=r"cut\.gz, line 2 is not UTF-8.*iconv.*Received: b'b\\xff.*0xff at byte 1"):
        list(read_lines(str(cut)))


def test_a_bad_document_raises_or_is_recorded():
    with pytest.raises(InputError, match=r"^f, line 4: no\. Correct the file, or .*`skip_bad=True`\.$"):
        DocumentCollector("f", False).add(3, lambda: fail(4, "no."))
    collector = DocumentCollector("f", True)
    collector.add(1, lambda: ANN)
    collector.add(3, lambda: fail(4, "no."))
    collector.add(6, lambda: Document(("",)))
    collector.add(8, lambda: Document(("Ann",), name="a", part=1))
    found = collector.result("conll")
    assert [document.part for document in found.documents] == [0, 1] and found.format == "conll"
    first, second = found.left_out
    assert first == "f, line 4: no." and second.startswith("f, line 6: Document '', part 0: token 0 has no text")


def test_a_name_and_part_count_once():
    collector = DocumentCollector("f", True)
    collector.add(1, lambda: ANN)
    collector.add(5, lambda: Document(("Bob",), name="a"))
    found = collector.result("conll")
    assert found.documents == (ANN,)
    assert found.left_out == (
        "f, line 5: document 'a', part 0, is in line 1 already. Expected: every name and part once.",
    )


def test_repeats_are_dropped_and_recorded():
    collector = DocumentCollector("f", False)
    assert collector.distinct(2, [[(0, 1), (0, 1)], [(1, 2)]], "a") == [((0, 1),), ((1, 2),)]
    collector.add(2, lambda: ANN)
    (said,) = collector.result("conll").left_out
    assert said == (
        "f, line 2: 1 mentions of document 'a' are twice in their cluster and count once, "
        "the first: [0, 1) in cluster 0."
    )


def test_a_file_without_documents_is_rejected():
    with pytest.raises(InputError, match=r"^f gives no document: it is empty\.$"):
        DocumentCollector("f", True).result("conll")
    collector = DocumentCollector("f", True)
    collector.add(1, lambda: fail(1, "no."))
    with pytest.raises(InputError, match=r"^f gives no document: all are bad, the first: f, line 1: no\.$"):
        collector.result("conll")
