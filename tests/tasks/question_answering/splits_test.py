"""Tests of the splits: the parts, and that a split does not change."""

import pytest

from spanbert_keras.program import InputError
from tasks.question_answering.data import Example
from tasks.question_answering.splits import halve, split_articles


def many(contexts=200, articles=20, questions=3):
    return [
        Example(f"{c}-{q}", "Q?", f"context {c}", ("c",), ((0, 1),), f"article {c % articles}" if articles else "")
        for c in range(contexts)
        for q in range(questions)
    ]


def test_halves_share_no_context_and_depend_on_nothing_else():
    examples = many()
    dev, test = halve(examples)
    assert sorted(map(examples.index, dev + test)) == list(range(600))
    assert not {e.context for e in dev} & {e.context for e in test}
    assert 240 < len(dev) < 360
    assert halve(examples[::-1]) == (dev[::-1], test[::-1])
    assert halve(examples[100:]) == tuple([e for e in half if e in examples[100:]] for half in (dev, test))
    # A split must stay what it was when its scores were written down; these six were computed with sha256sum.
    half = {e.context: name for name, part in (("dev", dev), ("test", test)) for e in part}
    assert [half[f"context {i}"] for i in range(6)] == ["test", "dev", "test", "test", "dev", "test"]


def test_one_context_has_no_halves():
    with pytest.raises(InputError, match="All contexts fall into the same half.*Received: 1"):
        halve(many(contexts=1))


@pytest.mark.parametrize("articles", [20, 2, 0])
@pytest.mark.parametrize("share", [0.25, 0.5, 0.999, 0.001])
def test_an_article_is_in_one_part_only(articles, share):
    examples = many(articles=articles)
    calibration, rest = split_articles(examples, share)
    assert sorted(map(examples.index, calibration + rest)) == list(range(600))
    key = "article" if articles else "context"
    first, second = ({getattr(e, key) for e in part} for part in (calibration, rest))
    groups = articles or 200
    assert not first & second and len(first) == min(max(round(share * groups), 1), groups - 1)
    assert split_articles(examples[::-1], share) == (calibration[::-1], rest[::-1])
    assert split_articles(examples, share) == (calibration, rest)


def test_the_split_follows_the_seed():
    assert len({str(split_articles(many(), 0.5, seed)) for seed in range(5)}) == 5


@pytest.mark.parametrize(
    "examples, share, sentence",
    [
        (many(articles=1), 0.5, r"needs at least two articles.*Received: 1 in 600 questions"),
        ([], 0.5, r"needs at least two articles.*Received: 0"),
        (many(), 0.0, r"between 0 and 1.*Received: 0\.0"),
        (many(), 1.0, r"between 0 and 1.*Received: 1\.0"),
        (many(), float("nan"), r"Received: nan"),
    ],
)
def test_examples_that_cannot_be_split_are_rejected(examples, share, sentence):
    with pytest.raises(InputError, match=f"--calibration_share {sentence}|--calibration_share .*{sentence}"):
        split_articles(examples, share)
