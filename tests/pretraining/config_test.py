"""Tests of the settings of pre-training: contradictions are rejected."""

import pytest

from spanbert_keras.errors import InputError
from spanbert_keras.pretraining.config import Config


def test_the_error_of_an_uneven_batch_names_the_nearest_size():
    with pytest.raises(InputError, match="--batch_tokens=1000 .*--max_sequence_length=96; the nearest is 960"):
        Config(corpus="a", output_dir="b", batch_tokens=1000, max_sequence_length=96)
    assert Config(corpus="a", output_dir="b", batch_tokens=960, max_sequence_length=96).batch_rows == 10


def make(**changes):
    return Config(**{"corpus": "a", "output_dir": "b", "batch_sequences": 4, "steps": 10, "warmup_steps": 1, **changes})


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"nsp_weight": 0.5},
            "--nsp_weight=0.5 needs pairs. Expected: --segments=2, or no --nsp_weight. Received: --seg",
        ),
        ({"pair_units": "sentence"}, "--pair_units=sentence needs pairs"),
        ({"pair_copies": 2}, "--pair_copies=2 needs pairs"),
        ({"short_sequence_rate": 0.1}, "--short_sequence_rate=0.1 needs pairs"),
        ({"segments": 2, "cut": "line"}, "--cut=line has no effect with --segments=2"),
        ({"segments": 3}, "--segments must be at least 1 and below 3. Received: 3"),
        ({"masking_rule": "bert"}, "--masking_rule=bert needs --scheme=whole_word or subword. Received: --scheme=span"),
        ({"entity_labels": ("PERSON",)}, "--entity_labels=PERSON needs --scheme=named_entity. Received: --scheme=span"),
        (
            {"mention_rate": 0.2},
            "--mention_rate=0.2 needs --scheme=named_entity or noun_phrase. Received: --scheme=span",
        ),
        ({"segments": 2, "phases": "4:4,128:6"}, "The row length 4 of --phases must be at least 5 and at most"),
        ({"segments": 2, "max_sequence_length": 4}, "The --max_sequence_length=4 must be at least 5. Received: 4"),
        ({"max_predictions": 20}, "--max_predictions=20 needs --masking_rule=bert: .* Received: --masking_rule=paper"),
        ({"phases": "128"}, "--phases must be row length:steps, .* Received: '128' in '128'"),
        ({"phases": "128:4,:6"}, "--phases must be row length:steps, .* Received: ':6' in '128:4,:6'"),
        ({"phases": "128:-4"}, "--phases must be row length:steps"),
        ({"phases": "128:4,64:5"}, "--phases=128:4,64:5 must add up to --steps=10. Received: 9 steps"),
        (
            {"phases": "128:4,640:6"},
            "row length 640 of --phases must be at least 3 and at most --max_sequence_length=512",
        ),
        (
            {"phases": "96:4,128:6", "batch_sequences": None, "batch_tokens": 1024},
            "--batch_tokens=1024 must be a multiple of the row length 96 of --phases; the nearest is 1056",
        ),
    ],
)
def test_flags_that_contradict_each_other_are_rejected_by_a_sentence(changes, sentence):
    with pytest.raises(InputError, match=sentence):
        make(**changes)


def test_the_weight_of_next_sentence_prediction_follows_the_segments():
    assert (make().next_sentence_weight, make().next_sentence) == (0.0, False)
    assert (make(segments=2).next_sentence_weight, make(segments=2).next_sentence) == (1.0, True)
    assert make(segments=2, nsp_weight=0.25).next_sentence_weight == 0.25
    assert not make(segments=2, nsp_weight=0.0).next_sentence


def test_phases_keep_the_rows_or_the_tokens_of_a_step():
    phases = {"phases": "128:4,512:6"}
    assert [(phase.row_length, phase.steps) for phase in make(**phases).phase_list] == [(128, 4), (512, 6)]
    assert [make(**phases).rows_of(length) for length in (128, 512)] == [4, 4]
    by_tokens = make(**phases, batch_sequences=None, batch_tokens=2048)
    assert [by_tokens.rows_of(length) for length in (128, 512)] == [16, 4]
    assert (by_tokens.longest_row, by_tokens.batch_rows) == (512, 4)
    assert [(phase.row_length, phase.steps) for phase in make().phase_list] == [(512, 10)]


@pytest.mark.parametrize(
    "changes, sentence",
    [
        (
            {"batch_sequences": 2 * 10**9},
            "A step has 2,000,000,000 rows of 512 tokens. Expected: at most 1,048,576 rows.",
        ),
        ({"num_layers": 10**9}, "--num_layers must be at least 1 and below 1001. Received: 1000000000."),
        ({"max_span_length": 10**9}, "--max_span_length must be at least 1 and below 1001. Received: 1000000000."),
        (
            {"max_sequence_length": 10**9},
            "--max_sequence_length must be at least 3 and below 1048577. Received: 1000000000.",
        ),
        (
            {"train_vocabulary": 10**9},
            "--train_vocabulary must be at least 1 and below 10000001. Received: 1000000000.",
        ),
    ],
)
def test_sizes_that_no_run_can_have_are_rejected_at_once(changes, sentence):
    with pytest.raises(InputError) as error:
        make(**changes)
    assert str(error.value) == sentence
