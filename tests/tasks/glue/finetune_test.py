"""Tests of the fine-tuning program: a set's folder or custom files in; a classifier and the submission files out."""

import dataclasses
import functools
import json
import pathlib

import keras
import numpy as np
import pytest

from spanbert_keras import program
from spanbert_keras.fine_tuning.monitor import FineTuningMonitor
from spanbert_keras.program import InputError
from tasks.glue import finetune
from tests.tasks.glue.conftest import told

MODEL = "text_classifier.keras"
FAST = ["--learning_rate=2e-2", "--classifier_dropout=0", "--dropout=0", "--weight_decay=0", "--batch_size=8"]
ENTAILMENT = ("entailment", "not_entailment")
INFERENCE = ("contradiction", "entailment", "neutral")


@pytest.fixture
def fine_tune(run_classification):
    """Function of flags that runs the program and returns its output directory."""
    return functools.partial(run_classification, finetune)


def task_of(*flags):
    return finetune.Glue(program.parse(finetune.Config, ["--encoder=e", "--output_dir=o", *flags]))


def read_json(path):
    return json.loads(pathlib.Path(path).read_text())


def lines_of(path):
    """Returns (id, prediction) of a file of predictions."""
    head, *lines = path.read_text().splitlines()
    assert head == "index\tprediction"
    return [tuple(line.split("\t")) for line in lines]


def table(first, count, classes):
    return [told(number, classes) for number in range(first, first + count)]


def classified(model, rows, first=0):
    found = model.classify([(text, pair) for text, pair, *_ in rows])
    return [(str(number), one.label or f"{one.score:.3f}") for number, one in enumerate(found, first)]


def test_classes_that_a_word_decides_are_learnt_and_come_back_in_a_loaded_model(fine_tune, set_folder):
    dev, test = table(40, 8, ENTAILMENT), table(60, 5, ENTAILMENT)
    dev[3] = (*dev[3][:2], "entailment")  # a wrong label: 7 of 8 can be found
    files = set_folder("RTE", train_gz=table(0, 96, ENTAILMENT), dev=dev, test=test)
    folder = fine_tune("--dataset=RTE", f"--data_dir={files}", *FAST, "--epochs=12")
    record = read_json(folder / "run.json")
    assert record["scores"] == {"dev": {"accuracy": 87.5, "score": 87.5, "examples": 8}}
    assert record["select_by"] == "score"
    model = keras.saving.load_model(folder / MODEL)
    assert model.labels == ENTAILMENT and model.row_length == 24 and not model.head.pooler
    assert lines_of(folder / "dev" / "predictions.tsv") == classified(model, dev)
    assert [path.name for path in (folder / "submission").iterdir()] == ["RTE.tsv"]
    submitted = lines_of(folder / "submission" / "RTE.tsv")
    assert submitted == classified(model, test, 100) == [(str(100 + i), row[2]) for i, row in enumerate(test)]


def test_numbers_are_learnt_and_the_site_gets_them_within_the_scale(fine_tune, set_folder):
    numbers = ("-2", "2.5", "8.000")
    dev, test = table(40, 9, numbers), table(60, 6, numbers)
    files = set_folder("STS-B", train=table(0, 96, numbers), dev=dev, test=test)
    folder = fine_tune("--dataset=STS-B", f"--data_dir={files}", *FAST, "--epochs=12", "--pooler")
    model = keras.saving.load_model(folder / MODEL)
    assert model.labels == () and model.head.pooler
    found = lines_of(folder / "dev" / "predictions.tsv")
    gold, values = ([float(one) for one in column] for column in ([row[2] for row in dev], [one for _, one in found]))
    assert np.abs(np.subtract(gold, values)).max() < 1.5
    scores = read_json(folder / "run.json")["scores"]["dev"]
    assert scores["pearson"] == pytest.approx(100 * np.corrcoef(gold, values)[0, 1], abs=0.1) and scores["pearson"] > 95
    assert scores["score"] == pytest.approx((scores["pearson"] + scores["spearman"]) / 2) and scores["examples"] == 9
    close(found, classified(model, dev))
    whole = [(id, float(value)) for id, value in classified(model, test, 100)]
    assert min(whole, key=lambda one: one[1])[1] < -0.5 and max(whole, key=lambda one: one[1])[1] > 5.5
    cut = [(id, min(5.0, max(0.0, value))) for id, value in whole]
    close(lines_of(folder / "submission" / "STS-B.tsv"), cut)


