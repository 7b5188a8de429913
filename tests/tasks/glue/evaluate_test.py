"""Tests of the evaluation program: the run's own scores again, files, page, models that do not fit."""

import functools
import json

import keras
import numpy as np
import pytest

from spanbert_keras import SpanBertTextClassifier, program
from spanbert_keras.program import InputError
from tasks.glue import evaluate, finetune
from tasks.glue.benchmark_set import SETS
from tests.tasks.glue.conftest import official, read_json, told

ENTAILMENT = ("entailment", "not_entailment")
DEV = [told(number, ENTAILMENT) for number in range(50, 59)]

pytestmark = pytest.mark.usefixtures("eagerly")


@pytest.fixture(scope="module")
def finished(encoder_path, tmp_path_factory):
    """Folder of a finished run on RTE, with the files in `data`."""
    folder = tmp_path_factory.mktemp("run")
    (folder / "data").mkdir()
    for name, rows in (("train", [told(number, ENTAILMENT) for number in range(24)]), ("dev", DEV)):
        (folder / "data" / f"{name}.tsv").write_text(official("RTE", rows))
    flags = [f"--encoder={encoder_path}", f"--output_dir={folder}", "--dataset=RTE", f"--data_dir={folder / 'data'}"]
    flags += ["--learning_rate=1e-2", "--dropout=0", "--epochs=1", "--batch_size=8", "--max_sequence_length=24"]
    finetune.main(program.parse(finetune.Config, flags))
    return folder


@pytest.fixture(scope="module")
def saved(encoder_path, tmp_path_factory, randomize):
    """Function of labels that saves a classifier with random weights, once for all tests, and returns its path."""

    @functools.cache
    def make(*labels, **settings):
        model = SpanBertTextClassifier(keras.saving.load_model(encoder_path), labels, row_length=24, **settings)
        randomize(model, seed=3, scale=0.6)
        bias = next(weight for weight in model.head.weights if tuple(weight.shape) == (len(labels) or 1,))
        rows = model.pairs.rows(*zip(*[row[:2] for row in DEV], strict=True))
        bias.assign(bias - model.logits_of(rows).mean(axis=0))  # so that predictions differ
        path = tmp_path_factory.mktemp("model") / "text_classifier.keras"
        model.save(path)
        return path

    return make


def run(*flags):
    evaluate.main(program.parse(evaluate.Config, list(flags)))


def test_the_scores_are_those_that_the_run_had_on_dev(finished, capsys, embedded):
    dev = finished / "data" / "dev.tsv"
    model = finished / "text_classifier.keras"
    calibrated = finished / "calibrated.keras"
    run(f"--model={model}", "--dataset=RTE", f"--data={dev}", "--batch_size=4", f"--calibrated_model={calibrated}")
    assert keras.saving.load_model(calibrated).temperature != 1.0
    folder = finished / "evaluation" / "dev_RTE"
    written = {path.name for path in folder.iterdir()}
    assert written == {"errors.html", "predictions.tsv", "reliability.png", "scores.json"}
    scores = read_json(folder / "scores.json")
    calibration = scores.pop("calibration")
    assert calibration["temperature"] == 1.0  # as in all files that are written
    assert scores == read_json(finished / "run.json")["scores"]["dev"]
    written = (folder / "predictions.tsv").read_text()
    assert written == (finished / "dev" / "predictions.tsv").read_text()
    found = [line.split("\t")[1] for line in written.splitlines()[1:]]
    assert scores["accuracy"] == pytest.approx(100 * sum(a == row[2] for a, row in zip(found, DEV, strict=True)) / 9)
    page = embedded(folder / "errors.html")
    assert [row["predicted"] for row in page["rows"]] == found
    assert [(*row["texts"], row["gold"]) for row in page["rows"]] == DEV
    answers = keras.saving.load_model(model).classify([row[:2] for row in DEV])
    for row, answer in zip(page["rows"], answers, strict=True):
        assert dict(row["candidates"]) == pytest.approx(answer.scores, abs=1e-5)
        assert row["candidates"][0][0] == row["predicted"]
    assert calibration["mean_confidence"] == pytest.approx(100 * np.mean([one.score for one in answers]), abs=0.01)
    assert calibration["share_correct"] == pytest.approx(scores["accuracy"])
    facts = dict(page["facts"])
    assert facts["accuracy"] == f"{scores['accuracy']:.2f}" and facts["examples"] == "9"
    printed = capsys.readouterr().out
    assert f"accuracy   {scores['accuracy']:.2f}" in printed and f"and errors.html are in {folder}." in printed


