"""Outputs as arrays: one thread at a time, and what a model is changed to."""

import concurrent.futures
import threading
import time

import numpy as np
import pytest


class SlowCall:
    """Doubles ids, slowly, and notes how many calls run at once."""

    def __init__(self):
        self.running, self.most, self.lock = 0, 0, threading.Lock()

    def __call__(self, batch):
        with self.lock:
            self.running += 1
            self.most = max(self.most, self.running)
        time.sleep(0.002)
        with self.lock:
            self.running -= 1
        return 2 * batch["token_ids"]


@pytest.fixture(params=["encoder", "pretrainer"])
def model(request, make_encoder, make_pretrainer):
    return make_encoder(num_layers=1) if request.param == "encoder" else make_pretrainer()


def test_threads_compute_one_after_the_other(model):
    model._compiled_call = SlowCall()
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        jobs = [pool.submit(model.compute_rows, {"token_ids": np.full((2, 3), i)}) for i in range(24)]
        assert [int(job.result()[0, 0]) for job in jobs] == [2 * i for i in range(24)]
    assert model._compiled_call.most == 1


def test_batches_hold_every_row_once(model):
    lengths = [3, 24, 9, 9, 5, 17, 2]
    batches = model.batches_of(lengths, 24, 2)
    assert sorted(place for part, *_ in batches for place in part.tolist()) == list(range(7))
    assert all(lengths[place] <= length for part, _, length in batches for place in part.tolist())