def close(found, expected):
    """Checks ids and numbers that may differ in their last decimal."""
    assert [id for id, _ in found] == [id for id, _ in expected]
    np.testing.assert_allclose([float(x) for _, x in found], [float(x) for _, x in expected], atol=2e-3)


def test_mnli_has_two_devs_two_tests_and_the_diagnostic_set(fine_tune, set_folder):
    sets = {"train": table(0, 96, INFERENCE), "dev_matched": table(40, 4, INFERENCE)}
    sets |= {"dev_mismatched": table(71, 5, INFERENCE), "test_matched": table(50, 3, INFERENCE)}
    sets |= {"test_mismatched_gz": table(61, 4, INFERENCE), "diagnostic": table(80, 2, INFERENCE)}
    sets["dev_matched"][0] = (*sets["dev_matched"][0][:2], "contradiction")
    files = set_folder("MNLI", **sets)
    other = set_folder("MNLI", "other", diagnostic=table(30, 6, INFERENCE)) / "diagnostic.tsv"
    folder = fine_tune("--dataset=MNLI", f"--data_dir={files}", f"--diagnostic_file={other}", *FAST, "--epochs=12")
    model = keras.saving.load_model(folder / MODEL)
    shares = []
    for name, rows in (("dev", sets["dev_matched"]), ("dev_mismatched", sets["dev_mismatched"])):
        found = lines_of(folder / name / "predictions.tsv")
        assert found == classified(model, rows)
        shares.append(100 * np.mean([label == row[2] for (_, label), row in zip(found, rows, strict=True)]))
    expected = {"accuracy": shares[0], "score": shares[0], "examples": 4}
    expected |= {"mismatched_accuracy": shares[1], "mismatched_score": shares[1], "mismatched_examples": 5}
    assert read_json(folder / "run.json")["scores"]["dev"] == pytest.approx(expected)
    given = {"MNLI-m": sets["test_matched"], "MNLI-mm": sets["test_mismatched_gz"], "AX": table(30, 6, INFERENCE)}
    assert {path.stem for path in (folder / "submission").iterdir()} == set(given)
    for name, rows in given.items():
        submitted = lines_of(folder / "submission" / f"{name}.tsv")
        assert submitted == classified(model, rows, 100) and len({label for _, label in submitted}) > 1


def test_wnlis_file_holds_the_majority_of_training_and_its_dev_score_is_logged(
    fine_tune, set_folder, monkeypatch, caplog, eagerly
):
    caplog.set_level("INFO")
    train, dev, test = (
        [(*told(number, "01")[:2], label) for number, label in enumerate(labels)] for labels in ("11010", "0010", "000")
    )
    files = set_folder("WNLI", train=train, dev=dev, test=test)
    bad = files / "train.tsv"
    bad.write_text(bad.read_text() + "7\tonly three\tcells\n8\ta\tb\t2\n")
    flags = ["--dataset=WNLI", f"--data_dir={files}", "--skip_bad_examples"]
    folder = fine_tune(*flags)
    scores = read_json(folder / "run.json")["scores"]["dev"]
    assert scores["majority"] == 25.0 and scores["examples"] == 4
    found = [label for _, label in lines_of(folder / "dev" / "predictions.tsv")]
    assert scores["accuracy"] == 100 * sum(a == b for a, b in zip(found, "0010", strict=True)) / 4
    assert lines_of(folder / "submission" / "WNLI.tsv") == [("100", "1"), ("101", "1"), ("102", "1")]
    assert "train.tsv, line 7 must have 4 cells" in caplog.text and "Examples left out in total: 2." in caplog.text
    assert "train.tsv, line 8: the label must be one of 0, 1" in caplog.text
    assert "5 training examples, 0 of them cut; 4 dev examples." in caplog.text
    assert "majority 25.00" in caplog.text
    # Finished: the same command trains nothing, another one is rejected.
    monkeypatch.setattr(FineTuningMonitor, "on_step", lambda *given: pytest.fail("the run is finished"))
    kept = [path for path in folder.rglob("*.*") if path.is_file() and path.name not in ("run.json", "run.lock")]
    before = {path: path.read_bytes() for path in kept}
    caplog.clear()
    assert fine_tune(*flags) == folder and f"{folder} is finished." in caplog.text
    assert read_json(folder / "run.json")["scores"]["dev"] == scores
    assert {path: path.read_bytes() for path in before} == before
    with pytest.raises(InputError, match="holds another run: --learning_rate was 2e-05 there and is 0.001 now"):
        fine_tune(*flags, "--learning_rate=1e-3")


