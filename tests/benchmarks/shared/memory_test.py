"""Memory of a process: of now, its peak, and not that of the process that started it."""

import subprocess
import sys

import numpy as np

from benchmarks.shared import memory


def test_memory_is_that_of_now_and_its_peak():
    before, _ = memory.resident_memory()
    block = np.ones(40_000_000)  # 0.32 GB
    during, peak = memory.resident_memory()
    assert block.sum() and peak >= during > before + 0.2e9
    del block
    assert memory.resident_memory()[1] > 0.99 * peak  # the kernel counts in portions


def test_the_peak_is_that_of_the_process_alone(root):
    block = np.ones(40_000_000)
    code = "from benchmarks.shared.memory import resident_memory; print(resident_memory()[1])"
    printed = subprocess.run([sys.executable, "-c", code], cwd=root, check=True, capture_output=True, text=True).stdout
    assert block.sum() and 1e6 < int(printed) < 0.2e9


def test_without_proc_both_are_the_peak(monkeypatch, tmp_path):
    monkeypatch.setattr(memory, "STATUS", tmp_path / "missing")
    resident, peak = memory.resident_memory()
    assert resident == peak > 1e6
