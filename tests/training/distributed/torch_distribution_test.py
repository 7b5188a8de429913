"""Tests of what torch's device is called."""

import keras
import pytest

from spanbert_keras.training.distributed import torch_distribution

pytestmark = pytest.mark.skipif(keras.backend.backend() != "torch", reason="the backend is not torch")


def test_a_gpu_has_a_name_and_a_cpu_has_none(monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "NVIDIA H100")
    assert torch_distribution.device_name() == "NVIDIA H100" and torch_distribution.has_accelerator()
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert torch_distribution.device_name() == "" and not torch_distribution.has_accelerator()
