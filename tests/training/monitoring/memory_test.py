"""The estimate of a step's memory: by hand, and beside the peak of a process that makes such steps."""

import dataclasses

import pytest

from benchmarks.pretraining import Config, SideProcess
from spanbert_keras.training.monitoring.flops import Shape
from spanbert_keras.training.monitoring.memory import PROGRAM_BYTES, memory_bytes

SHAPE = Shape(
    vocabulary_size=11,
    num_layers=2,
    num_heads=2,
    hidden_dim=4,
    intermediate_dim=6,
    sequence_length=5,
    predictions=3,
    batch_rows=7,
)
LOGITS = 2 * 2 * 4 * 7 * 3 * 11  # two heads, each with logits and their gradient


def test_the_parts_by_hand():
    memory = memory_bytes(SHAPE, 100, "float32")
    activations = 4 * 7 * 5 * 2 * (12.5 * 4 + 2 * 6) + LOGITS
    assert memory == {
        "state": 1700,
        "activations": activations,
        "program": PROGRAM_BYTES,
        "in all": 1700 + activations + PROGRAM_BYTES,
    }


def test_what_changes_the_activations():
    def activations(shape=SHAPE, precision="float32", steps=1, **kwargs):
        return memory_bytes(shape, 100, precision, steps, **kwargs)["activations"]

    double = dataclasses.replace(SHAPE, batch_rows=14)
    assert activations(double) == 2 * activations() and activations(double, steps=2) == activations()
    assert activations(precision="mixed_bfloat16") - LOGITS == (activations() - LOGITS) / 2
    assert activations(keeps_weights=True) == activations() + 4 * 7 * 5 * 2 * (3 * 2 * 5)
    # The inputs of both blocks, and one block computed again.
    assert activations(recompute="blocks") == 4 * 7 * 5 * (2 * 4 + 12.5 * 4 + 2 * 6 - 4) + LOGITS
    # Queries, keys and values, and the weights, of one block instead of two.
    assert activations(recompute="attention") == activations() - 4 * 7 * 5 * 3 * 4
    kept = activations(recompute="attention", keeps_weights=True)
    assert kept == activations(keeps_weights=True) - 4 * 7 * 5 * (3 * 4 + 3 * 2 * 5)
    on_jax = {"backend": "jax", "recompute": "blocks"}
    assert activations(**on_jax) == activations(backend="jax") > activations(**on_jax, on_processor=False)


def test_on_an_accelerator_the_program_needs_none():
    memory = memory_bytes(SHAPE, 100, "float32", on_processor=False)
    assert set(memory) == {"state", "activations", "in all"}
    assert memory["in all"] == memory["state"] + memory["activations"]


@pytest.mark.slow
def test_it_is_near_the_peak_of_a_process():
    """Within 15 % alone; beside others the system keeps more or less resident."""
    sizes = {"vocabulary_size": 20_000, "num_layers": 4, "num_heads": 8, "hidden_dim": 512}
    config = Config(**sizes, sequence_length=256, batch_rows=12)
    side = SideProcess("ours MLM+SBO float32", config)
    try:
        peak = side.run(1)["peak"]
    finally:
        side.close()
    shape = Shape(
        **sizes, intermediate_dim=2048, sequence_length=256, predictions=config.sizes.predictions, batch_rows=12
    )
    embedding, layer = (20_000 + 256 + 2) * 512, 4 * 512**2 + 2 * 512 * 2048
    estimate = memory_bytes(shape, embedding + 4 * layer + 2 * 20_000 + 5 * 512**2, "float32")
    assert estimate["in all"] == pytest.approx(peak, rel=0.2)
