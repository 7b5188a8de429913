"""Tests of reading pickles without running them."""

import argparse
import collections
import os
import subprocess
import sys
import zipfile

import ml_dtypes
import numpy as np
import pytest

from spanbert_keras.conversion.formats.torch_pickles import harmless_globals, read_pickle
from spanbert_keras.errors import InputError

torch = pytest.importorskip("torch", reason="the files are pickles of torch")


class Command:
    """Runs a command when it is unpickled."""

    def __init__(self, command):
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


class Stranger:
    """A class that no checkpoint needs."""


@pytest.mark.parametrize("zipped", [True, False])
def test_a_pickle_that_would_run_code_is_rejected_without_running_it(tmp_path, zipped):
    trace = tmp_path / "trace"
    path = tmp_path / "model.pt"
    torch.save({"x": Command(f"touch {trace}")}, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(InputError, match=r"is rejected: besides tensors it needs \w+\.system"):
        read_pickle(path)
    assert not trace.exists()


def test_an_unknown_class_is_rejected_by_name(tmp_path):
    torch.save({"x": Stranger()}, tmp_path / "model.pt")
    with pytest.raises(InputError, match="it needs .*Stranger, and unpickling that could run any code"):
        read_pickle(tmp_path / "model.pt")


def test_allowed_classes_only_hold_values():
    allowed = [entry[0] if isinstance(entry, tuple) else entry for entry in harmless_globals()]
    names = {f"{item.__module__}.{item.__qualname__}" for item in allowed}
    values = {name for name in names if name.startswith("numpy.dtypes.") and name.endswith("DType")}
    assert names - values == {"argparse.Namespace", "numpy.dtype", "_codecs.encode", allowed[1].__module__ + ".scalar"}
    assert len(values) == 7


def test_a_training_checkpoint_with_its_settings_is_read(tmp_path):
    content = {
        "args": argparse.Namespace(arch="x", betas=(0.9, 0.98), nothing=None),
        "model": collections.OrderedDict(a=torch.arange(6.0).reshape(2, 3)),
        "extra_state": {"loss": np.float64(2.5), "updates": np.int64(3)},
        "optimizer_history": [{"name": "adam"}],
    }
    torch.save(content, tmp_path / "checkpoint.pt")
    found = read_pickle(tmp_path / "checkpoint.pt")
    np.testing.assert_array_equal(found["model"]["a"], np.arange(6.0).reshape(2, 3))
    assert found["args"].betas == (0.9, 0.98) and found["extra_state"]["loss"] == 2.5


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16", "int64"])
def test_tensors_keep_their_dtype_and_bits(tmp_path, dtype):
    values = torch.tensor([1.0, -2.5, 3.140625]).to(getattr(torch, dtype))
    torch.save({"x": values, "turned": torch.arange(6).reshape(2, 3).T}, tmp_path / "x.bin")
    found = read_pickle(tmp_path / "x.bin")
    assert found["x"].dtype == (ml_dtypes.bfloat16 if dtype == "bfloat16" else dtype)
    assert found["x"].astype("float64").tolist() == values.double().tolist()
    assert found["turned"].tolist() == [[0, 3], [1, 4], [2, 5]]


def test_a_pickle_of_another_type_is_rejected(tmp_path):
    torch.save([torch.zeros(2)], tmp_path / "x.bin")
    with pytest.raises(InputError, match="does not hold a dict of tensors. Received: list"):
        read_pickle(tmp_path / "x.bin")


def test_invalid_bytes_give_an_error_of_one_sentence(tmp_path):
    random = np.random.default_rng(0)
    contents = [b"", b"the same once more", b"<html>not found</html>", *(random.bytes(n) for n in range(1, 200, 3))]
    for content in contents:
        (tmp_path / "x.bin").write_bytes(content)
        with pytest.raises(InputError, match="cannot be read|is rejected|does not hold a dict"):
            read_pickle(tmp_path / "x.bin")


def test_without_torch_the_extra_is_named(tmp_path, root):
    code = (
        # Not `sys.modules["torch"] = None`: SciPy, which Keras imports where scikit-learn is, looks inside of that.
        "import sys\nclass Absent:\n    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'torch':\n            raise ImportError(name)\nsys.meta_path.insert(0, Absent())\n"
        "from spanbert_keras.conversion.formats.torch_pickles import read_pickle\n"
        "try:\n    read_pickle('x.bin')\nexcept ValueError as error:\n    print(error)\n"
    )
    environ = os.environ | {"PYTHONPATH": str(root), "KERAS_BACKEND": "tensorflow"}
    done = subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, text=True, cwd=tmp_path)
    assert 'x.bin is a torch pickle, which only torch can read: pip install "spanbert-keras[torch]"' in done.stdout


def flipped(path, place):
    """Flips the bits of a byte."""
    content = bytearray(path.read_bytes())
    content[place] ^= 0xFF
    path.write_bytes(content)


def test_a_flipped_byte_is_detected_wherever_it_changes_a_value(tmp_path):
    values, path = torch.arange(64.0), tmp_path / "model.pt"
    torch.save({"x": values}, path)
    content, rejected = path.read_bytes(), 0
    for place in range(0, len(content), 7):
        path.write_bytes(content)
        flipped(path, place)
        try:
            found = read_pickle(path)
        except InputError:
            rejected += 1
        else:  # padding, or the names of the parts
            np.testing.assert_array_equal(found["x"], values.numpy())
    assert rejected > 64


def test_a_file_without_checksums_is_read(tmp_path):
    before = torch.serialization.get_crc32_options()
    torch.serialization.set_crc32_options(False)
    try:
        torch.save({"x": torch.ones(2)}, tmp_path / "model.pt")
    finally:
        torch.serialization.set_crc32_options(before)
    assert read_pickle(tmp_path / "model.pt")["x"].tolist() == [1, 1]


def test_compressed_parts_are_rejected_before_they_are_read(tmp_path):
    torch.save({"x": torch.zeros(1_000_000)}, tmp_path / "model.pt")
    with zipfile.ZipFile(tmp_path / "model.pt") as whole, zipfile.ZipFile(tmp_path / "x.pt", "w", 8) as small:
        for part in whole.infolist():
            small.writestr(part.filename, whole.read(part))
    with pytest.raises(InputError, match="x.pt is rejected: its parts are compressed"):
        read_pickle(tmp_path / "x.pt")
