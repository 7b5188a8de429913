"""Every recipe of configs/ parses and documents itself; every number of every program has a limit."""

import dataclasses
import importlib
import pathlib
import re
import shlex
import typing

import pytest
from absl import flags

from spanbert_keras import program

ROOT = pathlib.Path(__file__).resolve().parents[2]
RECIPES = sorted(file.relative_to(ROOT).as_posix() for file in (ROOT / "configs").glob("*.flags"))
PROMISED = [
    *("tiny", "small", "base", "base_8gpu", "base_no_attention_dropout", "large", "large_released", "continue_base"),
    *(f"{name}{size}" for name in ("our_bert", "our_bert_1seq", "google_bert") for size in ("", "_base", "_small")),
    *("squad_v1", "squad_v2", "newsqa", "triviaqa", "searchqa", "hotpotqa", "naturalquestions"),
    *("coreference_base", "coreference_large", "coreference_small", "tacred", "retacred"),
    *("entities_conll2003", "entities_nested"),
    *(f"glue_{task}" for task in ("cola", "sst2", "mrpc", "stsb", "qqp", "mnli", "qnli", "rte", "wnli")),
]
PROGRAMS = sorted(
    ".".join(file.relative_to(ROOT).with_suffix("").parts)
    for folder in ("spanbert_keras", "tasks", "benchmarks")
    for file in (ROOT / folder).rglob("*.py")
    if "run(main, Config)" in file.read_text(encoding="utf-8")
)
# Numbers without a limit of their own, and what checks them.
CHECKED_ELSEWHERE = {
    ("spanbert_keras.convert", "max_sequence_length"): "convert.main",
    ("spanbert_keras.convert", "segment_length"): "conversion.resizing",
    ("spanbert_keras.prepare", "heldout_share"): "PreparationSettings",
    ("spanbert_keras.pretrain", "geometric_rate"): "SpanMasker",
    ("spanbert_keras.pretrain", "heldout_share"): "prepare_corpus",
    ("spanbert_keras.pretrain", "masking_rate"): "SpanMasker",
    ("spanbert_keras.resolve", "batch_size"): "SpanBertCoreferenceResolver.resolve",
}
FIELDS = ("Command", "Hardware", "Time", "Expect")


def header(text):
    """Returns dict from field to text: `# Field: text`, continued on comment lines that begin no other field."""
    fields, current = {}, None
    for line in text.splitlines():
        start = re.match(r"#\s*([A-Z]\w*):\s*(.*)", line)
        if start:
            current = start[1]
            fields[current] = start[2].strip()
        elif line.startswith("#") and line.strip("# ") and current:
            fields[current] = f"{fields[current].removesuffix(chr(92)).strip()} {line.strip('# ')}"
        else:
            current = None
    return fields


def split_command(command):
    """Returns (module, arguments) of `python -m module --flag=value ...`; what comes before `python` is left out."""
    words = shlex.split(command.strip("`"))
    start = words.index("-m")
    return words[start + 1], words[start + 2 :]


@pytest.mark.parametrize("name", PROMISED)
def test_the_promised_recipes_exist(name):
    assert f"configs/{name}.flags" in RECIPES


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_states_command_hardware_time_and_what_to_expect(recipe):
    fields = header((ROOT / recipe).read_text(encoding="utf-8"))
    assert [field for field in FIELDS if not fields.get(field)] == []


@pytest.mark.parametrize("recipe", RECIPES)
def test_the_command_of_a_recipe_parses_and_names_the_recipe(recipe, monkeypatch):
    monkeypatch.chdir(ROOT)
    module, arguments = split_command(header((ROOT / recipe).read_text(encoding="utf-8"))["Command"])
    assert f"--flagfile={recipe}" in arguments
    program.parse(importlib.import_module(module).Config, arguments)


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_sets_no_flag_twice(recipe):
    lines = (ROOT / recipe).read_text(encoding="utf-8").splitlines()
    names = [re.split(r"[=\s]", line.strip())[0] for line in lines if line.strip().startswith("--")]
    assert sorted(set(names) - {"--flagfile"}) == sorted(name for name in names if name != "--flagfile")


@pytest.mark.parametrize("module", ["spanbert_keras.prepare", "spanbert_keras.pretrain"])
def test_a_misspelled_flag_is_rejected_by_name(module):
    with pytest.raises(flags.Error, match="lerning_rate"):
        program.parse(importlib.import_module(module).Config, ["--lerning_rate=1"])


def numbers_without_limits(config):
    """Returns the names of the numeric settings of a program that accept any number."""
    types = typing.get_type_hints(config)
    limits = ("minimum", "above", "below")
    return [
        field.name
        for field in dataclasses.fields(config)
        if {int, float} & {types[field.name], *typing.get_args(types[field.name])}
        and all(field.metadata[limit] is None for limit in limits)
    ]


@pytest.mark.parametrize("module", PROGRAMS)
def test_every_number_has_a_limit_that_is_checked_on_construction(module):
    config = importlib.import_module(module).Config
    assert issubclass(config, program.Settings)
    known = [name for program_name, name in CHECKED_ELSEWHERE if program_name == module]
    assert sorted(numbers_without_limits(config)) == sorted(known)


@pytest.mark.parametrize("module", ["spanbert_keras.prepare", "spanbert_keras.pretrain", "tasks.glue.finetune"])
def test_help_begins_with_the_docstring_of_the_program(module, capsys):
    loaded = importlib.import_module(module)
    with pytest.raises(SystemExit) as end:
        program.run(loaded.main, loaded.Config, ["--help"])
    assert end.value.code == 0
    assert capsys.readouterr().out.startswith(loaded.__doc__.strip() + "\n")


@pytest.mark.parametrize("module", [f"spanbert_keras.{name}" for name in ("prepare", "annotate", "pretrain")])
def test_help_explains_every_flag_in_a_sentence(module, capsys):
    config = importlib.import_module(module).Config
    with pytest.raises(SystemExit):
        program.parse(config, ["--help"])
    shown = capsys.readouterr().out
    for name, field in config.__dataclass_fields__.items():
        assert f"--{name}" in shown
        assert field.metadata["help"].rstrip().endswith((".", "?")), name


def test_the_header_reader_itself_joins_lines():
    text = f"# Command: python -m a.b --x=1 {chr(92)}\n#   --y=2\n# Time: an hour\n#\n# A remark.\n--x=1\n"
    fields = header(text)
    assert split_command(fields["Command"]) == ("a.b", ["--x=1", "--y=2"])
    assert fields["Time"] == "an hour"
