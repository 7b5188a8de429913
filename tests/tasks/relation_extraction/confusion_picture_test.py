"""Tests of the picture: it is a picture, shows its numbers, takes any label."""

import sys

import numpy as np
import pytest

from spanbert_keras.program import InputError
from tasks.relation_extraction.confusion_picture import draw


def pixels(path):
    image = pytest.importorskip("matplotlib.image", reason="pictures are matplotlib's")
    return image.imread(path)


def test_the_picture_is_darker_where_labels_go(tmp_path):
    names = ["no_relation", "per:title", "org:founded"]
    draw(tmp_path / "one.png", np.array([[5, 0, 0], [0, 5, 0], [0, 0, 5]]), names)
    draw(tmp_path / "two.png", np.array([[0, 5, 0], [0, 5, 0], [0, 5, 0]]), names)
    draw(tmp_path / "none.png", np.zeros((3, 3), int), names)
    one, two, none = (pixels(tmp_path / f"{name}.png") for name in ("one", "two", "none"))
    assert (tmp_path / "one.png").read_bytes().startswith(b"\x89PNG")
    assert one.shape[0] > 300 and one.shape[1] > 300 and one.std() > 0.05
    assert abs(one - two).mean() > 0.01
    assert none.mean() > one.mean() and none.std() > 0.01  # labels and the scale are there


def test_rows_are_gold_and_columns_predicted(tmp_path):
    counts = np.zeros((4, 4), int)
    counts[0, 3] = 7  # gold 0 was called 3: right above
    draw(tmp_path / "picture.png", counts, list("abcd"))
    counts[0, 3] = 0
    draw(tmp_path / "empty.png", counts, list("abcd"))
    changed = abs(pixels(tmp_path / "picture.png") - pixels(tmp_path / "empty.png")).sum(axis=2) > 0.3
    drawn = pixels(tmp_path / "picture.png").shape
    rows, columns = np.nonzero(changed)
    assert rows.size > 100
    assert rows.mean() < drawn[0] / 2 and columns.mean() > 0.4 * drawn[1]


def test_labels_are_shown_as_they_are(tmp_path, recwarn):
    names = ["$\\frac{", "a_b^c", "$x$", "<b>", "per:título", "%s {0}"]
    draw(tmp_path / "odd.png", np.eye(6, dtype=int), names)
    plain = [name.replace("$", "") for name in names]
    draw(tmp_path / "plain.png", np.eye(6, dtype=int), plain)
    odd, other = pixels(tmp_path / "odd.png"), pixels(tmp_path / "plain.png")
    assert odd.shape != other.shape or abs(odd - other).max() > 0.3  # the $ are there


def test_more_labels_make_a_larger_picture(tmp_path):
    for size in (2, 42):
        draw(tmp_path / f"{size}.png", np.eye(size, dtype=int), [f"label {i}" for i in range(size)])
    small, large = pixels(tmp_path / "2.png"), pixels(tmp_path / "42.png")
    assert large.shape[0] > 2 * small.shape[0] and large.shape[1] > 2 * small.shape[1]


def test_without_matplotlib_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(InputError, match=r"^matplotlib cannot be imported: .* Install the extra: .*\[classification\]"):
        draw(tmp_path / "picture.png", np.eye(2, dtype=int), ["a", "b"])
    assert not (tmp_path / "picture.png").exists()
