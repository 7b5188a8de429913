"""Two processes in one place, and processes that are killed there: nothing is destroyed, and nothing is left over."""

import json
import multiprocessing
import pathlib
import random
import time

import pytest

from spanbert_keras import SpanBertEncoder, SpanBertTokenizer
from spanbert_keras.conversion.sources import open_source
from spanbert_keras.data.shards.token_shards import TokenShards
from spanbert_keras.files.json_files import read_json

pytestmark = pytest.mark.slow

PROGRAM = """
import os, sys, time
log = os.open({log!r}, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
os.dup2(log, 1), os.dup2(log, 2)
from spanbert_keras import {module}, program
from spanbert_keras.data.corpus import prepare_corpus
prepare_corpus.SHARD_PIECES = 20_000
time.sleep(max(0, {begin!r} - time.time()))
program.run({module}.main, {module}.Config, {arguments!r})
"""

FINE_TUNE = """
import dataclasses, os, sys, time
log = os.open({log!r}, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
os.dup2(log, 1), os.dup2(log, 2)
from spanbert_keras import SpanBertEncoder, SpanBertTextClassifier, SpanBertTokenizer, fine_tune, program
vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "moving", "dull", "film", "."]
def main(config):
    encoder = SpanBertEncoder(
        len(vocabulary), 1, 2, 8, 16, max_sequence_length=32, tokenizer=SpanBertTokenizer(vocabulary)
    )
    classifier = SpanBertTextClassifier(encoder, labels=["negative", "positive"])
    data = ["a dull film .", "a moving film ."] * 8, ["negative", "positive"] * 8
    fine_tune(classifier, data, data, {folder!r}, epochs=40, learning_rate=1e-3, batch_size=4)
time.sleep(max(0, {begin!r} - time.time()))
@dataclasses.dataclass(frozen=True)
class Config(program.Settings):
    pass
program.run(main, Config, [])
"""


class Process:
    """A child that has imported everything, and begins at a given time."""

    def __init__(self, code, **values):
        self.log = pathlib.Path(values["log"])
        context = multiprocessing.get_context("forkserver")
        self.process = context.Process(target=exec, args=(code.format(**values), {"__name__": "child"}))
        self.process.start()

    def wait(self):
        self.process.join(240)
        assert self.process.exitcode is not None
        return self.process.exitcode

    def kill(self):
        self.process.kill()
        self.process.join(30)

    def text(self):
        return self.log.read_text()


@pytest.fixture
def start(forkserver, tmp_path):
    """Function that starts a program; all end with the test."""
    made = []

    def begin(code, begin=0.0, **values):
        made.append(Process(code, log=str(tmp_path / f"{len(made)}.log"), begin=begin, **values))
        return made[-1]

    yield begin
    for one in made:
        one.kill()


