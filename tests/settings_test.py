"""Tests of settings: dataclass fields that carry all that is known of a flag, and are checked on construction."""

import dataclasses
import math
import os
from typing import ClassVar

import pytest

from spanbert_keras import program
from spanbert_keras.errors import InputError
from spanbert_keras.settings import Settings, setting


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """Settings of a test."""

    path: str = setting("Where it is.", path=True, changeable=True)
    mode: str = setting("What is done.", default="fast", choices=("fast", "slow"))
    parts: tuple[str, ...] = setting("What it is done to.", default=("a",), choices=("a", "b"))
    steps: int = setting("Number of steps.", default=5, minimum=1, formerly=("rounds", "turns"))
    rate: float | None = setting("Learning rate.", default=None, above=0, below=2)
    weight: float = setting("Weight.", default=0.5, minimum=0, changeable=True)
    share: float = setting("Share.", default=0.5, minimum=0, maximum=1)

    def check(self):
        if self.mode == "slow" and self.steps > 9:
            raise InputError("--mode=slow takes at most 9 --steps.")


def test_a_setting_without_default_must_be_given():
    with pytest.raises(TypeError, match="path"):
        Config()
    assert Config(path="a") == Config(path="a", mode="fast")


@pytest.mark.parametrize(
    "changes, sentence",
    [
        ({"steps": 0}, "--steps must be at least 1. Received: 0."),
        ({"rate": 0}, "--rate must be positive and below 2. Received: 0."),
        ({"rate": 2.0}, "--rate must be positive and below 2. Received: 2.0."),
        ({"rate": math.nan}, "--rate must be positive and below 2. Received: nan."),
        ({"weight": -1}, "--weight must be at least 0. Received: -1."),
        ({"weight": math.inf}, "--weight must be at least 0. Received: inf."),
        ({"share": 1.01}, "--share must be at least 0 and at most 1. Received: 1.01."),
        ({"share": math.nan}, "--share must be at least 0 and at most 1. Received: nan."),
        ({"mode": "other"}, "--mode must be one of fast, slow. Received: other."),
        ({"parts": ("a", "c")}, "--parts must be one of a, b. Received: c."),
        ({"mode": "slow", "steps": 10}, "--mode=slow takes at most 9 --steps."),
    ],
)
def test_impossible_settings_are_rejected_on_construction_with_the_flag(changes, sentence):
    with pytest.raises(InputError) as error:
        Config(path="a", **changes)
    assert str(error.value) == sentence
    with pytest.raises(InputError):
        dataclasses.replace(Config(path="a"), **changes)


def test_limits_are_allowed_values_and_none_is_not_checked():
    config = Config(path="a", steps=1, rate=1.999, weight=0, parts=(), share=1)
    assert (config.steps, config.weight, config.parts, Config(path="a").rate) == (1, 0, (), None)


def test_paths_are_expanded(monkeypatch):
    monkeypatch.setenv("HOME", "/h")
    monkeypatch.setenv("X", "x")
    assert Config(path="~/$X").path == "/h/x"


def test_changeable_settings_are_marked():
    assert Config.changeable() == ("path", "weight")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Longer(Config):
    """Settings that begin from other defaults."""

    is_long: ClassVar = True  # no setting
    steps: int = 9
    path: str = "b"


def test_a_plain_value_in_a_subclass_changes_only_the_default():
    assert (Longer(), Config(path="a").steps) == (Longer(path="b", steps=9), 5)
    for name in ("steps", "path"):
        assert Longer.__dataclass_fields__[name].metadata == Config.__dataclass_fields__[name].metadata
    assert Longer.changeable() == Config.changeable() and Longer.former_names() == Config.former_names()
    with pytest.raises(InputError, match="--steps must be at least 1"):
        Longer(steps=0)


def test_a_class_variable_can_be_changed_without_a_type():
    class Longest(Longer):
        is_long = False

    assert (Longest().is_long, Longer().is_long) == (False, True)


def test_defaults_of_any_base_can_be_changed():
    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Other(Settings):
        rows: int = setting("Rows.", default=2, minimum=1, changeable=True)

    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Both(Other, Config):
        steps: int = 9
        rows: int = 3

    made = Both(path="b")
    assert (made.steps, made.rows, Both.changeable()) == (9, 3, ("path", "weight", "rows"))
    for wrong in ({"steps": 0}, {"rows": 0}):
        with pytest.raises(InputError, match="must be at least 1"):
            Both(path="b", **wrong)


def test_a_new_default_without_a_type_is_rejected():
    with pytest.raises(TypeError, match="steps"):

        @dataclasses.dataclass(frozen=True, kw_only=True)
        class Untyped(Config):
            steps = 9


