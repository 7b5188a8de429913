"""Pre-training steps raced against each other: this package, `transformers`, keras-hub, the research code's arithmetic.

    python -m benchmarks.pretraining --turns=5 --picture=race.png

Every side is a process of its own. A few take turns at a time, some steps each, the reference and the matrix products
among them, so that noise of the machine affects all; ratios are medians over the turns, with their range. "of matmul"
compares the rate of a step's arithmetic with that of the same matrix products alone, in the same precision and turns.
"""

import dataclasses
import json
import os
import statistics
import subprocess
import sys
import time
from typing import Any

from benchmarks.shared.memory import resident_memory
from benchmarks.shared.pretraining_sides import (
    Sizes,
    keras_hub_step,
    matmul_step,
    our_step,
    research_step,
    transformers_step,
)
from benchmarks.shared.race_picture import check_picture, draw_race
from spanbert_keras import program
from spanbert_keras.program import InputError, Settings, setting
from spanbert_keras.training.monitoring.flops import Shape, step_flops

WARM_UP_STEPS = 2
BFLOAT16 = "mixed_bfloat16"


@dataclasses.dataclass(frozen=True)
class Side:
    """What is raced.

    Attributes:
        kind: "ours", "transformers", "keras_hub", "research" or "matmul".
        backend: Keras backend, or "torch".
        precision: "float32" or "mixed_bfloat16".
        compiled: bool. XLA on TensorFlow.
        sbo: bool. Whether it has the span boundary objective.
    """

    kind: str
    backend: str = "tensorflow"
    precision: str = "float32"
    compiled: bool = False
    sbo: bool = True


def _named() -> dict[str, Side]:
    sides = {}
    for precision, short in (("float32", "float32"), (BFLOAT16, "bfloat16")):
        sides[f"ours MLM {short}"] = Side("ours", precision=precision, sbo=False)
        sides[f"ours MLM+SBO {short}"] = Side("ours", precision=precision)
        sides[f"ours MLM+SBO {short} XLA"] = Side("ours", precision=precision, compiled=True)
        for backend in ("jax", "torch"):
            sides[f"ours MLM+SBO {short} {backend}"] = Side("ours", backend, precision)
        sides[f"transformers MLM {short}"] = Side("transformers", "torch", precision, sbo=False)
        sides[f"research MLM+SBO {short}"] = Side("research", "torch", precision)
        sides[f"keras-hub MLM {short}"] = Side("keras_hub", precision=precision, sbo=False)
        sides[f"keras-hub MLM {short} XLA"] = Side("keras_hub", precision=precision, compiled=True, sbo=False)
        sides[f"keras-hub MLM {short} jax"] = Side("keras_hub", "jax", precision, sbo=False)
        sides[f"matmul {short}"] = Side("matmul", precision=precision)
    return sides


SIDES = _named()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """Settings of the race."""

    vocabulary_size: int = setting("Tokens in the vocabulary.", default=28_996, minimum=6)
    num_layers: int = setting("Layers of the encoder.", default=6, minimum=1)
    num_heads: int = setting("Heads of attention.", default=12, minimum=1)
    hidden_dim: int = setting("Width of the encoder.", default=384, minimum=2)
    sequence_length: int = setting("Tokens per row.", default=256, minimum=4)
    batch_rows: int = setting("Rows per step.", default=8, minimum=1)
    turns: int = setting("Turns of every side.", default=5, minimum=1)
    steps: int = setting("Steps of a turn.", default=3, minimum=1)
    sides: tuple[str, ...] = setting("Names, or parts of names, of what is raced. Default: all.", default=())
    at_once: int = setting("Sides that take turns with the reference; each keeps its memory.", default=3, minimum=1)
    reference: str = setting(
        "The side that others are compared with.", default="ours MLM+SBO float32", choices=tuple(SIDES)
    )
    picture: str | None = setting("Picture of the ratios to write, e.g. a .png file.", default=None, path=True)
    side: str | None = setting("For the program's own processes: the side to run.", default=None, choices=tuple(SIDES))

    @property
    def sizes(self) -> Sizes:
        """Sizes of the model and of the batch."""
        return Sizes(**{field.name: getattr(self, field.name) for field in dataclasses.fields(Sizes)})

    @property
    def chosen(self) -> list[str]:
        """Names of the sides that are raced; the reference always is."""
        return [n for n in SIDES if n == self.reference or not self.sides or any(part in n for part in self.sides)]


def make_step(side: Side, sizes: Sizes):
    """Returns a function that runs one step of a side."""
    if side.kind == "ours":
        return our_step(sizes, side.precision, side.compiled, float(side.sbo))
    if side.kind == "keras_hub":
        return keras_hub_step(sizes, side.precision, side.compiled)
    if side.kind == "matmul":
        return matmul_step(sizes, side.precision, side.sbo)
    return (transformers_step if side.kind == "transformers" else research_step)(sizes, side.precision)


def run_side(config: Config) -> None:
    """Runs steps for the program that started this process: for each line with a number, their seconds as JSON."""
    step = make_step(SIDES[config.side or ""], config.sizes)
    for _ in range(WARM_UP_STEPS):
        step()
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        seconds = []
        for _ in range(int(line)):
            began = time.perf_counter()
            step()
            seconds.append(time.perf_counter() - began)
        print(json.dumps({"seconds": seconds, "peak": resident_memory()[1]}), flush=True)


