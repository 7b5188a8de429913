"""Tests of Table 5: the paper's rows, means over seeds; and the submission."""

import json
import statistics
import zipfile

import pytest

from spanbert_keras import program
from spanbert_keras.program import InputError
from tasks.glue import report
from tasks.glue.benchmark_set import SETS
from tests.markdown_rows import row_of

# Joshi et al., 2020, Table 5, row for row, with the average as printed; WNLI's column is not in it.
TABLE_5 = {
    "Google BERT": "59.3 95.2 88.5/84.3 86.4/88.0 71.2/89.0 86.1/85.7 93.0 71.1 80.4",
    "Our BERT": "58.6 93.9 90.1/86.6 88.4/89.1 71.8/89.3 87.2/86.6 93.0 74.7 81.1",
    "Our BERT-1seq": "63.5 94.8 91.2/87.8 89.0/88.4 72.1/89.5 88.0/87.4 93.0 72.1 81.7",
    "SpanBERT": "64.3 94.8 90.9/87.9 89.9/89.1 71.9/89.5 88.1/87.7 94.3 79.0 82.8",
}
SCORES = {
    "CoLA": {"matthews": 60.0},
    "SST-2": {"accuracy": 90.0},
    "MRPC": {"f1": 88.0, "accuracy": 84.0},
    "STS-B": {"pearson": 85.0, "spearman": 87.0},
    "QQP": {"f1": 70.0, "accuracy": 80.0},
    "MNLI": {"accuracy": 82.0, "mismatched_accuracy": 84.0},
    "QNLI": {"accuracy": 92.0},
    "RTE": {"accuracy": 65.0},
    "WNLI": {"accuracy": 40.0, "majority": 56.0},
}


@pytest.fixture
def write_run(tmp_path):
    """Function that writes a finished run of a set, with submission files that hold their origin."""

    def write(folder, dataset, method="M", files=(), rate=2e-5, encoder="e", **scores):
        path = tmp_path / "runs" / folder
        path.mkdir(parents=True)
        flags = {"method": method, "encoder": encoder, "dataset": dataset, "learning_rate": rate, "dev_file": None}
        flags["seed"] = len(list(tmp_path.rglob("run.json")))
        dev = {"score": statistics.mean(scores.values())} | scores if scores else {}
        record = {"flags": flags, "scores": {"dev": dev} if dev else {}}
        (path / "run.json").write_text(json.dumps(record))
        (path / "submission").mkdir()
        for file in files:
            (path / "submission" / f"{file}.tsv").write_text(f"index\tprediction\n0\t{folder} π\n", encoding="utf-8")

    return write


@pytest.fixture
def make(tmp_path):
    """Function of flags that runs the program and returns what it wrote."""

    def run(*flags):
        out = tmp_path / "table.md"
        report.main(program.parse(report.Config, [f"--runs={tmp_path / 'runs'}", f"--output={out}", *flags]))
        return out.read_text(encoding="utf-8")

    return run


def test_the_published_rows_are_the_papers_table(write_run, make):
    write_run("a", "RTE", accuracy=1.0)
    text = make()
    assert "Table 5" in text
    for name, figures in TABLE_5.items():
        *sets, average = figures.split()
        assert row_of(text, f"{name} (paper)") == [*sets, "65.1", average]
    assert len([line for line in text.splitlines() if "(paper)" in line]) == 4
    [head] = [line for line in text.splitlines() if line.startswith("|  |")]
    assert [cell.strip() for cell in head.split("|")[2:-1]] == [
        "CoLA Matthews",
        "SST-2 acc.",
        "MRPC F1 / acc.",
        "STS-B Pearson / Spearman",
        "QQP F1 / acc.",
        "MNLI acc. / mismatched acc.",
        "QNLI acc.",
        "RTE acc.",
        "WNLI Majority",
        "average",
    ]
    assert "paper" not in make("--nopublished")