def test_numbers_are_scored_by_both_correlations(saved, tmp_path, capsys, embedded):
    rows = [(*row[:2], f"{number % 5}.5") for number, row in enumerate(DEV)]
    path, out, model = tmp_path / "dev.tsv", tmp_path / "out", saved()
    path.write_text(official("STS-B", rows, first=7))
    run(f"--model={model}", "--dataset=STS-B", f"--data={path}", f"--output_dir={out}")
    numbers = [one.score for one in keras.saving.load_model(model).classify([row[:2] for row in rows])]
    gold = [float(row[2]) for row in rows]
    scores = read_json(out / "scores.json")
    assert scores["pearson"] == pytest.approx(100 * np.corrcoef(gold, numbers)[0, 1], abs=1e-3)
    assert set(scores) == {"pearson", "spearman", "score", "examples"} and len(set(numbers)) == 9
    lines = (out / "predictions.tsv").read_text().splitlines()[1:]
    assert [line.split("\t")[0] for line in lines] == [str(7 + number) for number in range(9)]
    assert [float(line.split("\t")[1]) for line in lines] == pytest.approx(numbers, abs=2e-3)
    page = embedded(out / "errors.html")
    assert page["numbers"] and [row["gold"] for row in page["rows"]] == gold
    assert "pearson" in capsys.readouterr().out
    with pytest.raises(InputError, match="needs a model with probabilities. Received: a regression"):
        run(f"--model={model}", "--dataset=STS-B", f"--data={path}", f"--calibrated_model={tmp_path / 'a.keras'}")


def test_bad_lines_and_cut_texts_of_custom_files_are_reported(saved, tmp_path, capsys, caplog):
    caplog.set_level("INFO")
    model = saved("0", "1")
    records = [{"t": "w1 w2", "y": 0}, {"t": "w3", "y": None}, {"t": "w4 " * 40, "y": "other"}, {"t": "w5", "y": 1}]
    path, out = tmp_path / "own.jsonl", tmp_path / "out"
    path.write_text("\n".join(map(json.dumps, records)))
    flags = [f"--model={model}", f"--data={path}", f"--output_dir={out}", "--text_column=t", "--label_column=y"]
    flags += ["--score=matthews", "--nopage"]
    with pytest.raises(InputError, match="own.jsonl, line 2: y must be text or a number. Received: null"):
        run(*flags)
    assert not out.exists()
    run(*flags, "--skip_bad_examples")
    assert "Left out: " in caplog.text and "3 examples, 1 of them cut to 24 tokens" in caplog.text
    found = [one.label for one in keras.saving.load_model(model).classify([records[i]["t"] for i in (0, 2, 3)])]
    lines = (out / "predictions.tsv").read_text().splitlines()
    assert lines == ["index\tprediction", *(f"{id}\t{label}" for id, label in zip("023", found, strict=True))]
    assert set(read_json(out / "scores.json")) == {"matthews", "score", "examples", "calibration"}
    printed = capsys.readouterr().out
    assert f"Predictions and scores are in {out}." in printed and not (out / "errors.html").exists()


