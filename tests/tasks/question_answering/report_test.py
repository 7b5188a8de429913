"""Tests of the results table: means of runs, test before dev, and the paper's rows."""

import json

import pytest

from spanbert_keras.program import InputError
from tasks.question_answering import report


@pytest.fixture
def write_run(tmp_path):
    def write(folder, dataset, method="MiniLM", **scores):
        path = tmp_path / folder
        path.mkdir(parents=True)
        flags = {"method": method, "encoder": "e", "dataset": dataset, "train_file": ["x"], "dev_file": "some/dev.json"}
        (path / "run.json").write_text(json.dumps({"flags": flags, "scores": scores}))

    return write


def row_of(text, name):
    return [
        cell.strip() for line in text.splitlines() if line.startswith(f"| {name} |") for cell in line.split("|")[2:-1]
    ]


def test_the_published_rows_are_the_papers_tables():
    text = report.tables({("x", "SQuAD 1.1"): report.Result(1.0, 2.0, 1, "dev")})
    assert row_of(text, "SpanBERT (paper)") == [
        "88.8", "94.6", "85.7", "88.7", "73.6", "83.6", "84.8", "83.0", "82.5", "81.5",
    ]  # fmt: skip
    averages = [row_of(text, f"{name} (paper)")[-1] for name in ("Google BERT", "Our BERT", "Our BERT-1seq")]
    assert averages == ["77.2", "78.6", "79.7"]  # the paper prints 77.3 for the first


def test_seeds_are_averaged_and_test_counts_before_dev(write_run, tmp_path):
    write_run("one/seed_1", "NewsQA", dev={"exact_match": 1.0, "f1": 2.0}, test={"exact_match": 50.0, "f1": 60.0})
    write_run("one/seed_2", "NewsQA", dev={"exact_match": 1.0, "f1": 2.0}, test={"exact_match": 52.0, "f1": 63.0})
    write_run("two", "SQuAD 2.0", dev={"exact": 1.0, "f1": 1.0, "best_exact": 70.04, "best_f1": 71.06})
    write_run("three", None, dev={"exact_match": 5.0, "f1": 6.0})
    write_run("unfinished", "NewsQA")
    results = report.gather(tmp_path)
    assert results["MiniLM", "NewsQA"] == report.Result(51.0, 61.5, 2, "test")
    text = report.tables(results, published=False)
    assert row_of(text, "MiniLM") == ["-", "-", "70.0", "71.1", "61.5", "-", "-", "-", "-", "-", "5.0", "6.0"]
    assert "NewsQA: test, 2 runs (MiniLM)" in text and "dev.json EM" in text and "paper" not in text


def test_of_a_sweep_the_chosen_run_alone_counts(write_run, tmp_path):
    write_run("s/rate_2e-05_batch_16", "NewsQA", dev={"exact_match": 1.0, "f1": 2.0})
    write_run("s/rate_5e-05_batch_32", "NewsQA", dev={"exact_match": 3.0, "f1": 4.0})
    (tmp_path / "s" / "sweep.json").write_text(json.dumps({"chosen": {"learning_rate": 5e-5, "batch_size": 32}}))
    assert report.gather(tmp_path) == {("MiniLM", "NewsQA"): report.Result(3.0, 4.0, 1, "dev")}


def test_the_program_writes_or_prints_and_refuses_an_empty_folder(write_run, tmp_path, capsys):
    with pytest.raises(InputError, match="holds no finished question-answering run"):
        report.main(report.Config(runs=str(tmp_path)))
    write_run("r", "SQuAD 1.1", dev={"exact_match": 80.0, "f1": 90.0})
    report.main(report.Config(runs=str(tmp_path), output=str(tmp_path / "results.md")))
    report.main(report.Config(runs=str(tmp_path)))
    assert (tmp_path / "results.md").read_text() == capsys.readouterr().out
    assert row_of((tmp_path / "results.md").read_text(), "MiniLM")[:2] == ["80.0", "90.0"]
