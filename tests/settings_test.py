"""Tests of a setting: a dataclass field that carries what its flag shows."""

import dataclasses

import pytest

from spanbert_keras import program
from spanbert_keras.settings import setting


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config:
    """Settings of a test."""

    path: str = setting("Where it is.")
    mode: str = setting("What is done.", default="fast", choices=("fast", "slow"))


def test_a_setting_without_default_must_be_given():
    with pytest.raises(TypeError, match="path"):
        Config()
    assert Config(path="a") == Config(path="a", mode="fast")


def test_help_and_choices_are_in_the_fields_metadata():
    path, mode = dataclasses.fields(Config)
    assert path.metadata == {"help": "Where it is.", "choices": None}
    assert mode.metadata == {"help": "What is done.", "choices": ("fast", "slow")}


def test_programs_have_it_under_the_same_name():
    assert program.setting is setting
    assert program.parse(Config, ["--path=a", "--mode=slow"]) == Config(path="a", mode="slow")
