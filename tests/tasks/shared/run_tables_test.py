"""Tests of gathering runs: which count, groups, means, tables, output."""

import json
import math

import pytest

from spanbert_keras.program import InputError
from tasks.shared.run_tables import (
    ReportSettings,
    find_runs,
    group_runs,
    markdown_table,
    mean_of,
    number,
    number_of_runs,
    scores_of,
)


@pytest.fixture
def write_run(tmp_path):
    """Function that writes a record and returns its folder."""

    def write(folder, scores=True, **flags):
        path = tmp_path / folder
        path.mkdir(parents=True, exist_ok=True)
        record = {"flags": flags or {"encoder": "e"}, "scores": {"dev": {"f1": 1.0}} if scores else {}}
        (path / "run.json").write_text(json.dumps(record))
        return path

    return write


def names_of(runs, folder):
    return [run["folder"].relative_to(folder).as_posix() for run in runs]


def test_finished_runs_at_any_depth_that_are_wanted_are_found_in_order(write_run, tmp_path):
    for folder in ("b", "a/deep/er", "a/other"):
        write_run(folder, dataset=folder)
    write_run("unfinished", scores=False)
    assert names_of(find_runs(tmp_path, lambda record: True), tmp_path) == ["a/deep/er", "a/other", "b"]
    [one] = find_runs(tmp_path, lambda record: record["flags"]["dataset"] == "b")
    assert one == {"flags": {"dataset": "b"}, "scores": {"dev": {"f1": 1.0}}, "folder": tmp_path / "b"}
    assert find_runs(tmp_path / "nowhere", lambda record: True) == []


@pytest.mark.parametrize(
    "content",
    [
        "{",
        "[]",
        "3",
        "[" * 100_000,
        '{"flags": {"encoder": 3}}',
        '{"scores": {"dev": []}}',
        "\udcff",
        '{"flags": [1], "scores": {}}',
        '{"scores": 3}',
    ],
)
def test_a_file_that_is_not_a_record_is_reported_and_left_out(write_run, tmp_path, caplog, content):
    write_run("a")
    (tmp_path / "run.json").write_bytes(content.encode("utf-8", "surrogateescape"))
    assert names_of(find_runs(tmp_path, lambda record: True), tmp_path) == ["a"]
    assert "run.json is not a record of a run and is left out" in caplog.text


def test_records_without_flags_or_scores_are_never_asked_about(write_run, tmp_path):
    write_run("a")
    for name, record in (("b", {"flags": {"x": 1}}), ("c", {"scores": {"dev": {}}}), ("d", {})):
        (tmp_path / name).mkdir()
        (tmp_path / name / "run.json").write_text(json.dumps(record))
    asked = []
    find_runs(tmp_path, lambda record: asked.append(record["folder"].name))
    assert asked == ["a"]


def test_a_run_of_an_earlier_version_is_grouped_with_those_of_this_one(write_run, tmp_path):
    common = {"encoder": "e", "dataset": "d"}
    write_run("old", **common, seed=1, warmup_share=0.1)
    write_run("new", **common, seed=2, warmup_ratio=0.1)
    groups = group_runs(find_runs(tmp_path, lambda record: True))
    assert [sorted(run["folder"].name for run in runs) for runs in groups.values()] == [["new", "old"]]


@pytest.mark.parametrize("of_an_earlier_version", [False, True])
def test_of_a_sweep_the_chosen_run_alone_counts_and_of_an_unfinished_one_none(
    write_run, tmp_path, of_an_earlier_version
):
    sweep = write_run("s")
    for name in ("rate_1", "rate_2"):
        write_run(f"s/{name}")
    write_run("beside")
    if of_an_earlier_version:
        (sweep / "sweep.db").touch()
    else:
        (sweep / "sweep.json").write_text(json.dumps({"trials": []}))
    assert names_of(find_runs(tmp_path, lambda record: True), tmp_path) == ["beside"]
    (sweep / "sweep.json").write_text("{")  # a damaged file has no chosen run
    assert names_of(find_runs(tmp_path, lambda record: True), tmp_path) == ["beside"]
    (sweep / "sweep.json").write_text(json.dumps({"folder": "rate_2"}))
    assert names_of(find_runs(tmp_path, lambda record: True), tmp_path) == ["beside", "s/rate_2"]


def records(*flags):
    return [{"flags": one, "place": place} for place, one in enumerate(flags)]


def places(groups):
    return {key: [record["place"] for record in runs] for key, runs in groups.items()}


def test_seeds_form_a_group_methods_and_sets_separate_ones():
    alike = {"encoder": "e", "dataset": "RTE", "learning_rate": 1e-5}
    groups = group_runs(
        records(
            alike | {"seed": 1, "output_dir": "a", "data_dir": "x", "test_labels": "y"},
            alike | {"seed": 2, "output_dir": "b"},
            alike | {"seed": 1, "dataset": "QNLI"},
            alike | {"method": "M", "encoder": "f"},
            alike | {"method": "M", "encoder": "g", "seed": 5},
            {"encoder": "e", "dataset": None, "dev_file": "some/dev.json"},
        )
    )
    assert places(groups) == {("e", "RTE"): [0, 1], ("e", "QNLI"): [2], ("M", "RTE"): [3, 4], ("e", "dev.json"): [5]}


