"""Rows with the classes of spans: places across windows, counts, and what cannot be a target."""

import numpy as np
import pytest

from spanbert_keras import SpanBertTokenizer
from spanbert_keras.errors import InputError
from spanbert_keras.preprocessing.preprocessors.span_label_rows import SpanLabelRows
from spanbert_keras.preprocessing.word_windows import WordWindows

PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "b", "##a", "##b", "."]
LABELS = ["PER", "LOC"]


@pytest.fixture(scope="module")
def windows():
    return WordWindows(SpanBertTokenizer(PIECES), 10, 3)


def targets_of(rows, lengths):
    """Returns the classes that all rows together give the spans of each text, -1 for a span that no row scores."""
    batch = rows.batch(np.arange(len(rows)), int(rows.lengths.max()))
    found = [np.full((length, 3), -1) for length in lengths]
    for place, row in enumerate(rows.rows):
        scored = batch["span_weights"][place] == 1
        assert scored[: len(row.word_starts)].sum() == scored.sum()
        here = found[rows.examples[place]][row.first_word : row.first_word + len(row.word_starts)]
        mask = scored[: len(here)]
        assert (here[mask] == -1).all()
        here[mask] = batch["span_labels"][place, : len(here)][mask]
    return found


def test_each_entity_is_the_target_of_one_span_in_one_row(windows):
    rng = np.random.default_rng(0)
    texts = [" ".join("".join(rng.choice(["a", "b"], rng.integers(1, 5))) for _ in range(n)) for n in (1, 40, 9)]
    spans, expected, too_wide = [], [], 0
    for text in texts:
        words = windows.of_text(text)
        classes, entities = np.zeros((len(words), 3), int), []
        for first in range(0, len(words), 2):
            width = int(rng.integers(min(3, len(words) - first)))
            label = int(rng.integers(2))
            classes[first, width] = label + 1
            entities.append((int(words.starts[first]), int(words.ends[first + width]), LABELS[label]))
        last = np.arange(len(words))[:, None] + np.arange(3)
        pieces = words.lasts[np.minimum(last, len(words) - 1)] + 1 - words.firsts[:, None]
        fits = (last < len(words)) & (pieces <= 8)  # a row of 10 tokens
        too_wide += int((classes[~fits] > 0).sum())
        expected.append(np.where(fits, classes, -1))
        spans.append(entities)
    rows = SpanLabelRows(texts, spans, LABELS, windows, [1.0, 2.0, 3.0])
    assert len(rows) > 5 and rows.weights.tolist() == [float(one + 1) for one in rows.examples]
    for found, wanted in zip(targets_of(rows, [len(one) for one in expected]), expected, strict=True):
        np.testing.assert_array_equal(found, wanted)
    assert too_wide > 0 and rows.counts == {
        "entities": sum(map(len, spans)),
        "entities_too_wide": too_wide,
        "entities_without_words": 0,
        "entities_twice": 0,
        "entities_moved": 0,
    }


def test_what_cannot_be_a_target_is_counted(windows):
    entities = [(0, 4, "PER"), (0, 4, "LOC"), (0, 9, "PER"), (4, 5, "PER"), (1, 3, "LOC")]
    rows = SpanLabelRows(["abba ab a b"], [entities], LABELS, windows)
    assert rows.counts == {
        "entities": 5,
        "entities_too_wide": 0,
        "entities_without_words": 1,
        "entities_twice": 2,
        "entities_moved": 0,
    }
    assert SpanLabelRows(["abba"], [[(1, 3, "PER")]], LABELS, windows).counts["entities_moved"] == 1
    assert targets_of(rows, [4])[0].tolist() == [[1, 0, 1], [0, 0, 0], [0, 0, -1], [0, -1, -1]]
    rows = SpanLabelRows(["a a a a a"], [[(0, 7, "PER")]], LABELS, windows)
    assert rows.counts["entities_too_wide"] == 1 and targets_of(rows, [5])[0].max() == 0


def test_rows_without_entities_have_no_targets(windows):
    rows = SpanLabelRows([("a", "b"), "ab"], None, LABELS, windows)
    assert rows.target_keys == () and set(rows.batch(np.array([0, 1]), 4)) == set(rows.input_keys)


@pytest.mark.parametrize(
    "texts, entities, message",
    [
        (["a", " "], None, "Text 1 has no words"),
        ([()], None, "Text 0 has no words"),
        (["a"], [[(0, 1, "ORG")]], "unknown label. Expected: one of 'PER', 'LOC'. Received: 'ORG'"),
    ],
)
def test_errors_are_one_sentence(windows, texts, entities, message):
    with pytest.raises(InputError, match=message):
        SpanLabelRows(texts, entities, LABELS, windows)
