"""The rows of the tables as flags: against the paper, and as settings that `pretrain` takes."""

import pytest

from spanbert_keras import pretrain, program
from tasks.ablation.pretrainings import ANNOTATIONS, METHODS, PRETRAININGS, TABLE_ROWS, flags_of, to_arguments

REQUIRED = ["--corpus=a", "--output_dir=b", "--batch_tokens=1024", "--max_sequence_length=128", "--steps=1000"]
RECIPE = program.parse(pretrain.Config, [*REQUIRED, "--warmup_steps=1"])


@pytest.mark.parametrize("name", PRETRAININGS)
def test_every_row_is_a_run_that_can_start(name):
    arguments = [*REQUIRED, "--warmup_steps=1", *to_arguments(flags_of(name, RECIPE))]
    config = program.parse(pretrain.Config, arguments)
    assert config.next_sentence == (name.endswith("2seq") or name == "google_bert")
    assert (config.sbo_weight > 0) == name.endswith("sbo")
    assert name in METHODS or name.startswith(config.scheme)


def test_seven_pre_trainings_serve_tables_6_and_7():
    six, seven = TABLE_ROWS["6"], TABLE_ROWS["7"]
    assert len(six) == 5 and len(seven) == 3 and len({*six, *seven}) == 7
    assert all(PRETRAININGS[name]["segments"] == 2 and PRETRAININGS[name]["sbo_weight"] == 0 for name in six)
    schemes = {PRETRAININGS[name]["scheme"] for name in six}
    assert schemes == {"subword", "whole_word", "named_entity", "noun_phrase", "span"}
    assert [PRETRAININGS[name]["segments"] for name in seven] == [2, 1, 1]
    assert {PRETRAININGS[name]["scheme"] for name in seven} == {"span"}
    assert set(METHODS) == set(TABLE_ROWS["main"])
    assert set(ANNOTATIONS) == {name for name in six if PRETRAININGS[name]["scheme"] in ("named_entity", "noun_phrase")}


def test_googles_rows_are_a_quarter_as_long_for_nine_tenths_of_the_steps():
    flags = flags_of("google_bert", RECIPE)
    assert flags["phases"] == "32:900,128:100" and flags["max_predictions"] == 19  # Google's rule with T 512: 76
