"""What the tests of whole runs share: a small corpus, and the training program as processes that can be killed."""

import contextlib
import dataclasses
import json
import multiprocessing
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time

import keras
import numpy as np
import pytest

CHILD = """
import os, sys
log = os.open({log!r}, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
os.dup2(log, 1), os.dup2(log, 2)
os.environ.update({environ!r})
sys.argv = ["pretrain", *{arguments!r}]
from spanbert_keras import pretrain, program
program.run(pretrain.main, pretrain.Config)
"""
# One thread for each of two processes: the machine has few cores.
QUIET = {
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "TF_NUM_INTRAOP_THREADS": "1",
    "TF_NUM_INTEROP_THREADS": "2",
    "OMP_NUM_THREADS": "1",
}


@dataclasses.dataclass
class Run:
    """A process of the training program.

    Attributes:
        folder: its output directory.
        log: file with all that it printed.
        process: it.
    """

    folder: pathlib.Path
    log: pathlib.Path
    process: object

    @property
    def code(self):
        """Its exit code, `None` while it runs."""
        if isinstance(self.process, subprocess.Popen):
            return self.process.poll()
        return self.process.exitcode

    def wait(self, timeout=240):
        """Waits for its end and returns the exit code."""
        end = time.monotonic() + timeout
        while self.code is None and time.monotonic() < end:
            time.sleep(0.02)
        assert self.code is not None, f"still running after {timeout} s:\n{self.text()[-3000:]}"
        return self.code

    def finish(self, timeout=240):
        """Waits for its end, which must be a good one."""
        assert self.wait(timeout) == 0, self.text()[-3000:]
        return self

    def send(self, number):
        """Sends it a signal, unless it has ended."""
        if self.code is None:
            os.kill(self.process.pid, number)

    def text(self):
        """What it printed so far."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def wait_for(self, text, timeout=240):
        """Waits until it has printed `text`."""
        end = time.monotonic() + timeout
        while text not in self.text():
            assert self.code is None and time.monotonic() < end, f"no {text!r} in:\n{self.text()[-3000:]}"
            time.sleep(0.02)


@pytest.fixture(scope="session")
def forkserver():
    """Starts processes that have imported everything already; importing takes longer than these runs."""
    context = multiprocessing.get_context("forkserver")
    modules = [
        "spanbert_keras.pretraining.run",
        "spanbert_keras.pretrain",
        "tensorboard.summary.writer.event_file_writer",
    ]
    context.set_forkserver_preload([*modules, keras.backend.backend()])
    return context


@pytest.fixture(scope="session")
def corpus(tmp_path_factory, small_vocabulary):
    """Folder of prepared shards: some of the prose that Python carries, 800 pieces."""
    import pydoc_data.topics

    from spanbert_keras.data.corpus.prepare_corpus import PreparationSettings, prepare_corpus

    folder = tmp_path_factory.mktemp("corpus")
    texts = [text for _, text in sorted(pydoc_data.topics.topics.items())[:24]]
    (folder / "text.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    (folder / "vocab.txt").write_text("\n".join(small_vocabulary) + "\n")
    settings = PreparationSettings(
        input=(str(folder / "text.jsonl"),),
        output_dir=str(folder / "shards"),
        vocabulary=str(folder / "vocab.txt"),
        heldout_share=0.1,
    )
    prepare_corpus(settings)
    return folder / "shards"


@pytest.fixture(scope="session")
def flags(corpus, tmp_path_factory):
    """The settings of a small run: 8 rows of 32 pieces, 2 blocks of 16, clipping active at every step."""
    return {
        "corpus": corpus,
        "cache_dir": tmp_path_factory.mktemp("cache"),
        "architecture": "tiny",
        "hidden_dim": 16,
        "max_sequence_length": 32,
        "batch_sequences": 8,
        "steps": 50,
        "learning_rate": 2e-3,
        "warmup_steps": 5,
        "clip_norm": 0.1,
        "dropout": 0,
        "attention_dropout": 0,
        "log_every": 1,
        "evaluate_every": 0,
        "eval_rows": 8,
        "checkpoint_every": 10,
        "examples": 1,
    }


@pytest.fixture(scope="session")
def starting(flags, forkserver):
    """Context of a folder that gives the function of `start`; runs that are still alive at its end are killed."""

    @contextlib.contextmanager
    def within(parent):
        runs = []

        def begin(name, environ=None, fresh=False, logged_as=None, **changes):
            folder = parent / name
            log = parent / f"{logged_as or name}.log"
            settings = flags | changes
            arguments = [f"--{key}={value}" for key, value in settings.items()] + [f"--output_dir={folder}"]
            environ = QUIET | (environ or {})
            if fresh or keras.backend.backend() == "jax" and "TF_CONFIG" in environ:  # JAX needs its own exit
                root = str(pathlib.Path(__file__).resolve().parents[3])
                environ = os.environ | environ | {"PYTHONPATH": root}
                with open(log, "a") as output:
                    command = [sys.executable, "-m", "spanbert_keras.pretrain", *arguments]
                    process = subprocess.Popen(command, env=environ, stdout=output, stderr=subprocess.STDOUT)
            else:
                code = CHILD.format(log=str(log), environ=environ, arguments=arguments)
                process = forkserver.Process(target=exec, args=(code, {"__name__": "child"}))
                process.start()
            runs.append(Run(folder, log, process))
            return runs[-1]

        try:
            yield begin
        finally:
            for run in runs:
                run.send(signal.SIGKILL)
                run.wait(30)

    return within


@pytest.fixture
def start(starting, tmp_path):
    """Function that starts a run: `start("name", steps=20)`; runs still alive at the end of the test are killed."""
    with starting(tmp_path) as begin:
        yield begin


@pytest.fixture(scope="session")
def finished_run(starting, tmp_path_factory):
    """Function that makes a run to its end, once for all tests: `finished_run(dropout=0.1)`."""
    made = {}
    with starting(tmp_path_factory.mktemp("finished")) as begin:

        def finished(**changes):
            key = repr(sorted(changes.items()))
            if key not in made:
                made[key] = begin(f"run{len(made)}", **changes).finish()
            return made[key]

        yield finished


@pytest.fixture
def start_workers(start):
    """Function that starts a run of two workers and returns both."""

    def begin(name, workers=2, attempt="", **changes):
        sockets = [socket.socket() for _ in range(workers)]
        for s in sockets:
            s.bind(("127.0.0.1", 0))
        addresses = [f"127.0.0.1:{s.getsockname()[1]}" for s in sockets]
        for s in sockets:
            s.close()
        config = lambda i: json.dumps({"cluster": {"worker": addresses}, "task": {"type": "worker", "index": i}})  # noqa: E731
        changes["distribution"] = "multi_worker"
        environs = [{"TF_CONFIG": config(i), "CUDA_VISIBLE_DEVICES": ""} for i in range(workers)]
        return [start(name, environ, logged_as=f"{name}{attempt}-{i}", **changes) for i, environ in enumerate(environs)]

    return begin


@pytest.fixture(scope="session")
def losses_of():
    """Function that returns the loss of every step that a run logged: float array, the last attempt's word counts."""
    from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
    from tensorboard.util.tensor_util import make_ndarray

    def read(run, tag="optimization/loss"):
        found = {}
        for path in sorted((run.folder / "train").iterdir(), key=lambda p: (p.stat().st_mtime_ns, p.name)):
            for event in EventFileLoader(str(path)).Load():
                for value in event.summary.value:
                    if value.tag == tag:
                        found[event.step] = float(make_ndarray(value.tensor))
        assert sorted(found) == list(range(1, max(found) + 1))
        return np.array([found[step] for step in sorted(found)])

    return read


