"""Every flag that is a path expands `~` and `$HOME`: all programs, all flags with text, so that none is forgotten."""

import dataclasses
import importlib
import pathlib
import typing

import pytest

from spanbert_keras import program

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAMS = sorted(
    ".".join(file.relative_to(ROOT).with_suffix("").parts)
    for folder in ("spanbert_keras", "tasks", "benchmarks")
    for file in (ROOT / folder).rglob("*.py")
    if "run(main, Config)" in file.read_text(encoding="utf-8")
)
# Text that is not a path. A new flag with text belongs here, or is a `setting(..., path=True)`.
OTHER_TEXT = {
    *("baselines", "curve", "dataset", "default_genre", "entity_labels", "eval_schemes", "genre", "genres", "host"),
    *("context", "label_column", "label_separator", "language", "phases"),
    *("classification", "coreference", "question_answering", "relation_extraction", "tasks"),
    *("lengths", "method", "no_relation", "pair_column", "question", "sets", "shard", "sides", "submission_method"),
    *("sweep_batch_sizes", "sweep_learning_rates", "sweep_segments", "sweep_task_learning_rates"),
    *("target_columns", "marked_text", "text_column", "annotator"),
}


def texts_of(config):
    """Returns the fields of a program that hold text without a list of choices, with their types."""
    types = typing.get_type_hints(config)
    fields = [field for field in dataclasses.fields(config) if field.metadata["choices"] is None]
    return [(field, str(types[field.name])) for field in fields if "str" in str(types[field.name])]


def parse(config, **given):
    """Returns the settings of a command line on which every required flag has a value."""
    types = typing.get_type_hints(config)
    required = [f.name for f in dataclasses.fields(config) if f.default is dataclasses.MISSING and f.name not in given]
    values = {name: "1" if types[name] in (int, float) else "x" for name in required} | given
    return program.parse(config, [f"--{name}={value}" for name, value in values.items()])


def test_all_programs_are_looked_at():
    assert len(PROGRAMS) >= 21 and {"spanbert_keras.pretrain", "tasks.glue.report", "benchmarks.curve"} <= set(PROGRAMS)


@pytest.mark.parametrize("module", PROGRAMS)
def test_every_flag_with_text_is_a_path_that_is_expanded_or_known_to_be_other_text(module, monkeypatch):
    monkeypatch.setenv("HOME", "/house")
    monkeypatch.setenv("PLACE", "/place")
    monkeypatch.delenv("NOPE", raising=False)
    config = importlib.import_module(module).Config
    # One flag at a time: the others contradict it.
    monkeypatch.setattr(config, "check", lambda self: None, raising=False)
    for field, kind in texts_of(config):
        listed = "tuple" in kind
        for given, expected in (
            ("~/a b", "/house/a b"),
            ("$HOME/a", "/house/a"),
            ("${PLACE}/a", "/place/a"),
            ("~/a,$PLACE/b", "/house/a,/place/b"),
            ("$NOPE/a", "$NOPE/a"),
            ("hf://owner/name", "hf://owner/name"),
            ("kaggle://owner/name", "kaggle://owner/name"),
            ("a~b", "a~b"),
        ):
            value = getattr(parse(config, **{field.name: given}), field.name)
            value = ",".join(value) if listed else value
            assert value == (given if field.name in OTHER_TEXT else expected), f"--{field.name}={given}"


@pytest.mark.parametrize("module", PROGRAMS)
def test_paths_are_not_among_the_other_texts(module):
    config = importlib.import_module(module).Config
    assert [f.name for f, _ in texts_of(config) if bool(f.metadata.get("path")) is (f.name in OTHER_TEXT)] == []


def test_corpora_keep_their_weights(monkeypatch):
    from spanbert_keras import pretrain
    from spanbert_keras.data.batches.corpus_mixture import parse_corpora

    monkeypatch.setenv("HOME", "/house")
    monkeypatch.setattr(pretrain.Config, "check", lambda self: None)
    config = parse(pretrain.Config, corpus="~/a:0.7, $HOME/b:0.3,embedded")
    assert parse_corpora(config.corpus) == [("/house/a", 0.7), ("/house/b", 0.3), ("embedded", 1.0)]


def test_flag_files_are_expanded_too(tmp_path, monkeypatch):
    from spanbert_keras import prepare

    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "a.flags").write_text("--input=~/x,$HOME/y\n--output_dir\n~/out\n--vocabulary=v\n")
    for name in ("~/a.flags", "$HOME/a.flags"):
        config = program.parse(prepare.Config, [f"--flagfile={name}"])
        assert config.input == (f"{tmp_path}/x", f"{tmp_path}/y") and config.output_dir == f"{tmp_path}/out"
