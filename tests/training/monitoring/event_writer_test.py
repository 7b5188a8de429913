"""Tests of event files, read back with TensorBoard's own reader."""

import errno

import numpy as np
import pytest
from tensorboard.backend.event_processing.plugin_event_accumulator import EventAccumulator
from tensorboard.summary.writer.record_writer import RecordWriter
from tensorboard.util.tensor_util import make_ndarray

from spanbert_keras.training.monitoring import event_writer
from spanbert_keras.training.monitoring.event_writer import EventWriter


def read(folder):
    accumulator = EventAccumulator(str(folder), size_guidance={"tensors": 0})
    accumulator.Reload()
    return accumulator


def values(accumulator, tag):
    return {event.step: make_ndarray(event.tensor_proto) for event in accumulator.Tensors(tag)}


def test_scalars_come_back_by_tag_and_step(tmp_path):
    writer = EventWriter(tmp_path)
    writer.scalars({"masked_lm/loss": 3.5, "data/padding_share": 0.25}, 10)
    writer.scalars({"masked_lm/loss": 2.5}, 20)
    writer.close()
    found = read(tmp_path)
    assert values(found, "masked_lm/loss") == {10: 3.5, 20: 2.5}
    assert values(found, "data/padding_share") == {10: 0.25}
    assert found.SummaryMetadata("masked_lm/loss").plugin_data.plugin_name == "scalars"


def test_a_histogram_has_a_bar_for_each_whole_number(tmp_path):
    writer = EventWriter(tmp_path)
    writer.histogram("data/span_lengths", np.array([0, 5, 2]), 3)
    writer.close()
    found = read(tmp_path)
    bars = values(found, "data/span_lengths")[3]
    assert bars.tolist() == [[-0.5, 0.5, 0], [0.5, 1.5, 5], [1.5, 2.5, 2]]
    assert found.SummaryMetadata("data/span_lengths").plugin_data.plugin_name == "histograms"


def test_texts_come_back(tmp_path):
    writer = EventWriter(tmp_path)
    writer.text("predicted_spans", "| ü | **b** |", 4)
    writer.close()
    found = read(tmp_path)
    assert values(found, "predicted_spans")[4].tolist() == ["| ü | **b** |".encode()]
    assert found.SummaryMetadata("predicted_spans").plugin_data.plugin_name == "text"


def test_what_is_flushed_can_be_read_while_the_file_is_open(tmp_path):
    writer = EventWriter(tmp_path)
    writer.scalars({"a": 1.0}, 1)
    writer.flush()
    assert values(read(tmp_path), "a") == {1: 1.0}
    writer.close()


@pytest.mark.parametrize("resumed_at, kept", [(None, {5, 6}), (5, {1, 2, 3, 5, 6}), (3, {1, 2, 3, 4})])
def test_points_after_the_step_at_which_a_run_continues_are_hidden(tmp_path, resumed_at, kept):
    writer = EventWriter(tmp_path)
    for step in (1, 2, 3) if resumed_at != 3 else (1, 2, 5, 6):
        writer.scalars({"a": float(step)}, step)
    writer.close()
    (path,) = tmp_path.iterdir()
    path.rename(tmp_path / "events.out.tfevents.0000000001.host")  # the earlier file of two
    writer = EventWriter(tmp_path, resumed_at=resumed_at)
    for step in (5, 6) if resumed_at != 3 else (3, 4):
        writer.scalars({"a": float(step)}, step)
    writer.close()
    assert set(values(read(tmp_path), "a")) == kept


def test_a_restart_at_an_earlier_step_hides_the_points_from_there_on(tmp_path):
    writer = EventWriter(tmp_path)
    for step in (1, 2, 3, 4):
        writer.scalars({"a": float(step)}, step)
    writer.restart(3)
    writer.scalars({"a": 30.0}, 3)
    writer.close()
    assert values(read(tmp_path), "a") == {1: 1.0, 2: 2.0, 3: 30.0}


