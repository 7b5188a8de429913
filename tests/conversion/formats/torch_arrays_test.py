"""Tests of tensors and dicts in pickles that claim more than a file can hold."""

import warnings

import numpy as np
import pytest

from spanbert_keras.conversion.formats import torch_arrays
from spanbert_keras.conversion.formats.tensor_files import read_tensors
from spanbert_keras.conversion.formats.torch_arrays import TorchArrays, UnusableTensor
from spanbert_keras.conversion.formats.torch_pickles import read_pickle
from spanbert_keras.errors import InputError

torch = pytest.importorskip("torch", reason="the files are pickles of torch")


def saved(tmp_path, value):
    """Returns the path of a file that holds a value."""
    torch.save(value, tmp_path / "model.pt")
    return tmp_path / "model.pt"


def shared(depth, leaf):
    """Returns a dict in which each level holds the next one twice: 2^depth leaves."""
    for _ in range(depth):
        leaf = {"a": leaf, "b": leaf}
    return leaf


def test_a_dict_that_is_shared_many_times_is_rejected(tmp_path):
    path = saved(tmp_path, {"x": shared(14, {"leaf": torch.zeros(1)}), "y": shared(14, {})})
    assert read_pickle(path)["x"]["a"]["b"]["a"]["a"]
    for value in (shared(40, {}), {str(i): shared(13, {}) for i in range(20)}):
        with pytest.raises(InputError, match="nested more than 16 deep|more than 200,000 entries"):
            read_pickle(saved(tmp_path, value))


def test_a_dict_that_holds_itself_is_rejected(tmp_path):
    value = {"x": {"y": {}}}
    value["x"]["y"]["again"] = value["x"]
    with pytest.raises(InputError, match="model.pt is rejected: one of its dicts holds itself"):
        read_pickle(saved(tmp_path, value))


def test_a_tensor_that_is_shared_becomes_one_array(tmp_path):
    value = torch.arange(4.0)
    found = read_pickle(saved(tmp_path, {"x": value, "model": {"y": value}}))
    assert found["x"] is found["model"]["y"]


def test_a_tensor_that_repeats_its_values_is_rejected_before_it_is_copied(tmp_path):
    path = saved(tmp_path, {"x": torch.zeros(1).expand(1 << 20, 1 << 20)})
    with pytest.raises(InputError, match=r"shape \(1048576, 1048576\), claim more values than it stores"):
        read_pickle(path)


def test_copies_together_are_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(torch_arrays, "SPARE_BYTES", 0)
    table = torch.arange(4096.0).reshape(64, 64)
    turned = {str(i): table[i:].T for i in range(32)}
    path = saved(tmp_path, turned)
    with pytest.raises(InputError, match="claim more values than it stores"):
        read_pickle(path)
    np.testing.assert_array_equal(read_pickle(saved(tmp_path, {"0": table.T}))["0"], table.T.numpy())


@pytest.mark.parametrize(
    "make, kind",
    [
        (lambda: torch.eye(3).to_sparse(), "sparse tensor"),
        (lambda: torch.eye(3).to_sparse_csr(), "sparse tensor"),
        (lambda: torch.quantize_per_tensor(torch.ones(3), 0.1, 0, torch.qint8), "quantized tensor"),
        (lambda: torch.empty(3, device="meta"), "tensor on the device meta"),
        (lambda: torch.ones(3).to(torch.float8_e4m3fn), "tensor of the dtype float8_e4m3fn"),
        (lambda: torch.ones(3, dtype=torch.complex32), "tensor of the dtype complex32"),
        (lambda: torch.nested.nested_tensor([torch.ones(2), torch.ones(3)]), "nested tensor"),
    ],
)
def test_a_tensor_without_an_array_is_named_and_may_stand_beside_the_model(tmp_path, make, kind):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch, on prototypes
        path = saved(tmp_path, {"model": {"x": torch.ones(2)}, "other": make()})
        assert read_pickle(path)["other"] == UnusableTensor(kind)
        np.testing.assert_array_equal(read_tensors([path])["x"], np.ones(2))
        path = saved(tmp_path, {"x": make()})
    with pytest.raises(InputError, match=f"must hold only ordinary tensors. Received: x is a {kind}"):
        read_tensors([path])


def test_names_are_bounded(tmp_path):
    assert read_pickle(saved(tmp_path, {"x" * 1_000: torch.ones(1)}))
    for value in ({"x" * 100_000: torch.ones(1)}, {"model": {"x" * 100_000: 1}}):
        with pytest.raises(InputError, match="has 100,000 characters, more than 1,000") as error:
            read_pickle(saved(tmp_path, value))
        assert len(str(error.value)) < 400 + len(str(tmp_path))


def test_keys_are_text_or_small_numbers():
    found = {"a": 1, 3: 2, 10**5000: 3, (1, 2): 4, None: 5}
    assert TorchArrays("x.pt", 0).of({"state": found}) == {"state": {"a": 1, 3: 2}}
