"""Speed of span masking on one core: `SpanMasker` inside `tf.data` against a plain Python loop of the same law.

    python -m benchmarks.masking

Batches of 256 rows of 512 pieces, every row with its own seed, one core, one TensorFlow thread. The loop masks the same
rows as Python lists and is spared the padding, the tensors and the pipeline. Both are timed in turn, in one process.
The loop is written plainly, with sets; one tuned with byte strings is about 1.5 times as fast.
"""

import dataclasses
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

from spanbert_keras.preprocessing import philox
from spanbert_keras.preprocessing.masking.span_masker import SpanMasker
from spanbert_keras.preprocessing.tokenizer import SpanBertTokenizer
from spanbert_keras.program import Settings, run, setting

SPECIAL_PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """Settings of the measurement."""

    batch_size: int = setting("Rows in a batch.", default=256, minimum=1)
    sequence_length: int = setting("Pieces in a row, with [CLS] and [SEP].", default=512, minimum=3)
    batches: int = setting("Batches in one timing.", default=8, minimum=1)
    repeats: int = setting("Timings of each side, in turn; the median counts.", default=5, minimum=1)
    vocabulary_size: int = setting("Pieces in the made-up vocabulary.", default=28996, minimum=6)
    continuation_rate: float = setting("Share of pieces that continue a word.", default=0.2, minimum=0, below=1)


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
    """Masks one block without specials in plain Python: the law of `SpanMasker`, the yardstick of its speed.

    Args:
        pieces: ids of one block.
        begins_word: whether each piece of the vocabulary begins a word.
        random_ids: pieces from which replacements are drawn uniformly.
        mask_id: id of [MASK].
        generator: Python's random numbers.
        rate: share of pieces masked.
        p: of the length law.
        max_span_length: words.

    Returns:
        The pieces after masking, and (position, left, right, offset) of each masked piece, counted inside the block.
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
    """Replaces each run of hidden positions as one and lists its pieces' targets."""
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


def make_tokenizer(config: Config) -> SpanBertTokenizer:
    """Returns a tokenizer with made-up pieces, of which a given share continues words."""
    generator = random.Random(0)
    names = range(config.vocabulary_size - len(SPECIAL_PIECES))
    pieces = [f"##{i}" if generator.random() < config.continuation_rate else f"w{i}" for i in names]
    return SpanBertTokenizer(SPECIAL_PIECES + pieces)


def make_rows(config: Config) -> np.ndarray:
    """Returns int32 `(batches, batch_size, sequence_length)`: [CLS], random pieces, [SEP]."""
    shape = (config.batches, config.batch_size, config.sequence_length)
    rows = np.random.default_rng(0).integers(len(SPECIAL_PIECES), config.vocabulary_size, shape, dtype=np.int32)
    rows[..., 0], rows[..., -1] = (SPECIAL_PIECES.index(piece) for piece in ("[CLS]", "[SEP]"))
    return rows


def pipeline(rows: np.ndarray, masker: SpanMasker):
    """Returns a `tf.data.Dataset` of masked batches; row r of batch b has the seed `fold((0, b), r)`."""
    import tensorflow as tf

    seeds = philox.fold((0, 0), np.arange(rows.shape[0])[:, np.newaxis], np.arange(rows.shape[1]))  # (batches, B, 2)
    inputs = {"token_ids": rows, "padding_mask": np.ones_like(rows)}
    dataset = tf.data.Dataset.from_tensor_slices((inputs, seeds.astype(np.int64)))
    options = tf.data.Options()
    options.threading.private_threadpool_size = 1
    options.threading.max_intra_op_parallelism = 1
    return dataset.map(lambda batch, seed: masker(batch, seed=seed)).with_options(options)


def _seconds(function: Callable[[], None]) -> float:
    began = time.perf_counter()
    function()
    return time.perf_counter() - began


def measure(config: Config) -> dict[str, float]:
    """Returns pieces a second of `layer` (in `tf.data`) and of `loop`, and their `ratio`."""
    tokenizer, rows = make_tokenizer(config), make_rows(config)
    begins_word, random_ids = tokenizer.word_starts().tolist(), tokenizer.ordinary_token_ids().tolist()
    dataset = pipeline(rows, SpanMasker(tokenizer=tokenizer))
    blocks = [block for batch in rows[..., 1:-1].tolist() for block in batch]

    def run_layer() -> None:
        for _ in dataset:
            pass

    def run_loop() -> None:
        for row, block in enumerate(blocks):
            mask_loop(block, begins_word, random_ids, tokenizer.mask_token_id, random.Random(row))

    run_layer()  # Traces, reads the vocabulary, warms the caches.
    times = [(_seconds(run_layer), _seconds(run_loop)) for _ in range(config.repeats)]
    layer, loop = (statistics.median(side) for side in zip(*times, strict=True))
    return {"layer": rows.size / layer, "loop": len(blocks) * len(blocks[0]) / loop, "ratio": loop / layer}


def main(config: Config) -> None:
    """Measures on one core and prints a line a side."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    results = measure(config)
    print(f"SpanMasker in tf.data  {results['layer']:12,.0f} tokens/s on one core")
    print(f"plain Python loop      {results['loop']:12,.0f} tokens/s")
    print(f"ratio                  {results['ratio']:12.2f}")


if __name__ == "__main__":
    run(main, Config)
