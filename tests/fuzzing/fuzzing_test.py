"""Changed files end in what they say or in one sentence: never in another exception, a hang, or a full memory."""

import math
from pathlib import Path

import keras
import pytest

from spanbert_keras.errors import InputError
from tests.fuzzing.run import fuzz
from tests.fuzzing.target import Finding, Sample, Target
from tests.fuzzing.targets import TARGETS

EXAMPLES, SECONDS = 40, 1.0  # of each target; enough to find what breaks often
FOUND = [
    eval(line, {"nan": math.nan, "inf": math.inf})
    for line in (Path(__file__).parent / "found.txt").read_text(encoding="utf-8").splitlines()
    if line
]

pytestmark = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="files do not depend on the backend")


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_every_changed_file_is_read_or_rejected_in_a_sentence(target):
    assert sum(fuzz(target, seed=1, examples=EXAMPLES, seconds=SECONDS).values()) > 0


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_what_was_found_before_stays_corrected(target):
    found = [damages for name, damages in FOUND if name == target.name]
    if not found:
        pytest.skip("no input of this kind was ever found")
    with Sample(target) as sample:
        for damages in found:
            sample.read_damaged(damages)


@pytest.mark.parametrize(
    ("read", "sentence"),
    [
        (lambda folder: {}["x"], "KeyError: 'x'"),
        (lambda folder: bytearray(3 << 30), "MemoryError"),
        (lambda folder: int(folder.joinpath("a").read_text()) and None, "ValueError: invalid literal"),
    ],
)
def test_a_reader_that_fails_is_found(read, sentence):
    target = Target("a", lambda folder: folder.joinpath("a").write_text("12"), read)
    with pytest.raises(Finding, match=sentence):
        fuzz(target, seed=1, examples=50)


def test_a_full_memory_is_found_also_if_the_reader_calls_it_damaged():
    def read(folder):
        try:
            bytearray(3 << 30)
        except Exception as error:
            raise InputError("it is damaged") from error

    with (
        Sample(Target("a", lambda folder: folder.joinpath("a").write_text("12"), read)) as sample,
        pytest.raises(Finding, match="MemoryError, reported as: it is damaged"),
    ):
        sample.read_damaged([(0.0, ("flip", 0.0, 1, b""))])


def test_a_reader_that_hangs_is_found_also_if_it_catches_everything(monkeypatch):
    monkeypatch.setattr("tests.fuzzing.target.MAX_SECONDS", 0.2)

    def hang(folder):
        try:
            while True:
                pass
        except Exception as error:
            raise InputError("it is damaged") from error

    with (
        Sample(Target("a", lambda folder: folder.joinpath("a").write_text("12"), hang)) as sample,
        pytest.raises(Finding, match="more than 0.2 seconds"),
    ):
        sample.read_damaged([(0.0, ("flip", 0.0, 1, b""))])