def test_figures_are_means_of_a_sets_scores_without_wnli(write_run, tmp_path):
    for name, scores in SCORES.items():
        write_run(name, name, **scores)
    figures = report.report(tmp_path / "runs").figures
    values = {name: figure.value for name, figure in figures["M"].items()}
    assert values == {
        **{"CoLA": 60.0, "SST-2": 90.0, "MRPC": 86.0, "STS-B": 86.0, "QQP": 75.0, "MNLI": 83.0},
        **{"QNLI": 92.0, "RTE": 65.0},
    }
    assert {figure.split for figure in figures["M"].values()} == {"dev"}
    of_paper = {name: figure.value for name, figure in figures["SpanBERT (paper)"].items()}
    assert of_paper.keys() == values.keys()
    assert of_paper["MRPC"] == pytest.approx(89.4) and of_paper["QQP"] == pytest.approx(80.7)
    assert figures["SpanBERT (paper)"]["RTE"].split == "test" and len(figures) == 5


def test_a_run_of_every_set_has_all_cells_and_an_average_over_sets(write_run, make):
    for name, scores in SCORES.items():
        write_run(name, name, **scores)
    assert row_of(make(), "M") == [
        "60.0",
        "90.0",
        "88.0/84.0",
        "85.0/87.0",
        "70.0/80.0",
        "82.0/84.0",
        "92.0",
        "65.0",
        "56.0",
        f"{(60 + 90 + 86 + 86 + 75 + 83 + 92 + 65 + 56) / 9:.1f}",
    ]


def test_seeds_are_averaged_and_their_deviation_is_noted(write_run, make):
    values = (60.0, 64.0, 71.0)
    for number, value in enumerate(values):
        write_run(f"seeds/seed_{number}", "RTE", accuracy=value)
    write_run("mrpc", "MRPC", f1=80.0, accuracy=70.0)
    text = make()
    assert row_of(text, "M") == ["-", "-", "80.0/70.0", "-", "-", "-", "-", "65.0", "-", "-"]
    deviation = (((60 - 65) ** 2 + (64 - 65) ** 2 + (71 - 65) ** 2) / 2) ** 0.5
    assert f"Measured: MRPC: dev, 1 run (M); RTE: dev, 3 runs, standard deviation {deviation:.1f} (M)." in text


def test_several_methods_have_a_row_each_and_other_settings_too(write_run, make):
    write_run("a", "RTE", method="One", accuracy=60.0)
    write_run("b", "RTE", method=None, encoder="some/encoder", accuracy=70.0)
    write_run("c", "QNLI", method="One", accuracy=50.0)
    write_run("d", "QNLI", method="One", rate=5e-5, accuracy=52.0)
    text = make()
    assert row_of(text, "One")[7] == "60.0" and row_of(text, "some/encoder")[7] == "70.0"
    assert row_of(text, "One (learning_rate=2e-05)")[6] == "50.0"
    assert row_of(text, "One (learning_rate=5e-05)")[6] == "52.0"


def test_runs_of_other_tasks_and_unfinished_ones_are_ignored(write_run, make):
    write_run("mine", "RTE", accuracy=60.0)
    write_run("answers", "SQuAD 1.1", f1=90.0)
    write_run("relations", None, f1=70.0)
    write_run("texts", "own", accuracy=99.0)
    write_run("unfinished", "RTE")
    text = make("--nopublished")
    assert row_of(text, "M")[7] == "60.0" and len([line for line in text.splitlines() if line.startswith("|")]) == 3
    assert "Measured: RTE: dev, 1 run (M)." in text


@pytest.mark.parametrize("others", [False, True])
def test_a_folder_without_a_run_of_a_set_is_rejected(write_run, make, others):
    if others:
        write_run("answers", "SQuAD 1.1", f1=90.0)
    with pytest.raises(InputError, match="runs holds no finished run of a GLUE set"):
        make()


def submitted(folder):
    """Returns the files of the zip, which are those of the folder."""
    with zipfile.ZipFile(folder / "submission.zip") as archive:
        assert archive.testzip() is None
        found = {name: archive.read(name).decode("utf-8") for name in archive.namelist()}
    assert {path.name for path in folder.iterdir()} == {*found, "submission.zip"}
    assert all((folder / name).read_text(encoding="utf-8") == text for name, text in found.items())
    return found


