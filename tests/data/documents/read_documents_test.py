"""Tests that the content of a file decides its format."""

import bz2
import gzip
import json

import pytest

from spanbert_keras.data.documents.read_documents import read_documents
from spanbert_keras.errors import InputError

CONLL = "#begin document (a); part 000\na\t0\t0\tHi\t-\n\n#end document\n"
FILES = {
    "conll": CONLL,
    "jsonl": json.dumps({"tokens": ["Hi"], "name": "a"}),
    "words": json.dumps({"doc_key": "a", "sentences": [["Hi"]], "clusters": []}),
    "pieces": json.dumps({"doc_key": "a", "sentences": [["[CLS]", "Hi", "[SEP]"]], "subtoken_map": [0, 0, 0]}),
}


@pytest.mark.parametrize("form", FILES)
@pytest.mark.parametrize("name", ["a.jsonl", "a_gold_conll.gz", "a"])
@pytest.mark.parametrize("before", ["", "\n \n", "\ufeff", " "])
def test_the_format_is_detected_by_content(tmp_path, form, name, before):
    path = tmp_path / name
    if form == "conll":
        before = before.rstrip(" ")
    data = (before + FILES[form]).encode()
    path.write_bytes(gzip.compress(data) if name.endswith("gz") else data)
    found = read_documents(path)
    assert found.format == form and found.left_out == ()
    assert [(document.name, document.tokens) for document in found.documents] == [("a", ("Hi",))]


@pytest.mark.parametrize("form", ["conll", "jsonl"])
def test_bad_documents_can_be_left_out(tmp_path, form):
    bad = {"conll": CONLL.replace("-", "(x").replace("(a)", "(b)"), "jsonl": "\n{"}[form]
    path = tmp_path / "a"
    path.write_text(FILES[form] + bad, encoding="utf-8")
    with pytest.raises(InputError, match=r"a, line \d+: .*`skip_bad=True`"):
        read_documents(str(path))
    found = read_documents(str(path), skip_bad=True)
    assert len(found.documents) == 1 and len(found.left_out) == 1


@pytest.mark.parametrize(
    "text, received",
    [
        ("", "an empty file"),
        ("[1]", r"a JSON array, '\[1\]'"),
        ("[\n{}\n]", r"a JSON array, '\['"),
        ('[{"tokens": []},\n', r"a JSON array, '\[.*"),
        ("[laughs] Ann\n", r"'\[laughs\] Ann'"),
        ("a\tb\n", r"'a\\tb'"),
    ],
)
def test_a_file_of_another_format_is_rejected(tmp_path, text, received):
    path = tmp_path / "a"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=rf"a holds no documents that can be read\. .*Received: {received}\.$"):
        read_documents(path)
    with pytest.raises(InputError, match="cannot be read: No such file"):
        read_documents(tmp_path / "none")


@pytest.mark.parametrize(
    "name, content, form",
    [
        ("a.xlsx", b"PK\x03\x04\x14\x00\x06\x00\n\xe9", r"an archive \(zip"),
        ("a.docx", b"PK\x03\x04\x14\x00", r"an archive \(zip"),
        ("a.parquet", b"PAR1\x15\x04\n", r"a binary file \(Parquet\)"),
        ("a.jsonl.bz2", bz2.compress(b"{}\n"), r"compressed in a form that is not supported \(bzip2\)"),
        ("a.jsonl.zst", b"\x28\xb5\x2f\xfd\x04\xe9", r"compressed in a form that is not supported \(zstandard\)"),
        ("a.jsonl.gz", gzip.compress(gzip.compress(b"{}\n")), "compressed with gzip"),
    ],
)
@pytest.mark.parametrize("skip_bad", [False, True])
def test_a_file_that_is_not_text_is_named(tmp_path, name, content, form, skip_bad):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=f"{name} is {form}") as caught:
        read_documents(tmp_path / name, skip_bad)
    assert "iconv" not in str(caught.value) and "Received" not in str(caught.value)
