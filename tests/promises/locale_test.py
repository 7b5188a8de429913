"""Programs under terminals and locales that are not UTF-8: a finished job never fails in its last print."""

import json
import os
import pathlib
import subprocess
import sys

import keras
import pytest

from spanbert_keras import SpanBertEncoder, SpanBertQuestionAnswerer, SpanBertTokenizer

ROOT = pathlib.Path(__file__).resolve().parents[2]
ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
LOCALES = {"cp1252": {"PYTHONIOENCODING": "cp1252"}, "ascii": ASCII}
WORDS = "кот сидит на крыше и смотрит вниз".split()
TEXT = "\n\n".join(" ".join([*WORDS[i % 7 :], *WORDS[: i % 7], str(i)]) for i in range(60))


def run(module, *arguments, locale="ascii", **settings):
    """Runs a program in a fresh process; returns its exit code, standard output and error as ASCII."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHONUTF8", "PYTHONIO", "LC_", "LANG"))}
    environment = kept | LOCALES[locale] | {"PYTHONPATH": f"{ROOT}:{os.environ.get('PYTHONPATH', '')}"}
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        env=environment,
        check=False,
        cwd=ROOT,
        stderr=subprocess.PIPE,
        **({"stdout": subprocess.PIPE} | settings),
    )
    return done.returncode, (done.stdout or b"").decode("ascii"), done.stderr.decode("ascii", "replace")


def escaped(text):
    return text.encode("ascii", "backslashreplace").decode()


@pytest.fixture(scope="module")
def reader(tmp_path_factory):
    keras.utils.set_random_seed(1)
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
    tokenizer = SpanBertTokenizer(vocabulary)
    encoder = SpanBertEncoder(len(vocabulary), 1, 2, 8, 12, max_sequence_length=24, tokenizer=tokenizer)
    folder = tmp_path_factory.mktemp("locale")
    SpanBertQuestionAnswerer(encoder, max_question_pieces=6).save(folder / "reader.keras")
    (folder / "text.txt").write_text(" ".join(WORDS), encoding="utf-8")
    return folder


@pytest.mark.parametrize("locale", LOCALES)
def test_answers_are_printed_in_any_encoding(reader, locale):
    arguments = [f"--model={reader / 'reader.keras'}", "--question=кот смотрит", f"--context_file={reader}/text.txt"]
    code, shown, error = run("spanbert_keras.answer", *arguments, locale=locale)
    assert code == 0, error
    assert any(escaped(word) in shown for word in WORDS) and "characters" in shown


@pytest.mark.slow
@pytest.mark.parametrize("locale", LOCALES)
def test_pretraining_on_russian_ends_with_its_examples(tmp_path, locale):
    (tmp_path / "кот.txt").write_text(TEXT, encoding="utf-8")
    small = "--architecture=tiny --steps=2 --max_sequence_length=16 --batch_sequences=4 --eval_rows=4 --warmup_steps=1"
    paths = [f"--corpus={tmp_path}/кот.txt", f"--output_dir={tmp_path}/прогон", "--train_vocabulary=60"]
    code, shown, error = run("spanbert_keras.pretrain", *paths, *small.split(), locale=locale)
    assert code == 0, error
    assert "Held-out text" in shown and "\\u04" in shown and (tmp_path / "прогон" / "pretrainer.keras").is_file()
    record = json.loads((tmp_path / "прогон" / "run.json").read_text(encoding="utf-8"))
    assert os.fsencode(record["flags"]["output_dir"]).decode().endswith("прогон")


@pytest.mark.slow
def test_a_corpus_of_a_folder_with_a_russian_name_is_prepared(tmp_path):
    (tmp_path / "кот.txt").write_text(TEXT, encoding="utf-8")
    (tmp_path / "a.flags").write_text(
        f"--input={tmp_path}/кот.txt\n--output_dir={tmp_path}/корпус\n", encoding="utf-16"
    )
    code, shown, error = run("spanbert_keras.prepare", f"--flagfile={tmp_path}/a.flags", "--train_vocabulary=60")
    assert code == 0, error
    assert "The corpus is in" in shown and (tmp_path / "корпус" / "manifest.json").is_file()


@pytest.mark.slow
@pytest.mark.parametrize("module", ["spanbert_keras.answer", "tasks.glue.report", "tasks.coreference.evaluate"])
def test_a_program_whose_reader_has_gone_ends_well(reader, module):
    arguments = [f"--model={reader / 'reader.keras'}", "--question=кот", f"--context_file={reader}/text.txt"]
    gone, writer = os.pipe()
    os.close(gone)
    code, _, error = run(module, *(arguments if module.endswith("answer") else ["--help"]), stdout=writer)
    os.close(writer)
    assert code == 0 and "BrokenPipe" not in error, error
