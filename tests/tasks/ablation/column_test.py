"""Data sets given by flags, the scores that tables compare, and the GLUE average."""

import pytest

from spanbert_keras.errors import InputError
from tasks.ablation.column import (
    AVERAGED,
    GLUE_AVERAGE,
    GLUE_WITH_WNLI,
    Column,
    glue_averages,
    glue_columns,
    parse_columns,
)


@pytest.fixture
def flag_file(tmp_path):
    path = tmp_path / "task.flags"
    path.write_text("--epochs=1\n")
    return path


def test_a_column_has_a_name_a_flag_file_and_more_flags(flag_file):
    (column,) = parse_columns("question_answering", [f"SQuAD 2.0:{flag_file} --train_file='a b.json' --epochs=2"])
    assert (column.name, column.folder, column.title) == ("SQuAD 2.0", "squad_2.0", "SQuAD 2.0")
    assert column.arguments == (f"--flagfile={flag_file}", "--train_file=a b.json", "--epochs=2")


@pytest.mark.parametrize("value", ["SQuAD", ":x.flags", "SQuAD:", "SQuAD:x.flags more", "SQuAD:'x.flags"])
def test_anything_else_is_rejected_by_a_sentence(value):
    with pytest.raises(InputError, match="--coreference must be name:flag file, .* Received"):
        parse_columns("coreference", [value])


def test_a_missing_flag_file_and_a_repeated_name_are_rejected(flag_file):
    with pytest.raises(InputError, match="--coreference: the flag file nowhere.flags of A does not exist"):
        parse_columns("coreference", ["A:nowhere.flags"])
    with pytest.raises(InputError, match="names A twice"):
        parse_columns("coreference", [f"A:{flag_file}", f"A:{flag_file}"])


def test_missing_files_are_found_in_lists_and_after_variables(tmp_path, flag_file, monkeypatch):
    (tmp_path / "here").touch()
    monkeypatch.setenv("PLACE", str(tmp_path))
    files = ("--train_file=$PLACE/here,$PLACE/there", "--dev_file=gone")
    column = Column("A", "coreference", (f"--flagfile={flag_file}", *files))
    assert column.missing_files() == [f"{tmp_path}/there", "gone"]


def test_lists_of_files_may_have_commas(flag_file):
    values = [f"A:{flag_file} --train_file=a", "b --dev_file=c", f"B:{flag_file} --train_file=d"]
    columns = parse_columns("coreference", values)
    assert [column.name for column in columns] == ["A", "B"]
    assert columns[0].arguments == (f"--flagfile={flag_file}", "--train_file=a,b", "--dev_file=c")


@pytest.mark.parametrize(
    ("program", "name", "dev", "expected"),
    [
        ("question_answering", "SQuAD 2.0", {"best_f1": 80.0, "f1": 1.0}, 80.0),
        ("question_answering", "NewsQA", {"f1": 70.0, "exact_match": 1.0}, 70.0),
        ("coreference", "Coreference", {"average_f1": 60.0}, 60.0),
        ("relation_extraction", "TACRED", {"f1": 50.0}, 50.0),
        ("classification", "MNLI", {"accuracy": 80.0, "mismatched_accuracy": 82.0, "score": 81.0}, 80.0),
        ("classification", "MRPC", {"accuracy": 80.0, "f1": 84.0, "score": 82.0}, 82.0),
        ("classification", "QNLI", {}, None),
    ],
)
def test_the_score_of_a_cell_is_the_papers(program, name, dev, expected):
    assert Column(name, program, ()).score({"scores": {"dev": dev}}) == expected
    assert Column(name, program, ()).score({}) is None


def test_the_glue_average_counts_two_scores_with_their_mean_and_leaves_wnli_out():
    dev = {
        "CoLA": {"matthews": 60.0},
        "SST-2": {"accuracy": 90.0},
        "MRPC": {"f1": 90.0, "accuracy": 80.0},
        "STS-B": {"pearson": 88.0, "spearman": 92.0},
        "QQP": {"f1": 70.0, "accuracy": 90.0},
        "MNLI": {"accuracy": 84.0, "mismatched_accuracy": 86.0},
        "QNLI": {"accuracy": 95.0},
        "RTE": {"accuracy": 75.0},
    }
    assert set(dev) == set(AVERAGED)
    records = {name: {"scores": {"dev": scores}} for name, scores in dev.items()}
    total = 60 + 90 + 85 + 90 + 80 + 85 + 95 + 75
    found = glue_averages(records)
    assert found[GLUE_AVERAGE] == pytest.approx(total / 8)
    assert found[GLUE_WITH_WNLI] == pytest.approx((total + 56.338) / 9, abs=1e-3)
    del records["RTE"]
    assert glue_averages(records) == {GLUE_AVERAGE: None, GLUE_WITH_WNLI: None}


def test_the_sets_in_a_folder_have_their_recipes(tmp_path):
    for name in ("CoLA", "STS-B", "other"):
        (tmp_path / name).mkdir()
    assert [(column.name, column.arguments) for column in glue_columns(tmp_path)] == [
        ("CoLA", ("--flagfile=configs/glue_cola.flags", f"--data_dir={tmp_path / 'CoLA'}")),
        ("STS-B", ("--flagfile=configs/glue_stsb.flags", f"--data_dir={tmp_path / 'STS-B'}")),
    ]
