"""Pictures are drawn of what there is."""

from spanbert_keras.training.monitoring.event_writer import EventWriter
from tasks.ablation.pictures import draw_curves, draw_table, read_scalar
from tests.tasks.ablation.results_test import RESULTS


def size_of(path):
    """Width and height of a PNG file, from its header."""
    data = path.read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    return int.from_bytes(data[16:20]), int.from_bytes(data[20:24])


def test_a_table_has_a_panel_for_each_data_set(tmp_path):
    draw_table(tmp_path / "two.png", RESULTS, "7")
    one = type(RESULTS)(RESULTS.rows, RESULTS.tasks[:1], RESULTS.values)
    draw_table(tmp_path / "one.png", one, "7")
    assert size_of(tmp_path / "two.png")[0] > size_of(tmp_path / "one.png")[0] > 300


def test_without_results_nothing_is_drawn(make_plan, tmp_path):
    draw_table(tmp_path / "a.png", type(RESULTS)([], [], {}), "6")
    draw_curves(tmp_path / "b.png", make_plan())
    assert not list(tmp_path.glob("*.png"))


def test_curves_are_read_from_the_runs(make_plan, tmp_path):
    plan = make_plan("--tables=7")
    folder = plan.pretraining_folder("span_1seq", 1) / "heldout_subword"
    writer = EventWriter(folder)
    for step, loss in ((5, 3.0), (10, 2.5)):
        writer.scalars({"masked_lm/loss_masked": loss}, step)
    writer.close()
    assert read_scalar(folder, "masked_lm/loss_masked") == {5: 3.0, 10: 2.5}
    assert read_scalar(folder, "unknown") == {}
    draw_curves(tmp_path / "curves.png", plan)
    assert size_of(tmp_path / "curves.png")[0] > 1000
