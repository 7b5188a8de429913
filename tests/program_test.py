"""Tests of the flags-from-dataclasses module."""

import dataclasses
import os
import re
import subprocess
import sys

import pytest
from absl import flags

import spanbert_keras
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


def test_a_repeated_flag_is_given_once_for_each_value(tmp_path, capsys):
    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Repeated:
        name: tuple[str, ...] = program.setting("A name.", default=("x",), repeated=True)

    (tmp_path / "a.flags").write_text("--name=a,b\n")
    config = program.parse(Repeated, [f"--flagfile={tmp_path / 'a.flags'}", "--name=c"])
    assert config == Repeated(name=("a,b", "c")) and program.parse(Repeated, []) == Repeated()
    assert program.to_arguments(config) == ["--name=a,b", "--name=c"]
    with pytest.raises(SystemExit):
        program.parse(Repeated, ["--help"])
    assert capsys.readouterr().out.endswith("\n      A name.\n")


def test_defaults_are_the_dataclass_defaults():
    assert program.parse(Config, ["--path=p"]) == Config(path="p")


def test_later_flags_override_a_flagfile(tmp_path):
    flagfile = tmp_path / "a.flags"
    flagfile.write_text("# a comment\n--path=p\n--steps=9\n")
    config = program.parse(Config, [f"--flagfile={flagfile}", "--steps=10"])
    assert (config.path, config.steps) == ("p", 10)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_a_flagfile_is_utf_8_or_utf_16_with_a_byte_order_mark(tmp_path, encoding, line_end):
    mark = "\ufeff" if encoding in ("utf-16-le", "utf-16-be") else ""
    lines = [
        "# Größe, кот",
        "--path=Größe/кот 北京",
        "",
        "  --steps=9  ",
        "// another comment",
        "-fast",
        "--names",
        "a,ä",
    ]
    (tmp_path / "a.flags").write_bytes((mark + line_end.join(lines)).encode(encoding))
    config = program.parse(Config, [f"--flagfile={tmp_path / 'a.flags'}"])
    assert config == Config(path="Größe/кот 北京", steps=9, fast=True, names=("a", "ä"))


def test_flagfiles_nest_and_stand_where_they_are_named(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "inner.flags").write_bytes("--steps=5\n--mode=b\n".encode("utf-16"))
    (tmp_path / "outer.flags").write_text("--path=p\n--steps=4\n-flagfile=~/inner.flags\n--rate=2\n")
    outer = str(tmp_path / "outer.flags")
    assert program.parse(Config, ["--flagfile", outer]) == Config(path="p", steps=5, mode="b", rate=2.0)
    assert program.parse(Config, ["--steps=7", "--flagfile=$HOME/outer.flags", "--mode=a", "--flagfile="]).steps == 5
    with pytest.raises(flags.Error, match="Unexpected argument: '--flagfile=x'"):
        program.parse(Config, ["--path=p", "--", "--flagfile=x"])


@pytest.mark.parametrize(
    "content, message",
    [
        (b"--path=caf\xe9\n", r"a.flags is not UTF-8 text. Received: byte 0xe9 at byte 10. Expected: UTF-8, or UTF-16"),
        ("--path=p".encode("utf-16-le"), "a.flags is not text: it has NUL bytes"),
        ("--path=p".encode("utf-32"), "a.flags is UTF-32 text; convert it to UTF-8"),
        ("--path=p".encode("utf-16") + b"x", "a.flags is not UTF-8 text"),
        (b"PK\x03\x04\x00\x00", r"a.flags is an archive \(zip"),
        (b"BZh91AY&SY\x93", r"a.flags is compressed in a form that is not supported \(bzip2\)"),
        (b"\xe9\0\0\1\xa0", "a.flags is not text: it has NUL bytes or many control characters"),
        (b"--flagfile=FOLDER/a.flags", "a.flags includes itself"),
        (b"--flagfile=FOLDER/b.flags", "b.flags cannot be read: No such file"),
        (b"--flagfile=FOLDER", "cannot be read: Is a directory"),
        (b"--path=p\n--flagfile", "--flagfile names no file"),
        (b"path=p", "Unexpected argument: 'path=p'"),
    ],
)
def test_an_unusable_flagfile_is_one_sentence_and_exit_code_2(tmp_path, capsys, content, message):
    (tmp_path / "a.flags").write_bytes(content.replace(b"FOLDER", str(tmp_path).encode()))
    with pytest.raises(SystemExit) as end:
        program.run(lambda config: None, Config, [f"--flagfile={tmp_path / 'a.flags'}"])
    assert end.value.code == 2
    error = capsys.readouterr().err
    assert re.search(message, error) and "Traceback" not in error and error.count("\n") == 1


def test_a_flagfile_that_never_ends_is_one_sentence(capsys):
    with pytest.raises(SystemExit) as end:
        program.run(lambda config: None, Config, ["--flagfile=/dev/zero"])
    assert end.value.code == 2 and "has more than 1,048,576 bytes" in capsys.readouterr().err


def test_flagfiles_that_multiply_are_one_sentence(tmp_path):
    for number in range(40):
        (tmp_path / f"{number}").write_text(f"--flagfile={tmp_path}/{number + 1}\n" * 2)
    (tmp_path / "40").write_text("--steps=1\n")
    with pytest.raises(flags.Error, match="is one of more than 100 flag files"):
        program.parse(Config, [f"--flagfile={tmp_path}/0"])


