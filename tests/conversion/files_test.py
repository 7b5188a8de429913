"""Files that are whole or absent, from the outside: what stands in the folder after success and after failure."""

import errno

import pytest

from spanbert_keras.conversion.files import write_whole
from spanbert_keras.errors import InputError


def write_folder(text):
    def write(temporary):
        temporary.mkdir()
        (temporary / "part").write_text(text)

    return write


def test_a_file_and_a_folder_replace_older_ones(tmp_path):
    for text in ("old", "new"):
        write_whole(tmp_path / "deep" / "file.onnx", lambda temporary, text=text: temporary.write_text(text))
        write_whole(tmp_path / "deep" / "folder", write_folder(text))
    assert (tmp_path / "deep" / "file.onnx").read_text() == "new"
    assert (tmp_path / "deep" / "folder" / "part").read_text() == "new"
    assert sorted(path.name for path in (tmp_path / "deep").iterdir()) == ["file.onnx", "folder"]


@pytest.mark.parametrize("name", ["file", "folder"])
def test_what_fails_leaves_the_older_one_and_nothing_else(tmp_path, name):
    (tmp_path / "file").write_text("old")
    write_folder("old")(tmp_path / "folder")

    def fail(temporary):
        write_folder("half")(temporary) if name == "folder" else temporary.write_text("half")
        raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError, match="in the middle"):
        write_whole(tmp_path / name, fail)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]
    assert (tmp_path / "file").read_text() == (tmp_path / "folder" / "part").read_text() == "old"


def test_the_temporary_ends_like_the_file(tmp_path):
    names = []
    write_whole(tmp_path / "a.tflite", lambda temporary: names.append(temporary.name) or temporary.touch())
    assert names[0] != "a.tflite" and names[0].endswith("a.tflite")


def test_a_place_that_cannot_be_written_is_one_sentence(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"file.a\.onnx could not be written: .*exist.*try again"):
        write_whole(tmp_path / "file" / "a.onnx", lambda temporary: temporary.touch())


def test_a_full_disk_is_one_sentence_for_tensorflow_too(tmp_path):
    errors = pytest.importorskip("tensorflow", reason="TensorFlow's own errors").errors

    def fill(temporary):
        raise OSError(errno.ENOSPC, "full")

    def fill_by_tensorflow(temporary):
        raise errors.ResourceExhaustedError(None, None, "part-00000; No space left on device [Op:SaveV2]")

    def misuse_tensorflow(temporary):
        raise errors.InvalidArgumentError(None, None, "another thing")

    for write in (fill, fill_by_tensorflow):
        with pytest.raises(InputError, match="could not be written: No space left on device"):
            write_whole(tmp_path / "served", write)
    with pytest.raises(errors.InvalidArgumentError):
        write_whole(tmp_path / "served", misuse_tensorflow)
