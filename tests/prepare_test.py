"""Tests of the program `prepare`: its flags, table, exit codes."""

import gzip
import json
import os
import subprocess
import sys
import tarfile

import pytest
from rich.console import Console

from spanbert_keras import prepare, program
from spanbert_keras.data.corpus import shard_writer
from spanbert_keras.data.shards.token_shards import TokenShards

TEXT = "\n\n".join(f"The document number {i} of a module." for i in range(7))


@pytest.fixture
def arguments(tmp_path, small_vocabulary):
    (tmp_path / "a,b.txt").write_text("not meant")
    (tmp_path / "one.txt").write_text(TEXT)
    (tmp_path / "two.txt").write_bytes(b"Bytes \xff\xfe.\n\n" + TEXT.split("\n\n")[0].encode())
    (tmp_path / "vocab.txt").write_text("\n".join(small_vocabulary), encoding="utf-8")
    return [
        f"--input={tmp_path}/one.txt,{tmp_path}/t*.txt",
        f"--vocabulary={tmp_path}/vocab.txt",
        f"--output_dir={tmp_path}/out",
        "--heldout_share=0.2",
    ]


def test_a_corpus_is_prepared_and_reported(arguments, tmp_path, capsys):
    program.run(prepare.main, prepare.Config, arguments)
    shown = capsys.readouterr().out
    manifest = TokenShards(tmp_path / "out").manifest
    assert manifest["totals"]["documents"] == 9 and manifest["totals"]["duplicate_documents"] == 1
    assert [source["path"][-7:] for source in manifest["sources"]] == ["one.txt", "two.txt"]
    for name in ("documents", "kept", "empty", "twice", "bad bytes", "tokens", "[UNK]", "one.txt", "two.txt", "all"):
        assert name in shown
    assert "Warning: 2 bytes are not valid UTF-8" in shown
    assert f"The corpus is in {tmp_path}/out." in shown.replace("\n", "")


def test_every_setting_is_a_flag_and_reaches_the_preparation():
    assert set(prepare.Config.__dataclass_fields__) == set(prepare.PreparationSettings.__dataclass_fields__)
    config = program.parse(prepare.Config, ["--input=a,b", "--output_dir=o", "--train_vocabulary=9", "--shard=1/2"])
    assert isinstance(config, prepare.PreparationSettings)
    assert config.input == ("a", "b") and config.train_vocabulary == 9 and config.part == (1, 2)


@pytest.mark.parametrize(
    "flag, code, said",
    [
        ("--heldout_share=2", 1, "--heldout_share must be from 0 to 0.5"),
        ("--inputs=x", 2, "--help lists every flag"),
        ("--input=/nowhere", 1, "--input=/nowhere does not exist"),
        ("--vocabulary=/nowhere", 1, "/nowhere cannot be read"),
    ],
)
def test_user_errors_are_one_sentence_and_an_exit_code(arguments, capsys, flag, code, said):
    with pytest.raises(SystemExit) as ended:
        program.run(prepare.main, prepare.Config, [*arguments, flag])
    error = capsys.readouterr().err
    assert ended.value.code == code and said in error and "Traceback" not in error


def test_many_files_are_summed_up():
    report = dict.fromkeys((*shard_writer.COUNTS, "pieces"), 3)
    sources = [{"path": f"folder/[file]{i}"} for i in range(30)]
    manifest = {"sources": sources, "reports": [report] * 30, "totals": report}
    console = Console(width=110, record=True, file=open(os.devnull, "w"))
    console.print(prepare.report_table(manifest))
    shown = console.export_text()
    assert "folder/[file]19" in shown and "[file]20" not in shown and "and 10 more" in shown and "100.000%" in shown


def test_long_paths_show_their_end():
    assert prepare.shorten("abc", 5) == "abc" and prepare.shorten("abcdefghij", 8) == "...fghij"


def test_the_module_is_a_program(arguments, tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "spanbert_keras.prepare", *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "The corpus is in" in done.stdout.replace("\n", " ")


def test_files_of_a_folder_that_hold_no_text_are_counted_and_named(arguments, tmp_path, small_vocabulary, capsys):
    folder = tmp_path / "folder"
    folder.mkdir()
    with tarfile.open(folder / "books.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "one.txt", "one.txt")
    rows = "".join(json.dumps({"text": f"The document {i} of a module."}) + "\n" for i in range(5))
    (folder / "c4-train.00000-of-01024.json.gz").write_bytes(gzip.compress(rows.encode()))
    (folder / "photo.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(99))
    for _ in range(2):  # the second time it is found done
        program.run(prepare.main, prepare.Config, [*arguments, f"--input={folder}"])
        shown = " ".join(capsys.readouterr().out.split())
        assert "Warning: Skipped 2 files that hold no text:" in shown
        assert "(tar);" in shown and "a picture (PNG)." in shown and "holds no document" not in shown
    manifest = TokenShards(tmp_path / "out").manifest
    assert manifest["totals"]["documents"] == 5
    assert [source["kind"] for source in manifest["sources"]] == ["skipped", "jsonl", "skipped"]
    with pytest.raises(SystemExit) as ended:
        program.run(prepare.main, prepare.Config, [*arguments, f"--input={folder}/books.tar.gz"])
    error = capsys.readouterr().err
    assert ended.value.code == 1 and "books.tar.gz cannot be read as text: it is an archive (tar)" in error
