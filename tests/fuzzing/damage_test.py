"""Damaged files of every kind that this package writes are noticed or healed: nothing else is read silently."""

import random

import keras
import pytest

from tests.fuzzing.target import Finding, Sample, Target, outcome_of
from tests.fuzzing.targets import TARGETS

DAMAGES = 30
OURS = [target for target in TARGETS if target.written_by_us]

pytestmark = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="files do not depend on the backend")


def damaged(generator):
    """Returns a random damage of a disk or of a copy: flipped bits, a zeroed range, a lost end."""
    kind = generator.choice(("flip", "flip", "zero", "cut"))
    length = 1 << generator.randrange(8) if kind == "flip" else generator.randrange(1, 500)
    return [(generator.random(), (kind, generator.random(), length, b""))]


def silently_different(target, count, seed=1):
    """Returns the damages after which something else is read."""
    generator = random.Random(f"{seed} {target.name}")
    with Sample(target) as sample:
        with sample.copy() as folder:
            kind, expected = outcome_of(target, folder)
        assert kind == "read" and expected is not None
        different = []
        for _ in range(count):
            damages = damaged(generator)
            kind, value = sample.read_damaged(damages)
            if kind == "read" and value != expected:
                different.append((sample.files[int(damages[0][0] * len(sample.files))], damages[0][1]))
    return different


@pytest.mark.parametrize("target", OURS, ids=lambda target: target.name)
def test_no_damage_is_silent(target):
    assert silently_different(target, DAMAGES) == []


def test_a_reader_without_a_checksum_is_found():
    target = Target("a", lambda f: (f / "a").write_bytes(bytes(100)), lambda f: (f / "a").read_bytes())
    assert len(silently_different(target, DAMAGES)) > DAMAGES // 3


def test_a_reader_that_fails_is_found():
    target = Target("a", lambda f: (f / "a").write_bytes(b"1"), lambda f: int((f / "a").read_bytes()))
    with pytest.raises(Finding, match="ValueError"):
        silently_different(target, DAMAGES)