def test_unusable_input_is_rejected_before_anything_is_written(saved, encoder_path, tmp_path):
    path, out = tmp_path / "dev.tsv", tmp_path / "out"
    path.write_text(official("RTE", DEV))
    labels, numbers = saved("not_entailment", "entailment"), saved()
    for flags, message in (
        ((f"--model={labels}", "--dataset=RTE", "--batch_size=0"), "--batch_size must be at least 1"),
        (
            (f"--model={labels}", "--dataset=MNLI"),
            "has other labels than --dataset=MNLI. Expected: contradiction, entailment, neutral. "
            "Received: not_entailment, entailment",
        ),
        ((f"--model={labels}", "--dataset=STS-B"), "Expected: numbers. Received: not_entailment, entailment"),
        ((f"--model={labels}", "--regression"), "--dataset=own. Expected: numbers. Received: not_ent"),
        ((f"--model={numbers}", "--dataset=RTE"), "Expected: entailment, not_entailment. Received: numbers"),
        ((f"--model={numbers}",), "has other labels than --dataset=own. Expected: names. Received: numbers"),
        ((f"--model={labels}", "--dataset=QNLI"), "dev.tsv, line 1 must name the columns question, sentence"),
        ((f"--model={encoder_path}", "--dataset=RTE"), "Expected: a SpanBertTextClassifier"),
        ((f"--model={tmp_path / 'no.keras'}", "--dataset=RTE"), "no.keras is not there"),
    ):
        with pytest.raises(InputError, match=message):
            run(*flags, f"--data={path}", f"--output_dir={out}")
    assert not out.exists()


def test_gold_labels_that_the_model_does_not_know_are_reported_or_rejected(saved, tmp_path, caplog):
    path, model = tmp_path / "own.tsv", saved("no", "yes")
    flags = [f"--model={model}", f"--data={path}", f"--output_dir={tmp_path / 'out'}", "--nopage"]
    path.write_text("text\tlabel\nw1\t1\nw2\t2\n")
    with pytest.raises(InputError, match="own.tsv has no label of --model=.* Expected: no, yes. Received: 1, 2.$"):
        run(*flags)
    path.write_text("text\tlabel\nw1\t1\nw2\tno\nw3\t1\n")
    run(*flags)
    assert "2 examples have labels that the model does not know: 1." in caplog.text


@pytest.mark.parametrize("form", ["tsv", "jsonl"])
@pytest.mark.parametrize(
    "gold, message",
    [
        (
            [["joy", "zz"]],
            "has no example whose labels are all labels of --model=.* Expected: joy, sad. Received: zz.$",
        ),
        ([["joy", "zz"], [], ["sad", "y", "joy"]], "whose labels are all labels of --model=.* Received: y, zz.$"),
        ([["zz"], []], "has no label of --model=.* Expected: joy, sad. Received: zz.$"),
        ([["joy", "zz"], ["sad"]], ""),
        ([["zz"], [], ["sad", "joy"]], ""),
    ],
)
def test_several_gold_labels_have_the_rule_of_one(saved, tmp_path, caplog, gold, message, form):
    model, path = saved("joy", "sad", problem_type="multi_label"), tmp_path / f"own.{form}"
    lines = [json.dumps({"text": "w1", "label": labels}) for labels in gold]
    if form == "tsv":
        lines = ["text\tlabel", *("w1\t" + ",".join(labels) for labels in gold)]
    path.write_text("\n".join(lines))
    flags = [f"--model={model}", f"--data={path}", f"--output_dir={tmp_path / 'out'}", "--nopage", "--multi_label"]
    if message:
        with pytest.raises(InputError, match=message):
            run(*flags)
        assert not (tmp_path / "out").exists()
    else:
        run(*flags)
        assert "1 examples have labels that the model does not know: zz." in caplog.text


def test_a_model_of_pairs_is_not_scored_on_single_texts(finished, tmp_path):
    path = tmp_path / "own.tsv"
    path.write_text("text\tlabel\nw1\tentailment\n")
    with pytest.raises(InputError, match="does not fit --dataset=own: This model classifies pairs of texts."):
        run(f"--model={finished / 'text_classifier.keras'}", f"--data={path}")
    assert keras.saving.load_model(finished / "text_classifier.keras").takes_pairs is True


def test_labels_in_another_order_are_the_models_own(saved, tmp_path):
    path, out, model = tmp_path / "dev.tsv", tmp_path / "out", saved("not_entailment", "entailment")
    path.write_text(official("RTE", DEV))
    run(f"--model={model}", "--dataset=RTE", f"--data={path}", f"--output_dir={out}", "--nopage")
    answers = keras.saving.load_model(model).classify([row[:2] for row in DEV])
    lines = (out / "predictions.tsv").read_text().splitlines()[1:]
    assert [line.split("\t")[1] for line in lines] == [one.label for one in answers] and len({*lines}) == 9
    assert len({one.label for one in answers}) == 2