def test_a_seed_counts_once_though_a_sweep_made_it_too(caplog):
    caplog.set_level("INFO")
    base = {"method": "M", "dataset": "RTE", "learning_rate": 1e-5}
    given = records(base | {"seed": 1, "sweep": True}, base | {"seed": 1}, base | {"seed": 2}, base | {"seed": 1})
    facts = [{"dev": "x"}, {"dev": "x"}, {"dev": "x"}, {"dev": "other data"}]
    runs = [
        one | {"facts": fact, "folder": f"f{place}"} for place, (one, fact) in enumerate(zip(given, facts, strict=True))
    ]
    assert places(group_runs(runs)) == {("M", "RTE"): [0, 2, 3]}
    assert "f1 repeats f0 and is left out." in caplog.text


def test_other_settings_form_a_separate_group_and_follow_the_name():
    base = {"method": "M", "dataset": "RTE", "learning_rate": 1e-5, "epochs": 3}
    groups = group_runs(
        records(base, base | {"learning_rate": 2e-5, "seed": 2}, base | {"seed": 3}, base | {"pooler": True})
    )
    assert places(groups) == {
        ("M (learning_rate=1e-05, pooler=None)", "RTE"): [0, 2],
        ("M (learning_rate=2e-05, pooler=None)", "RTE"): [1],
        ("M (learning_rate=1e-05, pooler=True)", "RTE"): [3],
    }
    assert places(group_runs(records(base, base | {"dataset": "QNLI", "epochs": 9}))) == {
        ("M", "RTE"): [0],
        ("M", "QNLI"): [1],
    }


def test_test_scores_count_before_dev_scores():
    one = {"scores": {"dev": {"f1": 1.0}}}
    two = {"scores": {"dev": {"f1": 2.0}, "test": {"f1": 3.0}}}
    assert scores_of([one, one]) == ("dev", [{"f1": 1.0}, {"f1": 1.0}])
    assert scores_of([one, two]) == ("test", [{"f1": 3.0}])


def test_the_number_of_runs_comes_with_their_standard_deviation():
    assert number_of_runs([5.0]) == "1 run"
    assert number_of_runs([1.0, 3.0]) == "2 runs, standard deviation 1.4"  # of a sample


def test_a_mean_needs_every_value():
    assert mean_of([1.0, 2.0, 6.0]) == 3.0 and mean_of([0.0]) == 0.0
    assert mean_of([]) is None and mean_of([1.0, None]) is None and mean_of([None]) is None


def test_a_figure_has_one_decimal():
    assert [number(value) for value in (None, 0.0, 82.76, -1.04)] == ["-", "0.0", "82.8", "-1.0"]


def test_a_table_leaves_rows_without_figures_out():
    text = markdown_table(["", "A", "B"], {"x": ["1.0", "-"], "y": ["-", "-"], "z": ["2.0", "3.0"]})
    assert text == "|  | A | B |\n| --- | --- | --- |\n| x | 1.0 | - |\n| z | 2.0 | 3.0 |"


def test_a_report_is_printed_or_written(tmp_path, capsys):
    ReportSettings().write_or_print("a π table")
    assert capsys.readouterr().out == "a π table\n"
    ReportSettings(output=str(tmp_path / "a.md")).write_or_print("a π table")
    assert (tmp_path / "a.md").read_text(encoding="utf-8") == "a π table\n" and capsys.readouterr().out == ""
    with pytest.raises(InputError, match=r"--output=.*none.a.md cannot be written: No such file or directory\."):
        ReportSettings(output=str(tmp_path / "none" / "a.md")).write_or_print("x")


@pytest.mark.parametrize("value", ["1.0", None, True, [1.0], math.nan, math.inf])
def test_a_record_whose_figure_is_not_a_number_is_reported_and_left_out(write_run, tmp_path, caplog, value):
    for folder in ("a", "b"):
        write_run(folder, dataset="d", encoder="e")
    (tmp_path / "a/run.json").write_text(
        json.dumps({"flags": {"encoder": "e", "dataset": "d"}, "scores": {"dev": {"f1": value}}})
    )
    found = find_runs(tmp_path, lambda record: True, lambda record: [record["scores"]["dev"]["f1"]])
    assert names_of(found, tmp_path) == ["b"] and "a/run.json lacks flags or scores" in caplog.text


@pytest.mark.parametrize("flags", [{"encoder": "e"}, {"dataset": "d"}])
def test_a_record_without_its_figures_or_names_is_left_out(write_run, tmp_path, flags):
    write_run("a", **flags)
    write_run("b", dataset="d", encoder="e")
    found = find_runs(tmp_path, lambda record: True, lambda record: [1.0])
    assert names_of(found, tmp_path) == ["b"]
    assert find_runs(tmp_path, lambda record: True, lambda record: [record["scores"]["test"]]) == []
