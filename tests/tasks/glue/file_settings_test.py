"""Tests of the settings of how files are read."""

import pytest
from absl import flags

from spanbert_keras import program
from spanbert_keras.program import InputError
from tasks.glue.benchmark_set import SETS, Columns
from tasks.glue.file_settings import FileSettings


def set_of(*arguments):
    return program.parse(FileSettings, list(arguments)).benchmark_set()


@pytest.mark.parametrize("name", ["CoLA", "SST-2", "MRPC", "STS-B", "QQP", "MNLI", "QNLI", "RTE", "WNLI"])
def test_a_set_is_taken_by_its_name_and_has_columns_of_its_own(name):
    assert set_of(f"--dataset={name}") is SETS[name]
    with pytest.raises(InputError, match=f"--dataset={name} has .*Received: --text_column, --regression.$"):
        set_of(f"--dataset={name}", "--text_column=x", "--regression")


def test_custom_files_are_texts_with_labels_by_default():
    own = set_of()
    assert own.labelled == Columns("text", None, "label") and own.labels is None and own.scores == ("accuracy",)
    assert own.test == own.dev == {} and not own.majority


def test_flags_select_columns_scores_and_numbers_of_custom_files():
    own = set_of("--text_column=a", "--pair_column=b", "--label_column=c", "--score=macro_f1")
    assert own.labelled == Columns("a", "b", "c") and own.labels is None and own.scores == ("macro_f1",)
    numbers = set_of("--regression", "--score=matthews")
    assert numbers.labels == () and numbers.scores == ("pearson", "spearman")


def test_texts_with_several_labels_have_a_separator_and_scores_of_their_own():
    own = set_of("--multi_label")
    assert own.labelled == Columns("text", None, "label", separator=",") and own.problem_type == "multi_label"
    assert own.scores == ("micro_f1", "macro_f1", "exact_match") and own.chosen == ("micro_f1",)
    own = set_of("--multi_label", "--label_separator=|", "--score=exact_match")
    assert own.labelled.separator == "|" and own.chosen == ("exact_match",)
    assert set_of().problem_type == SETS["RTE"].problem_type == "single_label"
    assert SETS["STS-B"].problem_type == "regression"


def test_several_numbers_have_columns_each():
    own = set_of("--regression", "--target_columns=valence,arousal")
    assert own.labelled == Columns("text", None, ("valence", "arousal")) and own.problem_type == "regression"
    assert own.labelled.wanted() == ["text", "valence", "arousal"]


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--multi_label", "--regression"], "--multi_label and --regression exclude each other"),
        (["--target_columns=a,b"], "--target_columns needs --regression .* Received: --target_columns=a,b,"),
        (["--target_columns=a,b", "--regression", "--label_column=c"], "replaces --label_column. Rec"),
        (["--target_columns=a,a", "--regression"], "must be different columns. Received: a,a"),
        (["--label_separator=;"], "--label_separator needs --multi_label"),
        (["--label_separator=", "--multi_label"], "--label_separator must be text. Received: nothing"),
        (["--multi_label", "--score=matthews"], "--score=matthews does not fit files with several labels"),
        (["--score=micro_f1"], "--score=micro_f1 does not fit files with one label for each text"),
        (["--score=exact_match"], "--score=exact_match does not fit files with one label for each text"),
    ],
)
def test_flags_that_contradict_each_other_are_rejected(arguments, message):
    with pytest.raises(InputError, match=message):
        set_of(*arguments)


@pytest.mark.parametrize("argument", ["--dataset=rte", "--score=f1", "--dataset="])
def test_an_unknown_choice_is_rejected(argument):
    with pytest.raises(flags.Error, match="should be one of"):
        set_of(argument)
