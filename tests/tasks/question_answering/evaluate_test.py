"""Tests of the evaluation program: separate thresholds, files, page."""

import gzip
import json
from pathlib import Path

import keras
import numpy as np
import pytest

from spanbert_keras import Answer, program
from spanbert_keras.program import InputError
from tasks.question_answering import data, evaluate, metrics, splits
from tasks.question_answering.data import Example

pytestmark = pytest.mark.usefixtures("eagerly")


@pytest.fixture
def saved(reader, tmp_path):
    path = tmp_path / "model" / "question_answerer.keras"
    path.parent.mkdir()
    reader.save(path)
    return path


def run(*flags):
    evaluate.main(program.parse(evaluate.Config, list(flags)))


def cases():
    """Four questions, the last two without answer, in two articles."""

    def example(id, article, *answers):
        return Example(id, "?", "b c d", answers, ((0, 1),) * len(answers), article)

    examples = [example("q1", "x", "b"), example("q2", "y", "c"), example("q3", "x"), example("q4", "y")]
    scores = {"q1": ("b", -5.0), "q2": ("d", -1.0), "q3": ("c", 0.0), "q4": ("c", 4.0)}
    return examples, {id: [Answer(text, 0, 1, 0.5, score)] for id, (text, score) in scores.items()}


def test_stored_and_fitted_thresholds_are_scored_apart_and_labelled():
    examples, found = cases()
    tables = evaluate.score(examples, found, 1.0, True, None)
    assert tables["the model's stored threshold"]["exact"] == 50.0  # q1, q4
    fitted = tables["threshold fitted on these very questions"]
    assert fitted["exact"] == 75.0 and fitted["best_exact"] == 75.0 and fitted["threshold"] == -5.0
    assert tables["always answering"]["exact"] == 25.0 and tables["never answering"]["exact"] == 50.0
    assert tables["no-answer score"]["average_precision"] == 100.0 and fitted["best_exact_thresh"] == -5.0
    assert not any(key.startswith("best") for key in tables["the model's stored threshold"])


def test_a_calibrated_threshold_never_sees_the_questions_that_it_scores():
    examples, found = cases()
    tables = evaluate.score(examples, found, None, True, 0.5)
    [title] = [title for title in tables if title.startswith("the rest")]
    own, rest = splits.split_articles(examples, 0.5)
    assert title == "the rest, threshold fitted on 2 questions of other articles"
    assert tables[title]["total"] == 2 and {e.article for e in own} & {e.article for e in rest} == set()


def test_without_unanswerable_questions_no_answer_is_an_empty_answer():
    examples, found = cases()
    assert evaluate.score(examples[:2], found, None, False, None)["all questions"]["exact_match"] == 50.0
    assert evaluate.score(examples[:2], found, -9.0, False, None)["all questions"]["exact_match"] == 0.0


def test_the_program_writes_predictions_scores_and_the_page(saved, squad_file, capsys):
    path = squad_file("some-dev.json", unanswerable=True)
    run(f"--model={saved}", f"--data={path}", "--calibration_share=0.4")
    folder = saved.parent / "evaluation" / "some-dev"
    assert sorted(p.name for p in folder.iterdir()) == [
        "errors.html",
        "nbest_predictions.json",
        "no_answer_scores.json",
        "predictions.json",
        "reliability.png",
        "scores.json",
    ]
    given = json.loads((folder / "predictions.json").read_text())
    assert set(given) == {example.id for example in data.read(path).examples}
    out = capsys.readouterr().out
    for title in ("the model's stored threshold", "threshold fitted on these very questions", "the rest, threshold"):
        assert title in out
    assert "questions_cut" in out and "HasAns_f1" in out and "average_precision" in out and f"are in {folder}" in out


@pytest.mark.parametrize("unanswerable", [True, False])
def test_scores_of_answers_are_calibrated(saved, squad_file, tmp_path, capsys, unanswerable):
    path, calibrated = squad_file("dev.json", unanswerable=unanswerable), tmp_path / "calibrated.keras"
    flags = [f"--data={path}", "--nopage"]
    run(f"--model={saved}", *flags, f"--output_dir={tmp_path / 'a'}", f"--calibrated_model={calibrated}")
    assert "Temperature " in capsys.readouterr().out
    run(f"--model={calibrated}", *flags, f"--output_dir={tmp_path / 'b'}")
    tables = [json.loads((tmp_path / name / "scores.json").read_text())["calibration"] for name in "ab"]
    examples = data.read(path).examples
    for table, file in zip(tables, (saved, calibrated), strict=True):
        model = keras.saving.load_model(file)
        assert table["temperature"] == model.temperature
        answers = model.answer([one.question for one in examples], [one.context for one in examples])
        assert table["mean_confidence"] == pytest.approx(100 * np.mean([one.score for one in answers]), abs=0.01)
        right = [metrics.exact_match(answer.text, one.answers) for answer, one in zip(answers, examples, strict=True)]
        assert table["share_correct"] == pytest.approx(100 * np.mean(right))
    assert tables[0]["temperature"] == 1.0 != tables[1]["temperature"]


def test_a_half_of_mrqas_file_is_scored(saved, mrqa_file, tmp_path, capsys):
    path, out = mrqa_file(contexts=12), tmp_path / "out"
    run(f"--model={saved}", f"--data={path}", "--split=test", f"--output_dir={out}", "--nopage")
    _, test = splits.halve(data.read(path).examples)
    assert set(json.loads((out / "predictions.json").read_text())) == {example.id for example in test}
    assert not (out / "errors.html").exists()