@pytest.fixture
def own(tmp_path):
    """Function that writes records as a table with header, or as JSON lines, and returns the path."""

    def write(name, records):
        lines = [json.dumps(record) for record in records]
        if name.endswith(".tsv"):
            lines = ["\t".join(records[0]), *("\t".join(map(str, record.values())) for record in records)]
        (tmp_path / name).write_text("\n".join(lines) + "\n")
        return str(tmp_path / name)

    return write


def test_custom_texts_train_are_chosen_by_a_score_and_tested(fine_tune, own):
    records = [{"mood": label, "review": f"w{place} w{20 + i}"} for i in range(24) for place, label in enumerate("cab")]
    train = own("train.tsv", records[:36]), own("more.jsonl", records[36:])
    dev, test = own("dev.jsonl", records[:5]), own("test.tsv", [*records[4:8], {"mood": "new", "review": "w1"}])
    flags = ["--text_column=review", "--label_column=mood", "--score=macro_f1", *FAST, "--epochs=6"]
    folder = fine_tune(f"--train_file={','.join(train)}", f"--dev_file={dev}", f"--test_file={test}", *flags)
    model = keras.saving.load_model(folder / MODEL)
    assert model.labels == ("a", "b", "c") and not (folder / "submission").exists()
    scores = read_json(folder / "run.json")["scores"]
    assert scores["dev"] == {"macro_f1": 100.0, "score": 100.0, "examples": 5}
    found = lines_of(folder / "test" / "predictions.tsv")
    texts = [record["review"] for record in records[4:8]] + ["w1"]
    assert found == [(str(i), one.label) for i, one in enumerate(model.classify(texts))]
    assert [label for _, label in found][:4] == list("abca") and found[4][1] == "a"
    # By hand: of label a 2 right, 1 invented, 0 missed; b and c all right; the new one never found.
    assert scores["test"]["macro_f1"] == pytest.approx(100 * (0.8 + 1 + 1 + 0) / 4) and scores["test"]["examples"] == 5


def test_custom_pairs_and_numbers_are_read_by_their_columns(own):
    records = [{"b": f"w{i}", "n": 2 * i - 1, "a": f"w{i + 9}"} for i in range(4)]
    columns = ["--text_column=a", "--pair_column=b", "--label_column=n"]
    for name in ("train.tsv", "train.jsonl"):
        path = own(name, records)
        task = task_of(f"--train_file={path}", f"--dev_file={path}", "--regression", *columns)
        assert [(one.id, one.text, one.pair, one.label) for one in task.train] == [
            (str(i), f"w{i + 9}", f"w{i}", str(2 * i - 1)) for i in range(4)
        ]
        assert task.labels == [] and task.set.scores == ("pearson", "spearman") and task.test_examples == []
        assert task.sets() == {"train": task.train, "dev": task.train, "test": []}
        plain = task_of(f"--train_file={path}", f"--dev_file={path}", "--text_column=a", "--label_column=n")
        assert plain.labels == ["-1", "1", "3", "5"] and {one.pair for one in plain.train} == {None}
        assert plain.set.scores == ("accuracy",)


def test_labels_of_dev_and_test_without_training_examples_are_reported(own, caplog):
    train = own("train.jsonl", [{"text": "a", "label": label} for label in (1.0, 2, "x")])
    other = own("other.tsv", [{"text": "a", "label": label} for label in ("1", "2", "y", "y", "z")])
    task = task_of(f"--train_file={train}", f"--dev_file={train}", f"--test_file={other}")
    assert task.labels == ["1", "2", "x"]
    assert "--test_file has labels that are not in the training data (3 occurrences): y, z." in caplog.text
    assert "--dev_file" not in caplog.text


