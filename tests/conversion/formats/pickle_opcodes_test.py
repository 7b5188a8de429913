"""Tests of pickles that are rejected by their opcodes."""

import argparse
import collections
import pickle
import zipfile

import pytest

from spanbert_keras.conversion.formats.pickle_opcodes import MAX_DEPTH, opcodes_fault


def nested(depth):
    """Returns a pickle of a dict whose key is a tuple that holds the next one twice."""
    content = b"\x80\x02}q\x00()"
    for i in range(1, depth + 1):
        content += b"q%ch%c\x86" % (i, i)
    return content + b"K\x01u."


def written(tmp_path, content, zipped):
    path = tmp_path / "model.pt"
    path.write_bytes(content)
    if zipped:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("model/data.pkl", content)
    return path


@pytest.mark.parametrize("zipped", [True, False])
def test_deeply_nested_tuples_are_rejected(tmp_path, zipped):
    assert pickle.loads(nested(3)) == {((((),) * 2,) * 2,) * 2: 1}
    assert opcodes_fault(written(tmp_path, nested(MAX_DEPTH), zipped), zipped) == ""
    fault = opcodes_fault(written(tmp_path, nested(MAX_DEPTH + 1), zipped), zipped)
    assert fault == "its tuples are nested more than 16 deep"


@pytest.mark.parametrize("protocol", [2, 4])
def test_tuples_that_are_used_again_are_counted_at_their_depth(tmp_path, protocol):
    value: tuple = ()
    for _ in range(MAX_DEPTH + 1):
        value = (value, value)
    assert "tuples" in opcodes_fault(written(tmp_path, pickle.dumps(value, protocol), False), False)


@pytest.mark.parametrize("zipped", [True, False])
def test_an_array_of_bytes_is_rejected(tmp_path, zipped):
    for module in (b"__builtin__", b"builtins"):
        content = b"\x80\x02c%s\nbytearray\n\x8a\x05\x00\x00\x00\x00\x02\x85R." % module
        assert opcodes_fault(written(tmp_path, content, zipped), zipped) == "it makes a bytearray"


def test_ordinary_pickles_have_no_fault(tmp_path):
    value = collections.OrderedDict(a=[(1, 2), {"b": ((3,), None)}], args=argparse.Namespace(betas=(0.9, 0.98)))
    for protocol in range(5):
        content = pickle.dumps(value, protocol)
        assert opcodes_fault(written(tmp_path, content, True), True) == ""
        assert opcodes_fault(written(tmp_path, content * 5, False), False) == ""


def test_invalid_pickles_are_left_to_the_reader(tmp_path):
    for content in (b"", b"<html>", b"\x80\x02t.", b"\x80\x02(K\x01", b"\xff" * 9):
        assert opcodes_fault(written(tmp_path, content, True), True) == ""
        assert opcodes_fault(written(tmp_path, content, False), False) == ""
