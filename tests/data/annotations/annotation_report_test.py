"""The figures of a report against a loop over the corpus."""

import collections

import numpy as np
import pytest

from spanbert_keras.data.annotations import annotation_report
from spanbert_keras.data.annotations.annotate_corpus import annotate_corpus
from spanbert_keras.data.annotations.annotation_report import report_annotation
from spanbert_keras.data.annotations.annotation_settings import AnnotationSettings
from spanbert_keras.data.shards.token_shards import TokenShards


@pytest.fixture
def shards(prepared, texts):
    corpus = prepared("whole")
    given = (f"{texts}/text.txt", f"{texts}/more.jsonl")
    annotate_corpus(AnnotationSettings(corpus=str(corpus), input=given, annotator="rules", workers=1))
    return TokenShards(corpus)


def test_figures_equal_those_of_a_loop(shards):
    pieces = words = inside = 0
    mentions = []
    starts = shards.tokenizer().word_starts()
    for split in ("train", "heldout"):
        part = shards.split(split)
        opened = shards.annotations("entities").open(part.paths, [len(ids) for ids in part.pieces])
        for ids, values in zip(part.pieces, opened, strict=True):
            pieces += len(ids)
            words += sum(bool(starts[i]) for i in ids.tolist())
            for i, (piece, value) in enumerate(zip(ids.tolist(), values.tolist(), strict=True)):
                inside += value & 1
                if value & 2:
                    mentions.append((split, []))
                if value & 1:
                    assert i or value & 2
                    mentions[-1][1].append(piece)
    report = report_annotation(shards, "entities", frequent=3)
    assert report.mentions == len(mentions) > 50 and report.labels == {"NAME": len(mentions)}
    assert report.piece_share == pytest.approx(inside / pieces)
    assert report.per_100_words == pytest.approx(100 * len(mentions) / words)
    texts = collections.Counter(shards.tokenizer().detokenize(ids) for split, ids in mentions if split == "train")
    assert sorted(count for _, count in report.frequent) == sorted(count for _, count in texts.most_common(3))
    assert all(texts[text] == count for text, count in report.frequent)
    assert "Ann" in texts and len(texts) > 3


def test_counting_stops_after_the_first_pieces(shards, monkeypatch):
    monkeypatch.setattr(annotation_report, "COUNTED_PIECES", 200)
    part = shards.split("train")
    [values, *_] = shards.annotations("entities").open(part.paths, [len(ids) for ids in part.pieces])
    counted = sum(count for _, count in report_annotation(shards, "entities", frequent=1000).frequent)
    assert counted == np.count_nonzero(values[:200] & 2) > 0
