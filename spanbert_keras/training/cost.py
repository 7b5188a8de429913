"""What a run will cost: parameters, arithmetic, memory, time."""

import dataclasses

BYTES = {"float32": 4, "mixed_bfloat16": 2, "mixed_float16": 2}  # of an activation


@dataclasses.dataclass(frozen=True, kw_only=True)
class Shape:
    """Sizes that cost depends on; pieces in `sequence_length` and `predictions`, rows in `batch_rows`."""

    vocabulary_size: int
    num_layers: int
    num_heads: int
    hidden_dim: int
    intermediate_dim: int
    sequence_length: int
    predictions: int
    batch_rows: int
    position_dim: int = 200


def step_flops(shape: Shape, span_boundary: bool = True) -> float:
    """Returns the floating-point operations of one training step: 3 x (forward), a multiply-add counted as two.

    Matrix products alone. A piece costs 2 (4 D^2 + 2 D I) a layer, and 4 T D for its row of attention; a masked
    position costs 2 D^2 + 2 D V in the masked-LM head and 2 (2 D + P) D + 2 D^2 + 2 D V in the span-boundary head.
    """
    d, t = shape.hidden_dim, shape.sequence_length
    piece = shape.num_layers * (2 * (4 * d * d + 2 * d * shape.intermediate_dim) + 4 * t * d)
    vocabulary = 2 * d * shape.vocabulary_size
    masked = 2 * d * d + vocabulary
    if span_boundary:
        masked += 2 * (2 * d + shape.position_dim) * d + 2 * d * d + vocabulary
    return 3.0 * shape.batch_rows * (t * piece + shape.predictions * masked)


def memory_bytes(shape: Shape, parameters: int, precision: str, accumulation_steps: int = 1) -> dict[str, float]:
    """Returns an estimate of a step's memory, in bytes: `state` (weights, gradients, Adam) and `activations`.

    Activations: what the backward pass keeps of a layer (about 10 D + 2 I numbers a piece and 3 H T for its attention
    row), and the logits of both heads with their gradients in float32. An estimate, not a measurement.
    """
    size = BYTES[precision]
    rows = shape.batch_rows / accumulation_steps
    pieces = rows * shape.sequence_length
    layer = 10 * shape.hidden_dim + 2 * shape.intermediate_dim + 3 * shape.num_heads * shape.sequence_length
    logits = 2 * 2 * 4 * rows * shape.predictions * shape.vocabulary_size
    return {"state": 16.0 * parameters, "activations": pieces * shape.num_layers * layer * size + logits}
