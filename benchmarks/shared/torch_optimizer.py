"""The AdamW with which `transformers` models are trained on torch."""

from typing import Any

WEIGHT_DECAY = 0.01


def make_adamw(model, learning_rate: float) -> Any:
    """Returns AdamW for a torch model, without weight decay of vectors: biases and layer norms."""
    import torch

    decayed = [parameter for parameter in model.parameters() if parameter.ndim > 1]
    others = [parameter for parameter in model.parameters() if parameter.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": WEIGHT_DECAY}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=learning_rate)
