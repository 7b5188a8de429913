"""Speed and memory of a resolver on documents of 1,000 to 100,000 words: do both grow linearly?

    python -m benchmarks.coreference --model=coreference_resolver.keras --output_dir=runs/coreference_cost

Each length is resolved from raw text, the user's path, in a separate process that loads the saved model, resolves 300
words (the memory *before*), then the beginning of the text so that every shape is compiled, and then the text,
repeatedly for `--seconds`. Seconds are the median. Memory is resident memory in GB (10^9 bytes); its peak is that of
the whole process, with imports and model. CPU seconds, summed over all cores, are more reliable if other programs are
running. Splitting the text into words, a part of the seconds, is also timed separately.

Without `--model` the resolver is untrained, on `--encoder` or on random weights: it keeps random spans, but as many as
a trained one, and the cost hardly depends on which. Lengths are in words between white space; the resolver has more,
since it counts punctuation marks as words.
"""

import collections
import dataclasses
import itertools
import json
import os
import platform
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.shared.memory import resident_memory
from spanbert_keras import program
from spanbert_keras.model_flag import load_task_model
from spanbert_keras.program import InputError, Settings, setting

WARM_UP_WORDS = 300
COMPILED_WORDS = 10_000  # enough for the largest tiles with the default settings
VOCABULARY_SIZE = 4000  # of an encoder with random weights
VOCABULARY_WORDS = (
    100_000  # least training text of the vocabulary, so that short documents do not have more word pieces per word
)
TABLE_COLUMNS = {
    "words": "{words:,}",
    "resolver's words": "{tokens:,}",
    "word pieces": "{pieces:,}",
    "seconds": "{seconds:.2f}",
    "documents/s": "{documents_per_s:.3g}",
    "words/s": "{words_per_s:,.0f}",
    "CPU seconds": "{cpu_seconds:.2f}",
    "s splitting": "{splitting_seconds:.2f}",
    "GB before": "{before_gb:.2f}",
    "GB at peak": "{peak_gb:.2f}",
    "runs": "{runs}",
    "load": "{load:.1f}",
}
MODEL, VOCABULARY, TEXT = "resolver.keras", "vocab.txt", "text.txt"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """Settings of the benchmark."""

    model: str | None = setting(
        "Saved SpanBertCoreferenceResolver (.keras). Default: an untrained one.", default=None, path=True
    )
    encoder: str | None = setting("Encoder of an untrained resolver. Default: random weights.", default=None, path=True)
    architecture: str = setting(
        "Architecture of an encoder with random weights.", default="small", choices=("tiny", "small", "base", "large")
    )
    hidden_dim: int = setting("Width of an untrained resolver's hidden layers.", default=1000, minimum=1)
    lengths: tuple[str, ...] = setting(
        "Lengths of the documents in words.", default=("1000", "3000", "10000", "30000", "100000")
    )
    text_file: str | None = setting(
        "UTF-8 text, repeated or cut to each length. Default: random English words, always the same.",
        default=None,
        path=True,
    )
    batch_size: int = setting("Segments encoded at once.", default=16, minimum=1)
    seconds: float = setting("Seconds for which a document is resolved again and again.", default=20.0, minimum=0)
    output_dir: str = setting("Folder of coreference.json, coreference.md and coreference.png.", path=True)
    part: str = setting(
        "Part that a child process runs: make the model, or measure one length.",
        default="all",
        choices=("all", "model", "length"),
    )


# --- texts


def synthetic_text(count: int) -> str:
    """Returns `count` random words with the frequencies of English prose, in sentences and paragraphs."""
    from spanbert_keras.data.corpus.embedded_corpus import documents

    counts = collections.Counter(word for text in documents() for word in re.findall(r"\b[a-z]{1,15}\b", text))
    names, random = sorted(counts), np.random.default_rng(0)
    shares = np.array([counts[name] for name in names], np.float64)
    words = random.choice(names, count, p=shares / shares.sum()).tolist()
    sentences: list[str] = []
    while words:
        size = int(random.integers(5, 31))
        sentence, words = words[:size], words[size:]
        sentences.append(" ".join(sentence).capitalize() + (".\n\n" if random.random() < 0.2 else ". "))
    return "".join(sentences)


def cut_to(text: str, count: int) -> str:
    """Returns the first `count` words of a text, which is repeated if it has fewer."""
    parts = re.findall(r"\S+\s*", text)
    parts[-1] = parts[-1].rstrip() + "\n\n"
    return "".join(itertools.islice(itertools.cycle(parts), count)).rstrip()


