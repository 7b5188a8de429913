"""Tests of standard output and error: encodings that lack characters, lost readers, full disks, start-up lines."""

import io
import os
import pathlib
import subprocess
import sys

import pytest

from spanbert_keras import standard_streams
from spanbert_keras.standard_streams import lenient_streams

FILE = pathlib.Path(standard_streams.__file__)
HEAD = f"""
import importlib.util, os, sys
spec = importlib.util.spec_from_file_location("streams", {str(FILE)!r})
streams = importlib.util.module_from_spec(spec)
spec.loader.exec_module(streams)
"""
ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


def run(code, buffered=True, **settings):
    """Runs code in a fresh process that has loaded the module alone."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "LC_", "LANG"))}
    environment |= {"PYTHONUNBUFFERED": "" if buffered else "1"} | settings.pop("env", {})
    command = [sys.executable, "-c", (HEAD + code).encode("ascii", "backslashreplace").decode()]
    return subprocess.run(command, env=environment, check=False, **{"capture_output": True, **settings})


@pytest.mark.parametrize("buffered", [True, False])
@pytest.mark.parametrize("env", [{"PYTHONIOENCODING": "cp1252"}, ASCII, {"PYTHONIOENCODING": "ascii:strict"}])
def test_what_an_encoding_lacks_is_written_as_an_escape(buffered, env):
    code = """
with streams.lenient_streams() as lost:
    print("é кот 🙂 \\udce9")
    print("кот", file=sys.stderr)
assert lost == []
print("after")
"""
    done = run(code, buffered, env=env)
    first = b"\xe9" if env.get("PYTHONIOENCODING") == "cp1252" else b"\\xe9"
    expected = first + b" \\u043a\\u043e\\u0442 \\U0001f642 \\udce9\nafter\n"
    assert (done.returncode, done.stdout.replace(b"\r", b"")) == (0, expected), done.stderr
    assert done.stderr.split() == [b"\\u043a\\u043e\\u0442"]


def test_utf_8_stays_utf_8():
    done = run("with streams.lenient_streams():\n    print('é кот 🙂')", env={"PYTHONIOENCODING": "utf-8"})
    assert done.stdout.decode() == "é кот 🙂\n"


@pytest.mark.parametrize("buffered", [True, False])
def test_a_reader_that_has_gone_ends_nothing(buffered):
    code = """
with streams.lenient_streams() as lost:
    for _ in range(50_000):
        print("a line of some length")
    print("finished", file=sys.stderr)
sys.exit(len(lost))
"""
    reader, writer = os.pipe()
    os.close(reader)
    done = run(code, buffered, capture_output=False, stdout=writer, stderr=subprocess.PIPE)
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, b"finished\n")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="the system has no full device")
@pytest.mark.parametrize("buffered", [True, False])
def test_a_full_disk_is_reported_at_the_end(buffered):
    code = """
with streams.lenient_streams() as lost:
    print("text")
    print("text")
print(lost[0].strerror, len(lost), file=sys.stderr)
"""
    with open("/dev/full", "wb") as full:
        done = run(code, buffered, capture_output=False, stdout=full, stderr=subprocess.PIPE)
    assert (done.returncode, done.stderr) == (0, b"No space left on device 1\n")


def test_without_standard_output_nothing_is_written():
    code = """
sys.stdout = None
with streams.lenient_streams():
    print("text", sys.stdout.isatty(), file=sys.stdout)
assert sys.stdout is None
"""
    assert run(code).returncode == 0


def test_streams_of_a_notebook_or_a_test_stay(monkeypatch):
    mine = io.StringIO()
    monkeypatch.setattr(sys, "stdout", mine)
    with lenient_streams() as lost:
        assert sys.stdout is mine
        print("кот")
    assert mine.getvalue() == "кот\n" and lost == [] and sys.stdout is mine


def test_the_streams_come_back_after_an_error():
    code = """
before = sys.stdout, sys.stderr
try:
    with streams.lenient_streams():
        assert sys.stdout is not before[0]
        raise KeyError
except KeyError:
    pass
