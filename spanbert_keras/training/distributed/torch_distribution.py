"""The device of torch. Training uses a single one: `mirrored` and `multi_worker` are missing on purpose."""


def device_name() -> str:
    """Returns the model of the device that torch computes on, "" for a CPU."""
    import torch

    return torch.cuda.get_device_name() if torch.cuda.is_available() else ""


def has_accelerator() -> bool:
    """Returns whether torch computes on something other than the CPU."""
    import torch

    return torch.cuda.is_available() or torch.backends.mps.is_available()
