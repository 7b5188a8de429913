"""Speed of masking on one core: `SpanMasker` inside `tf.data` compared with a plain Python loop, and its schemes.

    python -m benchmarks.masking

Batches of 256 rows of 512 tokens, every row with its own seed, one core, one TensorFlow thread. The loop masks the same
rows with the law of the scheme `span` as Python lists, without padding, tensors and pipeline. All sides are timed in
turns, in one process. The loop is plain code with sets; a version tuned with byte strings is about 1.5 times as fast.
The schemes of mentions read annotations: runs of one to four tokens, of a given share of all tokens.
"""

import dataclasses
import functools
import math
import os
import random
import statistics
import time
from collections.abc import Callable, Sequence

# Before TensorFlow starts its threads.
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

import spanbert_keras
from spanbert_keras.preprocessing import philox
from spanbert_keras.preprocessing.masking.schemes import SCHEMES
from spanbert_keras.program import Settings, run, setting

SPECIAL_PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """Settings of the measurement."""

    batch_size: int = setting("Rows per batch.", default=256, minimum=1)
    sequence_length: int = setting("Tokens per row, with [CLS] and [SEP].", default=512, minimum=3)
    batches: int = setting("Batches per timing.", default=8, minimum=1)
    repeats: int = setting("Timings per side, in turns; the median counts.", default=5, minimum=1)
    vocabulary_size: int = setting("Tokens in the artificial vocabulary.", default=28996, minimum=6)
    continuation_rate: float = setting("Share of tokens that continue a word.", default=0.2, minimum=0, below=1)
    mention_share: float = setting("Share of tokens in mentions.", default=0.1, minimum=0, below=1)


def mask_loop(
    pieces: Sequence[int],
    begins_word: Sequence[bool],
    random_ids: Sequence[int],
    mask_id: int,
    generator: random.Random,
    rate: float = 0.15,
    p: float = 0.2,
    max_span_length: int = 10,
) -> tuple[list[int], list[tuple[int, int, int, int]]]:
    """Masks one block without special tokens in plain Python, with the law of `SpanMasker`: the baseline of its speed.

    Args:
        pieces: token ids of one block.
        begins_word: whether each token of the vocabulary begins a word.
        random_ids: token ids from which replacements are drawn uniformly.
        mask_id: id of [MASK].
        generator: random number generator.
        rate: share of masked tokens.
        p: parameter of the geometric distribution of span lengths.
        max_span_length: length of the longest span, in words.

    Returns:
        The tokens after masking, and (position, left, right, offset) of each masked token, relative to the block.
    """
    size = len(pieces)
    bounds = [i for i, piece in enumerate(pieces) if begins_word[piece] or not i]
    bounds.append(size)
    num_words = len(bounds) - 1
    budget = math.ceil(rate * size)
    lengths = range(1, max_span_length + 1)
    weights = [p * (1 - p) ** (length - 1) for length in lengths]
    hidden: set[int] = set()
    for _ in range(10 * budget):
        if len(hidden) == budget:
            break
        length = generator.choices(lengths, weights)[0]
        first = generator.randrange(num_words)
        if bounds[first] in hidden:
            continue
        for word in range(first, min(first + length, num_words)):
            new = set(range(bounds[word], bounds[word + 1])) - hidden
            if len(hidden) + len(new) > budget:
                break
            hidden |= new
    return _replace_loop(pieces, sorted(hidden), random_ids, mask_id, generator)


def _replace_loop(
    pieces: Sequence[int], hidden: list[int], random_ids: Sequence[int], mask_id: int, generator: random.Random
) -> tuple[list[int], list[tuple[int, int, int, int]]]:
    """Replaces each run of hidden positions as one and lists the targets of its tokens."""
    masked, targets = list(pieces), []
    begin = 0
    while begin < len(hidden):
        end = begin + 1
        while end < len(hidden) and hidden[end] == hidden[end - 1] + 1:
            end += 1
        fate, left, right = generator.random(), hidden[begin] - 1, hidden[end - 1] + 1
        for i in hidden[begin:end]:
            targets.append((i, left, right, i - left - 1))
            if fate < 0.8:
                masked[i] = mask_id
            elif fate < 0.9:
                masked[i] = generator.choice(random_ids)
        begin = end
    return masked, targets


def make_tokenizer(config: Config) -> "spanbert_keras.SpanBertTokenizer":
    """Returns a tokenizer with artificial tokens, of which a given share continues words."""
    generator = random.Random(0)
    names = range(config.vocabulary_size - len(SPECIAL_PIECES))
    pieces = [f"##{i}" if generator.random() < config.continuation_rate else f"w{i}" for i in names]
    return spanbert_keras.SpanBertTokenizer(SPECIAL_PIECES + pieces)