def read_text(path: str) -> str:
    """Returns the text of a file."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"--text_file={path} cannot be read as UTF-8 text: {error}.") from error
    if not text.strip():
        raise InputError(f"--text_file={path} has no words.")
    return text


# --- in a child process


def make_model(config: Config) -> None:
    """Saves an untrained resolver in `output_dir`."""
    import spanbert_keras

    if config.encoder is None:
        encoder = spanbert_keras.SpanBertEncoder.from_preset(
            config.architecture,
            load_weights=False,
            vocabulary_size=VOCABULARY_SIZE,
            tokenizer=spanbert_keras.SpanBertTokenizer(str(Path(config.output_dir) / VOCABULARY)),
        )
    else:
        encoder = spanbert_keras.load_pretrained(config.encoder, "encoder")
        if encoder.tokenizer is None or not encoder.tokenizer.has_vocabulary:
            raise InputError(f"--encoder={config.encoder} has no tokenizer. Convert it with its vocab.txt.")
    resolver = spanbert_keras.SpanBertCoreferenceResolver(encoder, hidden_dim=config.hidden_dim)
    resolver.save(Path(config.output_dir) / MODEL)


def measure(config: Config) -> dict[str, Any]:
    """Returns the cost of one document in this process, which should be new.

    Args:
        config: `Config`, with a `model`, a `text_file` and one length.
    """
    import keras

    from spanbert_keras.preprocessing.text_words import split_text

    words = int(config.lengths[0])
    text = cut_to(read_text(str(config.text_file)), words)
    resolver = load_task_model(str(config.model), "SpanBertCoreferenceResolver")
    resolver.resolve(cut_to(text, min(words, WARM_UP_WORDS)), batch_size=config.batch_size)
    before, _ = resident_memory()
    resolver.resolve(cut_to(text, min(words, COMPILED_WORDS)), batch_size=config.batch_size)
    walls: list[float] = []
    cores: list[float] = []
    while not walls or sum(walls) < config.seconds:
        began, cores_began = time.perf_counter(), time.process_time()
        resolver.resolve(text, batch_size=config.batch_size)
        walls.append(time.perf_counter() - began)
        cores.append(time.process_time() - cores_began)
    _, peak = resident_memory()
    began = time.perf_counter()
    tokens, _, sentences = split_text(text)
    splitting = time.perf_counter() - began
    seconds = statistics.median(walls)
    return {
        "words": words,
        "tokens": len(tokens),
        "pieces": len(resolver.segments.cut(tokens, sentences, [""] * len(tokens))),
        "runs": len(walls),
        "seconds": seconds,
        "documents_per_s": 1 / seconds,
        "words_per_s": words / seconds,
        "cpu_seconds": statistics.median(cores),
        "splitting_seconds": splitting,
        "before_gb": before / 1e9,
        "peak_gb": peak / 1e9,
        "growth_gb": max(peak - before, 0) / 1e9,
        "load": os.getloadavg()[0],
        "pid": os.getpid(),
        "backend": keras.backend.backend(),
    }


# --- the parent process


def run_child(config: Config) -> tuple[str, str]:
    """Runs this program with these settings to its end.

    Returns:
        Its last line and `""`, or `""` and how it failed.

    Raises:
        InputError: the child reports that its input cannot be used.
    """
    command = [sys.executable, os.path.abspath(__file__), *program.to_arguments(config)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    child = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        out, err = child.communicate()
    finally:
        child.kill()  # no effect if it has ended
        child.wait()
    last = (err.strip().splitlines() or ["no output"])[-1]
    if child.returncode == program.INPUT_EXIT_CODE:
        raise InputError(last.removeprefix("Error: "))
    if child.returncode < 0:
        name = signal.Signals(-child.returncode).name
        hint = ", probably because memory ran out" if name == "SIGKILL" else ""
        return "", f"ended by {name}{hint}"
    if child.returncode:
        return "", f"exit code {child.returncode}: {last}"
    return (out.strip().splitlines() or [""])[-1], ""


def measure_all(config: Config) -> list[dict[str, Any]]:
    """Measures the lengths one after the other; one that fails has `words` and `failed` only."""
    lengths = sorted({int(length) for length in config.lengths})
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        count = max(lengths[-1], VOCABULARY_WORDS)
        text = synthetic_text(count) if config.text_file is None else read_text(config.text_file)
        (Path(folder) / TEXT).write_text(text, encoding="utf-8")
        config = dataclasses.replace(config, text_file=f"{folder}/{TEXT}", output_dir=folder)
        if config.model is None:
            _make_model_in_child(config)
            config = dataclasses.replace(config, model=f"{folder}/{MODEL}")
        for words in lengths:
            line, failed = run_child(dataclasses.replace(config, lengths=(str(words),), part="length"))
            rows.append({"words": words, "failed": failed} if failed else json.loads(line))
            print(_describe(rows[-1]), flush=True)
    return rows


def _make_model_in_child(config: Config) -> None:
    """Saves an untrained resolver in a child process: a process that has computed may keep memory of a device."""
    from spanbert_keras.preprocessing.wordpiece_training import train_wordpiece

    if config.encoder is None:
        pieces = train_wordpiece(read_text(str(config.text_file)).splitlines(), VOCABULARY_SIZE)
        pieces += [f"[unused-{number}]" for number in range(len(pieces), VOCABULARY_SIZE)]
        (Path(config.output_dir) / VOCABULARY).write_text("\n".join(pieces) + "\n", encoding="utf-8")
    _, failed = run_child(dataclasses.replace(config, part="model"))
    if failed:
        raise RuntimeError(f"The model could not be built: {failed}.")


# --- the report


def _describe(row: dict[str, Any]) -> str:
    if "failed" in row:
        return f"{row['words']:,} words: FAILED, {row['failed']}"
    return (
        f"{row['words']:,} words: {row['seconds']:.2f} s, {row['words_per_s']:,.0f} words/s, "
        f"peak {row['peak_gb']:.2f} GB ({row['before_gb']:.2f} before)"
    )


def per_word_ratios(rows: list[dict[str, Any]]) -> dict[str, Any] | None:
    """Returns the cost per word of the longest document over that of the longest with at most a tenth of its words.

    1 is linear growth, 10 quadratic. `memory` is the growth over the memory before. `None` without two such documents.
    """
    rows = sorted((row for row in rows if "failed" not in row), key=lambda row: row["words"])
    shorter = [row for row in rows if 10 * row["words"] <= rows[-1]["words"]]
    if not shorter:
        return None
    short, long = shorter[-1], rows[-1]

    def ratio(key: str) -> float | None:
        return long[key] / long["words"] / (short[key] / short["words"]) if short[key] else None

    return {
        "words": [short["words"], long["words"]],
        "seconds": ratio("seconds"),
        "cpu_seconds": ratio("cpu_seconds"),
        "memory": ratio("growth_gb"),
    }


def table(rows: list[dict[str, Any]], ratios: dict[str, Any] | None) -> str:
    """Returns the results as a Markdown table."""
    lines = [f"| {' | '.join(TABLE_COLUMNS)} |", "|" + " ---: |" * len(TABLE_COLUMNS)]
    for row in rows:
        if "failed" in row:
            lines.append(f"| {row['words']:,} | failed: {row['failed']} |" + " |" * (len(TABLE_COLUMNS) - 2))
        else:
            lines.append(f"| {' | '.join(form.format(**row) for form in TABLE_COLUMNS.values())} |")
    if ratios is not None:
        short, long = ratios["words"]
        shown = {name: "-" if ratios[name] is None else f"{ratios[name]:.2f}" for name in ratios if name != "words"}
        lines += [
            "",
            f"Per word, {long:,} words cost {shown['seconds']} times the seconds of {short:,}, {shown['cpu_seconds']} "
            f"times the CPU seconds and {shown['memory']} times the additional memory; 1 is linear growth.",
        ]
    return "\n".join(lines) + "\n"


def draw(rows: list[dict[str, Any]], path: Path) -> None:
    """Draws seconds, on logarithmic axes beside a line of linear growth, and memory, on linear ones."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    rows = [row for row in rows if "failed" not in row]
    words = np.array([row["words"] for row in rows])
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(10, 4.2))
    cores, middle = [row["cpu_seconds"] for row in rows], len(rows) // 2
    left.loglog(words, [row["seconds"] for row in rows], marker="o", label="wall clock")
    left.loglog(words, cores, marker="s", label="CPU, all cores")
    left.loglog(words, cores[middle] * words / words[middle], color="gray", linestyle="--", label="linear growth")
    left.set_ylabel("seconds per document")
    right.plot(words, [row["peak_gb"] for row in rows], marker="o", label="peak")
    right.plot(words, [row["before_gb"] for row in rows], color="gray", linestyle="--", label="before the document")
    right.set_ylabel("resident memory in GB")
    right.set_ylim(0, 1.2 * max(row["peak_gb"] for row in rows))
    left.set_xticks(words)
    left.minorticks_off()
    left.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    for axes in (left, right):
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        axes.set_xlabel("words in the document")
        axes.grid(alpha=0.3)
        axes.legend()
    figure.suptitle("Cost of coreference resolution by document length")
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def main(config: Config) -> None:
    """Measures every length in a child process, and writes JSON, table and picture.

    Raises:
        InputError: the settings cannot be used, or, after everything is written, a length failed.
    """
    if not config.lengths or not all(re.fullmatch("[0-9]*[1-9][0-9]*", length) for length in config.lengths):
        raise InputError(f"--lengths must be whole numbers above 0. Received: {','.join(config.lengths)!r}.")
    if config.part == "model":
        return make_model(config)
    if config.part == "length":
        return print(json.dumps(measure(config)))
    if config.model is not None and config.encoder is not None:
        raise InputError("--encoder is for an untrained resolver, --model for a saved one. Give one of them.")
    folder = Path(config.output_dir)
    folder.mkdir(parents=True, exist_ok=True)
    rows = measure_all(config)
    ratios = per_word_ratios(rows)
    machine = {"machine": platform.machine(), "system": platform.system(), "cores": os.cpu_count()}
    figures = {"settings": program.to_flags(config), "machine": machine, "lengths": rows, "per_word_ratios": ratios}
    (folder / "coreference.json").write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    (folder / "coreference.md").write_text(table(rows, ratios), encoding="utf-8")
    print(table(rows, ratios))
    failed = [f"{row['words']:,}" for row in rows if "failed" in row]
    if len(failed) < len(rows):
        draw(rows, folder / "coreference.png")
    if failed:
        raise InputError(f"{len(failed)} of {len(rows)} lengths could not be measured: {', '.join(failed)} words.")


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the child process ends with its parent
    program.run(main, Config)
