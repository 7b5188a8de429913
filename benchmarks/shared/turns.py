"""Times several sides in turns, so that noise of the machine affects all; ratios are medians over the turns."""

import statistics
import time
from collections.abc import Callable, Iterator

import numpy as np


def turns_of(total: int, turns: int) -> Iterator[tuple[int, int]]:
    """Yields (first, last + 1) of each turn."""
    bounds = np.linspace(0, total, turns + 1).astype(int).tolist()
    yield from zip(bounds[:-1], bounds[1:], strict=True)


def compare(title: str, total: int, unit: str, turns: int, sides: dict[str, Callable[[int, int], object]]) -> None:
    """Times every side in turns; prints rates, and how much faster the first side is than each of the others."""
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for number, bounds in enumerate(turns_of(total, turns)):
        names = list(sides)
        for name in names[number % len(names) :] + names[: number % len(names)]:
            began = time.perf_counter()
            sides[name](*bounds)
            seconds[name].append(time.perf_counter() - began)
    print(f"\n{title}")
    first = next(iter(sides))
    for name, times in seconds.items():
        line = f"  {name:28} {total / sum(times):8.2f} {unit}/s"
        if name != first:
            ratios = [theirs / ours for ours, theirs in zip(seconds[first], times, strict=True)]
            line += (
                f"   ours is {statistics.median(ratios):.2f} times as fast (turns: {min(ratios):.2f}-{max(ratios):.2f})"
            )
        print(line)


def compare_with_transformers(
    title: str,
    total: int,
    unit: str,
    turns: int,
    ours: Callable[[int, int], object],
    theirs: Callable[[int, int, bool], object],
) -> None:
    """Compares our side with `transformers`, padded to the full length and grouped by length; see `compare`.

    Args:
        title, total, unit, turns: see `compare`.
        ours: function of the first and the last step of a turn.
        theirs: function of a turn, and whether rows are padded to the full length.
    """
    sides = {
        "ours": ours,
        "transformers, padded": lambda first, last: theirs(first, last, True),
        "transformers, by length": lambda first, last: theirs(first, last, False),
    }
    compare(title, total, unit, turns, sides)


def latency(title: str, examples: list, answer: Callable[[list], object]) -> None:
    """Prints the latency of single examples."""
    times = []
    for example in examples:
        began = time.perf_counter()
        answer([example])
        times.append(1000 * (time.perf_counter() - began))
    p50, p95 = np.percentile(times, [50, 95])
    print(f"  {title:28} p50 {p50:6.1f} ms, p95 {p95:6.1f} ms")
