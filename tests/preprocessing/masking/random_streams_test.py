"""The streams of random numbers: their values stay, no two purposes share one, and no number is drawn without one."""

import ast
import pathlib

from spanbert_keras.preprocessing import masking
from spanbert_keras.preprocessing.masking.random_streams import RandomStream


def test_values_stay_so_that_seeds_give_the_same_masks():
    values = {"SPANS": 1, "REPLACEMENTS": 2, "RANDOM_PIECES": 3, "SINGLE_PIECES": 4}
    assert {name: stream.value for name, stream in RandomStream.__members__.items()} == values


def test_every_random_number_of_masking_is_drawn_from_a_stream_of_its_own():
    names = []
    for path in pathlib.Path(masking.__path__[0]).glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("philox_words"):
                names.append(ast.unparse(node.args[1].elts[2]))
    assert sorted(names) == sorted(f"RandomStream.{name}" for name in RandomStream.__members__)
