"""Documents by hash: each is found once, and what was not looked for is counted."""

import numpy as np

from spanbert_keras.data.annotations.document_finder import DocumentFinder


def test_every_document_is_found_once_at_its_place():
    random = np.random.default_rng(0)
    hashes = [random.integers(0, 2**64, count, dtype=np.uint64) for count in (5, 0, 9)]
    finder = DocumentFinder(hashes)
    assert finder.total == finder.missing == 14
    for _ in range(2):
        for shard, codes in enumerate(hashes):
            assert [finder.find(code) for code in codes.tolist()] == [(shard, i) for i in range(len(codes))]
            assert [finder.find(code) for code in codes.tolist()] == [None] * len(codes)
        assert finder.missing == 0 and finder.find(12345) is None and finder.find(2**64 - 1) is None
        finder.restart()
        assert finder.missing == 14


def test_without_documents_nothing_is_found():
    finder = DocumentFinder([])
    assert finder.total == finder.missing == 0 and finder.find(1) is None
