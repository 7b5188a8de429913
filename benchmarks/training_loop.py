"""Our training loop compared with plain Keras `fit`: the same model, batches, optimizer and compilation.

    python benchmarks/training_loop.py --architecture=tiny

They take turns in one process, in rotating order, so that noise of the machine affects all; a ratio is the median of
the turns' ratios. `ours` is the whole loop: masks are drawn in a thread, which is restarted in every turn; batches are
copied to the device from NumPy; every turn ends with a log point and TensorBoard's files. No checkpoint is written.
`fit` gets the same batches from memory, masked before the clock starts, and writes nothing; `loop` is our loop, also
with batches from memory. Random documents and weights, AdamW, clipping by global norm,
float32.
"""

import contextlib
import dataclasses
import statistics
import tempfile
import time
from collections.abc import Callable

import numpy as np

from spanbert_keras import program
from spanbert_keras.program import InputError, Settings, setting

SPECIAL_PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
MASK_ID = SPECIAL_PIECES.index("[MASK]")
SEED = (1, 2)
LEARNING_RATE = 1e-4
CLIP_NORM = 1.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """Settings of the benchmark."""

    architecture: str = setting(
        "Architecture of the encoder.", default="tiny", choices=("tiny", "small", "base", "large")
    )
    vocabulary_size: int = setting("Tokens in the vocabulary.", default=4_000, minimum=8)
    sequence_length: int = setting("Tokens per row.", default=32, minimum=4)
    batch_rows: int = setting("Rows per step.", default=64, minimum=1)
    steps: int = setting("Steps per turn.", default=50, minimum=1)
    turns: int = setting("Measured turns.", default=7, minimum=1)
    steps_per_call: int = setting("Steps per call to the device, `steps_per_execution` of `fit`.", default=1, minimum=1)
    compile: bool = setting(
        "Compiles with XLA on TensorFlow or torch.compile on torch; JAX always compiles.", default=False
    )
    dropout: float = setting("Dropout rate.", default=0.1, minimum=0, below=1)


def make_stream(config: Config):
    """Returns a `BatchStream` over random documents, and the unigram loss of each token `(V,)`."""
    from spanbert_keras import SpanBertTokenizer, SpanMasker
    from spanbert_keras.data.batches.batch_stream import BatchStream, CorpusSource
    from spanbert_keras.preprocessing.packing import plan_packing
    from spanbert_keras.preprocessing.row_blocks import cut_blocks
    from spanbert_keras.preprocessing.row_stream import RowStream
    from spanbert_keras.pretraining.piece_scores import unigram_losses

    names = range(config.vocabulary_size - len(SPECIAL_PIECES))
    tokenizer = SpanBertTokenizer(SPECIAL_PIECES + [f"w{i}" if i % 5 else f"##{i}" for i in names])
    random = np.random.default_rng(0)
    starts = np.concatenate([[0], np.cumsum(random.integers(4, 8 * config.sequence_length, 500))])
    pieces = random.integers(len(SPECIAL_PIECES), config.vocabulary_size, starts[-1]).astype(np.uint16)
    pieces[starts[:-1]] = len(SPECIAL_PIECES) + 1  # a document begins a word
    masker = SpanMasker(tokenizer=tokenizer)
    blocks = cut_blocks([(pieces, starts, starts)], tokenizer.word_starts(), config.sequence_length)
    plan = plan_packing(blocks.histogram, config.sequence_length, masker.settings.budget)
    source = CorpusSource([pieces], RowStream(blocks, plan, SEED, shuffle=True))
    stream = BatchStream([source], masker, config.batch_rows, (tokenizer.cls_token_id, tokenizer.sep_token_id))
    return stream, unigram_losses(np.bincount(pieces, minlength=config.vocabulary_size))


def make_model(config: Config):
    """Returns a pretrainer, always with the same initial weights."""
    import keras

    from spanbert_keras import SpanBertEncoder, SpanBertPretrainer

    keras.utils.set_random_seed(1)
    encoder = SpanBertEncoder.from_preset(
        config.architecture,
        load_weights=False,
        vocabulary_size=config.vocabulary_size,
        max_sequence_length=config.sequence_length,
        dropout=config.dropout,
        attention_dropout=config.dropout,
    )
    return SpanBertPretrainer(encoder)


