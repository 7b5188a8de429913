"""Speed of `prepare` compared with the bare `tokenizers` library on the same lines, and its memory.

    python -m benchmarks.prepare --input=books.jsonl.gz --vocabulary=vocab.txt

Both run in this process, in turns, on all cores: the bare library gets the lines of the same documents from memory,
in batches of 1,000, and only its `encode_batch` is timed; `prepare` reads, decompresses, encodes, hashes and writes.
Rates are megabytes of UTF-8 text per second, the median of the rounds. Goal: a ratio of at least 0.6, below 1 GB.
"""

import dataclasses
import json
import os
import pathlib
import statistics
import tempfile
import time

from benchmarks.shared.memory import resident_memory
from spanbert_keras import program
from spanbert_keras.data.corpus.preparation_settings import PreparationSettings
from spanbert_keras.data.corpus.text_readers import find_sources, read_raw_documents
from spanbert_keras.program import Settings, setting

BATCH_LINES = 1000


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """Settings of the comparison."""

    input: tuple[str, ...] = setting("Input of `prepare`.", default=("embedded",), path=True)
    vocabulary: str | None = setting(
        "Path of a vocab.txt. Default: 4,000 tokens trained on the input, untimed.", default=None, path=True
    )
    lowercase: bool = setting("Lowercases text, for an uncased vocabulary.", default=False)
    rounds: int = setting("Measurements per side.", default=3, minimum=1)
    workers: int | None = setting("Threads of `prepare`. Default: all cores.", default=None, minimum=1)


def main(config: Config) -> dict[str, float]:
    """Measures in turns and prints one JSON line."""
    _, import_peak = resident_memory()
    with tempfile.TemporaryDirectory() as folder:
        vocabulary = config.vocabulary or train_vocabulary(config, pathlib.Path(folder) / "vocab.txt")
        megabytes = sum(len(line.encode()) for line in lines_of(config.input)) / 1e6
        prepared, bare, prepare_peak = [], [], 0.0
        for index in range(config.rounds):
            prepared.append(time_prepare(config, vocabulary, os.path.join(folder, f"{index}")))
            prepare_peak = prepare_peak or resident_memory()[1]  # before the bare library, whose results take more
            bare.append(time_bare(config, vocabulary))
    result = {
        "megabytes": round(megabytes, 2),
        "prepare_mb_per_s": round(megabytes / statistics.median(prepared), 3),
        "bare_mb_per_s": round(megabytes / statistics.median(bare), 3),
        "ratio": round(statistics.median(b / p for p, b in zip(prepared, bare, strict=True)), 3),
        "peak_memory_mb": round(prepare_peak / 1e6, 1),
        "peak_memory_of_imports_mb": round(import_peak / 1e6, 1),
    }
    print(json.dumps(result))
    return result


def lines_of(inputs):
    """Yields every line that `prepare` encodes."""
    for source in find_sources(inputs):
        for document in read_raw_documents(source):
            yield from document.lines


def train_vocabulary(config: Config, path: pathlib.Path) -> str:
    """Trains a vocabulary on the input; returns its path."""
    from spanbert_keras.preprocessing.wordpiece_training import train_wordpiece

    path.write_text("\n".join(train_wordpiece(lines_of(config.input), 4000, config.lowercase)), encoding="utf-8")
    return str(path)


def time_prepare(config: Config, vocabulary: str, folder: str) -> float:
    """Returns the seconds that `prepare` takes from raw files to finished shards."""
    from spanbert_keras.data.corpus.prepare_corpus import prepare_corpus

    start = time.perf_counter()
    prepare_corpus(
        PreparationSettings(
            input=config.input,
            output_dir=folder,
            vocabulary=vocabulary,
            lowercase=config.lowercase,
            workers=config.workers,
        )
    )
    return time.perf_counter() - start


def time_bare(config: Config, vocabulary: str) -> float:
    """Returns the seconds that the library's `encode_batch` takes for the same lines on all cores."""
    from tokenizers import BertWordPieceTokenizer

    os.environ["TOKENIZERS_PARALLELISM"] = "true"
    library = BertWordPieceTokenizer.from_file(vocabulary, lowercase=config.lowercase)
    seconds, batch = 0.0, []

    def encode() -> float:
        start = time.perf_counter()
        library.encode_batch(batch, add_special_tokens=False)
        return time.perf_counter() - start

    for line in lines_of(config.input):
        batch.append(line)
        if len(batch) == BATCH_LINES:
            seconds += encode()
            batch = []
    return seconds + encode()


if __name__ == "__main__":
    program.run(main, Config)
