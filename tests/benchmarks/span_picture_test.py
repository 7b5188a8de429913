"""The picture of a masked span: what it shows, and what it rejects."""

import pytest

from benchmarks import span_picture
from spanbert_keras import SpanBertEncoder, SpanBertPretrainer
from spanbert_keras.errors import InputError


@pytest.fixture(scope="module")
def pretrainer(toy_tokenizer):
    encoder = SpanBertEncoder(64, 1, 2, 8, 12, 0.0, max_sequence_length=24, tokenizer=toy_tokenizer)
    return SpanBertPretrainer(encoder)


def test_the_marked_words_are_masked_and_both_heads_predict_as_many_pieces(pretrainer):
    pieces, span, heads = span_picture.predictions(pretrainer, "w1 w2 [w3 w4] w5")
    assert pieces == ["[CLS]", "w1", "w2", "w3", "w4", "w5", "[SEP]"] and span == slice(3, 5)
    filled = pretrainer.fill_spans("w1 w2 [MASK] [MASK] w5").spans[0]
    assert {name: text for name, (text, _) in heads.items()} == {
        "masked LM": filled.masked_lm,
        "span boundary objective": filled.span_boundary,
    }
    assert all(0 < probability < 1 for _, probability in heads.values())


@pytest.mark.parametrize("text", ["w1 w2", "w1 [w2] w3 [w4]", "[]", "w1 [ ] w2", "w1 [w2"])
def test_a_text_without_one_span_is_rejected(pretrainer, text):
    with pytest.raises(InputError, match="one span in square brackets"):
        span_picture.predictions(pretrainer, text)


def test_the_picture_has_every_piece_and_both_predictions(pretrainer, tmp_path, monkeypatch):
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    from matplotlib.axes import Axes

    shown = []
    write = Axes.text
    monkeypatch.setattr(Axes, "text", lambda self, x, y, s, **kwargs: shown.append(s) or write(self, x, y, s, **kwargs))
    heads = {"masked LM": ("a guess", 0.5), "span boundary objective": ("another", 0.25)}
    span_picture.draw(str(tmp_path / "new" / "span.png"), ["[CLS]", "w1", "w2", "w3", "[SEP]"], slice(2, 4), heads)
    assert (tmp_path / "new" / "span.png").stat().st_size > 1000
    assert shown.count("[MASK]") == 2 and {"w1", "w2", "w3", "a guess", "another"} <= set(shown)
    assert {"masked LM, 50% per piece", "span boundary objective, 25% per piece"} <= set(shown)