def make_rows(config: Config) -> np.ndarray:
    """Returns int32 `(batches, batch_size, sequence_length)`: [CLS], random tokens, [SEP]."""
    shape = (config.batches, config.batch_size, config.sequence_length)
    rows = np.random.default_rng(0).integers(len(SPECIAL_PIECES), config.vocabulary_size, shape, dtype=np.int32)
    rows[..., 0], rows[..., -1] = (SPECIAL_PIECES.index(piece) for piece in ("[CLS]", "[SEP]"))
    return rows


def make_annotations(config: Config, rows: np.ndarray) -> np.ndarray:
    """Returns uint8 of the rows' shape: mentions of one to four tokens at random places, 0 elsewhere."""
    random_numbers = np.random.default_rng(1)
    begins = random_numbers.random(rows.shape) < config.mention_share / 2.5
    lengths = np.where(begins, random_numbers.integers(1, 5, rows.shape), 0)
    annotations = np.where(begins, 3, 0).astype(np.uint8)
    for further in range(1, 4):
        reached = np.zeros_like(begins)
        reached[..., further:] = lengths[..., :-further] > further
        annotations[reached & (annotations == 0)] = 1
    annotations[..., 0] = annotations[..., -1] = 0
    return annotations


def pipeline(rows: np.ndarray, masker: "spanbert_keras.SpanMasker", annotations: np.ndarray | None = None):
    """Returns a `tf.data.Dataset` of masked batches; row r of batch b has the seed `fold((0, b), r)`."""
    import tensorflow as tf

    seeds = philox.fold((0, 0), np.arange(rows.shape[0])[:, np.newaxis], np.arange(rows.shape[1]))  # (batches, B, 2)
    inputs = {"token_ids": rows, "padding_mask": np.ones_like(rows)}
    if annotations is not None:
        inputs["annotations"] = annotations
    dataset = tf.data.Dataset.from_tensor_slices((inputs, seeds.astype(np.int64)))
    options = tf.data.Options()
    options.threading.private_threadpool_size = 1
    options.threading.max_intra_op_parallelism = 1
    return dataset.map(lambda batch, seed: masker(batch, seed=seed)).with_options(options)


def _time(function: Callable[[], None]) -> float:
    began = time.perf_counter()
    function()
    return time.perf_counter() - began


def measure(config: Config) -> dict[str, float]:
    """Returns the tokens per second of every scheme (in `tf.data`) and of `loop`, and the `ratio` of span to loop."""
    tokenizer, rows = make_tokenizer(config), make_rows(config)
    begins_word, random_ids = tokenizer.word_starts().tolist(), tokenizer.ordinary_token_ids().tolist()
    annotations = make_annotations(config, rows)
    maskers = {name: spanbert_keras.SpanMasker(tokenizer=tokenizer, scheme=name) for name in SCHEMES}
    datasets = {
        name: pipeline(rows, maskers[name], annotations if scheme.annotation else None)
        for name, scheme in SCHEMES.items()
    }
    blocks = [block for batch in rows[..., 1:-1].tolist() for block in batch]

    def run_layer(name: str) -> None:
        for _ in datasets[name]:
            pass

    def run_loop() -> None:
        for row, block in enumerate(blocks):
            mask_loop(block, begins_word, random_ids, tokenizer.mask_token_id, random.Random(row))

    sides = {name: functools.partial(run_layer, name) for name in datasets}
    for run_side in sides.values():
        run_side()  # Traces, reads the vocabulary, fills the caches.
    sides["loop"] = run_loop
    times = {name: [] for name in sides}
    for _ in range(config.repeats):
        for name, run_side in sides.items():
            times[name].append(_time(run_side))
    seconds = {name: statistics.median(times[name]) for name in sides}
    speeds = {name: rows.size / seconds[name] for name in datasets}
    return {
        **speeds,
        "loop": len(blocks) * len(blocks[0]) / seconds["loop"],
        "ratio": seconds["loop"] / seconds["span"],
    }


def main(config: Config) -> None:
    """Measures on one core and prints one line per side."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    results = measure(config)
    for name in SCHEMES:
        relative = f"({results['span'] / results[name]:.2f} times the time of span)"
        print(f"{name:15} in tf.data  {results[name]:12,.0f} tokens/s on one core  {relative}")
    print(f"plain Python loop          {results['loop']:12,.0f} tokens/s")
    print(f"ratio of span to loop      {results['ratio']:12.2f}")


if __name__ == "__main__":
    run(main, Config)
