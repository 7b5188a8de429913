"""Tests of copies: made when needed, the next one in the background, mistakes told to who asks."""

import threading

import pytest

from spanbert_keras.data.pairs.pair_copies import PairCopies


def test_the_next_copy_is_made_in_the_background():
    made, release = [], threading.Event()

    def make(copy):
        if copy == 1:
            assert release.wait(20)
        made.append((copy, threading.current_thread().daemon))
        return f"index {copy}"

    copies = PairCopies(make, 3)
    assert made == []
    assert copies.index(0) == "index 0"  # although copy 1 is not yet made
    release.set()
    assert copies.index(1) == "index 1"
    assert copies.index(2) == "index 2"
    assert [copies.index(copy) for copy in (2, 0, 1)] == ["index 2", "index 0", "index 1"]
    assert made == [(0, True), (1, True), (2, True)]


def test_one_copy_is_all_that_is_made():
    made = []
    copies = PairCopies(lambda copy: made.append(copy) or copy, 1)
    assert copies.index(0) == 0
    assert made == [0]


def test_an_error_is_raised_where_the_copy_is_asked_for():
    def make(copy):
        if copy:
            raise OSError("the disk is full")
        return copy

    copies = PairCopies(make, 2)
    assert copies.index(0) == 0
    with pytest.raises(OSError, match="the disk is full"):
        copies.index(1)


def test_threads_that_ask_at_once_share_one_build():
    made = []
    copies = PairCopies(lambda copy: made.append(copy) or copy, 1)
    threads = [threading.Thread(target=copies.index, args=(0,), daemon=True) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert made == [0]
