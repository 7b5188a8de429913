"""Splits of questions that keep a context, or an article, on one side."""

import hashlib
from collections.abc import Sequence

from spanbert_keras.program import InputError
from tasks.question_answering.data import Example


def halve(examples: Sequence[Example]) -> tuple[list[Example], list[Example]]:
    """Splits examples into two halves by the SHA-256 of their context, so that both have different contexts.

    The paper halves each of MRQA's dev sets into dev and test; its split was not released. This one only depends
    on the text of each context: neither on the order nor on the other contexts.

    Returns:
        (dev, test), each in the order given.

    Raises:
        InputError: a half is empty because there are too few contexts.
    """
    halves: tuple[list[Example], list[Example]] = ([], [])
    for example in examples:
        halves[_digest(example.context)[-1] % 2].append(example)
    if not all(halves):
        contexts = len({example.context for example in examples})
        raise InputError(
            f"All contexts fall into the same half. Expected: a dozen contexts or more. Received: {contexts}."
        )
    return halves


def split_articles(examples: Sequence[Example], share: float, seed: int = 0) -> tuple[list[Example], list[Example]]:
    """Splits examples by article, so that both parts have different ones; a context without title is its own article.

    Articles are ranked by the SHA-256 of seed and title. The first part gets a `share` of them: at least one, not all.

    Args:
        examples: sequence of `Example`.
        share: float. Share of the articles in the first part, between 0 and 1.
        seed: int. Seed of the ranking. Defaults to `0`.

    Returns:
        (calibration, rest), each in the order given.

    Raises:
        InputError: fewer than two articles, or a share that leaves a part empty.
    """
    if not 0 < share < 1:
        raise InputError(f"--calibration_share must be between 0 and 1, both excluded. Received: {share}.")
    keys = [("article", e.article) if e.article else ("context", e.context) for e in examples]
    ranked = sorted(set(keys), key=lambda key: (_digest(f"{seed}\n{key[0]}\n{key[1]}"), key))
    if len(ranked) < 2:
        raise InputError(
            "--calibration_share needs at least two articles: one to fit on and one to score. "
            f"Received: {len(ranked)} in {len(examples)} questions."
        )
    chosen = set(ranked[: min(max(round(share * len(ranked)), 1), len(ranked) - 1)])
    parts: tuple[list[Example], list[Example]] = ([], [])
    for key, example in zip(keys, examples, strict=True):
        parts[key not in chosen].append(example)
    return parts


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
