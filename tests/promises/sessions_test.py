"""The whole quick suite runs in two sessions, which have every file of tests once, and fails if one of them does."""

import subprocess
import types

import pytest

from tests import conftest

NOTHING = {
    "keyword": "",
    "lf": False,
    "usepdb": False,
    "capture": "fd",
    "slow": False,
    "numprocesses": None,
    "maxfail": 0,
}


@pytest.fixture
def run(monkeypatch, root):
    """Function of options and exit codes that returns pytest's exit code, and the commands that were started."""

    def run(codes=(), source="TESTPATHS", **options):
        commands, codes = [], iter(codes)
        monkeypatch.setattr(subprocess, "call", lambda command, cwd: commands.append(command) or next(codes))
        config = types.SimpleNamespace(
            ArgsSource=pytest.Config.ArgsSource,
            args_source=pytest.Config.ArgsSource[source],
            option=types.SimpleNamespace(**NOTHING | options),
            invocation_params=types.SimpleNamespace(args=("-q",), dir=root),
        )
        return conftest.pytest_cmdline_main(config), commands

    return run


def test_every_file_of_tests_is_in_one_session(root):
    files = sorted((root / "tests").rglob("*_test.py"))
    for file in files:
        holders = [path for part in conftest.sessions() for path in part if file.is_relative_to(path)]
        assert len(holders) == 1, file
    assert len(files) > 300 and all(conftest.sessions())


def test_both_sessions_share_their_files_among_processes(run):
    code, commands = run([0, 0])
    assert code == 0 and len(commands) == 2
    for command, paths in zip(commands, conftest.sessions(), strict=True):
        assert command[1:4] == ["-m", "pytest", "-q"] and "--dist=loadfile" in command
        assert command[-len(paths) :] == paths


@pytest.mark.parametrize("codes, expected", [([1, 0], 1), ([0, 1], 1), ([2], 2)])
def test_a_failure_of_one_session_is_one_of_all(run, codes, expected):
    code, commands = run(codes)
    assert code == expected and len(commands) == len(codes)


def test_the_first_failure_may_end_both(run):
    assert run([1], maxfail=1)[0] == 1


@pytest.mark.parametrize(
    "options", [{"source": "ARGS"}, {"keyword": "a"}, {"slow": True}, {"numprocesses": 0}, {"collectonly": True}]
)
def test_parts_and_long_tests_run_in_this_process(run, options):
    assert run(**options) == (None, [])
