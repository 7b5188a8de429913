"""Tests of the settings that tell how files are read."""

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


def test_ones_own_files_are_texts_with_labels_by_default():
    own = set_of()
    assert own.labelled == Columns("text", None, "label") and own.labels is None and own.scores == ("accuracy",)
    assert own.test == own.dev == {} and not own.majority


def test_ones_own_columns_scores_and_numbers_are_named_by_flags():
    own = set_of("--text_column=a", "--pair_column=b", "--label_column=c", "--score=macro_f1")
    assert own.labelled == Columns("a", "b", "c") and own.labels is None and own.scores == ("macro_f1",)
    numbers = set_of("--regression", "--score=matthews")
    assert numbers.labels == () and numbers.scores == ("pearson", "spearman")


@pytest.mark.parametrize("argument", ["--dataset=rte", "--score=f1", "--dataset="])
def test_what_is_no_choice_is_refused(argument):
    with pytest.raises(flags.Error, match="should be one of"):
        set_of(argument)
