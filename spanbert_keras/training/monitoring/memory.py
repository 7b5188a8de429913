"""Memory that a training step needs, estimated from its sizes."""

import dataclasses

from spanbert_keras.training.monitoring.flops import Shape

ACTIVATION_BYTES = {"float32": 4, "mixed_bfloat16": 2, "mixed_float16": 2}
PROGRAM_BYTES = 1.65e9  # resident on a processor before the first weight: imports, threads, compiled code


@dataclasses.dataclass(frozen=True)
class _Backend:
    """What a backend holds at the peak of a step, measured on processors.

    Attributes:
        parameter_bytes: weight, gradient and Adam's moments of a parameter, and what an update needs meanwhile.
        widths: vectors of width D that a layer keeps for each token, besides two of the feed-forward network's width.
        logits: tensors of the logits' size, in float32, of each head.
    """

    parameter_bytes: float
    widths: float
    logits: float


BACKENDS = {
    "tensorflow": _Backend(parameter_bytes=17, widths=12.5, logits=2),
    "jax": _Backend(parameter_bytes=22.5, widths=15, logits=3),
    "torch": _Backend(parameter_bytes=16, widths=19, logits=2),
}


def memory_bytes(
    shape: Shape,
    parameters: int,
    precision: str,
    accumulation_steps: int = 1,
    *,
    backend: str = "tensorflow",
    keeps_weights: bool = False,
    recompute: str = "none",
    on_processor: bool = True,
) -> dict[str, float]:
    """Returns an estimate of a step's memory, in bytes: `state`, `activations`, `program` and their sum, `in all`.

    Activations are what the layers keep for the gradient, and the logits of both heads with their gradients, in
    float32. An estimate: peaks measured on processors at small and base size (float32, and bfloat16 but on JAX) were
    within 15 % of it, with recomputation within 20 %. On JAX and a processor recomputation saves nothing: XLA computes
    again before it must.

    Args:
        shape: `Shape`.
        parameters: int.
        precision: `"float32"`, `"mixed_bfloat16"` or `"mixed_float16"`.
        accumulation_steps: int. Parts in which a step is computed.
        backend: Keras backend.
        keeps_weights: bool. Whether attention weights are kept for the gradient.
        recompute: `"none"`, `"attention"` or `"blocks"`.
        on_processor: bool. Whether the program itself, which is counted then, shares the memory.
    """
    measured = BACKENDS[backend]
    rows = shape.batch_rows / accumulation_steps
    weights = 3 * shape.num_heads * shape.sequence_length if keeps_weights else 0
    layer = measured.widths * shape.hidden_dim + 2 * shape.intermediate_dim + weights
    if backend == "jax" and on_processor:
        recompute = "none"
    # What is not kept in a layer is there once, in the layer that is computed again.
    again = {"none": 0, "attention": 3 * shape.hidden_dim + weights, "blocks": layer - shape.hidden_dim}[recompute]
    numbers = shape.num_layers * (layer - again) + again
    activations = rows * shape.sequence_length * numbers * ACTIVATION_BYTES[precision]
    logits = 2 * measured.logits * 4 * rows * shape.predictions * shape.vocabulary_size
    memory = {"state": measured.parameter_bytes * parameters, "activations": activations + logits}
    if on_processor:
        memory["program"] = PROGRAM_BYTES
    return memory | {"in all": sum(memory.values())}
