"""The device of torch: this package trains on one, so there is no `mirrored` and no `multi_worker`."""


def device_name() -> str:
    """Returns the model of the device that torch computes on, "" for a processor."""
    import torch

    return torch.cuda.get_device_name() if torch.cuda.is_available() else ""


def has_accelerator() -> bool:
    """Returns whether torch computes on something other than the processor."""
    import torch

    return torch.cuda.is_available() or torch.backends.mps.is_available()