def our_loop(config: Config, model, stream, unigram, folder: str, stack: contextlib.ExitStack) -> Callable[[int], None]:
    """Returns a function of a turn's number that trains for the steps of that turn with `Trainer`."""
    from spanbert_keras.pretraining.monitor import PretrainingMonitor
    from spanbert_keras.pretraining.objective import PretrainingObjective
    from spanbert_keras.training.backend import make_step
    from spanbert_keras.training.cadence import Cadence
    from spanbert_keras.training.monitoring.flops import Performance
    from spanbert_keras.training.run.checkpoints import Checkpoints
    from spanbert_keras.training.steps.objective import StepSettings
    from spanbert_keras.training.steps.optimizers import make_adamw
    from spanbert_keras.training.trainer import Trainer
    from spanbert_keras.training.trainer_events import TrainerEvents

    optimizer = make_adamw(model.trainable_variables, LEARNING_RATE)
    step = make_step(
        model, optimizer, StepSettings(objective=PretrainingObjective(), clip_norm=CLIP_NORM, compile=config.compile)
    )
    cadence = Cadence(
        total_steps=config.steps,
        steps_per_call=config.steps_per_call,
        log_every=config.steps,
        evaluate_every=0,
        checkpoint_every=0,
    )
    monitor = PretrainingMonitor(
        folder,
        (config.turns + 1) * config.steps,
        lambda done: np.float32(LEARNING_RATE),
        MASK_ID,
        unigram,
        Performance(lambda work: 0.0, 1, None),
    )
    stack.push(monitor)  # Closes its files. It is not entered: `fit` shows no progress bar either.
    events = TrainerEvents(on_log=monitor.on_log, on_step=monitor.on_step)
    trainer = Trainer(step, stream, cadence, Checkpoints(folder), SEED, events=events)

    def turn(number: int) -> None:
        trainer.cadence = dataclasses.replace(cadence, total_steps=(number + 1) * config.steps)
        trainer.run(number * config.steps)

    return turn


class MemoryStream:
    """A stream of batches that were made before.

    Args:
        stream: `BatchStream`.
    """

    def __init__(self, stream):
        self.stream = stream
        self.batches: dict[int, dict] = {}

    def make(self, numbers) -> None:
        """Makes these batches, and drops all others."""
        self.batches = {number: self.stream.batch(number) for number in numbers}

    def part(self, number: int, worker: int, workers: int) -> dict:
        """Returns a batch; see `BatchStream.part`."""
        return self.batches[number]


def keras_fit(config: Config, model) -> Callable[[list[dict]], None]:
    """Returns a function that trains on the batches of a turn (`for_fit`) with `fit`."""
    import keras

    from spanbert_keras.training.steps.optimizers import is_decayed

    optimizer = keras.optimizers.AdamW(
        LEARNING_RATE, weight_decay=0.1, beta_1=0.9, beta_2=0.999, epsilon=1e-8, global_clipnorm=CLIP_NORM
    )
    optimizer.exclude_from_weight_decay(var_list=[v for v in model.trainable_variables if not is_decayed(v)])
    model.compile(
        optimizer=optimizer,
        jit_compile=config.compile or keras.backend.backend() == "jax",
        steps_per_execution=config.steps_per_call,
    )
    return lambda batches: model.fit(batches, steps_per_epoch=config.steps, epochs=1, shuffle=False, verbose=0)


def for_fit(batches: list[dict]):
    """Returns the batches of a turn in the form that suits `fit` best on the backend in use."""
    import keras

    if keras.backend.backend() != "tensorflow":
        return ((batch,) for batch in batches)
    import tensorflow as tf

    stacked = {name: np.stack([batch[name] for batch in batches]) for name in batches[0]}
    return tf.data.Dataset.from_tensor_slices(stacked).prefetch(tf.data.AUTOTUNE)


def measure(config: Config) -> dict[str, list[float]]:
    """Returns the seconds per step of `ours`, `loop` and `fit`, for each turn.

    Raises:
        InputError: a turn is not a whole number of calls.
    """
    if config.steps % config.steps_per_call:
        raise InputError(
            f"--steps must be a multiple of --steps_per_call. Received: {config.steps} and {config.steps_per_call}."
        )
    seconds: dict[str, list[float]] = {"ours": [], "loop": [], "fit": []}
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        stream, unigram = make_stream(config)
        ready = MemoryStream(stream)
        ours = our_loop(config, make_model(config), stream, unigram, f"{folder}/ours", stack)
        loop = our_loop(config, make_model(config), ready, unigram, f"{folder}/loop", stack)
        fit = keras_fit(config, make_model(config))
        for number in range(config.turns + 1):
            ready.make(range(number * config.steps, (number + 1) * config.steps))
            batches = for_fit(list(ready.batches.values()))
            contestants = [("ours", ours, number), ("loop", loop, number), ("fit", fit, batches)]
            first = number % 3
            for name, run, argument in contestants[first:] + contestants[:first]:
                began = time.perf_counter()
                run(argument)
                if number:  # the first turn compiles
                    seconds[name].append((time.perf_counter() - began) / config.steps)
    return seconds


def main(config: Config) -> None:
    """Measures and prints."""
    seconds = measure(config)
    what = f"{config.architecture}, {config.vocabulary_size} tokens, {config.batch_rows} x {config.sequence_length}"
    print(f"{what}, compile={config.compile}, steps_per_call={config.steps_per_call}, dropout={config.dropout:g}")
    for name, values in seconds.items():
        low, high = min(values), max(values)
        print(
            f"{name:>4}: {1000 * statistics.median(values):.1f} ms a step "
            f"(median of {len(values)} turns of {config.steps} steps; {1000 * low:.1f} to {1000 * high:.1f})"
        )
    for name in ("ours", "loop"):
        ratios = [a / b for a, b in zip(seconds[name], seconds["fit"], strict=True)]
        print(
            f"{name} / fit: {statistics.median(ratios):.3f} (median of the turns' ratios; "
            f"{min(ratios):.3f} to {max(ratios):.3f})"
        )
    print("ours draws its masks in that time; loop, which is ours too, and fit get them ready made from memory.")


if __name__ == "__main__":
    program.run(main, Config)
