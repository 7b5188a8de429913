"""The picture of a race shows every side, the fastest at the top."""

import pytest

from benchmarks.shared.race_picture import OTHERS, OWN, check_picture, draw_race
from spanbert_keras.errors import InputError


@pytest.fixture
def figures(monkeypatch):
    """The figures as they are closed."""
    pyplot = pytest.importorskip("matplotlib.pyplot")
    closed = []
    monkeypatch.setattr(pyplot, "close", closed.append)
    return closed


def test_bars_are_medians_in_order_with_their_range(figures, tmp_path):
    from matplotlib.colors import to_hex

    path = tmp_path / "race.png"
    ratios = {"ours float32": [1.0, 1.0, 1.0], "ours bfloat16": [1.5, 1.7, 1.4], "transformers": [0.3, 0.2, 0.4]}
    draw_race(str(path), ratios, "ours float32", "A race")
    assert path.read_bytes()[:4] == b"\x89PNG"
    (figure,) = figures
    (axes,) = figure.axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["transformers", "ours float32", "ours bfloat16"]
    assert [bar.get_width() for bar in axes.patches] == pytest.approx([0.3, 1.0, 1.5])
    assert [to_hex(bar.get_facecolor()) for bar in axes.patches] == [OTHERS, OWN, OWN]
    assert [text.get_text() for text in axes.texts] == ["0.30", "1.00", "1.50"]
    (lines,) = (part.get_segments() for part in axes.collections)
    ranges = [sorted(x for x, _ in line) for line in lines]
    assert ranges == [pytest.approx(ends) for ends in ([0.2, 0.4], [1.0, 1.0], [1.4, 1.7])]
    assert axes.get_title() == "A race" and "ours float32" in axes.get_xlabel()


def test_a_picture_that_cannot_be_written_is_an_error_before_the_race(tmp_path):
    pytest.importorskip("matplotlib")
    check_picture(str(tmp_path / "new" / "race.svg"))
    with pytest.raises(InputError, match=r"race.doc has no known ending. Expected: one of .*png"):
        check_picture(str(tmp_path / "race.doc"))
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError):
        check_picture(str(tmp_path / "file" / "race.png"))