@pytest.mark.parametrize("name", ["other.tsv", "other.jsonl"])
def test_multiple_labels_without_training_examples_are_reported(own, caplog, name):
    train = own("train.jsonl", [{"text": "a", "label": labels} for labels in (["x"], ["x", "y"], [])])
    gold = [["x", "zz"], ["new", "zz"], ["y"], []]
    if name.endswith(".tsv"):
        gold = [",".join(labels) for labels in gold]
    other = own(name, [{"text": "a", "label": labels} for labels in gold])
    task_of(f"--train_file={train}", f"--dev_file={other}", f"--test_file={train}", "--multi_label")
    assert "--dev_file has labels that are not in the training data (3 occurrences): new, zz." in caplog.text
    assert "--test_file" not in caplog.text


def test_all_sets_of_a_run_have_a_checksum_each(set_folder):
    rows = table(0, 3, INFERENCE)
    files = set_folder("MNLI", train=rows, dev_matched=rows[:1], dev_mismatched=rows[1:], test_matched=rows[:2])
    task = task_of("--dataset=MNLI", f"--data_dir={files}")
    sizes = {name: len(examples) for name, examples in task.sets().items()}
    assert sizes == {"train": 3, "dev": 1, "dev_mismatched": 2, "test": 0}
    assert task.facts().keys() == task.sets().keys() and len(set(task.facts().values())) == 4
    assert {name: len(examples) for name, examples in task.unlabelled.items()} == {"MNLI-m": 2}
    assert {"data_dir", "diagnostic_file", "train_file", "text_column"} <= set(task.config.changeable())
    assert not {"regression", "score"} & set(task.config.changeable())


def test_a_test_file_that_comes_later_is_predicted_by_the_finished_run(fine_tune, set_folder, caplog, eagerly):
    caplog.set_level("INFO")
    rows = table(0, 8, ENTAILMENT)
    files = set_folder("RTE", train=rows, dev=rows[:3])
    flags = ["--dataset=RTE", f"--data_dir={files}"]
    folder = fine_tune(*flags)
    assert not (folder / "submission").exists()
    set_folder("RTE", train=rows, dev=rows[:3], test=[("w1 " * 40, *rows[0][1:]), *rows[1:4]])
    fine_tune(*flags)
    written = (folder / "submission" / "RTE.tsv").read_text()
    assert len(written.splitlines()) == 5 and caplog.text.count("1 of 4 examples to predict are cut.") == 1
    (folder / "submission" / "RTE.tsv").write_text(written.replace("entailment", "kept"))
    fine_tune(*flags)  # an existing file is not predicted again
    assert "kept" in (folder / "submission" / "RTE.tsv").read_text()


def test_class_weights_smoothing_and_numbers_reach_the_targets(encoder_path, own):
    labels = ["x", "x", "x", "y"]
    path = own("some.tsv", [{"text": f"w{i}", "label": label} for i, label in enumerate(labels)])
    flags = [f"--encoder={encoder_path}", f"--train_file={path}", f"--dev_file={path}", "--max_sequence_length=24"]
    task = task_of(*flags, "--class_weights=balanced", "--label_smoothing=0.2")
    expected = np.array([[0.9, 0.1]] * 3 + [[0.1, 0.9]]) * np.array([[2 / 3]] * 3 + [[2.0]])
    np.testing.assert_allclose(task.training_rows(task.make_model()).labels, expected, rtol=1e-5)
    numbers = own("numbers.jsonl", [{"text": "w1", "label": value} for value in (0.5, -3, 7.25)])
    task = task_of(*flags, f"--train_file={numbers}", f"--dev_file={numbers}", "--regression")
    targets = task.training_rows(task.make_model()).labels
    assert targets.tolist() == [[0.5], [-3.0], [7.25]] and targets.dtype == np.float32