def test_programs_have_it_under_the_same_name():
    assert program.setting is setting
    assert program.parse(Config, ["--path=a", "--mode=slow"]) == Config(path="a", mode="slow")
    assert program.parse(Config, ["--path=a", "--parts=a,b"]).parts == ("a", "b")


@pytest.mark.parametrize("arguments", [["--rounds=7"], ["--turns=7"], ["-turns", "7"], ["--steps=3", "--rounds=7"]])
def test_a_flag_is_accepted_by_its_former_names(arguments, tmp_path):
    assert program.parse(Config, ["--path=a", *arguments]).steps == 7
    (tmp_path / "a.flags").write_text("\n".join(arguments).replace(" ", "="))
    if len(arguments) == 1:
        assert program.parse(Config, ["--path=a", f"--flagfile={tmp_path / 'a.flags'}"]).steps == 7
    assert Config.former_names() == {"rounds": "steps", "turns": "steps"}
    assert program.to_flags(Config(path="a"))["steps"] == 5 and "rounds" not in program.to_flags(Config(path="a"))


def test_flags_that_an_earlier_version_recorded_are_upgraded():
    recorded = {"path": "a", "rounds": 7, "mode": "slow"}
    assert Config.upgrade(recorded) == program.to_flags(Config(path="a", steps=7, mode="slow"))


def test_a_value_out_of_range_ends_a_program_with_one_sentence(capsys):
    with pytest.raises(SystemExit) as error:
        program.run(print, Config, ["--path=a", "--steps=0"])
    assert error.value.code == 1
    assert capsys.readouterr().err == "Error: --steps must be at least 1. Received: 0.\n"


@pytest.mark.parametrize(
    "changes, sentence",
    [
        ({"steps": "8"}, "--steps must be a whole number. Received: '8'."),
        ({"steps": 8.0}, "--steps must be a whole number. Received: 8.0."),
        ({"steps": True}, "--steps must be a whole number. Received: True."),
        ({"steps": None}, "--steps must be a whole number. Received: None."),
        ({"steps": 2**31}, "--steps must be at least 1 and below 2147483648. Received: 2147483648."),
        ({"rate": "1"}, "--rate must be a number. Received: '1'."),
        ({"free": math.nan}, "--free must be a finite number. Received: nan."),
        ({"mode": 3}, "--mode must be a string. Received: 3."),
        ({"path": b"a"}, "--path must be a string. Received: b'a'."),
        ({"path": None}, "--path must be a string. Received: None."),
        ({"path": "a\0b"}, "--path must be a path without NUL. Received: 'a\\x00b'."),
        ({"path": "~\0x"}, "--path must be a path without NUL. Received: '~\\x00x'."),
        ({"parts": "a"}, "--parts must be a tuple of strings. Received: 'a'."),
        ({"parts": ("a", 3)}, "--parts must be a tuple of strings. Received: ('a', 3)."),
    ],
)
def test_values_of_another_type_are_one_sentence(changes, sentence):
    @dataclasses.dataclass(frozen=True, kw_only=True)
    class More(Config):
        free: float = setting("Any number.", default=0.0)

    with pytest.raises(InputError) as error:
        More(**({"path": "a"} | changes))
    assert str(error.value) == sentence


@pytest.mark.parametrize("value", [10**5000, -(10**5000)], ids=["positive", "negative"])
def test_a_huge_number_is_one_short_sentence(value):
    with pytest.raises(InputError, match="--steps must be .* Received: an integer of 16,610 bits.$"):
        Config(path="a", steps=value)


@pytest.mark.parametrize("path", ["a" * 256, f"a/{'é' * 128}/b", "c," + "b" * 300, "/".join("a" * 3000)])
def test_a_path_that_no_file_system_takes_is_one_short_sentence(path):
    with pytest.raises(InputError, match="--path has a name that is too long. Expected: at most 255 bytes") as error:
        Config(path=path)
    assert len(str(error.value)) < 500
    assert Config(path="a/" + "b" * 255).path


@pytest.mark.parametrize("path", ["~\ud800", "a/\ud800"])
def test_half_a_character_is_one_sentence(path):
    with pytest.raises(InputError, match="--path must be a path that can be encoded"):
        Config(path=path)


def test_names_in_other_encodings_are_as_long_as_their_bytes():
    name = os.fsdecode(b"\xe9" * 250)
    assert Config(path=name).path == name


def test_paths_may_be_path_objects(tmp_path):
    assert Config(path=tmp_path).path == str(tmp_path)
