"""Tests of the fine-tuning program: files in, a reader out, threshold, halves, bad input."""

import json
import pathlib

import keras
import pytest

from spanbert_keras import program
from spanbert_keras.program import InputError
from tasks.question_answering import data, finetune


@pytest.fixture
def fine_tune(encoder_path, tmp_path):
    """Function of flags that runs the program and returns its output directory."""

    def run(*flags, name="run"):
        folder = tmp_path / name
        always = ["--epochs=1", "--batch_size=4", "--max_sequence_length=24", "--stride=5", "--max_question_pieces=6"]
        arguments = [
            f"--encoder={encoder_path}",
            f"--output_dir={folder}",
            "--evaluations_per_epoch=2",
            *always,
            *flags,
        ]
        finetune.main(program.parse(finetune.Config, arguments))
        return folder

    return run


def read_json(path):
    return json.loads(pathlib.Path(path).read_text())


def test_a_model_comes_out_that_answers(fine_tune, squad_file):
    dev = squad_file("dev.json", first=5, articles=2)
    folder = fine_tune(f"--train_file={squad_file()}", f"--dev_file={dev}", "--max_answer_pieces=3")
    reader = keras.saving.load_model(folder / "question_answerer.keras")
    assert reader.no_answer_threshold is None and reader.max_answer_pieces == 3 and reader.windows.stride == 5
    examples = data.read(dev).examples
    answer = reader.answer(examples[0].question, examples[0].context)
    assert examples[0].context[answer.start : answer.end] == answer.text != ""
    record = read_json(folder / "run.json")
    assert set(record["scores"]) == {"dev"} and record["scores"]["dev"]["total"] == len(examples)
    assert read_json(folder / "dev" / "predictions.json")[examples[0].id] == answer.text


def test_unanswerable_questions_give_the_model_a_threshold(fine_tune, squad_file, eagerly):
    train, dev = squad_file(unanswerable=True), squad_file("dev.json", first=5, articles=4, unanswerable=True)
    folder = fine_tune(
        f"--train_file={train}", f"--dev_file={dev}", f"--test_file={squad_file('t.json', 2, 3, True, 20)}"
    )
    reader = keras.saving.load_model(folder / "question_answerer.keras")
    scores = read_json(folder / "run.json")["scores"]
    given, scored = read_json(folder / "dev/predictions.json"), read_json(folder / "dev/no_answer_scores.json")
    assert reader.no_answer_threshold is not None
    assert {id for id, text in given.items() if not text} == {
        id for id, score in scored.items() if score > reader.no_answer_threshold
    }
    assert scores["test"]["total"] == 6 and scores["dev"]["best_f1"] >= 100 / 3 - 1e-9  # as without any answer


@pytest.mark.slow
def test_a_calibrated_threshold_is_fitted_on_some_articles_and_scored_on_the_others(fine_tune, squad_file):
    train, dev = squad_file(unanswerable=True), squad_file("dev.json", first=5, articles=4, unanswerable=True)
    folder = fine_tune(f"--train_file={train}", f"--dev_file={dev}", "--calibration_share=0.5")
    assert read_json(folder / "run.json")["scores"]["dev"]["calibrated_total"] == 12  # two articles of four


def test_mrqas_dev_is_halved_by_context_and_the_ids_are_written(fine_tune, mrqa_file, eagerly):
    folder = fine_tune(
        f"--train_file={mrqa_file()}",
        f"--dev_file={mrqa_file('dev.jsonl.gz', 12, 20)}",
        "--halve_dev",
        "--answers=all",
        "--epochs=0.5",
    )
    dev, test = ((folder / f"{name}_ids.txt").read_text().split() for name in ("dev", "test"))
    assert dev and test and not set(dev) & set(test) and len(dev) + len(test) == 12
    assert set(read_json(folder / "test/predictions.json")) == set(test)
    reader = keras.saving.load_model(folder / "question_answerer.keras")
    assert reader.windows.special_tokens_in_text  # the files' [SEP]
    assert read_json(folder / "run.json")["scores"]["test"]["total"] == len(test)