def test_the_page_shows_no_answer_and_a_right_answer():
    examples, found = cases()
    rows = [evaluate.page_row(example, found[example.id], 1.0) for example in examples]
    assert [(row.predicted, row.exact, row.start) for row in rows] == [
        ("b", True, 0),
        ("d", False, 0),
        ("c", False, 0),
        ("", True, None),
    ]
    assert rows[0].f1 == 1.0 and rows[3].f1 == 1.0 and rows[2].f1 == 0.0 and rows[0].candidates == (("b", 0.5),)


def test_unusable_input_is_rejected_before_anything_is_computed(saved, squad_file, tmp_path):
    path = squad_file()
    (tmp_path / "file").touch()
    for flag, message in (
        ("--batch_size=0", "--batch_size must be at least 1"),
        (f"--output_dir={tmp_path / 'file'}", "cannot be created: File exists"),
        ("--calibration_share=0.5", "--calibration_share needs questions without an answer"),
    ):
        with pytest.raises(InputError, match=message):
            run(f"--model={saved}", f"--data={path}", flag)
    (tmp_path / "broken.keras").write_text("no model")
    with pytest.raises(InputError, match="is not a complete .keras file"):
        run(f"--model={tmp_path / 'broken.keras'}", f"--data={path}")


@pytest.mark.parametrize("name", ["missing.keras", "encoder.keras"])
def test_a_file_that_is_not_a_question_answerer_is_rejected(name, encoder_path, squad_file, tmp_path):
    model = encoder_path if name == "encoder.keras" else tmp_path / name
    with pytest.raises(InputError, match="is not there|holds a SpanBertEncoder. Expected: a SpanBertQuestionAnswerer"):
        run(f"--model={model}", f"--data={squad_file()}")


def stripped(path, keys):
    """A copy of a file of SQuAD's or MRQA's form without some keys of its questions."""
    text = gzip.decompress(path.read_bytes()).decode() if path.suffix == ".gz" else path.read_text()
    values = [json.loads(line) for line in text.splitlines()]

    def walk(value):
        if isinstance(value, dict):
            return {key: walk(one) for key, one in value.items() if key not in keys}
        return [walk(one) for one in value] if isinstance(value, list) else value

    target = path.with_name("stripped.json")
    target.write_text("\n".join(json.dumps(walk(value)) for value in values))
    return target


@pytest.mark.parametrize("form", ["squad", "squad2", "mrqa"])
def test_predictions_need_no_gold_answers_and_are_those_of_the_same_file_with_them(
    saved, squad_file, mrqa_file, tmp_path, form, capsys
):
    path = Path(mrqa_file() if form == "mrqa" else squad_file("gold.json", unanswerable=form == "squad2"))
    bare = stripped(path, ("answers", "is_impossible", "detected_answers"))
    written = []
    for data_file, flags in ((path, []), (path, ["--predict_only"]), (bare, ["--predict_only"])):
        out = tmp_path / f"out{len(written)}"
        run(f"--model={saved}", f"--data={data_file}", f"--output_dir={out}", "--nopage", *flags)
        files = {file.name: file.read_bytes() for file in out.iterdir()}
        for name in ("scores.json", "reliability.png"):
            assert (files.pop(name, None) is None) == bool(flags)
        written.append(files)
    assert written[0] == written[1] == written[2]
    assert set(written[2]) == {"predictions.json", "nbest_predictions.json", "no_answer_scores.json"}
    assert "Predictions of " in capsys.readouterr().out


@pytest.mark.parametrize("key", ["answers", "is_impossible answers", "detected_answers"])
@pytest.mark.parametrize("skip", [[], ["--skip_bad_examples"]])
def test_a_file_without_gold_answers_names_the_flag_that_it_needs(saved, squad_file, mrqa_file, tmp_path, key, skip):
    path = stripped(Path(mrqa_file() if key == "detected_answers" else squad_file()), key.split())
    with pytest.raises(InputError, match="For a file without gold answers, `evaluate --predict_only` writes") as caught:
        run(f"--model={saved}", f"--data={path}", f"--output_dir={tmp_path / 'out'}", *skip)
    assert "--skip_bad_examples" not in str(caught.value) and not (tmp_path / "out").exists()


def test_bad_gold_answers_do_not_matter_where_they_are_not_read(saved, tmp_path, squad_file):
    path = Path(squad_file())
    path.write_text(path.read_text().replace('"answer_start": ', '"answer_start": 99'))
    run(f"--model={saved}", f"--data={path}", f"--output_dir={tmp_path / 'out'}", "--predict_only")
    assert sorted(file.name for file in (tmp_path / "out").iterdir())[-1] == "predictions.json"
    with pytest.raises(InputError, match="--predict_only reads no gold answers, which --calibration_share needs"):
        run(f"--model={saved}", f"--data={path}", "--predict_only", "--calibration_share=0.5")


def test_progress_and_a_reader_that_answers_nothing_are_logged(saved, squad_file, tmp_path, caplog):
    caplog.set_level("INFO")
    model = keras.saving.load_model(saved)
    model.no_answer_threshold = -1e9
    model.save(tmp_path / "silent.keras")
    path = squad_file(articles=2, questions=10)
    run(f"--model={tmp_path / 'silent.keras'}", f"--data={path}", f"--output_dir={tmp_path / 'out'}", "--predict_only")
    lines = [record.getMessage() for record in caplog.records]
    assert sum("of 20 questions, " in line for line in lines) == 10
    assert sum("remaining" in line for line in lines) == 9
    assert any("None of 20 questions is answered" in line for line in lines)