def test_contradictory_settings_are_rejected(set_folder, own):
    rows = table(0, 2, ENTAILMENT)
    files = set_folder("RTE", train=rows, dev=rows)
    path = own("a.tsv", [{"text": "w1", "label": "1"}, {"text": "w2", "label": "2"}])
    both, rte = [f"--train_file={path}", f"--dev_file={path}"], ["--dataset=RTE", f"--data_dir={files}"]
    for flags, message in (
        ([], "Your own files need --train_file and --dev_file; a set of GLUE .* Received: none of them."),
        (both[:1], "Your own files need --train_file and --dev_file"),
        (both[1:], "Your own files need --train_file and --dev_file"),
        ([*both, f"--data_dir={files}"], "Your own files need .* Received: --data_dir, --train_file, --dev_file."),
        (["--dataset=RTE"], "--dataset=RTE needs --data_dir, .* and no other files. Received: none of them."),
        ([*rte, f"--test_file={path}"], "--dataset=RTE needs .* no other files"),
        ([*rte, f"--diagnostic_file={path}"], "--diagnostic_file belongs to --dataset=MNLI. Received: --dataset=RTE"),
        ([*both, f"--diagnostic_file={path}"], "--diagnostic_file belongs to --dataset=MNLI. Received: --dataset=own"),
        ([*both, "--regression", "--label_smoothing=0.1"], "need classes. Received: labels that are numbers"),
        ([*both, "--regression", "--class_weights=balanced"], "need classes. Received: labels that are numbers"),
        (["--dataset=STS-B", f"--data_dir={files}", "--class_weights=balanced"], "need classes"),
        (["--dataset=CoLA", f"--data_dir={files}"], "line 1: the label must be one of 0, 1|line 1 must have 4 cells"),
        (
            ["--dataset=MNLI", f"--data_dir={files}"],
            "has no dev_matched.tsv or .*.gz. Expected: the files of MNLI|line 1 must name the columns",
        ),
        (["--dataset=RTE", f"--data_dir={files / 'none'}"], "none has no train.tsv or .*.gz. Expected: .*of RTE"),
    ):
        with pytest.raises(InputError, match=message):
            task_of(*flags)


def test_a_single_label_is_rejected_with_a_hint_at_regression(own):
    path = own("a.jsonl", [{"text": "w1", "label": 3}] * 2)
    with pytest.raises(InputError, match="at least two labels. Received: '3' on every line. Give --regression if"):
        task_of(f"--train_file={path}", f"--dev_file={path}")


def test_bad_lines_are_rejected_or_left_out_but_not_in_a_test_file(set_folder):
    rows = table(0, 3, ENTAILMENT)
    files = set_folder("RTE", train=rows, dev=[*rows, ("w1", "w2", "neutral")])
    flags = ["--dataset=RTE", f"--data_dir={files}"]
    with pytest.raises(InputError, match="dev.tsv, line 5: the label must be one of entailment, not_entailment"):
        task_of(*flags)
    task = task_of(*flags, "--skip_bad_examples")
    assert [len(task.train), len(task.dev), len(task.left_out)] == [3, 3, 1]
    (files / "test.tsv").write_text("index\tsentence1\tsentence2\n0\tw1\n")
    with pytest.raises(InputError, match="test.tsv, line 2 must have 3 cells"):
        task_of(*flags, "--skip_bad_examples")


def test_settings_out_of_range_are_rejected_before_files_are_read(fine_tune, tmp_path):
    for flag in ("label_smoothing", "classifier_dropout"):
        with pytest.raises(InputError, match=f"--{flag} must be at least 0 and below 1"):
            fine_tune("--train_file=no", "--dev_file=no", f"--{flag}=1")
    assert not (tmp_path / "run").exists()


def moods(count, first=0):
    """Returns records whose words w0, w1, w2 are their labels a, b, c: none, one or several of them."""
    kinds = [[], ["a"], ["b"], ["c"], ["a", "b"], ["b", "c"], ["a", "c"], ["a", "b", "c"]]
    records = []
    for number in range(first, first + count):
        labels = kinds[number % 8]
        told = " ".join(f"w{'abc'.index(label)}" for label in labels)
        records.append({"text": f"w{20 + number % 7} {told}".strip(), "label": labels})
    return records


