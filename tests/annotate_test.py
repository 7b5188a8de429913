"""Tests of the program `annotate`: its flags, tables, exit codes."""

import subprocess
import sys

import pytest

from spanbert_keras import annotate, prepare, program
from spanbert_keras.data.annotations.annotation_report import AnnotationReport
from spanbert_keras.data.shards.token_shards import TokenShards

TEXT = "\n\n".join(f"The module number {i} was made by Ann and by Bob in New York." for i in range(20))


@pytest.fixture
def arguments(tmp_path, small_vocabulary):
    (tmp_path / "text.txt").write_text(TEXT)
    (tmp_path / "vocab.txt").write_text("\n".join(small_vocabulary), encoding="utf-8")
    flags = [f"--input={tmp_path}/text.txt", f"--vocabulary={tmp_path}/vocab.txt", f"--output_dir={tmp_path}/shards"]
    program.run(prepare.main, prepare.Config, [*flags, "--heldout_share=0.1"])
    return [f"--corpus={tmp_path}/shards", f"--input={tmp_path}/text.txt", "--annotator=rules", "--workers=1"]


def shown(capsys):
    return " ".join(capsys.readouterr().out.split())


def test_a_corpus_is_annotated_and_reported(arguments, tmp_path, capsys):
    program.run(annotate.main, annotate.Config, arguments)
    text = shown(capsys)
    assert "Entities of the corpus" in text and "mentions 60" in text and "labels NAME 60" in text
    assert "tokens in mentions" in text and "mentions per 100 words" in text and "most frequent" in text
    assert "Warning" not in text and f"The annotations are in {tmp_path}/shards." in text.replace("shards .", "shards.")
    assert TokenShards(tmp_path / "shards").annotations("entities").labels == ("NAME",)


def test_without_input_it_warns_and_continues(arguments, capsys):
    program.run(annotate.main, annotate.Config, [arguments[0], *arguments[2:]])
    assert "Warning: without --input, the text is put together from word pieces" in shown(capsys)


def test_a_part_reports_that_others_are_missing(arguments, capsys):
    program.run(annotate.main, annotate.Config, [*arguments, "--shard=0/2"])
    assert "Part 0/2 is done. The annotations of" in shown(capsys)
    program.run(annotate.main, annotate.Config, [*arguments, "--shard=1/2"])
    assert "The annotations are in" in shown(capsys)


@pytest.mark.parametrize(
    ("flag", "code", "said"),
    [
        ("--annotations=noun_phrases", 1, "finds named entities only"),
        ("--corpus=nowhere", 1, "The corpus nowhere does not exist"),
        ("--input=nowhere", 1, "--input=nowhere does not exist"),
        ("--annotator=spacy:no_such_model", 1, "cannot be loaded"),
        ("--inputs=x", 2, "--help lists every flag"),
    ],
)
def test_user_errors_are_one_sentence_and_an_exit_code(arguments, capsys, flag, code, said):
    if "spacy" in flag:
        pytest.importorskip("spacy", reason="spaCy, extra `linguistic`, is not installed")
    with pytest.raises(SystemExit) as ended:
        program.run(annotate.main, annotate.Config, [*arguments, flag])
    error = capsys.readouterr().err
    assert ended.value.code == code and said in error and "Traceback" not in error


def test_a_report_without_mentions_has_dashes():
    table = annotate.report_table(AnnotationReport("noun_phrases", 0, 0.0, 0.0, {}, []))
    assert table.title == "Noun phrases of the corpus" and table.row_count == 5


def test_the_module_is_a_program_with_several_processes(arguments):
    command = [sys.executable, "-m", "spanbert_keras.annotate", *arguments, "--workers=2"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "The annotations are in" in " ".join(done.stdout.split())
