"""Sentences in which the types of two entities decide their relation."""

import json

import pytest

RELATIONS = {
    ("PERSON", "CITY"): "per:city_of_birth",
    ("PERSON", "DATE"): "per:date_of_birth",
    ("ORGANIZATION", "CITY"): "no_relation",
    ("ORGANIZATION", "DATE"): "org:founded",
}


def record(number, **changes):
    """Returns an example of TACRED's form; four in a row have four relations."""
    kinds = list(RELATIONS)[number % 4]
    words = [f"w{(7 * number + 3 * i) % 40}" for i in range(7 + number % 3)]
    subject, object_ = ((1, 2), (4, 4)) if number % 2 else ((5, 6), (0, 1))
    return {
        "id": f"e{number}",
        "docid": "d",
        "relation": RELATIONS[kinds],
        "token": words,
        "subj_start": subject[0],
        "subj_end": subject[1],
        "obj_start": object_[0],
        "obj_end": object_[1],
        "subj_type": kinds[0],
        "obj_type": kinds[1],
        "stanford_ner": ["O"] * len(words),
    } | changes


@pytest.fixture
def relation_file(tmp_path):
    """Function that writes a file of TACRED's form and returns its path."""

    def write(name="train.json", first=0, count=8, records=None):
        path = tmp_path / name
        path.write_text(json.dumps(records or [record(number) for number in range(first, first + count)]))
        return path

    return write