def test_the_site_gets_the_files_of_the_best_seed_of_each_set(write_run, make, tmp_path, caplog):
    for name in SETS:
        files = ("MNLI-m", "MNLI-mm", "AX") if name == "MNLI" else (name,)
        for seed, change in (("low", 0.0), ("best", 9.0), ("middle", 5.0)):
            scores = {score: value + change for score, value in SCORES[name].items()}
            write_run(f"{name}/{seed}", name, files=files, **scores)
    make(f"--submission_dir={tmp_path / 'deep' / 'site'}")
    found = submitted(tmp_path / "deep" / "site")
    assert found == {
        f"{file}.tsv": f"index\tprediction\n0\t{'MNLI' if file in ('MNLI-m', 'MNLI-mm', 'AX') else file}/best π\n"
        for file in ("CoLA", "SST-2", "MRPC", "STS-B", "QQP", "MNLI-m", "MNLI-mm", "QNLI", "RTE", "WNLI", "AX")
    }
    assert "lacks files" not in caplog.text


def test_the_site_gets_every_set_where_one_was_tried_with_other_settings(write_run, make, tmp_path):
    write_run("a", "RTE", files=["RTE"], accuracy=60.0)
    write_run("b", "RTE", files=["RTE"], rate=5e-5, accuracy=70.0)
    write_run("c", "QNLI", files=["QNLI"], accuracy=90.0)
    text = make(f"--submission_dir={tmp_path / 'site'}")
    assert "M (learning_rate=5e-05)" in text
    with zipfile.ZipFile(tmp_path / "site" / "submission.zip") as archive:
        assert {name: archive.read(name).decode().split()[3] for name in archive.namelist()} == {
            "RTE.tsv": "b",
            "QNLI.tsv": "c",
        }


def test_files_that_are_missing_are_named(write_run, make, tmp_path, caplog):
    write_run("rte", "RTE", files=("RTE",), accuracy=60.0)
    write_run("mnli", "MNLI", files=("MNLI-m", "MNLI-mm"), accuracy=80.0, mismatched_accuracy=81.0)
    write_run("qnli", "QNLI", accuracy=80.0)
    make(f"--submission_dir={tmp_path / 'site'}")
    assert set(submitted(tmp_path / "site")) == {"RTE.tsv", "MNLI-m.tsv", "MNLI-mm.tsv"}
    missing = caplog.text.split("lacks files that the site expects: ")[1].split(".\n")[0]
    assert set(missing.split(", ")) == {
        f"{name}.tsv" for name in ("CoLA", "SST-2", "MRPC", "STS-B", "QQP", "AX", "QNLI", "WNLI")
    }


def test_of_several_methods_one_must_be_named(write_run, make, tmp_path):
    write_run("a", "RTE", method="One", files=("RTE",), accuracy=60.0)
    write_run("b", "RTE", method="Two", files=("RTE",), accuracy=50.0)
    site = f"--submission_dir={tmp_path / 'site'}"
    for flags in ([], ["--submission_method=Three"]):
        with pytest.raises(InputError, match=r"--submission_method must be one of: One; Two\. Received: (None|Three)"):
            make(site, *flags)
    assert not (tmp_path / "site").exists() and not (tmp_path / "table.md").exists()
    for method, folder in (("Two", "b"), ("One", "a")):
        make(site, f"--submission_method={method}")
        assert submitted(tmp_path / "site") == {"RTE.tsv": f"index\tprediction\n0\t{folder} π\n"}


def test_runs_that_cannot_be_submitted_are_rejected(write_run, make, tmp_path):
    write_run("a", "RTE", accuracy=60.0)
    with pytest.raises(InputError, match="No run has predictions of a test file"):
        make(f"--submission_dir={tmp_path / 'site'}")
    assert not (tmp_path / "site").exists()
    write_run("b", "RTE", files=("RTE",), accuracy=70.0)
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="--submission_dir=.*file cannot be written: "):
        make(f"--submission_dir={tmp_path / 'file'}")