@pytest.fixture
def warnings(monkeypatch):
    """What was logged as a warning; a failed file is followed by another at once."""
    found = []
    monkeypatch.setattr(event_writer.logging, "warning", lambda text, *values: found.append(text % values))
    monkeypatch.setattr(event_writer, "RETRY_SECONDS", 0.0)
    return found


@pytest.fixture
def full_disk(monkeypatch):
    """Function that makes one of RecordWriter's methods raise while `full_disk.on` is true."""

    class Full:
        on = False

        def __call__(self, method):
            real = getattr(RecordWriter, method)

            def fail(records, *arguments):
                if self.on:
                    if method == "close":
                        real(records)
                    raise OSError(errno.ENOSPC, "No space left on device")
                return real(records, *arguments)

            monkeypatch.setattr(RecordWriter, method, fail)

    return Full()


@pytest.mark.parametrize("method", ["write", "flush"])
def test_a_full_disk_costs_events_gives_one_warning_and_a_new_file_follows(tmp_path, full_disk, warnings, method):
    full_disk(method)
    writer = EventWriter(tmp_path)
    writer.scalars({"a": 1.0}, 1)
    writer.flush()
    full_disk.on = True
    for step in (2, 3):
        writer.scalars({"a": float(step)}, step)
        writer.flush()
    assert len(warnings) == 1
    assert str(tmp_path) in warnings[0] and "No space left on device" in warnings[0]
    assert "curves have a gap; training continues" in warnings[0]
    assert len(list(tmp_path.iterdir())) == 1  # no file that holds nothing
    full_disk.on = False
    writer.scalars({"a": 4.0}, 4)
    writer.flush()
    full_disk.on = True
    writer.scalars({"a": 5.0}, 5)
    writer.flush()
    writer.close()
    assert len(warnings) == 2
    full_disk.on = False
    found = values(read(tmp_path), "a")
    assert {1, 4} <= set(found) and 3 not in found


def test_a_close_that_fails_is_a_warning(tmp_path, full_disk, warnings):
    full_disk("close")
    writer = EventWriter(tmp_path)
    full_disk.on = True
    writer.close()
    assert len(warnings) == 1
    writer.close()
    assert len(warnings) == 1


def test_a_folder_that_cannot_be_created_gives_a_warning(tmp_path, warnings):
    (tmp_path / "train").write_text("a file")
    writer = EventWriter(tmp_path / "train")
    writer.scalars({"a": 1.0}, 1)
    writer.close()
    assert len(warnings) == 1 and "train" in warnings[0]


def test_a_new_file_is_tried_only_after_a_pause(tmp_path, full_disk, warnings, monkeypatch):
    monkeypatch.setattr(event_writer, "RETRY_SECONDS", 3600.0)
    full_disk("write")
    full_disk.on = True
    writer = EventWriter(tmp_path)
    full_disk.on = False
    writer.scalars({"a": 1.0}, 1)
    writer.flush()
    assert list(tmp_path.iterdir()) == []


def test_a_restart_at_an_earlier_step_survives_a_full_disk(tmp_path, full_disk, warnings):
    full_disk("write")
    writer = EventWriter(tmp_path)
    for step in (1, 2, 3, 4):
        writer.scalars({"a": float(step)}, step)
    writer.flush()
    full_disk.on = True
    writer.restart(3)
    writer.restart(4)
    full_disk.on = False
    writer.scalars({"a": 40.0}, 4)
    writer.close()
    assert values(read(tmp_path), "a") == {1: 1.0, 2: 2.0, 4: 40.0}


def test_a_file_that_may_not_grow_does_not_end_the_process_and_nothing_is_printed(
    small_disk, tmp_path, warnings, capfd
):
    writer = EventWriter(tmp_path)
    writer.text("long", "x" * 1_000_000, 1)  # longer than all else that this process writes
    writer.flush()
    (path,) = tmp_path.iterdir()
    with small_disk(path.stat().st_size + 1):
        writer.scalars({"a": 2.0}, 2)
        writer.flush()
    assert len(warnings) == 1
    for step in (3, 4):
        writer.scalars({"a": float(step)}, step)
    writer.close()
    assert values(read(tmp_path), "a") == {3: 3.0, 4: 4.0}
    assert capfd.readouterr().err == ""