assert (sys.stdout, sys.stderr) == before
print("fine")
"""
    assert run(code).stdout.split() == [b"fine"]


START_UP = """\
WARNING: All log messages before absl::InitializeLog() is called are written to STDERR
I0000 00:00:1795983369.875450   21685 port.cc:153] oneDNN custom operations are on.
2026-11-29 20:16:09.876543: I external/local_xla/xla/tsl/cuda/cudart_stub.cc:31] Could not find cuda drivers
W0000 00:00:1795983370.100000   21685 gpu_device.cc:2431] Cannot dlopen some GPU libraries.
E0000 00:00:1795983372.167241   21685 cuda_platform.cc:52] failed call to cuInit: NO_DEVICE (100)
E0000 00:00:1795983372.167242   21685 cuda_platform.cc:52] failed call to cuInit: INTERNAL: UNKNOWN ERROR (303)
To enable the following instructions: AVX2 AVX512F, in other operations, rebuild TensorFlow.
"""
OWN = """\
F0000 00:00:1795983372.167241   21685 cpu_feature_guard.cc:40] The TensorFlow library was compiled to use AVX
Warning: I am the program's own line.
W1129 21:30:11.768881 140101234567 tokenizer.py:31] I am a line of Python's log.
E1129 21:30:11.768881   30392 my.cc.py:31] So am I.
"""
WRITES = f"""
with streams.without_start_up_lines():
    os.write(2, {START_UP.encode()!r})
    os.write(2, {OWN.encode()!r})
    print("of Python", file=sys.stderr)
    FAIL
print("after", file=sys.stderr)
"""


@pytest.mark.parametrize(
    "level, shown",
    [
        ("3", ""),
        ("2", "E0000"),
        ("1", "W0000 E0000"),
        ("0", "WARNING: I0000 2026-11-29 W0000 E0000 E0000 To"),
        ("all", "WARNING: I0000 2026-11-29 W0000 E0000 E0000 To"),
        (None, "WARNING: I0000 2026-11-29 W0000 E0000 E0000 To"),
    ],
)
def test_start_up_lines_are_hidden_as_the_environment_says_and_nothing_else(monkeypatch, level, shown):
    monkeypatch.delenv(standard_streams.LOG_LEVEL, raising=False)
    done = run(WRITES.replace("FAIL", "pass"), env={standard_streams.LOG_LEVEL: level} if level else {})
    lines = done.stderr.decode().splitlines()
    assert " ".join(line.split()[0] for line in lines[:-6]) == shown
    assert lines[-6:] == [*OWN.splitlines(), "of Python", "after"]


def test_what_was_written_before_a_failure_is_shown():
    done = run(WRITES.replace("FAIL", "raise SystemExit('failed')"), env={standard_streams.LOG_LEVEL: "3"})
    assert done.returncode == 1
    assert done.stderr.decode().splitlines() == [*OWN.splitlines(), "of Python", "failed"]


def test_without_a_place_for_a_file_nothing_is_hidden():
    code = """
import tempfile
def fail(*args, **kwargs):
    raise FileNotFoundError(2, "No usable temporary directory found")
tempfile.TemporaryFile = fail
before = os.listdir("/dev/fd")
"""
    after = "\nassert os.listdir('/dev/fd') == before\n"
    done = run(code + WRITES.replace("FAIL", "pass") + after, env={standard_streams.LOG_LEVEL: "3"})
    assert done.stderr.decode().splitlines() == [*START_UP.splitlines(), *OWN.splitlines(), "of Python", "after"]


def test_a_process_without_standard_error_loses_nothing_else():
    code = "os.close(2)\nwith streams.without_start_up_lines():\n    print('shown')\n"
    assert run(code, env={standard_streams.LOG_LEVEL: "3"}).stdout == b"shown\n"


def test_warnings_are_shown_where_a_driver_is_installed(tmp_path, monkeypatch):
    monkeypatch.setattr(standard_streams, "NVIDIA_DRIVER", tmp_path / "missing")
    assert standard_streams.quiet_level() == "3"
    monkeypatch.setattr(standard_streams, "NVIDIA_DRIVER", tmp_path)
    assert standard_streams.quiet_level() == "1"
