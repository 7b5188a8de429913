"""Tests of the flags-from-dataclasses module."""

import dataclasses
import subprocess
import sys

import pytest
from absl import flags

from spanbert_keras import pretrain, program


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config:
    """Settings of a test."""

    path: str = program.setting("A path.")
    steps: int = program.setting("Steps.", default=3)
    rate: float = program.setting("A rate.", default=0.5)
    fast: bool = program.setting("Fast?", default=False)
    mode: str = program.setting("Mode.", default="a", choices=("a", "b"))
    limit: int | None = program.setting("A limit.", default=None)
    names: tuple[str, ...] = program.setting("Names.", default=("x",))


def test_every_type_is_parsed():
    config = program.parse(
        Config, ["--path=p", "--steps=7", "--rate=1e-3", "--fast", "--mode=b", "--limit=4", "--names=u,v"]
    )
    assert config == Config(path="p", steps=7, rate=1e-3, fast=True, mode="b", limit=4, names=("u", "v"))


def test_defaults_are_the_dataclass_defaults():
    assert program.parse(Config, ["--path=p"]) == Config(path="p")


def test_later_flags_override_a_flagfile(tmp_path):
    flagfile = tmp_path / "a.flags"
    flagfile.write_text("# a comment\n--path=p\n--steps=9\n")
    config = program.parse(Config, [f"--flagfile={flagfile}", "--steps=10"])
    assert (config.path, config.steps) == ("p", 10)


@pytest.mark.parametrize(
    "argv, message",
    [
        (["--path=p", "--setps=4"], "setps"),
        (["--path=p", "--steps=many"], "steps"),
        (["--path=p", "--mode=c"], "mode"),
        ([], "--path"),
        (["--path=p", "extra"], "extra"),
        (["--flagfile=missing.flags"], "missing.flags"),
    ],
)
def test_a_wrong_command_line_is_refused_by_name(argv, message):
    with pytest.raises(flags.Error, match=message):
        program.parse(Config, argv)


def test_help_names_every_flag(capsys):
    with pytest.raises(SystemExit) as end:
        program.parse(Config, ["--help"])
    assert end.value.code == 0
    text = capsys.readouterr().out
    for field in dataclasses.fields(Config):
        assert f"--{field.name}" in text and field.metadata["help"] in text


@pytest.mark.parametrize("error, code", [(program.InputError("no corpus"), 1), (KeyboardInterrupt(), 130)])
def test_user_errors_end_without_traceback(error, code, capsys):
    def main(config):
        raise error

    with pytest.raises(SystemExit) as end:
        program.run(main, Config, ["--path=p"])
    assert end.value.code == code
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize("error", [ValueError("a defect"), MemoryError("a defect")])
def test_a_defect_ends_with_its_traceback_and_a_code_that_is_not_the_users(error, capsys):
    def main(config):
        raise error

    with pytest.raises(SystemExit) as end:
        program.run(main, Config, ["--path=p"])
    assert end.value.code == program.DEFECT_EXIT_CODE == 70
    words = capsys.readouterr().err
    assert words.startswith("Traceback") and words.endswith(f"{type(error).__name__}: a defect\n")


def test_a_programs_own_exit_code_stays(capsys):
    def main(config):
        raise SystemExit(75)

    with pytest.raises(SystemExit) as end:
        program.run(main, Config, ["--path=p"])
    assert end.value.code == 75 and capsys.readouterr().err == ""


def test_importing_the_programs_defines_no_global_flag():
    code = (
        "from absl import flags; before = set(flags.FLAGS)\n"
        "import spanbert_keras.prepare, spanbert_keras.pretrain\n"
        "new = {n for n in set(flags.FLAGS) - before if 'spanbert' in flags.FLAGS.find_module_defining_flag(n)}\n"
        "assert not new, new"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_to_flags_round_trips():
    config = Config(path="p", names=("u", "v"))
    assert program.to_flags(config)["names"] == ["u", "v"]


@pytest.mark.parametrize(
    "config",
    [
        Config(path="p"),
        Config(path="a b=c,--d", steps=-7, rate=1e-12, fast=True, mode="b", limit=0, names=("u", "v")),
        Config(path="", rate=float("inf"), names=()),
        pretrain.Config(corpus="a:0.7,b:0.3", output_dir="o", batch_tokens=1024, eval_schemes=("span", "subword")),
        pretrain.Config(
            corpus="c", output_dir="o", batch_sequences=8, distribution="multi_worker", replicas=2, deterministic=True,
            epsilon=1e-6, learning_rate=0.1 + 0.2, checkpoint_minutes=0.5, peak_tflops=123.4, lowercase=True,
        ),
    ],
)  # fmt: skip
def test_arguments_are_parsed_into_what_they_were_made_of(config):
    arguments = program.to_arguments(config)
    assert program.parse(type(config), arguments) == config
    assert all(argument.startswith("--") for argument in arguments)
