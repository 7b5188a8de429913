"""Tests of Tables 6 and 7: the paper's rows, results beside them, and files of another form."""

import json

import pytest

from spanbert_keras.program import InputError
from tasks.shared.ablation_tables import TABLES, TASKS, AblationResults, ablation_tables, read_ablation

# Joshi et al., 2020, Tables 6 and 7, as printed.
PAPER = {
    "Table 6": {
        "Subword tokens": "83.8 72.0 76.3 77.7 86.7 92.5 83.2",
        "Whole words": "84.3 72.8 77.1 76.6 86.3 92.8 82.9",
        "Named entities": "84.8 72.7 78.7 75.6 86.0 93.1 83.2",
        "Noun phrases": "85.0 73.0 77.7 76.7 86.5 93.2 83.5",
        "Geometric spans, 2seq + NSP": "85.4 73.0 78.8 76.4 87.0 93.3 83.4",
    },
    "Table 7": {
        "Geometric spans, 2seq + NSP": "85.4 73.0 78.8 76.4 87.0 93.3 83.4",
        "Geometric spans, 1seq": "86.7 73.4 80.0 76.3 87.3 93.8 83.8",
        "Geometric spans, 1seq + SBO": "86.8 74.1 80.3 79.0 87.6 93.9 84.0",
    },
}
RESULTS = {
    "rows": ["subword_2seq", "span_2seq", "untouched"],
    "tasks": ["Coreference", "LitBank"],
    "mean": [[50.04, None], [60.0, 70.0], [1.0, 2.0]],
    "std": [[0.25, None], [None, 0.1], [0.0, 0.0]],
}


def test_without_results_the_tables_are_the_papers():
    tables = [table for table in ablation_tables(None) if table.rows]
    assert [table.title for table in tables] == list(TABLES)
    for table in tables:
        assert table.head == ["dev", *TASKS]
        expected = PAPER[table.title.partition(":")[0]]
        assert table.rows == {f"{name} (paper)": row.split() for name, row in expected.items()}
    assert all(not table.rows for table in ablation_tables(None, published=False))


def test_results_stand_beside_the_papers_rows_and_what_is_in_neither_table_below():
    six, seven, other = ablation_tables(AblationResults(**RESULTS), where="runs/a")
    assert six.title == "Table 6: masking schemes (runs/a)"
    assert six.head == ["dev", *TASKS, "LitBank"]
    nothing = ["-"] * 3
    assert six.rows["Subword tokens"] == [*nothing, "50.0 ± 0.2", *nothing, "-"]
    assert six.rows["Geometric spans, 2seq + NSP"] == [*nothing, "60.0", *nothing, "70.0 ± 0.1"]
    assert six.rows["Subword tokens (paper)"][-2:] == ["83.2", "-"] and "Whole words" not in six.rows
    assert list(seven.rows)[3:] == ["Geometric spans, 2seq + NSP"] and len(seven.measured) == 3
    assert other.title == "Other pre-trainings (runs/a)"
    assert other.rows == {"untouched": [*nothing, "1.0 ± 0.0", *nothing, "2.0 ± 0.0"]}


def test_a_file_of_this_form_is_read(tmp_path):
    (tmp_path / "ablation.json").write_text(json.dumps(RESULTS | {"more": 1}))
    assert read_ablation(tmp_path / "ablation.json") == AblationResults(**RESULTS)


@pytest.mark.parametrize(
    "changes",
    [
        {"rows": "subword_2seq"},
        {"tasks": ["Coreference"]},
        {"mean": [[1.0, 2.0]]},
        {"mean": [[1.0], [2.0, 3.0], [4.0, 5.0]]},
        {"std": [["a", 1.0], [2.0, 3.0], [4.0, 5.0]]},
        {"std": [[True, 1.0], [2.0, 3.0], [4.0, 5.0]]},
        {"std": None},
    ],
)
def test_a_file_of_another_form_is_rejected(tmp_path, changes):
    path = tmp_path / "ablation.json"
    path.write_text(json.dumps(RESULTS | changes))
    with pytest.raises(
        InputError, match=r"(does not have the form|cannot be read as the results) .* Expected: \{\"rows\": \[R names\]"
    ):
        read_ablation(path)


@pytest.mark.parametrize("text", ["{", "[]", "3", '{"rows": []}'])
def test_a_file_that_is_not_the_results_of_an_ablation_is_rejected(tmp_path, text):
    (tmp_path / "ablation.json").write_text(text)
    with pytest.raises(InputError, match="cannot be read as the results of an ablation. Expected: .* Received: "):
        read_ablation(tmp_path / "ablation.json")
