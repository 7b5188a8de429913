"""Annotations as masking reads them: mentions of some labels only."""

from collections.abc import Sequence

import numpy as np

from spanbert_keras.data.annotations.annotator import ENTITIES
from spanbert_keras.data.shards.annotation_format import LABEL_SHIFT
from spanbert_keras.data.shards.shard_array import ShardArray
from spanbert_keras.data.shards.token_shards import TokenShards
from spanbert_keras.errors import InputError

# Section 6.1 masks "all the non-numerical named entity mentions": of the labels of OntoNotes, all but these values.
VALUE_LABELS = ("DATE", "TIME", "PERCENT", "MONEY", "QUANTITY", "ORDINAL", "CARDINAL")


class KeptMentions:
    """The bytes of an annotation, with 0 in place of mentions of other labels; sliced as the array is.

    Args:
        values: uint8 `(N,)`, or `ShardArray`. An annotation.
        table: uint8 `(256,)`. What each byte becomes, as `kept_table` returns it.

    Example:

    ```python
    import numpy as np

    from spanbert_keras.data.annotations.kept_mentions import KeptMentions, kept_table

    values = np.array([0, 3 + 4, 1 + 4, 0, 3 + 8], np.uint8)  # a person of two pieces, a date
    kept = KeptMentions(values, kept_table(["PERSON", "DATE"]))
    kept[1:5]  # [7, 5, 0, 0]
    ```
    """

    def __init__(self, values: np.ndarray | ShardArray, table: np.ndarray):
        self.values, self.table = values, table

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, index) -> np.ndarray:
        return self.table[self.values[index]]


def kept_table(labels: Sequence[str], wanted: Sequence[str] = ()) -> np.ndarray:
    """Returns what each byte of an annotation becomes: itself, or 0 if its label is not wanted.

    Args:
        labels: list of str. Label number i + 1 is entry i.
        wanted: sequence of str. Labels to keep. Empty keeps all but those of values (`VALUE_LABELS`); of the labels of
            OntoNotes these are PERSON, NORP, FAC, ORG, GPE, LOC, PRODUCT, EVENT, WORK_OF_ART, LAW and LANGUAGE.

    Returns:
        uint8 `(256,)`.

    Raises:
        InputError: a wanted label is not among the labels.
    """
    unknown = sorted(set(wanted) - set(labels))
    if unknown:
        raise InputError(
            f"--entity_labels names {', '.join(unknown)}, which the annotation does not have. "
            f"Expected: any of {', '.join(labels) or 'none: its mentions have no labels'}."
        )
    numbers = np.arange(256) >> LABEL_SHIFT
    kept = np.zeros(64, bool)
    kept[0] = not wanted  # mentions without a label
    for number, label in enumerate(labels, start=1):
        kept[number] = label in wanted if wanted else label not in VALUE_LABELS
    return np.where(kept[numbers], np.arange(256), 0).astype(np.uint8)


def open_mentions(shards: TokenShards, split: str, name: str, entity_labels: Sequence[str] = ()) -> list[KeptMentions]:
    """Opens an annotation of a split for masking.

    Args:
        shards: `TokenShards`.
        split: `"train"` or `"heldout"`.
        name: str. `"entities"` or `"noun_phrases"`: `Scheme.annotation` of the masking scheme.
        entity_labels: sequence of str. As `wanted` of `kept_table`; noun phrases are all kept.

    Returns:
        list of `KeptMentions`, one for each entry of `shards.split(split).pieces`.

    Raises:
        InputError: the corpus has no such annotation (the message has the command that makes it), it belongs to another
            corpus or tokenizer or is cut short, or it lacks a wanted label.
    """
    annotation, part = shards.annotations(name), shards.split(split)
    table = kept_table(annotation.labels, entity_labels if name == ENTITIES else ())
    opened = annotation.open(part.paths, [len(pieces) for pieces in part.pieces])
    return [KeptMentions(values, table) for values in opened]


def mention_facts(corpora: Sequence[TokenShards], name: str, entity_labels: Sequence[str] = ()) -> dict:
    """Returns what identifies the annotation that a run reads, for its record; arguments as of `open_mentions`."""
    annotations = [shards.annotations(name) for shards in corpora]
    return {
        "annotation": name,
        "annotation_fingerprint": "+".join(annotation.fingerprint[:16] for annotation in annotations),
        "annotator": "+".join(annotation.annotator for annotation in annotations),
        "entity_labels": list(entity_labels) if name == ENTITIES else [],
    }
