"""Phases: parsing, and which batch of which phase a run reads."""

import numpy as np
import pytest

from spanbert_keras.errors import InputError
from spanbert_keras.pretraining.phases import Phase, PhasedStream, parse_phases


class Rows:
    """Stands for a `BatchStream`: its batches tell which they are."""

    def __init__(self, name):
        self.name = name

    def part(self, number, worker, num_workers):
        return {"which": np.array([self.name, number, worker, num_workers])}


def test_phases_are_parsed_with_spaces_or_without():
    expected = (Phase(128, 900_000), Phase(512, 100_000))
    assert parse_phases("128:900000,512:100000") == parse_phases(" 128:900000, 512:100000") == expected


@pytest.mark.parametrize(
    "text", ["", "128", "128:", ":5", "128:0", "0:5", "a:b", "128:5,", "128:5:6", "1e2:5", f"{'9' * 5_000}:1"]
)
def test_anything_else_is_rejected_by_a_sentence(text):
    with pytest.raises(InputError, match="--phases must be row length:steps, separated by commas"):
        parse_phases(text)


def test_every_batch_is_counted_from_the_beginning_of_its_phase():
    stream = PhasedStream([Rows(1), Rows(2), Rows(3)], parse_phases("8:3,16:1,32:2"))
    found = [stream.part(number, 5, 6)["which"].tolist() for number in range(8)]
    assert [(phase, number) for phase, number, *_ in found] == [
        (1, 0),
        (1, 1),
        (1, 2),
        (2, 0),
        (3, 0),
        (3, 1),
        (3, 2),
        (3, 3),
    ]
    assert {tuple(which[2:]) for which in found} == {(5, 6)}