def test_several_labels_are_scored_and_shown_with_their_own_probabilities(saved, tmp_path, embedded, capsys):
    model = saved("x", "y", "z", problem_type="multi_label", pooler=True)
    out, path = tmp_path / "out", tmp_path / "dev.jsonl"
    gold = [["x"], [], ["x", "z"], ["z", "new"], ["y"], [], ["x"], ["y", "z"], ["z"]]
    records = [{"text": row[0], "label": labels} for row, labels in zip(DEV, gold, strict=True)]
    path.write_text("\n".join(map(json.dumps, records)))
    run(f"--model={model}", f"--data={path}", f"--output_dir={out}", "--multi_label")
    answers = keras.saving.load_model(model).classify([row[0] for row in DEV])
    lines = (out / "predictions.tsv").read_text().splitlines()[1:]
    found = [json.loads(line.split("\t")[1]) for line in lines]
    assert found == [list(one.labels) for one in answers] and len(set(map(str, found))) > 2
    scores = read_json(out / "scores.json")
    hits = sum(len(set(a) & set(b)) for a, b in zip(gold, found, strict=True))
    assert scores["micro_f1"] == pytest.approx(200 * hits / (sum(map(len, gold)) + sum(map(len, found))))
    assert set(scores) == {"micro_f1", "macro_f1", "exact_match", "score", "examples", "calibration"}
    page = embedded(out / "errors.html")
    assert [row["gold"] for row in page["rows"]] == [", ".join(labels) or "none" for labels in gold]
    for row, answer in zip(page["rows"], answers, strict=True):
        assert dict(row["candidates"]) == pytest.approx(answer.scores, abs=1e-5)
    assert "exact_match" in capsys.readouterr().out


@pytest.mark.parametrize("order", ["up,down", "down,up"])
def test_several_numbers_are_scored_by_their_names_in_any_order(saved, tmp_path, embedded, order):
    model, out, path = saved("up", "down", problem_type="regression"), tmp_path / "out", tmp_path / "dev.tsv"
    gold = np.random.default_rng(0).normal(size=(9, 2)).round(3)
    lines = [f"{row[0]}\t{a}\t{b}" for row, (a, b) in zip(DEV, gold.tolist(), strict=True)]
    path.write_text("\n".join(["text\tup\tdown", *lines]))
    run(f"--model={model}", f"--data={path}", f"--output_dir={out}", "--regression", f"--target_columns={order}")
    found = [list(one.scores.values()) for one in keras.saving.load_model(model).classify([row[0] for row in DEV])]
    each = [np.corrcoef(gold[:, i], np.array(found)[:, i])[0, 1] for i in range(2)]
    assert read_json(out / "scores.json")["pearson"] == pytest.approx(100 * np.mean(each), abs=0.01)
    rows = embedded(out / "errors.html")["rows"]
    assert [row["gold"] for row in rows] == gold.tolist()
    np.testing.assert_allclose([row["predicted"] for row in rows], found, atol=1e-5)


def test_a_table_without_a_header_is_scored_by_column_numbers(saved, tmp_path, caplog):
    caplog.set_level("INFO")
    model, out, path = saved("no", "yes"), tmp_path / "out", tmp_path / "own.tsv"
    path.write_text("".join(f"yes\t{row[0]}\n" for row in DEV))
    flags = [f"--model={model}", f"--output_dir={out}", "--text_column=2", "--label_column=1", "--nopage"]
    run(*flags, f"--data={path}")
    found = [one.label for one in keras.saving.load_model(model).classify([row[0] for row in DEV])]
    assert read_json(out / "scores.json")["accuracy"] == pytest.approx(100 * found.count("yes") / 9)
    assert "own.tsv has no header: line 1 is read as an example." in caplog.text
    with pytest.raises(InputError, match="own.tsv, line 1 must have a column 3, counted from 1. Received: 2 columns"):
        run(*flags, f"--data={path}", "--pair_column=3")