def test_several_labels_of_a_text_are_learnt_from_lists_and_from_cells(fine_tune, own, tmp_path):
    train, dev = moods(96), moods(16, 3)
    (tmp_path / "train.tsv").write_text("".join(f"{one['text']}\t{'|'.join(one['label'])}\n" for one in train))
    flags = ["--multi_label", "--label_separator=|", "--text_column=1", "--label_column=2", *FAST]
    flags += ["--epochs=20", "--learning_rate=5e-3"]
    numbered = own("dev.jsonl", [{"1": one["text"], "2": one["label"]} for one in dev])
    folder = fine_tune(
        f"--train_file={tmp_path / 'train.tsv'}", f"--dev_file={numbered}", "--label_threshold=0.4", *flags
    )
    model = keras.saving.load_model(folder / MODEL)
    assert (model.labels, model.problem_type, model.threshold) == (("a", "b", "c"), "multi_label", 0.4)
    scores = read_json(folder / "run.json")["scores"]["dev"]
    assert set(scores) == {"micro_f1", "macro_f1", "exact_match", "score", "examples"}
    assert scores["score"] == scores["micro_f1"] > 70  # 1 layer of 16 numbers
    found = [json.loads(labels) for _, labels in lines_of(folder / "dev" / "predictions.tsv")]
    assert found == [list(one.labels) for one in model.classify([one["text"] for one in dev])]
    right = sum(one["label"] == labels for one, labels in zip(dev, found, strict=True))
    assert scores["exact_match"] == pytest.approx(100 * right / 16)


@pytest.mark.parametrize("form", ["columns", "list"])
def test_several_numbers_of_a_text_are_learnt(fine_tune, own, form):
    def records(count):
        rows = [(f"w{i % 4} w{10 + i % 3}", i % 4 - 1.5, (i % 3) / 2) for i in range(count)]
        if form == "columns":
            return [{"text": text, "up": up, "down": down} for text, up, down in rows]
        return [{"text": text, "label": [up, down]} for text, up, down in rows]

    kind = "tsv" if form == "columns" else "jsonl"
    train, dev = own(f"train.{kind}", records(96)), own(f"dev.{kind}", records(12))
    flags = ["--target_columns=up,down"] if form == "columns" else []
    flags += [*FAST, "--epochs=20", "--learning_rate=5e-3"]
    folder = fine_tune(f"--train_file={train}", f"--dev_file={dev}", "--regression", *flags)
    model = keras.saving.load_model(folder / MODEL)
    assert model.problem_type == "regression"
    assert model.labels == (("up", "down") if form == "columns" else ("label_0", "label_1"))
    found = np.array([json.loads(numbers) for _, numbers in lines_of(folder / "dev" / "predictions.tsv")])
    gold = np.array([[i % 4 - 1.5, (i % 3) / 2] for i in range(12)])
    scores = read_json(folder / "run.json")["scores"]["dev"]
    expected = 100 * np.mean([np.corrcoef(gold[:, i], found[:, i])[0, 1] for i in range(2)])
    assert scores["pearson"] == pytest.approx(expected, abs=0.1) and scores["pearson"] > 70


def test_targets_of_several_labels_and_numbers_reach_the_loss(encoder_path, own):
    path = own("a.jsonl", moods(8))
    task = task_of(f"--train_file={path}", f"--dev_file={path}", "--multi_label")
    task.config = dataclasses.replace(task.config, encoder=str(encoder_path))
    model = task.make_model()
    expected = [[label in one["label"] for label in "abc"] for one in moods(8)]
    np.testing.assert_array_equal(task.targets_of(model, task.train), np.array(expected, "float32"))
    rows = task.training_rows(model)
    assert rows.batch(np.array([4, 1]), 8)["label_targets"].tolist() == [[1.0, 1.0, 0.0], [1.0, 0.0, 0.0]]


def test_settings_of_one_label_are_rejected_for_several(own):
    path = own("a.jsonl", moods(8))
    both = [f"--train_file={path}", f"--dev_file={path}"]
    numbers = own("n.jsonl", [{"text": "w1", "label": [1, 2]}])
    single = own("s.jsonl", [{"text": "w1", "label": 1}])
    none = own("none.jsonl", moods(1))
    mixed = [f"--train_file={numbers}", f"--dev_file={single}", "--regression"]
    for flags, message in (
        ([*both, "--multi_label", "--class_weights=balanced"], "need classes. Received: several labels"),
        ([*both, "--multi_label", "--label_smoothing=0.1"], "need classes. Received: several labels"),
        ([*both, "--label_threshold=0.3"], "--label_threshold needs --multi_label"),
        (both, "a.jsonl, line 1: label must be text or a number"),
        ([f"--train_file={none}", f"--dev_file={none}", "--multi_label"], "must have a label on some line"),
        (mixed, r"as many numbers as the first one, 2. Received: 1 \(example '0'\)"),
    ):
        with pytest.raises(InputError, match=message):
            task_of(*flags)
