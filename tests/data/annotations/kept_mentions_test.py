"""Kept labels: a table of 256 bytes, applied where an annotation is sliced; opening for masking."""

import numpy as np
import pytest

from spanbert_keras.data.annotations.annotate_corpus import annotate_corpus
from spanbert_keras.data.annotations.annotation_settings import AnnotationSettings
from spanbert_keras.data.annotations.kept_mentions import (
    VALUE_LABELS,
    KeptMentions,
    kept_table,
    mention_facts,
    open_mentions,
)
from spanbert_keras.data.shards.token_shards import TokenShards
from spanbert_keras.errors import InputError

ONTONOTES = [
    *(
        "CARDINAL",
        "DATE",
        "EVENT",
        "FAC",
        "GPE",
        "LANGUAGE",
        "LAW",
        "LOC",
        "MONEY",
        "NORP",
        "ORDINAL",
        "ORG",
        "PERCENT",
    ),
    *("PERSON", "PRODUCT", "QUANTITY", "TIME", "WORK_OF_ART"),
]


@pytest.mark.parametrize("wanted", [(), ("GPE", "PERSON"), ("DATE",)])
def test_bytes_of_wanted_labels_stay_and_others_become_zero(wanted):
    table = kept_table(ONTONOTES, wanted)
    assert table.dtype == np.uint8 and table.shape == (256,)
    for byte in range(256):
        number = byte >> 2
        label = "" if number == 0 else ONTONOTES[number - 1] if number <= 18 else None
        default = label not in (*VALUE_LABELS, None)
        assert table[byte] == (byte if (label in wanted if wanted else default) else 0)


def test_by_default_the_eleven_kinds_of_names_are_kept():
    kept = [label for number, label in enumerate(ONTONOTES, 1) if kept_table(ONTONOTES)[number << 2 | 3]]
    assert kept == sorted("PERSON NORP FAC ORG GPE LOC PRODUCT EVENT WORK_OF_ART LAW LANGUAGE".split())
    assert kept_table(["PER", "NAME"])[[4, 8]].tolist() == [4, 8]


def test_an_unknown_label_is_rejected():
    with pytest.raises(InputError, match="--entity_labels names PERSN, which .* Expected: any of GPE, PERSON"):
        kept_table(["GPE", "PERSON"], ("PERSN",))
    with pytest.raises(InputError, match="its mentions have no labels"):
        kept_table([], ("PERSON",))


def test_it_is_sliced_as_the_array_is():
    values = np.random.default_rng(0).integers(0, 256, 1000).astype(np.uint8)
    table = kept_table(ONTONOTES)
    kept = KeptMentions(values, table)
    assert len(kept) == 1000 and kept[3:3].dtype == np.uint8 and kept[3:3].shape == (0,)
    for index in (slice(10, 20), slice(None), slice(990, 2000), np.array([5, 3])):
        np.testing.assert_array_equal(kept[index], table[values[index]])


def test_opening_reads_both_splits_beside_their_pieces(prepared, texts):
    corpus = prepared("whole")
    with pytest.raises(
        InputError, match="has no finished annotation 'entities', which --scheme=named_entity needs. Run `python"
    ):
        open_mentions(TokenShards(corpus), "train", "entities")
    annotate_corpus(AnnotationSettings(corpus=str(corpus), annotator="rules", workers=1))
    shards = TokenShards(corpus)
    for split in ("train", "heldout"):
        opened = open_mentions(shards, split, "entities", ("NAME",))
        part = shards.split(split)
        assert [len(values) for values in opened] == [len(pieces) for pieces in part.pieces]
        written = shards.annotations("entities").open(part.paths, [len(ids) for ids in part.pieces])
        assert all((read[:] == values).all() for read, values in zip(opened, written, strict=True))
    assert any(values[:].any() for values in opened)
    with pytest.raises(InputError, match="--entity_labels names PERSON.* Expected: any of NAME"):
        open_mentions(shards, "train", "entities", ("PERSON",))


def test_facts_change_with_the_annotation(prepared):
    corpus = prepared("whole")
    settings = {"corpus": str(corpus), "annotator": "rules", "workers": 1}
    annotate_corpus(AnnotationSettings(**settings))
    pieces = mention_facts([TokenShards(corpus)], "entities", ("NAME",))
    assert (
        pieces["entity_labels"] == ["NAME"] and pieces["annotator"] == "rules 1" and pieces["annotation"] == "entities"
    )
    assert len(pieces["annotation_fingerprint"]) == 16
    annotate_corpus(AnnotationSettings(**settings, replace=True))
    assert mention_facts([TokenShards(corpus)], "entities", ("NAME",)) == pieces
    given = (f"{corpus.parent}/text.txt", f"{corpus.parent}/more.jsonl")
    annotate_corpus(AnnotationSettings(**settings, input=given, replace=True))
    text = mention_facts([TokenShards(corpus)], "entities", ("NAME",))
    assert text["annotation_fingerprint"] != pieces["annotation_fingerprint"]