class SideProcess:
    """A side in a process of its own.

    Args:
        name: str. A key of `SIDES`.
        config: `Config`.
    """

    def __init__(self, name: str, config: Config):
        arguments = [f"--{field.name}={getattr(config, field.name)}" for field in dataclasses.fields(Sizes)]
        command = [sys.executable, "-m", "benchmarks.pretraining", f"--side={name}", *arguments]
        environment = os.environ | {"KERAS_BACKEND": SIDES[name].backend, "TF_CPP_MIN_LOG_LEVEL": "3"}
        self.name = name
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment, text=True
        )
        self._read()

    def _read(self) -> dict[str, Any]:
        for line in self._process.stdout or ():
            if line.startswith("{"):
                return json.loads(line)
        error = (self._process.stderr.read() if self._process.stderr else "").strip().splitlines()
        raise InputError(f"The side {self.name} failed: {error[-1] if error else 'no output'}.")

    def run(self, steps: int) -> dict[str, Any]:
        """Runs some steps and returns their `seconds` and the `peak` of resident memory so far, in bytes."""
        print(steps, file=self._process.stdin, flush=True)
        return self._read()

    def close(self) -> None:
        """Ends the process."""
        self._process.kill()
        self._process.wait()


@dataclasses.dataclass
class Result:
    """Seconds per step of a side, a median for every turn, and of those that it is compared with in the same turns.

    Attributes:
        name: str. A key of `SIDES`.
        seconds, reference, matmul: list of float. `matmul` is empty where the products were not raced.
        peak: int. Resident memory, in bytes.
    """

    name: str
    seconds: list[float]
    reference: list[float]
    matmul: list[float]
    peak: int

    @property
    def ratios(self) -> list[float]:
        """Speed by the reference's, for each turn."""
        return [theirs / ours for theirs, ours in zip(self.reference, self.seconds, strict=True)]


def race(config: Config) -> list[Result]:
    """Races the sides, some at a time, and returns a result of each, the reference's first."""
    products = {name for name in config.chosen if SIDES[name].kind == "matmul"}
    others = [name for name in config.chosen if name not in products and name != config.reference]
    groups = [others[i : i + config.at_once] for i in range(0, len(others), config.at_once)] or [[]]
    results: dict[str, Result] = {}
    for group in groups:
        own = sorted(
            n for n in products if any(SIDES[n].precision == SIDES[o].precision for o in (config.reference, *group))
        )
        for result in _race_group(config, [config.reference, *group, *own]):
            results.setdefault(result.name, result)
    return list(results.values())


def _race_group(config: Config, names: list[str]) -> list[Result]:
    """Returns the results of sides that run at the same time and take turns."""
    sides: list[SideProcess] = []
    seconds: dict[str, list[float]] = {}
    peaks: dict[str, int] = {}
    try:
        for name in names:
            try:
                sides.append(SideProcess(name, config))
            except InputError as error:
                if name == config.reference:
                    raise
                print(f"Left out: {error}", flush=True)
        for turn in range(config.turns):
            shift = turn % len(sides)
            for side in sides[shift:] + sides[:shift]:
                found = side.run(config.steps)
                seconds.setdefault(side.name, []).append(statistics.median(found["seconds"]))
                peaks[side.name] = found["peak"]
    finally:
        for side in sides:
            side.close()
    alone = {SIDES[name].precision: times for name, times in seconds.items() if SIDES[name].kind == "matmul"}
    reference = seconds[config.reference]
    return [Result(n, times, reference, alone.get(SIDES[n].precision, []), peaks[n]) for n, times in seconds.items()]


def table(config: Config, results: list[Result]) -> list[list[str]]:
    """Returns rows of text: side, tokens/s, ratio to the reference with its range, share of the matmul rate, memory."""
    rows = []
    for result in results:
        side, times = SIDES[result.name], result.seconds
        ratios = result.ratios
        spread = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        share = "-"
        if result.matmul and side.kind == "ours":
            part = _flops(config.sizes, side.sbo) / _flops(config.sizes, True)
            share = f"{statistics.median(part * m / t for m, t in zip(result.matmul, times, strict=True)):.0%}"
        rate = f"{config.sizes.tokens / statistics.median(times):,.0f}"
        rows.append([result.name, rate, spread, share, f"{result.peak / 1e9:.1f}"])
    return rows


def _flops(sizes: Sizes, sbo: bool) -> float:
    values = {field.name: getattr(sizes, field.name) for field in dataclasses.fields(Sizes)}
    return step_flops(Shape(**values, intermediate_dim=4 * sizes.hidden_dim, predictions=sizes.predictions), sbo)


def main(config: Config) -> None:
    """Races the sides and prints a table."""
    if config.side:
        run_side(config)
        return
    if config.picture:
        check_picture(config.picture)
    results = race(config)
    rows = table(config, results)
    head = ["side", "tokens/s", f"speed by {config.reference}", "of matmul", "peak GB"]
    for row in [head, *rows]:
        print(f"{row[0]:32} {row[1]:>9} {row[2]:>32} {row[3]:>10} {row[4]:>8}")
    if config.picture:
        ratios = {result.name: result.ratios for result in results if SIDES[result.name].kind != "matmul"}
        sizes = config.sizes
        title = (
            f"Pre-training steps: {sizes.num_layers} layers of width {sizes.hidden_dim}, {sizes.batch_rows} rows of "
            f"{sizes.sequence_length} tokens"
        )
        draw_race(config.picture, ratios, config.reference, title)


if __name__ == "__main__":
    program.run(main, Config)
