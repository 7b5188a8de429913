"""What an annotator is: texts in, mentions out."""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

ENTITIES, NOUN_PHRASES = "entities", "noun_phrases"
ANNOTATIONS = (ENTITIES, NOUN_PHRASES)
NOUN_PHRASE_LABEL = "NP"


class Mention(NamedTuple):
    """A mention in a text.

    Attributes:
        start: int. Its first character.
        end: int. The character after its last one.
        label: str. Its kind, such as `"PERSON"`; one of the annotator's labels, or `""`.
    """

    start: int
    end: int
    label: str = ""


class Annotator(Protocol):
    """Finds mentions in texts. Its results must not depend on earlier calls.

    Attributes:
        description: str. Its name with its version, for the record.
        settings: dict. What else its results depend on, as JSON values.
        labels: dict from the name of each annotation that it makes to the labels of its mentions.
    """

    description: str
    settings: dict[str, Any]
    labels: dict[str, list[str]]

    def annotate(self, texts: Sequence[str]) -> list[dict[str, list[Mention]] | None]:
        """Returns the mentions of each text by the name of the annotation; `None` for a text that it does not know.

        Args:
            texts: list of str. The lines of one document.
        """
        ...
