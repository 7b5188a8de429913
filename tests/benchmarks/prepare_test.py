"""Tests of the benchmark of `prepare`: small input, sane figures; the promised ratio on real text."""

import importlib.util

import pytest

from spanbert_keras import program


@pytest.fixture(scope="module")
def benchmark(root):
    spec = importlib.util.spec_from_file_location("benchmarks_prepare", root / "benchmarks" / "prepare.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_figures_are_those_of_the_input(benchmark, tmp_path):
    (tmp_path / "a.txt").write_text("\n\n".join(f"Some words of document {i}, é." for i in range(40)) * 3)
    lines = list(benchmark.lines_of((str(tmp_path / "a.txt"),)))
    config = program.parse(benchmark.Config, [f"--input={tmp_path}/a.txt", "--rounds=1", "--workers=1"])
    (tmp_path / "vocab.txt").write_text("\n".join("[PAD] [UNK] [CLS] [SEP] [MASK] some words".split()))
    result = benchmark.main(benchmark.dataclasses.replace(config, vocabulary=str(tmp_path / "vocab.txt")))
    assert result["megabytes"] == round(sum(len(line.encode()) for line in lines) / 1e6, 2)
    assert result["ratio"] == pytest.approx(result["prepare_mb_per_s"] / result["bare_mb_per_s"], rel=0.05, abs=2e-3)
    assert result["peak_memory_mb"] >= result["peak_memory_of_imports_mb"] > 50


def test_a_vocabulary_is_trained_when_none_is_given(benchmark, tmp_path):
    (tmp_path / "a.txt").write_text("many words and many more words\n\nmany words")
    config = program.parse(benchmark.Config, [f"--input={tmp_path}/a.txt"])
    path = benchmark.train_vocabulary(config, tmp_path / "vocab.txt")
    assert "words" in open(path).read().split("\n")


@pytest.mark.slow
def test_prepare_keeps_six_tenths_of_the_bare_librarys_rate_below_a_gigabyte(benchmark, data_folder):
    config = program.parse(
        benchmark.Config,
        [
            f"--input={data_folder}/text/tiny_cc0.txt,{data_folder}/text/standardebooks_cc0.jsonl.gz",
            f"--vocabulary={data_folder}/vocab/bert-base-cased-vocab.txt",
        ],
    )
    result = benchmark.main(config)
    assert result["ratio"] > 0.6