@pytest.fixture(scope="session")
def weights_in():
    """Function that returns the tensors of a run's newest checkpoint by name."""
    from safetensors.numpy import load_file

    def read(run):
        newest = sorted((run.folder / "checkpoints").glob("step_*"))[-1]
        return load_file(newest / "state.safetensors")

    return read


@pytest.fixture(scope="session")
def check_same_bits(losses_of, weights_in):
    """Function that compares two runs bit for bit: every loss and every tensor of the last checkpoint."""

    def check(one, two):
        np.testing.assert_array_equal(losses_of(one), losses_of(two))
        first, second = weights_in(one), weights_in(two)
        assert first.keys() == second.keys()
        for name, value in first.items():
            np.testing.assert_array_equal(value, second[name], err_msg=name)

    return check


@pytest.fixture(scope="session")
def check_same_numbers(losses_of, weights_in):
    """Function that compares two runs to rounding: losses to 1e-5 relative, each weight to 1e-5 of its norm.

    |a - b| <= 1e-5 max(|a|, 1e-2 sqrt(size)) in the 2-norm. Attention key biases, whose gradient is zero in exact
    arithmetic, so that Adam amplifies rounding: 1e-5 absolute.
    """

    def check(one, two):
        np.testing.assert_allclose(losses_of(one), losses_of(two), rtol=1e-5)
        first, second = weights_in(one), weights_in(two)
        assert first.keys() == second.keys()
        for name in (name for name in first if name.startswith("model/") and "seed" not in name):
            a, b = first[name].astype(np.float64), second[name].astype(np.float64)
            if name.endswith("attention/key/bias"):
                assert np.abs(a - b).max() <= 1e-5, name
            else:
                limit = 1e-5 * max(np.linalg.norm(a), 1e-2 * np.sqrt(a.size))
                assert np.linalg.norm(a - b) <= limit, (name, np.linalg.norm(a - b), limit)

    return check


@pytest.fixture
def in_child(forkserver, tmp_path):
    """Function that runs Python code in a fresh process and returns the value that it assigned to `answer`."""

    def run(code, environ=None, timeout=240):
        log, answer = tmp_path / "child.log", tmp_path / "answer.json"
        answer.unlink(missing_ok=True)
        head = f"import json, os, sys\nlog = os.open({str(log)!r}, os.O_WRONLY | os.O_CREAT | os.O_APPEND)\n"
        head += f"os.dup2(log, 1), os.dup2(log, 2)\nos.environ.update({QUIET | (environ or {})!r})\n"
        tail = f"\nopen({str(answer)!r}, 'w').write(json.dumps(answer))\n"
        process = forkserver.Process(target=exec, args=(head + code + tail, {"__name__": "child"}))
        process.start()
        process.join(timeout)
        process.kill()
        assert answer.exists(), log.read_text(errors="replace")[-3000:]
        return json.loads(answer.read_text())

    return run
