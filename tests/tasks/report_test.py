"""Tests of the file of all tables: every table once, the count against the baselines, both files."""

import json
import statistics

import pytest

from spanbert_keras import program
from spanbert_keras.program import InputError
from tasks import report
from tasks.shared.task_report import BASELINES, SPANBERT, Figure

TITLES = [
    "Table 1: SQuAD",
    "Table 2: MRQA",
    "Table 3: OntoNotes",
    "Table 4: TACRED",
    "Re-TACRED",
    "Table 5: GLUE",
    "Overall trends: better than all baselines",
    "Table 6: masking schemes",
    "Table 7: auxiliary objectives",
]
# Joshi et al., 2020, section 5.2: 17 benchmarks, in the order of the tables. Columns: Google BERT, Our BERT,
# Our BERT-1seq, SpanBERT. F1 where there are several figures, the mean of both for GLUE.
FIGURES = {
    "SQuAD 1.1": "91.3 92.6 93.3 94.6",
    "SQuAD 2.0": "83.3 85.9 86.6 88.7",
    "NewsQA": "68.8 71.0 71.9 73.6",
    "TriviaQA": "77.5 79.0 80.4 83.6",
    "SearchQA": "81.7 81.8 84.0 84.8",
    "HotpotQA": "78.3 80.5 80.3 83.0",
    "NaturalQuestions": "79.9 80.5 81.8 82.5",
    "OntoNotes": "77.1 78.3 78.8 79.6",
    "TACRED": "66.4 67.5 70.1 70.8",
    "CoLA": "59.3 58.6 63.5 64.3",
    "SST-2": "95.2 93.9 94.8 94.8",
    "MRPC": "88.5/84.3 90.1/86.6 91.2/87.8 90.9/87.9",
    "STS-B": "86.4/88.0 88.4/89.1 89.0/88.4 89.9/89.1",
    "QQP": "71.2/89.0 71.8/89.3 72.1/89.5 71.9/89.5",
    "MNLI": "86.1/85.7 87.2/86.6 88.0/87.4 88.1/87.7",
    "QNLI": "93.0 93.0 93.0 94.3",
    "RTE": "71.1 74.7 72.1 79.0",
}


def mean(text):
    return statistics.fmean(map(float, text.split("/")))


@pytest.fixture
def write_run(tmp_path):
    """Function that writes a finished run."""

    def write(folder, dataset, method="M", **splits):
        path = tmp_path / "runs" / folder
        path.mkdir(parents=True)
        flags = {"method": method, "encoder": "e", "dataset": dataset, "dev_file": "dev", "seed": 1}
        flags |= {"feature_mode": "ner"} if dataset == "TACRED" else {}
        (path / "run.json").write_text(json.dumps({"flags": flags, "scores": splits}))

    return write


@pytest.fixture
def runs(write_run, tmp_path):
    """Folder with a run of every kind and two baselines."""
    for method, more in (("M", 0.0), ("B1", -1.0), ("B2", 1.0)):
        write_run(f"{method}/a", "NewsQA", method, dev={"exact_match": 1.0, "f1": 80.0 + more})
        write_run(f"{method}/b", "RTE", method, dev={"accuracy": 70.0 - abs(more), "score": 70.0})
    coreference = {f"{m}_{part}": 1.0 for m in ("muc", "b_cubed", "ceaf") for part in ("precision", "recall", "f1")}
    write_run("c", "OntoNotes", dev=coreference | {"average_f1": 79.0}, test=coreference | {"average_f1": 78.9})
    write_run("d", "TACRED", dev={"precision": 1.0, "recall": 1.0, "f1": 60.0})
    return tmp_path / "runs"


def test_the_papers_figures_are_those_of_its_tables(runs):
    found = {}
    for make in report.REPORTS:
        for method, figures in make(runs).figures.items():
            found.setdefault(method, {}).update(figures)
    for place, method in enumerate((*BASELINES, SPANBERT)):
        expected = {name: mean(row.split()[place]) for name, row in FIGURES.items()}
        assert {name: figure.value for name, figure in found[method].items()} == pytest.approx(expected)
        assert {figure.split for figure in found[method].values()} == {"test"}


def test_spanbert_is_better_than_all_baselines_on_14_of_17_benchmarks():
    models = {
        method: {name: Figure(mean(row.split()[place])) for name, row in FIGURES.items()}
        for place, method in enumerate((*BASELINES, SPANBERT))
    }
    found = report.compare(models, BASELINES)
    assert found.keys() == {SPANBERT}
    assert (len(found[SPANBERT].better), found[SPANBERT].not_better) == (14, ["SST-2", "MRPC", "QQP"])
    assert found[SPANBERT].unlike == 0


