"""Tests of event files, read back with TensorBoard's own reader."""

import numpy as np
import pytest
from tensorboard.backend.event_processing.plugin_event_accumulator import EventAccumulator
from tensorboard.util.tensor_util import make_ndarray

from spanbert_keras.training.event_writer import EventWriter


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
