"""Tests of the scores beside `transformers`, at a size that runs in seconds."""

import dataclasses
import json

import numpy as np
import pytest

from benchmarks import classification_scores
from spanbert_keras.errors import InputError

NOUNS = "object string value attribute list names type method class function".split()
SEEN = ["good", "bad"]


def write_lines(path, lines):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines))


@pytest.fixture
def config(tmp_path, bert_folder):
    """Small files of SST-2's, STS-B's and TACRED's form, and settings for a tiny BERT."""
    for part in ("train", "dev"):
        rows = [f"The {NOUNS[i % 10]} is a {SEEN[i % 2]} {NOUNS[i % 7]}\t{i % 2}" for i in range(24)]
        write_lines(tmp_path / "glue" / "SST-2" / f"{part}.tsv", ["sentence\tlabel", *rows])
        rows = [f"{i}\tA {NOUNS[i % 10]}\tThe {NOUNS[i % 3]}\t{i % 6}.0" for i in range(24)]
        write_lines(tmp_path / "glue" / "STS-B" / f"{part}.tsv", ["index\tsentence1\tsentence2\tscore", *rows])
        records = [
            {
                "id": str(i),
                "token": ["The", NOUNS[i % 10], ("is", "of")[i % 2], "a", NOUNS[i % 7]],
                "subj_start": 1,
                "subj_end": 1,
                "obj_start": 4,
                "obj_end": 4,
                "subj_type": "OTHER",
                "obj_type": "OTHER",
                "relation": ("no_relation", "part")[i % 2],
            }
            for i in range(24)
        ]
        (tmp_path / f"semeval_{part}.json.gz").write_text(json.dumps(records))
    return classification_scores.Config(
        encoder=bert_folder,
        output_dir=str(tmp_path / "out"),
        glue_dir=str(tmp_path / "glue"),
        semeval_dir=str(tmp_path),
        sets=("SemEval", "SST-2", "STS-B"),
        seeds=2,
        epochs=1,
        batch_size=8,
        train_rows=16,
    )


@pytest.mark.slow
def test_every_side_is_run_once_and_the_table_has_means_and_spreads(config, capsys, tmp_path):
    classification_scores.main(config)
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    sides = ["bag of words", *(f"{side}, {seed}" for seed in range(2) for side in ("ours", "transformers"))]
    settings = results.pop("settings")
    assert settings["epochs"] == 1 and settings["encoder"] == config.encoder
    assert sorted(results) == sorted(f"{name}, {side}" for name in config.sets for side in sides)
    for seed in range(2):
        record = json.loads((tmp_path / "out" / "SST-2" / f"seed_{seed}" / "run.json").read_text())
        assert results[f"SST-2, ours, {seed}"]["score"] == record["scores"]["dev"]["score"]
        assert record["flags"]["seed"] == seed and record["flags"]["epochs"] == 1
    # One word tells both sets' classes: words find them.
    assert results["SST-2, bag of words"]["accuracy"] == results["SemEval, bag of words"]["f1"] == 100.0
    assert len((tmp_path / "out" / "data" / "SST-2" / "train.tsv").read_text().splitlines()) == 17
    lines = capsys.readouterr().out.splitlines()
    ours, theirs = (
        [results[f"SST-2, {side}, {seed}"]["score"] for seed in range(2)] for side in ("ours", "transformers")
    )
    shown = [f"{np.mean(side):.1f} ± {np.std(side, ddof=1):.1f}" for side in (ours, theirs)]
    line = next(line for line in lines if line.startswith("SST-2"))
    assert " ".join(line.split()) == f"SST-2 {' '.join(shown)} {np.mean(ours) - np.mean(theirs):+.1f} 100.0"
    (tmp_path / "out" / "SST-2" / "seed_0" / "run.json").unlink()
    classification_scores.main(config)  # what is there is not run again
    assert not (tmp_path / "out" / "SST-2" / "seed_0" / "run.json").exists()
    with pytest.raises(
        InputError, match="results.json has results with other settings. Expected: .*Give another --outp"
    ):
        classification_scores.main(dataclasses.replace(config, epochs=2))


def test_missing_and_unknown_sets_are_reported(config, tmp_path):
    for changes, words in (
        ({"sets": ("SST-3",)}, "--sets must be one of SemEval, .* Received: SST-3"),
        ({"sets": ("RTE",)}, "RTE has no train.tsv or train.tsv.gz"),
        ({"sets": ("SemEval",), "semeval_dir": None}, "needs --semeval_dir"),
        ({"sets": ("RTE",), "glue_dir": None}, "needs --glue_dir"),
    ):
        with pytest.raises(InputError, match=words):
            classification_scores.main(dataclasses.replace(config, **changes))
