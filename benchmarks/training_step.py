"""A pre-training step: what the span boundary objective costs, and keras-hub's masked-LM beside ours.

    python benchmarks/training_step.py --architecture=small --batch_rows=8 --sequence_length=256

The contestants take turns step by step in one process, so that a noisy machine is noisy for all; ratios are medians
over the turns. Random weights and pieces, 15 % of the pieces masked, AdamW, dropout 0.1, float32.
"""

import dataclasses
import statistics
import time

import numpy as np

from spanbert_keras import program
from spanbert_keras.program import Settings, setting


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """Settings of the benchmark."""

    architecture: str = setting("Encoder.", default="small", choices=("tiny", "small", "base", "large"))
    vocabulary_size: int = setting("Pieces in the vocabulary.", default=28_996, minimum=6)
    sequence_length: int = setting("Pieces in a row.", default=256, minimum=3)
    batch_rows: int = setting("Rows of a step.", default=8, minimum=1)
    steps: int = setting("Turns that count.", default=7, minimum=1)
    keras_hub: bool = setting("Also measures keras_hub.models.BertMaskedLM (TensorFlow and JAX).", default=False)
    compile: bool = setting("XLA on TensorFlow.", default=False)


def random_batch(config: Config) -> dict[str, np.ndarray]:
    """Returns a batch of random pieces in the form that a step takes."""
    random = np.random.default_rng(0)
    rows, length = config.batch_rows, config.sequence_length
    masked = -(-15 * length // 100)
    positions = np.sort(random.permuted(np.tile(np.arange(1, length - 1), (rows, 1)), axis=1)[:, :masked], axis=1)
    batch = {
        "token_ids": random.integers(5, config.vocabulary_size, (rows, length)),
        "segment_ids": np.zeros((rows, length)),
        "padding_mask": np.ones((rows, length)),
        "mask_positions": positions,
        "mask_ids": random.integers(5, config.vocabulary_size, (rows, masked)),
        "left_positions": positions - 1,
        "right_positions": positions + 1,
        "span_offsets": np.zeros((rows, masked)),
    }
    weights = {name: np.ones((rows, masked), np.float32) for name in ("mask_weights", "span_weights")}
    return {name: values.astype(np.int32) for name, values in batch.items()} | weights


def our_step(config: Config, sbo_weight: float):
    """Returns a function that makes one step of our pretrainer."""
    from spanbert_keras import SpanBertEncoder, SpanBertPretrainer
    from spanbert_keras.pretraining.objective import PretrainingObjective
    from spanbert_keras.training.backend import make_step
    from spanbert_keras.training.steps.objective import StepSettings, seed_generators
    from spanbert_keras.training.steps.optimizers import make_adamw

    encoder = SpanBertEncoder.from_preset(
        config.architecture, load_weights=False, vocabulary_size=config.vocabulary_size
    )
    model = SpanBertPretrainer(encoder)
    optimizer = make_adamw(model.trainable_variables, 1e-4)
    step = make_step(model, optimizer, StepSettings(objective=PretrainingObjective(sbo_weight), compile=config.compile))
    batches = {name: values[np.newaxis] for name, values in random_batch(config).items()}  # one step a call
    seeds = np.ones((1, 1, 1, len(seed_generators(model)), 2), np.uint32)
    return lambda: float(step.to_numpy(step.train(batches, seeds, 1.0, 0))["loss"][0])


def keras_hub_step(config: Config):
    """Returns a function that makes one step of keras-hub's masked-LM of the same size, by `train_on_batch`."""
    import keras
    import keras_hub

    from spanbert_keras.presets import ARCHITECTURES

    sizes = dict(ARCHITECTURES[config.architecture]) | {"vocabulary_size": config.vocabulary_size}
    model = keras_hub.models.BertMaskedLM(keras_hub.models.BertBackbone(**sizes, dropout=0.1), preprocessor=None)
    model.compile(
        optimizer=keras.optimizers.AdamW(1e-4),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        jit_compile=config.compile,
    )
    batch = random_batch(config)
    inputs = {name: batch[name] for name in ("token_ids", "segment_ids", "padding_mask", "mask_positions")}
    return lambda: float(np.ravel(model.train_on_batch(inputs, batch["mask_ids"]))[0])


def measure(config: Config) -> dict[str, list[float]]:
    """Returns the seconds of each contestant's steps, turn by turn."""
    contestants = {"MLM + SBO": our_step(config, 1.0), "MLM alone": our_step(config, 0.0)}
    if config.keras_hub:
        contestants["keras-hub BertMaskedLM"] = keras_hub_step(config)
    for step in contestants.values():  # compiles
        step()
        step()
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(config.steps):
        for name, step in contestants.items():
            began = time.perf_counter()
            step()
            seconds[name].append(time.perf_counter() - began)
    return seconds


def main(config: Config) -> None:
    """Measures and prints."""
    seconds = measure(config)
    pieces = config.batch_rows * config.sequence_length
    for name, values in seconds.items():
        median = statistics.median(values)
        print(f"{name}: {median:.3f} s a step (median of {len(values)}), {pieces / median:,.0f} tokens/s")
    alone = seconds["MLM alone"]
    for name, values in seconds.items():
        if name != "MLM alone":
            ratio = statistics.median(a / b for a, b in zip(values, alone, strict=True))
            print(f"{name} / MLM alone: {ratio:.3f} (median of the turns' ratios)")


if __name__ == "__main__":
    program.run(main, Config)
