"""Tests of the coreference benchmark, at a size that runs in seconds."""

import collections
import json
import os
import re

import numpy as np
import pytest

from benchmarks import coreference
from spanbert_keras import SpanBertCoreferenceResolver, SpanBertEncoder, load_pretrained, program
from spanbert_keras.errors import InputError


@pytest.fixture(scope="module")
def model(toy_tokenizer, tmp_path_factory):
    """Path of a saved resolver of one layer x 8."""
    encoder = SpanBertEncoder(64, 1, 2, 8, 12, 0.0, max_sequence_length=24, tokenizer=toy_tokenizer)
    resolver = SpanBertCoreferenceResolver(encoder, max_span_width=3, max_antecedents=4, hidden_dim=6, feature_dim=4)
    path = tmp_path_factory.mktemp("model") / "resolver.keras"
    resolver.save(path)
    return str(path)


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    """Path of a text of 15 words, 18 with their marks."""
    path = tmp_path_factory.mktemp("text") / "text.txt"
    path.write_text("w1 w2, w3 w4 w5 w6.\n\nw7 w8 w9 w10 w11 w12 w13 w14 w15.\n", encoding="utf-8")
    return str(path)


@pytest.fixture
def make_config(model, text, tmp_path):
    """Function that returns settings of a run; its arguments are flags."""

    def make(*flags):
        given = (f"--model={model}", f"--text_file={text}", f"--output_dir={tmp_path}", "--seconds=0")
        return program.parse(coreference.Config, [*given, *flags])

    return make


@pytest.fixture
def replace_python(tmp_path, monkeypatch):
    """Function of lines of shell that run in place of every process that the benchmark starts."""

    def replace(script):
        path = tmp_path / "python"
        path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
        path.chmod(0o755)
        monkeypatch.setattr(coreference.sys, "executable", str(path))

    return replace


def row(words, seconds, growth=0.1):
    return {
        "words": words,
        "tokens": words + 1,
        "pieces": words + 2,
        "runs": 1,
        "seconds": seconds,
        "documents_per_s": 1 / seconds,
        "words_per_s": words / seconds,
        "cpu_seconds": 2 * seconds,
        "splitting_seconds": 0.01,
        "before_gb": 1.0,
        "peak_gb": 1.0 + growth,
        "growth_gb": growth,
        "load": 0.5,
    }


@pytest.mark.slow
def test_each_length_is_measured_in_a_process_of_its_own(make_config, tmp_path, capsys):
    coreference.main(make_config("--lengths=150,15"))
    written = json.loads((tmp_path / "coreference.json").read_text())
    short, long = written["lengths"]
    assert [short["words"], short["tokens"], long["words"], long["tokens"]] == [15, 18, 150, 180]
    # A piece a word and a mark, and [CLS] and [SEP] of each segment: of 22 words at most, here a text's two sentences.
    assert [short["pieces"], long["pieces"]] == [18 + 2, 180 + 2 * 10]
    for one in (short, long):
        assert one["runs"] == 1 and 0 < one["splitting_seconds"] < one["seconds"] and one["cpu_seconds"] > 0
        assert one["words_per_s"] == pytest.approx(one["words"] / one["seconds"])
        assert one["documents_per_s"] == pytest.approx(1 / one["seconds"])
        assert 0.1 < one["before_gb"] <= one["peak_gb"] < 5
    assert short["pid"] != long["pid"] and os.getpid() not in (short["pid"], long["pid"])
    assert written["per_word_ratios"]["seconds"] == pytest.approx(long["seconds"] / short["seconds"] / 10)
    shown = (tmp_path / "coreference.md").read_text()
    assert "| 150 | 180 | 200 |" in shown and "150 words cost" in shown and shown in capsys.readouterr().out
    pixels = _pixels(tmp_path / "coreference.png")
    assert pixels.shape[:2] == (462, 1100) and len(np.unique(pixels)) > 20


def _pixels(path):
    from matplotlib import image

    return image.imread(path)


def test_a_document_is_resolved_again_until_the_time_is_up(make_config, monkeypatch):
    asked = []

    class Resolver:
        segments = load_pretrained(make_config().model).segments

        def resolve(self, text, batch_size):
            asked.append((len(text.split()), batch_size))

    monkeypatch.setattr(coreference, "load_task_model", lambda path, kind: Resolver())
    ticks = iter(range(100))
    monkeypatch.setattr(coreference.time, "perf_counter", lambda: next(ticks))
    monkeypatch.setattr(coreference, "WARM_UP_WORDS", 4)
    monkeypatch.setattr(coreference, "COMPILED_WORDS", 9)
    found = coreference.measure(make_config("--lengths=12", "--seconds=3", "--batch_size=5"))
    assert asked == [(4, 5), (9, 5), (12, 5), (12, 5), (12, 5)]
    assert (found["runs"], found["seconds"], found["words_per_s"], found["pid"]) == (3, 1, 12, os.getpid())


@pytest.mark.slow
def test_a_fresh_resolver_is_made_over_random_weights(tmp_path, capsys):
    flags = ["--architecture=tiny", "--hidden_dim=8", "--lengths=40", f"--output_dir={tmp_path}", "--seconds=0"]
    coreference.main(program.parse(coreference.Config, flags))
    written = json.loads((tmp_path / "coreference.json").read_text())
    assert written["lengths"][0]["words"] == 40 and written["per_word_ratios"] is None


