"""Tests of the settings that evaluation programs share."""

import subprocess
import sys

import pytest

from spanbert_keras.program import InputError
from tasks.shared.evaluation_settings import EvaluationSettings


@pytest.mark.parametrize(
    "data, part, folder",
    [
        ("some/dev-v2.0.json", "", "dev-v2.0"),
        ("dev.jsonl.gz", "_test", "dev_test"),
        ("gap-development.tsv.gz", "", "gap-development"),
        ("dev.english.v4_gold_conll.gz", "", "dev.english.v4_gold"),
        ("dev.jsonlines", "", "dev"),
    ],
)
def test_the_default_folder_is_beside_the_model_and_named_after_the_data(tmp_path, data, part, folder):
    settings = EvaluationSettings(model=str(tmp_path / "run" / "model.keras"), data=data)
    made = settings.make_folder(part)
    assert made == tmp_path / "run" / "evaluation" / folder and made.is_dir()


def test_the_folder_of_a_run_as_the_model_holds_the_results_itself(tmp_path):
    (tmp_path / "run").mkdir()
    made = EvaluationSettings(model=str(tmp_path / "run"), data="dev.json").make_folder()
    assert made == tmp_path / "run" / "evaluation" / "dev"


def test_a_given_folder_is_used_as_it_is(tmp_path):
    settings = EvaluationSettings(model="m.keras", data="dev.json", output_dir=str(tmp_path / "a" / "b"))
    assert settings.make_folder("_test") == tmp_path / "a" / "b" and (tmp_path / "a" / "b").is_dir()


def test_a_folder_that_cannot_be_created_is_rejected(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot be created: File exists"):
        EvaluationSettings(model="m.keras", data="d", output_dir=str(tmp_path / "file")).make_folder()
    with pytest.raises(InputError, match="--batch_size must be at least 1. Received: 0"):
        EvaluationSettings(model="m.keras", data="d", batch_size=0)


def test_settings_that_need_gold_answers_exclude_predict_only():
    class Settings(EvaluationSettings):
        needs_gold = ("page",)

    Settings(model="m.keras", data="d")
    Settings(model="m.keras", data="d", predict_only=True, page=False)
    with pytest.raises(InputError, match="--predict_only reads no gold answers, which --page needs"):
        Settings(model="m.keras", data="d", predict_only=True)


MAKER = """
import sys
from tasks.shared.evaluation_settings import EvaluationSettings
EvaluationSettings(model="m.keras", data="d", output_dir=sys.argv[1]).make_folder()
print("made", flush=True)
sys.stdin.read()
"""


def test_a_folder_that_another_evaluation_writes_is_rejected(tmp_path, root):
    settings = EvaluationSettings(model="m.keras", data="d", output_dir=str(tmp_path / "out"))
    command = [sys.executable, "-c", MAKER, settings.output_dir]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=root, text=True) as other:
        assert other.stdout.readline() == "made\n"
        with pytest.raises(InputError, match=f"is in use: process {other.pid} on .* another --output_dir"):
            settings.make_folder()
        other.stdin.close()
        other.wait(30)
    for _ in range(2):
        assert settings.make_folder() == tmp_path / "out"


def test_a_folder_may_be_in_another_one_that_cannot_be_written(tmp_path, monkeypatch):
    folder = tmp_path / "out"
    folder.mkdir()
    monkeypatch.setattr("tasks.shared.evaluation_settings.os.access", lambda path, mode: path != tmp_path.resolve())
    settings = EvaluationSettings(model="m.keras", data="d", output_dir=str(folder))
    assert settings.make_folder() == folder
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert [path.name for path in folder.iterdir()] == [".evaluation.lock"]