def test_models_of_another_kind_of_label_are_rejected_with_the_flag_that_fits(saved, tmp_path):
    several, single = saved("x", "y", problem_type="multi_label"), saved("x", "y")
    numbers = saved("up", "down", problem_type="regression")
    lists, plain, one = tmp_path / "lists.jsonl", tmp_path / "plain.tsv", tmp_path / "one.jsonl"
    lists.write_text(json.dumps({"text": "w1", "label": ["new"]}))
    plain.write_text("text\tlabel\nw1\tx\n")
    one.write_text(json.dumps({"text": "w1", "label": 1}))
    for model, path, flags, message in (
        (several, plain, [], r"Expected: names. Received: several labels for each text \(--multi_label\)"),
        (single, lists, ["--multi_label"], r"Expected: several labels for each text \(--multi_label\). Received: x, y"),
        (numbers, plain, [], r"Expected: names. Received: numbers \(up, down\)"),
        (several, one, ["--regression"], "Expected: numbers. Received: x, y"),
        (several, plain, ["--dataset=RTE"], "Expected: entailment, not_entailment. Received: several labels"),
        (several, lists, ["--multi_label"], "lists.jsonl has no label of --model=.* Expected: x, y. Received: new"),
        (numbers, one, ["--regression"], r"Expected: 2 \(up, down\). Received: 1"),
    ):
        with pytest.raises(InputError, match=message):
            run(f"--model={model}", f"--data={path}", *flags)


@pytest.mark.parametrize(
    "labels, problem, flags",
    [
        (("x", "y", "z"), "multi_label", ["--multi_label"]),
        (("x", "y", "z"), "multi_label", []),
        (("x", "y"), "multi_label", ["--regression"]),
        (("x", "y"), "single_label", ["--multi_label"]),
        (("x", "y"), "single_label", ["--regression", "--target_columns=up,down"]),
        (("up", "down"), "regression", []),
        (("up", "down"), "regression", ["--regression", "--target_columns=up,down"]),
        ((), "regression", []),
        ((), "regression", ["--multi_label"]),
    ],
)
def test_predictions_need_no_flag_for_labels_that_are_not_read(saved, tmp_path, labels, problem, flags):
    path = saved(*labels, problem_type=problem)
    texts = [row[0] for row in DEV]
    contents = {
        "bare.tsv": "\n".join(["text", *texts]),
        "labels.tsv": "\n".join(["text\tlabel", *(f"{one}\tx,zz" for one in texts)]),
        "bare.jsonl": "\n".join(json.dumps({"text": one}) for one in texts),
        "labels.jsonl": "\n".join(json.dumps({"text": one, "label": ["x", 1.5]}) for one in texts),
        "numbers.tsv": "\n".join(f"{one}\tx" for one in texts),
    }
    written = set()
    for name, content in contents.items():
        (tmp_path / name).write_text(content)
        more = ["--text_column=1"] if name == "numbers.tsv" else []
        out = tmp_path / f"out_{name}"
        run(f"--model={path}", f"--data={tmp_path / name}", f"--output_dir={out}", "--predict_only", *flags, *more)
        written.add((out / "predictions.tsv").read_text())
    (found,) = written
    cells = [line.split("\t")[1] for line in found.splitlines()[1:]]
    answers = keras.saving.load_model(path).classify(texts)
    if problem == "multi_label":
        assert [json.loads(cell) for cell in cells] == [list(one.labels) for one in answers]
    elif problem == "single_label":
        assert cells == [one.label for one in answers]
    else:
        numbers = [list(one.scores.values()) if labels else [one.score] for one in answers]
        np.testing.assert_allclose([np.ravel(json.loads(cell)) for cell in cells], numbers, atol=2e-3)


