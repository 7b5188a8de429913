"""Tests of the base of all tasks: checksums, lengths of rows, left-out examples, exit codes."""

import dataclasses
import types

import keras
import numpy as np
import pytest

import spanbert_keras
from spanbert_keras import program
from spanbert_keras.fine_tuning import study
from spanbert_keras.program import InputError
from tasks.shared import task
from tasks.shared.task import Task, fine_tune, fingerprint


@dataclasses.dataclass(frozen=True)
class Example:
    id: str
    text: str


ONE, TWO = Example("1", "a b"), Example("2", "\ud800 odd")


def test_a_checksum_depends_on_every_field_and_on_the_order():
    same = fingerprint([Example("1", "a b"), TWO])
    assert fingerprint([ONE, TWO]) == same and len(same) == 16
    others = [[TWO, ONE], [ONE], [], [Example("1", "a c"), TWO], [Example("3", "a b"), TWO]]
    assert len({same, *map(fingerprint, others)}) == 6


def test_facts_are_the_checksums_of_the_sets():
    class Small(Task):
        def sets(self):
            return {"train": [ONE], "dev": [TWO]}

    assert Small(None).facts() == {"train": fingerprint([ONE]), "dev": fingerprint([TWO])}
    assert Small(None).task_learning_rate is None


def test_the_encoder_has_the_dtype_policy_in_force_and_the_dropout_of_the_flag(monkeypatch):
    asked = []

    def load_pretrained(*given, **overrides):
        asked.append((given, overrides))
        return types.SimpleNamespace(tokenizer=types.SimpleNamespace(has_vocabulary=len(asked) < 3))

    monkeypatch.setattr(spanbert_keras, "load_pretrained", load_pretrained)
    monkeypatch.setattr(keras.mixed_precision, "dtype_policy", lambda: keras.DTypePolicy("mixed_bfloat16"))
    for dropout in (None, 0.3):
        task.load_encoder(types.SimpleNamespace(encoder="e.keras", dropout=dropout))
    both = {"dropout": 0.3, "attention_dropout": 0.3}
    assert [given for given, _ in asked] == [("e.keras", "encoder")] * 2
    assert [overrides for _, overrides in asked] == [{"dtype": "mixed_bfloat16"}, {"dtype": "mixed_bfloat16"} | both]
    with pytest.raises(InputError, match="--encoder=e.keras has no tokenizer. Convert it with its vocab.txt"):
        task.load_encoder(types.SimpleNamespace(encoder="e.keras", dropout=None))


def test_the_encoder_may_be_that_of_a_step_of_a_pretraining_run(encoder_path, write_pretraining_run):
    encoder = keras.saving.load_model(encoder_path)
    run = write_pretraining_run(spanbert_keras.SpanBertPretrainer(encoder), 2, 5)
    for path, step in ((run / "checkpoints" / "step_00000002", 2), (run, 5)):
        found = task.load_encoder(types.SimpleNamespace(encoder=str(path), dropout=0.3))
        assert isinstance(found, spanbert_keras.SpanBertEncoder) and found.dropout == 0.3
        for one, two in zip(encoder.weights, found.weights, strict=True):
            if "seed_generator" not in one.path:
                one, two = keras.ops.convert_to_numpy(one.value), keras.ops.convert_to_numpy(two.value)
                np.testing.assert_array_equal(one + np.float32(step), two)


@pytest.mark.parametrize("wanted, length, warned", [(64, 64, False), (512, 128, True)])
def test_rows_are_at_most_as_long_as_the_encoders_maximum(monkeypatch, caplog, wanted, length, warned):
    encoder = types.SimpleNamespace(max_sequence_length=128)
    monkeypatch.setattr(task, "load_encoder", lambda config: encoder)
    found = Task(types.SimpleNamespace(row_length=wanted)).load_encoder("row_length")
    assert found == (encoder, length)
    assert ("reads at most 128 tokens: rows have this length, not --row_length=512" in caplog.text) == warned


def test_settings_of_an_invalid_model_are_reported_with_the_encoder():
    def reject(encoder, **settings):
        raise ValueError(f"`width` must be positive. Received: {settings}.")

    one = Task(types.SimpleNamespace(encoder="e.keras"))
    with pytest.raises(InputError, match=r"The model cannot be built on --encoder=e.keras: `width` must be positive"):
        one.build(reject, None, width=0)
    assert one.build(lambda encoder, **settings: (encoder, settings), "e", width=1) == ("e", {"width": 1})


def test_left_out_examples_are_logged_once_the_first_few_in_full(caplog):
    one = Task(None)
    one.left_out += [f"line {i} is bad" for i in range(7)]
    one.log_left_out()
    one.log_left_out()
    assert [f"line {i} is bad" in caplog.text for i in range(7)] == [True] * 5 + [False] * 2
    assert caplog.text.count("Examples left out in total: 7") == 1


@pytest.mark.parametrize("code", [0, 75, 130])
def test_a_run_that_was_stopped_ends_with_its_exit_code(monkeypatch, code):
    asked = []

    class Study:
        def __init__(self, *given):
            asked.append(given)

        def run(self):
            return code

    monkeypatch.setattr(study, "FineTuningStudy", Study)
    config = types.SimpleNamespace(output_dir="runs/x")
    if code:
        with pytest.raises(SystemExit) as ended:
            fine_tune(config, Task)
        assert ended.value.code == code
    else:
        fine_tune(config, Task)
    assert asked == [(config, Task, program.to_flags)]
