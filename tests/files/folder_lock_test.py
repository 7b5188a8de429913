"""Tests of the lock of an output directory."""

import errno
import json
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from spanbert_keras.errors import InputError
from spanbert_keras.files import folder_lock
from spanbert_keras.files.folder_lock import FolderLock

# Another process, without the package's imports: they take seconds.
HOLDER = """
import sys, time, types
package = types.ModuleType("spanbert_keras")
package.__path__ = [sys.argv[1]]
sys.modules["spanbert_keras"] = package
from spanbert_keras.files.folder_lock import FolderLock
with FolderLock(sys.argv[2]):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def warnings(monkeypatch):
    found = []
    monkeypatch.setattr(folder_lock.logging, "warning", lambda text, *values: found.append(text % values))
    return found


def test_a_second_run_is_rejected_with_who_where_since_when_and_what_to_do(tmp_path):
    folder = tmp_path / "new" / "run"
    with FolderLock(folder):
        holder = json.loads((folder / "run.lock").read_text())
        assert set(holder) == {"host", "pid", "started"} and holder["pid"] == os.getpid()
        with pytest.raises(InputError) as found, FolderLock(folder):
            pass
    for word in (str(folder), f"process {os.getpid()} on {holder['host']}", holder["started"], "--output_dir"):
        assert word in str(found.value)


def test_the_lock_is_released_after_the_block_even_after_an_exception(tmp_path):
    with pytest.raises(KeyError), FolderLock(tmp_path):
        raise KeyError
    for _ in range(2):
        with FolderLock(tmp_path):
            pass
    with FolderLock(tmp_path), FolderLock(tmp_path / "another"):
        pass


def test_every_worker_has_a_lock_that_keeps_out_the_same_worker_of_a_second_run(tmp_path):
    with FolderLock(tmp_path), FolderLock(tmp_path, 1), FolderLock(tmp_path, worker=2):
        assert {file.name for file in tmp_path.iterdir()} == {"run.lock", "worker-1.lock", "worker-2.lock"}
        with pytest.raises(InputError, match=f"is in use: process {os.getpid()} on "), FolderLock(tmp_path, 1):
            pass
    with FolderLock(tmp_path, 1):
        pass


def test_sigkill_releases_the_lock(tmp_path, root):
    command = [sys.executable, "-c", HOLDER, str(root / "spanbert_keras"), str(tmp_path)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline() == "held\n"
        with pytest.raises(InputError, match=f"process {process.pid} on .* since 20"), FolderLock(tmp_path):
            pass
        process.send_signal(signal.SIGKILL)
        process.wait(10)
        with FolderLock(tmp_path):
            assert json.loads((tmp_path / "run.lock").read_text())["pid"] == os.getpid()
    finally:
        process.kill()
        process.communicate()


def test_a_holder_that_has_not_written_yet_is_named_by_its_file(tmp_path):
    with FolderLock(tmp_path):
        (tmp_path / "run.lock").write_text("")
        with pytest.raises(InputError, match="another process holds .*run.lock"), FolderLock(tmp_path):
            pass


@pytest.mark.parametrize("at", ["folder", "file"])
def test_an_unwritable_folder_is_rejected(tmp_path, at):
    if at == "folder":
        (tmp_path / "run").touch()
    else:
        (tmp_path / "run" / "run.lock").mkdir(parents=True)
    with pytest.raises(InputError, match="--output_dir=.*run cannot be written to"), FolderLock(tmp_path / "run"):
        pass


def test_a_file_system_without_locks_gives_a_warning(tmp_path, monkeypatch, warnings):
    def fail(descriptor, operation):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(folder_lock.fcntl, "flock", fail)
    with FolderLock(tmp_path), FolderLock(tmp_path):
        pass
    assert len(warnings) == 2 and "No locks available" in warnings[0] and str(tmp_path) in warnings[0]


def test_a_platform_without_locks_gives_a_warning(tmp_path, monkeypatch, warnings):
    monkeypatch.setattr(folder_lock, "fcntl", None)
    with FolderLock(tmp_path):
        pass
    assert len(warnings) == 1 and str(tmp_path) in warnings[0]


def test_a_full_disk_does_not_release_the_lock(tmp_path, monkeypatch, warnings):
    def full(*arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(folder_lock.os, "pwrite", full)
    with FolderLock(tmp_path):
        assert "No space left" in warnings[0]
        with pytest.raises(InputError, match="is in use"), FolderLock(tmp_path):
            pass


def test_a_process_that_waits_gets_the_lock_when_it_is_free(tmp_path, root):
    command = [
        sys.executable,
        "-c",
        HOLDER.replace("sleep(60)", "sleep(0.5)"),
        str(root / "spanbert_keras"),
        str(tmp_path),
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline() == "held\n"
        with FolderLock(tmp_path, wait=True) as lock:
            assert lock.held and json.loads((tmp_path / "run.lock").read_text())["pid"] == os.getpid()
    finally:
        process.kill()
        process.communicate()


def test_a_process_that_only_asks_does_not_keep_another_one_out(tmp_path):
    with FolderLock(tmp_path):
        pass
    done = threading.Event()

    def ask():
        while not done.is_set():
            FolderLock(tmp_path).is_in_use()

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        for _ in range(100):
            with FolderLock(tmp_path):
                pass
    finally:
        done.set()
        asking.join()


def test_whether_a_folder_is_in_use_can_be_asked(tmp_path):
    assert not FolderLock(tmp_path).is_in_use()
    with FolderLock(tmp_path):
        assert FolderLock(tmp_path).is_in_use() and not FolderLock(tmp_path, 1).is_in_use()
    assert not FolderLock(tmp_path).is_in_use()


def test_one_at_a_time_holds_a_lock_whose_file_does_not_stay(tmp_path, monkeypatch):
    """Each removes the file that others may have opened already."""
    monkeypatch.setattr(folder_lock, "WAIT_SECONDS", 0.0002)
    inside, most, taken = [0], [0], [0]

    def work():
        for _ in range(40):
            with FolderLock(tmp_path, wait=True, keep=False):
                inside[0] += 1
                most[0] = max(most[0], inside[0])
                taken[0] += 1
                time.sleep(0.0005)
                inside[0] -= 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert most == [1] and taken == [160] and list(tmp_path.iterdir()) == []
