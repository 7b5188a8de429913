"""Named entities without a model: runs of capitalised words."""

import functools
import re
from collections.abc import Sequence
from typing import Any

from spanbert_keras.data.annotations.annotator import ENTITIES, Mention
from spanbert_keras.errors import InputError

LABEL = "NAME"
TITLES = ("Mr", "Mrs", "Ms", "Dr", "Prof", "St")
SENTENCE_ENDS = frozenset(".!?…:")
QUOTES_AND_BRACKETS = "\"'()[]“”‘’«»—–- "
POSSESSIVES = ("'s", "’s")


class RuleAnnotator:
    """Takes runs of capitalised words as named entities, for tests and first experiments.

    A run is words that begin with an upper-case letter, with spaces between them; "Mr." and other titles belong to it.
    A run that begins a sentence needs two words, since the first word of every sentence is capitalised. The pronoun "I"
    is not a name. All mentions have the label `"NAME"`.

    Args:
        names: sequence of str. Annotations to make; only `"entities"` is possible.

    Raises:
        InputError: another annotation is asked for.

    Example:

    ```python
    from spanbert_keras.data.annotations.rule_annotator import RuleAnnotator

    RuleAnnotator(("entities",)).annotate(["Then he met Mr. Smith in New York."])
    # [{"entities": [Mention(12, 21, "NAME"), Mention(25, 33, "NAME")]}]
    ```
    """

    description = "rules 1"

    def __init__(self, names: Sequence[str] = (ENTITIES,)):
        if set(names) != {ENTITIES}:
            raise InputError(
                f"--annotator=rules finds named entities only. Expected: --annotations={ENTITIES}. "
                f"Received: --annotations={','.join(names)}."
            )
        self.settings: dict[str, Any] = {}
        self.labels = {ENTITIES: [LABEL]}

    def annotate(self, texts: Sequence[str]) -> list[dict[str, list[Mention]] | None]:
        """Returns the mentions of each text; see the class."""
        return [{ENTITIES: _mentions(text)} for text in texts]


def _mentions(text: str) -> list[Mention]:
    """Returns the mentions of one text."""
    found = []
    for match in _runs().finditer(text):
        start, end = match.span()
        run = match[0]
        if " " not in run and _begins_sentence(text, start):
            continue
        end -= 2 if run.endswith(POSSESSIVES) else 0
        found.append(Mention(start, end, LABEL))
    return found


def _begins_sentence(text: str, start: int) -> bool:
    """Returns whether a sentence begins at this character of a text, or a line."""
    before = text[max(0, start - 8) : start].rstrip(QUOTES_AND_BRACKETS)
    return before[-1] in SENTENCE_ENDS if before else not text[:start].rstrip(QUOTES_AND_BRACKETS)


@functools.cache
def _runs() -> re.Pattern[str]:
    """Returns the pattern of a run of capitalised words."""
    upper = _ranges([code for code in range(0x10000) if chr(code).isupper() or chr(code).istitle()])
    word = rf"(?:(?:{'|'.join(TITLES)})\.|(?!I\b)[{upper}]\w*(?:[-'’]\w+)*)"  # not the pronoun
    return re.compile(rf"(?<![\w'’-]){word}(?: +{word})*")


def _ranges(codes: Sequence[int]) -> str:
    """Returns ascending characters as ranges of a character class."""
    parts: list[list[int]] = []
    for code in codes:
        if parts and parts[-1][1] == code - 1:
            parts[-1][1] = code
        else:
            parts.append([code, code])
    return "".join(f"{chr(first)}-{chr(last)}" for first, last in parts)
