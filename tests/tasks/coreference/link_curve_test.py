"""Tests of links by their lowest probability: numbers known by hand, those of the program, and the picture."""

import types

import pytest

from spanbert_keras import Document
from spanbert_keras.program import InputError
from tasks.coreference import link_curve

A, B, C, D, E = [(i, i + 1) for i in range(5)]
LINKS = {(A, B): 0.97, (C, E): 0.6}  # the second is wrong


class Model:
    """Links what `LINKS` says."""

    asked: list = []

    def resolve(self, documents, mentions, batch_size, singletons, min_score):
        self.asked.append((mentions, batch_size, singletons))
        chains = tuple(pair for pair, probability in LINKS.items() if probability >= min_score)
        return [types.SimpleNamespace(token_clusters=chains) for _ in documents]


@pytest.mark.parametrize("gold_mentions", [False, True])
def test_precision_rises_where_wrong_links_are_less_likely(gold_mentions):
    gold = [Document(tokens=tuple("abcde"), clusters=((A, B), (C, D)))]
    model = Model()
    table = link_curve.scores(model, gold, 4, gold_mentions)
    assert list(table) == ["0", "0.3", "0.4", "0.5", "0.6", "0.7", "0.8", "0.9", "0.95", "0.99"]
    for limit, row in table.items():
        known = (50, 50) if float(limit) <= 0.6 else (100, 50) if float(limit) <= 0.95 else (0, 0)
        assert (row["precision"], row["recall"]) == pytest.approx(known)
    assert table["0.7"]["f1"] == pytest.approx(200 / 3)
    given, batch_size, singletons = model.asked[-1]
    assert (batch_size, singletons) == (4, False) and (given is not None) == gold_mentions


def test_the_picture_has_the_numbers(tmp_path, monkeypatch):
    from matplotlib import pyplot
    from matplotlib.figure import Figure

    figures = []
    monkeypatch.setattr(pyplot, "close", figures.append)
    table = {
        "0": {"precision": 60.0, "recall": 50.0, "f1": 55.0},
        "0.9": {"precision": 90.0, "recall": 20.0, "f1": 33.0},
    }
    link_curve.draw(tmp_path / "links.png", table)
    assert (tmp_path / "links.png").read_bytes().startswith(b"\x89PNG")
    (figure,) = figures
    assert isinstance(figure, Figure)
    lines = {line.get_label(): (list(line.get_xdata()), list(line.get_ydata())) for line in figure.axes[0].get_lines()}
    assert lines["precision"] == ([0.0, 0.9], [60.0, 90.0]) and lines["F1"] == ([0.0, 0.9], [55.0, 33.0])
    assert lines["recall"] == ([0.0, 0.9], [50.0, 20.0])


def test_a_missing_library_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "matplotlib", None)
    with pytest.raises(InputError, match=r"matplotlib cannot be imported.*spanbert-keras\[coreference\]"):
        link_curve.need_library()