def test_several_training_files_count_as_one_but_share_no_question(fine_tune, squad_file):
    one, two, dev = squad_file("a.json", 1), squad_file("b.json", 1, first=1), squad_file("dev.json", 1, first=5)
    task = finetune.QuestionAnswering(config_of(f"--train_file={one},{two}", f"--dev_file={dev}"))
    assert len(task.train) == 12
    with pytest.raises(InputError, match=r"The question 'q0' is in .*a.json and .*a.json"):
        finetune.QuestionAnswering(config_of(f"--train_file={one},{one}", f"--dev_file={dev}"))
    task = finetune.QuestionAnswering(
        config_of(f"--train_file={one},{one}", f"--dev_file={dev}", "--skip_bad_examples")
    )
    assert len(task.train) == 6 and len(task.left_out) == 6


def test_unusable_input_is_rejected_before_training(squad_file, mrqa_file):
    plain, open_ended = squad_file(), squad_file("dev.json", 1, first=5, unanswerable=True)
    for flags, message in (
        ([f"--dev_file={plain}", f"--test_file={plain}", "--halve_dev"], "With --test_file, give --nohalve_dev"),
        ([f"--dev_file={plain}", f"--test_file={mrqa_file()}"], "the same format. Received: squad, squad, mrqa"),
        ([f"--dev_file={plain}", "--calibration_share=0.5"], "--calibration_share needs questions without an answer"),
        ([f"--dev_file={open_ended}", "--calibration_share=0.5"], "--calibration_share"),  # of one article
    ):
        with pytest.raises(InputError, match=message):
            finetune.QuestionAnswering(config_of(f"--train_file={plain}", *flags))


def config_of(*flags):
    return program.parse(finetune.Config, ["--encoder=e", "--output_dir=o", *flags])


def test_formats_are_not_mixed(squad_file, mrqa_file):
    flags = (f"--train_file={squad_file()}", f"--dev_file={mrqa_file()}")
    with pytest.raises(InputError, match="files must have the same format. Received: squad, mrqa"):
        finetune.QuestionAnswering(config_of(*flags))


@pytest.mark.slow
def test_questions_that_the_encoder_cannot_read_are_rejected_or_left_out(fine_tune, squad_file, tmp_path, caplog):
    path = pathlib.Path(squad_file("bad.json"))
    content = json.loads(path.read_text())
    paragraph = content["data"][0]["paragraphs"][0]
    paragraph["context"] = 100_000 * "x"  # one word that no vocabulary can spell
    paragraph["qas"] = [{"id": "long", "question": "w1", "answers": [{"text": "xx", "answer_start": 3}]}]
    path.write_text(json.dumps(content))
    flags = (f"--train_file={path}", f"--dev_file={squad_file('dev.json', 1, first=9)}")
    with pytest.raises(
        InputError, match="bad.json: Context of question 'long' has no word that the vocabulary can spell"
    ):
        fine_tune(*flags)
    folder = fine_tune(*flags, "--skip_bad_examples", name="skipping")
    assert (folder / "question_answerer.keras").is_file() and "Examples left out in total: 1" in caplog.text


def test_windows_are_at_most_as_long_as_the_encoders_maximum(squad_file, encoder_path, caplog):
    path = squad_file()
    flags = [f"--encoder={encoder_path}", "--output_dir=o", f"--train_file={path}", f"--dev_file={path}"]
    model = finetune.QuestionAnswering(program.parse(finetune.Config, flags)).make_model()
    assert model.windows.window_length == 24 and "at most 24 tokens" in caplog.text
    with pytest.raises(InputError, match="The model cannot be built on .*window_length=4"):
        finetune.QuestionAnswering(program.parse(finetune.Config, [*flags, "--max_sequence_length=4"])).make_model()


@pytest.mark.slow
def test_another_training_file_does_not_continue_a_run(fine_tune, squad_file):
    dev = squad_file("dev.json", 1, first=9)
    fine_tune(f"--train_file={squad_file()}", f"--dev_file={dev}")
    with pytest.raises(InputError, match="holds another run: train was"):
        fine_tune(f"--train_file={squad_file('other.json', first=3)}", f"--dev_file={dev}")