def test_a_fresh_resolver_is_made_over_an_encoder(model, make_config, tmp_path):
    load_pretrained(model).encoder.save(tmp_path / "encoder.keras")
    coreference.main(make_config(f"--encoder={tmp_path}/encoder.keras", "--hidden_dim=5", "--part=model"))
    made = load_pretrained(str(tmp_path / coreference.MODEL))
    assert isinstance(made, SpanBertCoreferenceResolver) and made.get_config()["hidden_dim"] == 5


def test_a_length_that_fails_is_reported_and_the_others_are_measured(make_config, replace_python, tmp_path, capsys):
    replace_python(
        f"""case "$*" in
        *--lengths=10\\ *) echo noise; echo '{json.dumps(row(10, 2.0))}';;
        *--lengths=20\\ *) echo one >&2; echo the last words >&2; exit 70;;
        *) kill -9 $$;;
        esac"""
    )
    with pytest.raises(InputError, match="2 of 3 lengths could not be measured: 20, 30 words"):
        coreference.main(make_config("--lengths=10,20,30"))
    rows = json.loads((tmp_path / "coreference.json").read_text())["lengths"]
    assert rows[0] == row(10, 2.0)
    assert rows[1] == {"words": 20, "failed": "exit code 70: the last words"}
    assert rows[2] == {"words": 30, "failed": "ended by SIGKILL, probably because memory ran out"}
    out = capsys.readouterr().out
    assert "20 words: FAILED, exit code 70" in out and "| 30 | failed: ended by SIGKILL" in out
    assert (tmp_path / "coreference.png").exists()


def test_unusable_input_is_reported_once(make_config, replace_python, tmp_path):
    replace_python("echo 'Error: --model=x is not there.' >&2; exit 1")
    with pytest.raises(InputError, match="^--model=x is not there.$"):
        coreference.main(make_config())
    assert not (tmp_path / "coreference.json").exists()


def test_a_child_ends_with_its_parent(make_config, replace_python, monkeypatch):
    replace_python("exec sleep 60")
    started = []

    def interrupted(child):
        started.append(child.pid)
        raise KeyboardInterrupt

    monkeypatch.setattr(coreference.subprocess.Popen, "communicate", interrupted)
    with pytest.raises(KeyboardInterrupt):
        coreference.run_child(make_config())
    with pytest.raises(ProcessLookupError):
        os.kill(started[0], 0)


@pytest.mark.parametrize(
    "lengths, expected", [((10, 99), None), ((10, 60, 100), [10, 100]), ((10, 20, 50, 210), [20, 210])]
)
def test_the_longest_is_compared_with_the_longest_of_a_tenth(lengths, expected):
    found = coreference.per_word_ratios([row(words, words**2, words / 1e4) for words in reversed(lengths)])
    assert (found and found["words"]) == expected
    if expected:
        quadratic = expected[1] / expected[0]
        assert found["seconds"] == pytest.approx(quadratic) == found["cpu_seconds"]
        assert found["memory"] == pytest.approx(1)


def test_a_length_that_failed_is_not_compared():
    assert coreference.per_word_ratios([row(10, 1.0), {"words": 100, "failed": "so"}]) is None


def test_without_growth_of_memory_it_has_no_ratio():
    ratios = coreference.per_word_ratios([row(10, 1.0, growth=0.0), row(100, 10.0)])
    assert ratios["memory"] is None and "and - times the additional memory" in coreference.table([], ratios)


@pytest.mark.parametrize("count, expected", [(2, "a b,"), (3, "a b,\nc"), (7, "a b,\nc\n\na b,\nc\n\na")])
def test_a_text_is_cut_or_repeated(count, expected):
    assert coreference.cut_to("a b,\nc ", count) == expected


def test_the_text_has_the_words_asked_for_in_sentences(monkeypatch):
    prose = "the cat of the house, the dog of the cat: and (so) one.", "Words: a Name, the_code the"
    monkeypatch.setattr("spanbert_keras.data.corpus.embedded_corpus.documents", lambda: prose)
    text = coreference.synthetic_text(2000)
    assert text == coreference.synthetic_text(2000) and len(text.split()) == 2000
    sizes = [len(sentence.split()) for sentence in re.split(r"\.\s+", text)]
    assert max(sizes) == 30 and min(sizes[:-2]) == 5 and "\n\n" in text
    counts = collections.Counter(re.findall(r"\w+", text.lower()))
    assert set(counts) == {"the", "cat", "of", "house", "dog", "and", "so", "one", "a"}
    assert counts["the"] / 2000 == pytest.approx(5 / 15, abs=0.05)


@pytest.mark.parametrize(
    "flags, sentence",
    [
        (["--lengths=10,x"], "--lengths must be whole numbers above 0. Received: '10,x'"),
        (["--lengths=0"], "--lengths must be"),
        (["--lengths="], "--lengths must be"),
        (["--encoder=e"], "Give one of them"),
        (["--text_file=nowhere.txt"], "--text_file=nowhere.txt cannot be read"),
    ],
)
def test_settings_that_do_not_fit_are_rejected(make_config, flags, sentence):
    with pytest.raises(InputError, match=re.escape(sentence)):
        coreference.main(make_config(*flags))