@pytest.mark.parametrize("name", ["CoLA", "STS-B", "QQP"])
def test_every_sets_test_file_is_predicted_for_the_site(saved, set_folder, tmp_path, name, capsys):
    wanted = SETS[name]
    model = keras.saving.load_model(saved(*wanted.labels) if wanted.labels else saved())
    config = model.get_config()
    assert config["labels"] == list(wanted.labels)
    path = tmp_path / "text_classifier.keras"
    model.save(path)
    pairs = wanted.labelled.pair is not None
    rows = [
        (told(i, ("0", "1"))[0], told(i, ("0", "1"))[1] if pairs else None, "0" if wanted.labels else "1.5")
        for i in range(6)
    ]
    folder = set_folder(name, test=rows, dev=rows)
    lines = {}
    for part in ("test", "dev"):
        out = tmp_path / part
        flags = [f"--model={path}", f"--dataset={name}", f"--output_dir={out}", "--predict_only"]
        run(*flags, f"--data={folder / f'{part}.tsv'}")
        assert [file.name for file in out.iterdir()] == ["predictions.tsv"]
        lines[part] = (out / "predictions.tsv").read_text().splitlines()
    assert lines["test"][0] == "index\tprediction" and len(lines["test"]) == 7
    assert [line.split("\t")[0] for line in lines["test"][1:]] == [str(number) for number in range(100, 106)]
    with pytest.raises(InputError, match="For a file without labels, `evaluate --predict_only` writes predictions"):
        run(*flags[:3], f"--data={folder / 'test.tsv'}")
    found = [[line.split("\t")[1] for line in of_part[1:]] for of_part in lines.values()]
    assert found[0] == found[1]  # labels of dev are not read
    if not wanted.labels:
        assert all(0.0 <= float(value) <= 5.0 for value in found[0])
    assert "Predictions of 6 texts are in" in capsys.readouterr().out


@pytest.mark.parametrize("form", ["tsv", "jsonl"])
def test_own_files_without_labels_are_predicted_or_name_the_flag_that_they_need(saved, tmp_path, form):
    texts = [row[0] for row in DEV]
    if form == "tsv":
        content, bare = (
            "\n".join(["text\tlabel"[: None if label else 4], *(f"{one}\t?" if label else one for one in texts)])
            for label in (True, False)
        )
    else:
        content, bare = (
            "\n".join(json.dumps({"text": one} | ({"label": 1.5} if label else {})) for one in texts)
            for label in (True, False)
        )
    model = keras.saving.load_model(saved("a", "b"))
    model.save(tmp_path / "m.keras")
    written = []
    for number, text in enumerate((content, bare)):
        (tmp_path / f"data.{form}").write_text(text)
        out = tmp_path / f"out{number}"
        flags = [f"--model={tmp_path / 'm.keras'}", f"--data={tmp_path / f'data.{form}'}", f"--output_dir={out}"]
        run(*flags, "--predict_only")
        written.append((out / "predictions.tsv").read_text())
        assert [file.name for file in out.iterdir()] == ["predictions.tsv"]
    assert written[0] == written[1] and len(written[0].splitlines()) == 1 + len(texts)
    with pytest.raises(InputError, match="For a file without labels, `evaluate --predict_only` writes") as caught:
        run(*flags)
    assert "skip_bad" not in str(caught.value)


def test_progress_and_one_label_for_all_are_logged_and_what_bfloat16_changes(saved, tmp_path, caplog, capsys):
    caplog.set_level("INFO")
    model = keras.saving.load_model(saved("a", "b"))
    next(weight for weight in model.head.weights if tuple(weight.shape) == (2,)).assign([99.0, 0.0])
    model.save(tmp_path / "m.keras")
    (tmp_path / "data.tsv").write_text("text\tlabel\n" + "".join(f"{row[0]}\tb\n" for row in DEV))
    flags = [f"--model={tmp_path / 'm.keras'}", f"--data={tmp_path / 'data.tsv'}", f"--output_dir={tmp_path / 'out'}"]
    run(*flags, "--batch_size=1", "--nopage", "--precision=mixed_bfloat16")
    assert "--precision=mixed_bfloat16: 18 probabilities of the first examples differ from" in capsys.readouterr().out
    lines = [record.getMessage() for record in caplog.records]
    shown = [line.split(",")[0] for line in lines if " rows" in line]
    assert len(shown) > 1 and shown[-1] == "9 of 9 rows"
    assert "All 9 texts get the same prediction, a." in lines
