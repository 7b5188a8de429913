"""Exact match and token F1 of one answer, by the rules of SQuAD (Rajpurkar et al., 2016, section 6.1) and SQuAD 2.0."""

import collections
import re
import string
from collections.abc import Collection

ARTICLES = re.compile(r"\b(?:a|an|the)\b")
NO_PUNCTUATION = str.maketrans("", "", string.punctuation)
NO_ANSWER = ("",)


def normalize_answer(text: str) -> str:
    """Returns a text without case, ASCII punctuation, English articles and superfluous space.

    Articles are removed after punctuation, so "the-end" keeps its letters: "theend".

    Example:

    ```python
    from spanbert_keras.fine_tuning.answer_scores import normalize_answer

    normalize_answer("The  Cat's (a) hat!")  # "cats hat"
    ```
    """
    return " ".join(ARTICLES.sub(" ", text.lower().translate(NO_PUNCTUATION)).split())


def exact_match(prediction: str, answers: Collection[str]) -> float:
    """Returns 1.0 if the normalised prediction is one of the normalised answers, else 0.0.

    Args:
        prediction: str. `""` stands for no answer.
        answers: collection of str. The gold texts; if empty, `""` is right.
    """
    return float(normalize_answer(prediction) in map(normalize_answer, answers or NO_ANSWER))


def f1(prediction: str, answers: Collection[str], empty_agree: bool = False) -> float:
    """Returns the F1 of the prediction's normalised words, as a bag, with those of the best of the answers.

    F1 = 2 P R / (P + R), P the share of the prediction's words that the answer has, R of the answer's words that the
    prediction has.

    Args:
        prediction: str. `""` stands for no answer.
        answers: collection of str. The gold texts; if empty, `""` is right.
        empty_agree: bool. Whether two texts without words score 1 (SQuAD 2.0) or 0 (SQuAD 1.1, MRQA). Defaults to
            `False`.
    """
    words = normalize_answer(prediction).split()
    return max(_words_f1(words, normalize_answer(answer).split(), empty_agree) for answer in answers or NO_ANSWER)


def _words_f1(prediction: list[str], answer: list[str], empty_agree: bool) -> float:
    """Returns the F1 of two bags of words."""
    common = (collections.Counter(prediction) & collections.Counter(answer)).total()
    if common == 0:
        return float(empty_agree and not prediction and not answer)
    precision, recall = common / len(prediction), common / len(answer)
    return 2 * precision * recall / (precision + recall)
