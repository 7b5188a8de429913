"""Fuzzes the readers of this package for as long as wanted.

    python -m tests.fuzzing.run --seconds=3600 --seed=1 --targets=corpus,run.json

Prints the number of inputs, how many were read and rejected, and every finding, shrunk: a line for `found.txt`, whose
inputs every test run reads again. Exit code 1 after a finding.
"""

import dataclasses
import os
import sys
import tempfile
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import hypothesis
from hypothesis.configuration import set_hypothesis_home_dir

from spanbert_keras import program
from spanbert_keras.program import InputError, Settings, setting
from tests.fuzzing import mutations
from tests.fuzzing.target import Finding, Sample, Target
from tests.fuzzing.targets import TARGETS

# What hypothesis keeps would lie in the current folder.
set_hypothesis_home_dir(os.path.join(tempfile.gettempdir(), "hypothesis"))
ROUND, ROUND_SECONDS = 200, 10.0  # inputs, and time, of a target before the next one has its turn


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """Settings of a run."""

    seconds: float = setting("Time for all targets together.", default=60.0)
    seed: int = setting("Seed of the inputs.", default=0)
    targets: tuple[str, ...] = setting("Names of targets, or parts of names. Default: all.", default=())


def fuzz(target: Target, seed: int, examples: int = ROUND, seconds: float = ROUND_SECONDS) -> dict[str, int]:
    """Reads changed files of a target, up to a number of them or for some time.

    Returns:
        dict with the numbers of inputs that were "read" and "rejected".

    Raises:
        Finding: an input had another end; it is shrunk first, and is the exception's `damages`.
    """
    counts = {"read": 0, "rejected": 0}
    found: list[Finding] = []
    with Sample(target) as sample:
        end = time.monotonic() + seconds

        @hypothesis.seed(seed)
        @hypothesis.settings(
            max_examples=examples,
            database=None,
            deadline=None,
            report_multiple_bugs=False,
            suppress_health_check=list(hypothesis.HealthCheck),
        )
        @hypothesis.given(mutations.damages)
        def check(damages):
            if time.monotonic() > end and not found:
                return
            try:
                counts[sample.read_damaged(damages)[0]] += 1
            except Finding as error:
                error.damages = damages
                found.append(error)  # now it is shrunk, however long it takes
                raise

        check()
    return counts


def main(config: Config) -> None:
    """Fuzzes all chosen targets in turn."""
    chosen = [one for one in TARGETS if not config.targets or any(part in one.name for part in config.targets)]
    if not chosen:
        raise InputError(f"--targets must name targets. Expected: some of {', '.join(one.name for one in TARGETS)}.")
    totals = {target.name: {"read": 0, "rejected": 0} for target in chosen}
    findings: dict[str, str] = {}
    began, turn = time.monotonic(), 0
    while time.monotonic() - began < config.seconds:
        target = chosen[turn % len(chosen)]
        if target.name not in findings:
            try:
                counts = fuzz(target, config.seed + turn // len(chosen))
                for kind, number in counts.items():
                    totals[target.name][kind] += number
            except Finding as error:
                findings[target.name] = str(error)
                print(f"FINDING {error}\n{(target.name, error.damages)}\n", flush=True)
        elif len(findings) == len(chosen):
            break
        turn += 1
    for name, counts in totals.items():
        print(
            f"{name:<40} {counts['read']:>8,} read {counts['rejected']:>8,} rejected {'FINDING' * (name in findings)}"
        )
    every = sum(sum(counts.values()) for counts in totals.values())
    print(f"{every:,} inputs in {time.monotonic() - began:.0f} s, {len(findings)} findings")
    if findings:
        sys.exit(1)


if __name__ == "__main__":
    program.run(main, Config)