def test_every_table_is_there_once_and_in_order(runs):
    tables = {table.title: table for table in report.gather(runs)}
    assert list(tables) == TITLES
    for title, place, value in (
        ("Table 2: MRQA", 0, "80.0"),
        ("Table 3: OntoNotes", -1, "78.9"),
        ("Table 4: TACRED", -1, "60.0"),
        ("Table 5: GLUE", 7, "70.0"),
    ):
        assert tables[title].rows["M"][place] == value
    assert "M" not in tables["Table 1: SQuAD"].rows and tables["Table 1: SQuAD"].rows["Human (paper)"][1] == "91.2"
    assert tables["Table 3: OntoNotes"].notes == ["OntoNotes: test, 1 run (M)"]
    trends = tables["Overall trends: better than all baselines"].rows
    assert trends[SPANBERT] == ["14", "17", "SST-2, MRPC, QQP", "0"]
    # 80.0 is above 71.9, and 78.9 above 78.8; three of the four figures are of dev.
    assert trends["M"] == ["2", "4", "TACRED, RTE", "3"]


def test_without_the_papers_rows_only_measured_ones_are_left(runs):
    tables = report.gather(runs, published=False)
    assert [table.title for table in tables] == ["Table 2: MRQA", *TITLES[2:4], "Table 5: GLUE"]
    assert all("paper" not in name for table in tables for name in table.rows)


def test_baselines_may_be_our_own(runs):
    tables = report.gather(runs, published=False, baselines=("B1", "B2"))
    [trends] = [table for table in tables if "trends" in table.title]
    assert trends.rows == {"M": ["1", "2", "NewsQA", "0"]}
    assert trends.notes == ["Baselines: B1; B2"]
    with pytest.raises(InputError, match="--baselines must be names of rows. Expected: some of: .*M.* Received: B3"):
        report.gather(runs, baselines=("B1", "B3"))


def test_a_model_counts_only_where_it_and_all_baselines_have_figures():
    figures = {
        "a": {"x": Figure(1.0), "y": Figure(1.0), "z": Figure(1.0)},
        "b": {"x": Figure(1.0, "dev"), "z": Figure(3.0)},
        "m": {"y": Figure(9.0), "z": Figure(3.0), "x": Figure(1.1)},
        "n": {"y": Figure(9.0)},
    }
    found = report.compare(figures, ("a", "b"))
    assert found["m"] == report.Comparison(["x"], ["z"], 1)  # equal is not better
    assert found["n"] == report.Comparison([], [], 0)
    assert list(report.wins_table(found, ("a", "b")).rows) == ["m"]


def test_ablations_at_any_depth_give_their_tables(tmp_path):
    results = {"rows": ["span_1seq"], "tasks": ["QNLI"], "mean": [[50.0]], "std": [[0.5]]}
    for name in ("b/deep", "a"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "ablation.json").write_text(json.dumps(results))
    titles = [table.title for table in report.gather(tmp_path)]
    places = [
        f"Table {number}: {name} ({where})"
        for where in ("a", "b/deep")
        for number, name in ((6, "masking schemes"), (7, "auxiliary objectives"))
    ]
    assert titles[-4:] == places
    assert [table.title for table in report.gather(tmp_path, published=False)] == places[1::2]


def test_both_files_are_written(runs, tmp_path):
    report.main(program.parse(report.Config, [f"--runs={runs}"]))
    text, page = ((runs / f"tables.{ending}").read_text(encoding="utf-8") for ending in ("md", "html"))
    assert [line[3:] for line in text.splitlines() if line.startswith("## ")] == TITLES
    assert page.count("<h2>") == len(TITLES) and f"<h2>{TITLES[2]}</h2>" in page
    report.main(program.parse(report.Config, [f"--runs={runs}", f"--output={tmp_path / 'x.y.md'}", "--nopublished"]))
    assert (tmp_path / "x.y.html").is_file() and "(paper)" not in (tmp_path / "x.y.md").read_text(encoding="utf-8")


def test_bad_input_is_rejected(runs, tmp_path):
    with pytest.raises(InputError, match="holds no finished fine-tuning run .* and no ablation.json"):
        report.gather(tmp_path / "nowhere")
    with pytest.raises(InputError, match="--output=.*x.html must be a Markdown file"):
        report.main(report.Config(runs=str(runs), output="x.html"))
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="could not be written"):
        report.main(report.Config(runs=str(runs), output=str(tmp_path / "file" / "x.md")))