def test_a_flagfile_may_include_itself_under_no_name(tmp_path):
    (tmp_path / "a").write_text(f"--flagfile={tmp_path}/./a\n")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    for name in ("a", "b"):
        with pytest.raises(flags.Error, match="includes itself"):
            program.parse(Config, [f"--flagfile={tmp_path}/{name}"])


@pytest.mark.parametrize(
    "argument",
    [
        "--" + "x" * 20_000,
        "--" + "x" * 20_000 + "=1",
        "--steps=" + "1" * 20_000,
        "y" * 20_000,
        "--mode=" + "z" * 20_000,
    ],
)
def test_a_long_argument_is_one_short_sentence(argument, capsys):
    with pytest.raises(SystemExit) as end:
        program.run(lambda config: None, Config, ["--path=p", argument])
    error = capsys.readouterr().err
    assert end.value.code == 2 and len(error) < 1000 and error.count("\n") == 1


def test_bytes_of_the_command_line_are_utf_8_in_every_locale():
    """Under the C locale an argument of other characters arrives as half characters."""
    config = program.parse(Config, ["--path=caf\udcc3\udca9", "--names=\udcd0\udcba,b\udcff"])
    assert config.path == "café" and config.names == ("к", "b\ufffd")
    assert program.parse(Config, ["--path=\ud800"]).path == "\ud800"


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
def test_a_wrong_command_line_is_rejected_by_name(argv, message):
    with pytest.raises(flags.Error, match=message):
        program.parse(Config, argv)


def test_help_names_every_flag(capsys):
    with pytest.raises(SystemExit) as end:
        program.parse(Config, ["--help"])
    assert end.value.code == 0
    text = capsys.readouterr().out
    for field in dataclasses.fields(Config):
        assert f"--{field.name}" in text and field.metadata["help"] in text
    assert "|" not in text and "      Mode. One of: a, b.\n" in text


def test_helpfull_is_help(capsys):
    for flag in ("--help", "--helpfull"):
        with pytest.raises(SystemExit) as end:
            program.parse(Config, [flag])
        assert end.value.code == 0
    shown = capsys.readouterr().out
    assert shown[: len(shown) // 2] == shown[len(shown) // 2 :] != ""


def test_version_needs_no_other_flag(capsys):
    with pytest.raises(SystemExit) as end:
        program.parse(Config, ["--version"])
    assert end.value.code == 0
    assert capsys.readouterr().out == f"spanbert_keras {spanbert_keras.__version__}\n"


def test_help_begins_with_what_must_be_given_and_ends_with_what_is_inherited(capsys):
    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Base(program.Settings):
        speed: int = program.setting("Speed.", default=1)
        output: str = program.setting("Output.")
        steps: int = program.setting("Steps.", default=2)

    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Derived(Base):
        mode: str = program.setting("Mode.", default="a")
        input: str = program.setting("Input.")
        steps: int = 3

    with pytest.raises(SystemExit):
        program.parse(Derived, ["--help"])
    names = re.findall(r"--(\w+)", capsys.readouterr().out)
    assert names == ["flagfile", "version", "input", "output", "mode", "steps", "speed"]
    with pytest.raises(flags.Error, match="Required flag is missing: --input"):
        program.parse(Derived, [])


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


@pytest.mark.parametrize("name", ["jax", "torch"])
def test_a_backend_that_is_not_installed_is_one_sentence(monkeypatch, capsys, name):
    def fail():
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    monkeypatch.setenv("KERAS_BACKEND", name)
    monkeypatch.setattr(program, "import_public_names", fail)
    with pytest.raises(SystemExit) as end:
        program.run(lambda config: None, Config, ["--path=p"])
    assert end.value.code == program.INPUT_EXIT_CODE
    assert f'not installed. Install it with `pip install "spanbert-keras[{name}]"`' in capsys.readouterr().err


@pytest.mark.parametrize(
    "error", [ModuleNotFoundError("No module named 'other'", name="other"), ValueError("a defect")]
)
def test_other_errors_of_an_import_are_defects(monkeypatch, capsys, error):
    def fail():
        raise error

    monkeypatch.setenv("KERAS_BACKEND", "jax")
    monkeypatch.setattr(program, "import_public_names", fail)
    with pytest.raises(SystemExit) as end:
        program.run(lambda config: None, Config, ["--path=p"])
    assert end.value.code == program.DEFECT_EXIT_CODE and capsys.readouterr().err.startswith("Traceback")


def test_an_unknown_backend_is_one_sentence(tmp_path):
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "spanbert_keras.prepare",
            "--input=none",
            "--train_vocabulary=9",
            f"--output_dir={tmp_path / 'a'}",
        ],
        env=os.environ | {"KERAS_BACKEND": "pytorch"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == program.INPUT_EXIT_CODE
    assert done.stderr.splitlines()[-1] == (
        "Error: KERAS_BACKEND=pytorch is not supported. Expected: tensorflow, jax or torch."
    )


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
            corpus="c",
            output_dir="o",
            batch_sequences=8,
            distribution="multi_worker",
            replicas=2,
            deterministic=True,
            epsilon=1e-6,
            learning_rate=0.1 + 0.2,
            checkpoint_minutes=0.5,
            peak_tflops=123.4,
            lowercase=True,
        ),
    ],
)
def test_arguments_are_parsed_into_what_they_were_made_of(config):
    arguments = program.to_arguments(config)
    assert program.parse(type(config), arguments) == config
    assert all(argument.startswith("--") for argument in arguments)
