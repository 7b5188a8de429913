"""Tests of the optimizer of `transformers` models."""

import pytest

from benchmarks.shared.torch_optimizer import WEIGHT_DECAY, make_adamw

torch = pytest.importorskip("torch")


def test_matrices_decay_and_vectors_do_not():
    model = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.LayerNorm(2))
    optimizer = make_adamw(model, 1e-3)
    shapes = [[tuple(parameter.shape) for parameter in group["params"]] for group in optimizer.param_groups]
    assert shapes == [[(2, 3)], [(2,), (2,), (2,)]]
    assert [group["weight_decay"] for group in optimizer.param_groups] == [WEIGHT_DECAY, 0.0]
    assert {group["lr"] for group in optimizer.param_groups} == {1e-3}