def content(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def check_pair(pair):
    """One of two ends well; the other one does, too, or is rejected in a sentence."""
    codes = [one.wait() for one in pair]
    texts = [one.text() for one in pair]
    assert min(codes) == 0 and max(codes) <= 1 and not any("Traceback" in text for text in texts), (codes, texts)
    for code, text in zip(codes, texts, strict=True):
        assert code == 0 or "is in use: " in text
    return codes


@pytest.fixture
def prepare(start, tmp_path, small_vocabulary):
    (tmp_path / "vocab.txt").write_text("\n".join(small_vocabulary), encoding="utf-8")

    def begin(name, begin=0.0):
        arguments = ["--input=embedded", f"--vocabulary={tmp_path}/vocab.txt", f"--output_dir={tmp_path}/{name}"]
        return start(PROGRAM, begin, module="prepare", arguments=[*arguments, "--workers=1"])

    return begin


def test_two_preparations_in_one_folder(prepare, tmp_path):
    assert prepare("whole").wait() == 0
    expected, codes = content(tmp_path / "whole"), []
    for number in range(2):
        begin = time.time() + 1
        codes += check_pair([prepare(f"pair-{number}", begin), prepare(f"pair-{number}", begin)])
        assert content(tmp_path / f"pair-{number}") == expected
    assert 1 in codes  # they met
    TokenShards(tmp_path / "whole").verify()


def test_killed_preparations_and_others_beside_them(prepare, tmp_path):
    began = time.monotonic()
    assert prepare("whole").wait() == 0
    took, draw = time.monotonic() - began, random.Random(1)
    for number in range(3):
        begin = time.time() + 0.5
        one, two = prepare(f"killed-{number}", begin), prepare(f"killed-{number}", begin)
        time.sleep(0.5 + draw.uniform(0, took))
        one.kill()
        assert two.wait() in (0, 1)
        assert prepare(f"killed-{number}").wait() == 0
        assert content(tmp_path / f"killed-{number}") == content(tmp_path / "whole")


@pytest.fixture
def convert(start, tmp_path, small_vocabulary):
    tokenizer = SpanBertTokenizer(small_vocabulary)
    encoder = SpanBertEncoder(len(small_vocabulary), 4, 4, 256, 1024, max_sequence_length=128, tokenizer=tokenizer)
    encoder.save(tmp_path / "source.keras")
    (tmp_path / "made").mkdir()

    def begin(name, form, begin=0.0):
        arguments = [f"--source={tmp_path}/source.keras", f"--destination={tmp_path}/made/{name}", f"--format={form}"]
        return start(PROGRAM, begin, module="convert", arguments=arguments)

    return begin


FORMATS = [("preset", "preset"), ("hugging_face", "hugging_face"), ("encoder.keras", "keras")]


@pytest.mark.parametrize("name, form", FORMATS)
def test_two_conversions_to_one_place(convert, tmp_path, name, form):
    for _ in range(2):
        begin = time.time() + 1
        check_pair([convert(name, form, begin), convert(name, form, begin)])
        assert [path.name for path in (tmp_path / "made").iterdir()] == [name]
        assert open_source(str(tmp_path / "made" / name)).architecture["num_layers"] == 4


def hidden(folder):
    return {path.name for path in folder.iterdir() if path.name.startswith(".")}


@pytest.mark.parametrize("name, form", FORMATS)
def test_killed_conversions_leave_nothing(convert, tmp_path, name, form):
    began = time.monotonic()
    assert convert(name, form).wait() == 0
    took, left, attempts = time.monotonic() - began, 0, 0
    while left < 2:  # of an older file, and of one that a killed process left
        attempts += 1
        assert attempts <= 10, "too many conversions ended before they were killed"
        one = convert(name, form)
        older, end = hidden(tmp_path / "made"), time.monotonic() + 2 * took
        while hidden(tmp_path / "made") <= older and time.monotonic() < end:
            time.sleep(0.001)
        time.sleep(random.Random(attempts).choice((0, 0.01, 0.03)))
        one.kill()
        left += bool(hidden(tmp_path / "made"))
    assert convert(name, form).wait() == 0
    assert [path.name for path in (tmp_path / "made").iterdir()] == [name]
    assert open_source(str(tmp_path / "made" / name)).architecture["num_layers"] == 4


def test_two_fine_tunings_in_one_folder(start, tmp_path):
    folder = str(tmp_path / "run")
    begin = time.time() + 1
    pair = [start(FINE_TUNE, begin, folder=folder) for _ in range(2)]
    check_pair(pair)
    record = read_json(tmp_path / "run" / "run.json")
    assert record["finished_steps"] == 160
    third = start(FINE_TUNE, folder=str(tmp_path / "killed"))
    while not (tmp_path / "killed" / "run.json").exists():
        time.sleep(0.01)
    time.sleep(1)
    third.kill()
    assert start(FINE_TUNE, folder=str(tmp_path / "killed")).wait() == 0
    again = read_json(tmp_path / "killed" / "run.json")
    assert again["scores"].keys() == record["scores"].keys() and again["finished_steps"] == 160
    assert not [path for path in (tmp_path / "killed").iterdir() if path.name.startswith(".")]


def test_two_pre_trainings_prepare_into_one_cache(start, flags, corpus, tmp_path):
    own = flags | {
        "corpus": corpus.parent / "text.jsonl",
        "vocabulary": corpus.parent / "vocab.txt",
        "heldout_share": 0.1,
        "cache_dir": tmp_path / "cache",
        "steps": 2,
        "warmup_steps": 1,
    }
    begin = time.time() + 1
    pair = []
    for number in range(2):
        arguments = [f"--{name}={value}" for name, value in (own | {"output_dir": tmp_path / f"{number}"}).items()]
        pair.append(start(PROGRAM, begin, module="pretrain", arguments=arguments))
    assert [one.wait() for one in pair] == [0, 0], [one.text()[-2000:] for one in pair]
    assert not [path for path in (tmp_path / "cache").rglob(".*")]
    records = [json.loads((tmp_path / f"{number}" / "run.json").read_text())["facts"] for number in range(2)]
    assert records[0] == records[1]
