"""Tests of run.json."""

import errno

import keras
import pytest

from spanbert_keras.errors import InputError
from spanbert_keras.files.json_files import read_json
from spanbert_keras.training.run import run_record
from spanbert_keras.training.run.run_record import RunRecord, versions

FLAGS = {"learning_rate": 1e-4, "steps": 10, "eval_schemes": ["span"], "log_every": 50}
FACTS = {"corpus_fingerprint": "abc"}


def begin(folder, flags=FLAGS, facts=FACTS):
    return RunRecord(folder).begin(flags, facts, changeable=("log_every",))


def test_a_record_keeps_flags_facts_and_versions(tmp_path):
    begin(tmp_path / "run")
    found = read_json(tmp_path / "run" / "run.json")
    assert found["flags"] == FLAGS and found["facts"] == FACTS
    assert found["versions"]["backend"] == keras.backend.backend()
    assert found["versions"]["keras"] == keras.__version__
    assert found["scores"] == {}


def test_the_same_run_continues_and_keeps_its_scores(tmp_path):
    begin(tmp_path)
    RunRecord(tmp_path).update(scores={"span": {"masked_lm/loss": 1.5}})
    started = read_json(tmp_path / "run.json")["started"]
    found = begin(tmp_path)
    assert found["scores"] == {"span": {"masked_lm/loss": 1.5}}
    assert found["started"] == started


def test_flags_that_do_not_make_the_run_may_change(tmp_path):
    begin(tmp_path)
    begin(tmp_path, FLAGS | {"log_every": 1})
    assert read_json(tmp_path / "run.json")["flags"]["log_every"] == 1


def test_a_run_of_an_earlier_version_continues(tmp_path):
    begin(tmp_path, {name: value for name, value in FLAGS.items() if name != "steps"})
    with pytest.raises(InputError, match="--steps was None there and is 10 now"):
        begin(tmp_path)
    RunRecord(tmp_path).begin(FLAGS, FACTS, ("log_every",), lambda flags: {"steps": 10} | flags)
    assert read_json(tmp_path / "run.json")["flags"] == FLAGS


@pytest.mark.parametrize(
    "flags, facts, name",
    [
        (FLAGS | {"learning_rate": 2e-4}, FACTS, "--learning_rate was 0.0001 there and is 0.0002 now"),
        (FLAGS | {"eval_schemes": ["span", "subword"]}, FACTS, "--eval_schemes"),
        (FLAGS, {"corpus_fingerprint": "xyz"}, "corpus_fingerprint was 'abc'"),
    ],
)
def test_another_run_is_rejected_and_left_unchanged(tmp_path, flags, facts, name):
    begin(tmp_path)
    before = (tmp_path / "run.json").read_bytes()
    with pytest.raises(InputError, match=name) as caught:
        begin(tmp_path, flags, facts)
    assert str(tmp_path) in str(caught.value) and "--output_dir" in str(caught.value)
    assert (tmp_path / "run.json").read_bytes() == before


def test_all_differences_are_named_up_to_four(tmp_path):
    begin(tmp_path)
    changes = {"learning_rate": 2e-4, "eval_schemes": ["span", "subword"]}
    with pytest.raises(InputError, match=r"--eval_schemes was .* now; --learning_rate was .* or the former values\."):
        begin(tmp_path, FLAGS | changes)
    many = {f"flag_{number}": number for number in range(6)}
    with pytest.raises(InputError, match=r"--flag_0 was None there and is 0 now; .*--flag_3 .* now; and 2 more\. Give"):
        begin(tmp_path, FLAGS | many)


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"flags": 3, "facts": {}}'])
def test_a_file_that_is_not_a_record_is_rejected(tmp_path, content):
    (tmp_path / "run.json").write_text(content)
    with pytest.raises(InputError, match="run.json"):
        begin(tmp_path)
    assert (tmp_path / "run.json").read_text() == content


def test_an_unwritable_output_directory_is_rejected(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="--output_dir"):
        begin(tmp_path / "file")


def test_entries_are_replaced(tmp_path):
    begin(tmp_path)
    RunRecord(tmp_path).update(scores={"a": 1})
    RunRecord(tmp_path).update(finished_steps=7)
    found = read_json(tmp_path / "run.json")
    assert found["scores"] == {"a": 1} and found["finished_steps"] == 7 and "updated" in found


def test_a_full_disk_is_reported_and_leaves_the_record_unchanged(tmp_path, monkeypatch):
    begin(tmp_path)
    before = (tmp_path / "run.json").read_bytes()

    def full(path, value, checksum):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(run_record, "write_json", full)
    with pytest.raises(InputError, match=r"run\.json cannot be written: .*No space left on device"):
        RunRecord(tmp_path).update(finished_steps=7)
    assert (tmp_path / "run.json").read_bytes() == before


def test_a_record_that_was_removed_or_damaged_is_not_updated(tmp_path):
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(InputError, match="run.json"):
        RunRecord(tmp_path).update(finished_steps=7)


def test_versions_name_the_packages_that_compute():
    assert {"python", "backend", "keras", "numpy"} <= set(versions())


def test_a_changed_score_is_noticed(tmp_path):
    begin(tmp_path)
    RunRecord(tmp_path).update(scores={"dev": {"f1": 81.25}})
    text = (tmp_path / "run.json").read_text()
    (tmp_path / "run.json").write_text(text.replace("81.25", "91.25"))
    with pytest.raises(ValueError, match="checksum"):
        read_json(tmp_path / "run.json")
    with pytest.raises(InputError, match="is damaged: its content differs .* Put a copy of it back"):
        begin(tmp_path)
