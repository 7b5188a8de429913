"""Arithmetic and speed of a run: FLOPs of a step, the device's peak, tokens per second and MFU."""

import dataclasses
from collections.abc import Callable

import numpy as np

# Dense peak of one device in TFLOP/s, from the vendors' data sheets: matrix products of float32 (TF32 if the device has
# it), and of half precision (float16 or bfloat16).
PEAKS = {
    "V100": (15.7, 125.0),
    "T4": (8.1, 65.0),
    "A10G": (35.0, 70.0),
    "A100": (156.0, 312.0),
    "L4": (60.0, 121.0),
    "L40S": (183.0, 362.0),
    "H100 PCIe": (378.0, 756.0),
    "H100": (494.0, 989.0),
    "H200": (494.0, 989.0),
    "B200": (1125.0, 2250.0),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Shape:
    """Sizes that the cost of a step depends on: tokens in `sequence_length` and `predictions`, rows in `batch_rows`.

    `pairs` is the number of pairs of segments per row that the next-sentence head reads; 0 without that head.
    """

    vocabulary_size: int
    num_layers: int
    num_heads: int
    hidden_dim: int
    intermediate_dim: int
    sequence_length: int
    predictions: int
    batch_rows: int
    position_dim: int = 200
    pairs: int = 0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Work:
    """What batches hold that a model must compute. The numbers of batches and of workers add up.

    Attributes:
        tokens: tokens without padding, with [CLS] and [SEP].
        attended: pairs of tokens that see each other, see `attended_pairs`.
        masked: masked tokens.
        with_boundary: those of them with a target of the span-boundary head.
        pairs: pairs of segments that the next-sentence head reads.
    """

    tokens: float
    attended: float
    masked: float
    with_boundary: float
    pairs: float = 0


def attended_pairs(padding_mask: np.ndarray) -> int:
    """Returns the number of (token, token that it sees): the squared lengths of all blocks, summed.

    Args:
        padding_mask: int `(..., T)`. 0 padding, j >= 1 the j-th block of the row.
    """
    rows = padding_mask.reshape(-1, padding_mask.shape[-1]).astype(np.int64)
    numbers = rows.max(initial=0) + 1
    found = (rows + numbers * np.arange(len(rows))[:, np.newaxis]).ravel()
    lengths = np.bincount(found, minlength=numbers * len(rows)).reshape(len(rows), numbers)[:, 1:]
    return int((lengths**2).sum())


def model_flops(shape: Shape, work: Work, span_boundary: bool = True) -> float:
    """Returns the floating-point operations of training on `work`: 3 x (forward pass); a multiply-add counts as two.

    Only matrix products count, and only what the model needs: no padding, and no token of another block. Per layer a
    token costs 2 (4 D^2 + 2 D I), and 4 D for each token that it sees; a masked token costs 2 D^2 + 2 D V in the
    masked-LM head, and one with a boundary 2 (2 D + P) D + 2 D^2 + 2 D V in the span-boundary head; a pair costs
    2 D^2 + 4 D in the next-sentence head. The sizes in tokens and rows of `shape` are not read.
    """
    d = shape.hidden_dim
    projections = work.tokens * 2 * (4 * d * d + 2 * d * shape.intermediate_dim)
    to_vocabulary = 2 * d * d + 2 * d * shape.vocabulary_size
    heads = work.masked * to_vocabulary + work.pairs * (2 * d * d + 4 * d)
    if span_boundary:
        heads += work.with_boundary * (2 * (2 * d + shape.position_dim) * d + to_vocabulary)
    return 3.0 * (shape.num_layers * (projections + work.attended * 4 * d) + heads)


def step_flops(shape: Shape, span_boundary: bool = True) -> float:
    """Returns `model_flops` of a step whose rows are one block each, without padding, with all predictions."""
    masked = shape.batch_rows * shape.predictions
    work = Work(
        tokens=shape.batch_rows * shape.sequence_length,
        attended=shape.batch_rows * shape.sequence_length**2,
        masked=masked,
        with_boundary=masked,
        pairs=shape.batch_rows * shape.pairs,
    )
    return model_flops(shape, work, span_boundary)


def peak_flops(device_name: str, precision: str) -> float | None:
    """Returns the peak of a known device in FLOP/s, `None` for others.

    Args:
        device_name: str. Name that the driver gives, e.g. `"Tesla V100-SXM2-16GB"`.
        precision: `"float32"`, `"mixed_float16"` or `"mixed_bfloat16"`.
    """
    words = device_name.replace("-", " ").split()
    for name, peaks in PEAKS.items():
        if all(word in words for word in name.split()):
            return 1e12 * peaks[0 if precision == "float32" else 1]
    return None


class Performance:
    """Rates between two points of a run.

    `model_flops_utilization` = (arithmetic of the model for the work done) / (seconds x replicas x peak of one device).
    The arithmetic is that of `model_flops`, and nothing else that a program may compute.

    Args:
        flops: function from `Work` to the arithmetic of the forward and backward pass.
        replicas: int. Number of devices of the whole run.
        peak: float or `None`. Peak of one device in FLOP/s; `None` gives no utilization.
    """

    def __init__(self, flops: Callable[[Work], float], replicas: int, peak: float | None):
        self.flops = flops
        self.replicas = replicas
        self.peak = peak

    def summary(self, work: Work, seconds: float, waited: float) -> dict[str, float]:
        """Returns rates by tag.

        Args:
            work: `Work` of all workers.
            seconds: float. Time that it took.
            waited: float. Part of the seconds that the loop waited for batches.
        """
        seconds = max(seconds, 1e-9)
        rate = self.flops(work) / seconds
        rates = {
            "performance/tokens_per_second": work.tokens / seconds,
            "performance/data_wait_share": min(1.0, waited / seconds),
            "performance/model_tflops_per_second": rate / 1e12,
        }
        if self.peak:
            rates["performance/model_flops_utilization"] = rate / (self.replicas * self.peak)
        return rates
