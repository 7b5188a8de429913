"""Tags to entities against seqeval's reading, columns of nested entities, outermost ones."""

import numpy as np
import pytest

from tasks.named_entities.tags import columns_of, entities_of, is_tag, outermost


@pytest.mark.parametrize("seed", range(5))
def test_entities_are_those_that_seqeval_reads(seed):
    from seqeval.metrics.sequence_labeling import get_entities

    rng = np.random.default_rng(seed)
    tags = ["O", *(f"{kind}-{label}" for kind in "BIES" for label in ("PER", "LOC"))]
    for _ in range(50):
        sentence = rng.choice(tags, rng.integers(1, 12)).tolist()
        expected = [(start, last + 1, label) for label, start, last in get_entities(sentence)]
        assert entities_of(sentence) == expected, sentence


def test_the_forms_of_conll_2003_and_of_bilou_are_read():
    assert entities_of("I-PER I-PER O I-LOC B-LOC I-LOC".split()) == [(0, 2, "PER"), (3, 4, "LOC"), (4, 6, "LOC")]
    assert entities_of("B-PER L-PER U-LOC O".split()) == [(0, 2, "PER"), (2, 3, "LOC")]
    assert [is_tag(one) for one in ("O", "B-X", "I-a-b", "NNP", "-", "", "B-", "B-NP x")] == [
        *(True, True, True),
        *(False,) * 5,
    ]


def test_columns_hold_nested_entities_outer_ones_first():
    entities = [(1, 2, "A"), (0, 4, "B"), (2, 4, "A"), (5, 6, "C"), (1, 4, "D")]
    columns = columns_of(entities, 6)
    assert columns == [
        "B-B I-B I-B I-B O B-C".split(),
        "O B-D I-D I-D O O".split(),
        "O B-A B-A I-A O O".split(),
    ]
    assert sorted(one for column in columns for one in entities_of(column)) == sorted(entities)
    assert columns_of([], 2, least=2) == [["O", "O"]] * 2


def test_outermost_entities_are_inside_no_other():
    entities = [(0, 4, "A"), (0, 2, "B"), (1, 4, "C"), (4, 5, "D"), (4, 5, "E"), (7, 9, "F"), (8, 9, "F")]
    assert outermost(entities) == [(0, 4, "A"), (4, 5, "D"), (4, 5, "E"), (7, 9, "F")]
    assert outermost([]) == []
