"""Tests of the evaluation program: scores, files, picture, page."""

import json

import keras
import numpy as np
import pytest

from spanbert_keras import EntityPair, SpanBertRelationExtractor, program
from spanbert_keras.program import InputError
from tasks.relation_extraction import data, evaluate, metrics
from tests.tasks.relation_extraction.conftest import record

LABELS = ["no_relation", "per:city_of_birth", "per:date_of_birth", "org:founded"]

pytestmark = pytest.mark.usefixtures("eagerly")


@pytest.fixture(scope="module")
def saved(encoder_path, tmp_path_factory, randomize):
    """A saved extractor with random weights."""
    encoder = keras.saving.load_model(encoder_path)
    model = SpanBertRelationExtractor(encoder, LABELS, ("ORGANIZATION", "PERSON"), ("CITY", "DATE"), row_length=24)
    randomize(model, seed=3, scale=0.6)
    pairs = [
        EntityPair(
            tuple(one["token"]),
            (one["subj_start"], one["subj_end"] + 1),
            (one["obj_start"], one["obj_end"] + 1),
            one["subj_type"],
            one["obj_type"],
        )
        for one in map(record, range(10))
    ]
    bias = next(weight for weight in model.head.weights if tuple(weight.shape) == (len(LABELS),))
    bias.assign(bias - model.logits_of(model.entities.rows(pairs)).mean(axis=0))  # so that labels differ
    path = tmp_path_factory.mktemp("model") / "relation_extractor.keras"
    model.save(path)
    return path


def run(*flags):
    evaluate.main(program.parse(evaluate.Config, list(flags)))


def test_the_program_writes_predictions_scores_picture_and_page(saved, relation_file, tmp_path, capsys, embedded):
    unseen = record(9) | {"relation": "per:unseen"}
    path = relation_file("dev.json", records=[*(record(i) for i in range(9)), unseen])
    out = tmp_path / "out"
    run(f"--model={saved}", f"--data={path}", f"--output_dir={out}", "--batch_size=4")
    assert sorted(p.name for p in out.iterdir()) == [
        "confusion.png",
        "errors.html",
        "gold.txt",
        "predictions.jsonl",
        "predictions.txt",
        "reliability.png",
        "scores.json",
    ]
    examples = data.read(path).examples
    model = keras.saving.load_model(saved)
    found = [relation.label for relation in model.extract_pairs([example.pair for example in examples])]
    assert (out / "predictions.txt").read_text().splitlines() == found and len(set(found)) > 1
    gold = [example.relation for example in examples]
    tables = json.loads((out / "scores.json").read_text())
    assert tables["all relations"] == pytest.approx(metrics.score(gold, found, "no_relation"))
    assert set(tables) - {"all relations", "calibration"} == {*gold, *found} - {"no_relation"}
    shares = [relation.score for relation in model.extract_pairs([example.pair for example in examples])]
    assert tables["calibration"]["mean_confidence"] == pytest.approx(100 * np.mean(shares), abs=0.01)
    right = [one == label for one, label in zip(gold, found, strict=True)]
    assert tables["calibration"]["share_correct"] == pytest.approx(100 * np.mean(right))
    assert tables["per:unseen"] == {"precision": 100.0, "recall": 0.0, "f1": 0.0, "gold": 1, "predicted": 0}
    page = embedded(out / "errors.html")
    assert [(row["id"], row["predicted"]) for row in page["rows"]] == list(
        zip([example.id for example in examples], found, strict=True)
    )
    assert dict(page["facts"])["f1"] == f"{tables['all relations']['f1']:.2f}"
    printed = capsys.readouterr().out
    assert "all 10 sentences, no_relation left out" in printed and "per:unseen" in printed
    assert f"Predictions, scores, confusion.png and errors.html are in {out}." in printed


def test_the_picture_is_not_blank(saved, relation_file, tmp_path):
    image = pytest.importorskip("matplotlib.image", reason="pictures are matplotlib's")
    run(f"--model={saved}", f"--data={relation_file()}", f"--output_dir={tmp_path / 'out'}", "--nopage")
    pixels = image.imread(tmp_path / "out" / "confusion.png")
    assert min(pixels.shape[:2]) > 300 and pixels[..., :3].std() > 0.05
    assert len(np.unique(pixels.reshape(-1, pixels.shape[-1]), axis=0)) > 50
    assert not (tmp_path / "out" / "errors.html").exists()


def test_the_default_folder_is_beside_the_model(saved, relation_file, capsys):
    run(f"--model={saved}", f"--data={relation_file('test.json')}", "--nopage")
    assert (saved.parent / "evaluation" / "test" / "scores.json").is_file()
    assert "Predictions, scores and confusion.png are in" in capsys.readouterr().out


def test_another_label_may_stand_for_no_relation(saved, relation_file, tmp_path, capsys):
    out = tmp_path / "out"
    flags = [f"--model={saved}", f"--data={relation_file()}", f"--output_dir={out}"]
    run(*flags, "--no_relation=org:founded", "--nopage")
    tables = json.loads((out / "scores.json").read_text())
    assert "org:founded" not in tables and "no_relation" in tables
    assert "org:founded left out; accuracy counts it" in capsys.readouterr().out
    with pytest.raises(InputError, match="--no_relation=Other is not a relation of the model. Expected: one of no_r"):
        run(*flags, "--no_relation=Other")


def test_retacreds_labels_bad_examples_and_cut_sentences_are_reported(saved, relation_file, tmp_path, caplog):
    caplog.set_level("INFO")
    long = record(3) | {"token": [f"w{i % 40}" for i in range(60)]}
    path = relation_file(records=[record(0), record(1), record(2) | {"token": []}, long])
    labels = tmp_path / "labels.json"
    labels.write_text(json.dumps({"e0": "org:founded", "e3": "no_relation"}))
    flags = [f"--model={saved}", f"--data={path}", f"--labels={labels}", f"--output_dir={tmp_path / 'out'}", "--nopage"]
    with pytest.raises(InputError, match=r"example 2 \('e2'\): `token` must be a list"):
        run(*flags)
    run(*flags, "--skip_bad_examples")
    assert (tmp_path / "out" / "gold.txt").read_text() == "org:founded\nno_relation\n"
    assert "Left out: " in caplog.text and "1 examples have no entry in --labels" in caplog.text
    assert "2 sentences, 1 of them cut to 24 tokens" in caplog.text


def test_unusable_input_is_rejected_before_anything_is_written(saved, encoder_path, relation_file, tmp_path):
    path, out = relation_file(), tmp_path / "out"
    strange = relation_file("strange.json", records=[record(0) | {"obj_type": "TITLE"}])
    for flags, message in (
        ((f"--model={saved}", f"--data={path}", "--batch_size=0"), "--batch_size must be at least 1"),
        ((f"--model={saved}", f"--data={tmp_path / 'no.json'}"), "no.json cannot be read"),
        ((f"--model={saved}", f"--data={strange}"), "strange.json, example 'e0': 'TITLE' is not a type of"),
        ((f"--model={encoder_path}", f"--data={path}"), "Expected: a SpanBertRelationExtractor"),
        ((f"--model={tmp_path / 'no.keras'}", f"--data={path}"), "no.keras is not there"),
    ):
        with pytest.raises(InputError, match=message):
            run(*flags, f"--output_dir={out}")
    assert not out.exists()


def test_examples_of_types_without_markers_are_left_out_and_named(saved, relation_file, tmp_path, caplog):
    strange = [record(0), record(1) | {"obj_type": "TITLE"}, record(2) | {"subj_type": "ANIMAL"}]
    flags = [f"--output_dir={tmp_path / 'out'}", f"--model={saved}", "--skip_bad_examples", "--nopage"]
    run(*flags, f"--data={relation_file('strange.json', records=strange)}")
    assert len((tmp_path / "out" / "gold.txt").read_text().splitlines()) == 1
    assert (
        "example 'e1': 'TITLE' is not a type of object" in caplog.text
        and "Examples left out in total: 2." in caplog.text
    )
    with pytest.raises(InputError, match="none.json has no example that the model can read: .*'TITLE'"):
        run(*flags, f"--data={relation_file('none.json', records=strange[1:])}")


def test_gold_relations_that_the_model_does_not_know_are_reported_or_rejected(saved, relation_file, tmp_path, caplog):
    unseen = [record(i) | {"relation": name} for i, name in enumerate(("per:unseen", "org:new", "per:unseen"))]
    flags = [f"--model={saved}", f"--output_dir={tmp_path / 'out'}", "--nopage"]
    with pytest.raises(InputError, match="train.json has no relation of --model=.*no_relation, .*: org:new, per:unse"):
        run(*flags, f"--data={relation_file(records=unseen)}")
    assert not (tmp_path / "out").exists()
    run(*flags, f"--data={relation_file(records=unseen)}", "--predict_only")
    run(*flags, f"--data={relation_file(records=[*unseen, record(3)])}")
    assert "3 examples have relations that the model does not know: org:new, per:unseen." in caplog.text


def test_a_model_that_does_not_know_its_markers_is_rejected(encoder_path, relation_file, tmp_path):
    model = SpanBertRelationExtractor(keras.saving.load_model(encoder_path), LABELS, markers={}, row_length=24)
    model.save(tmp_path / "unknown.keras")
    with pytest.raises(InputError, match="train.json: This model does not know which pieces mark entities"):
        run(f"--model={tmp_path / 'unknown.keras'}", f"--data={relation_file()}", f"--output_dir={tmp_path / 'out'}")


def test_relations_with_directions_are_also_scored_as_semeval_does(
    encoder_path, relation_file, tmp_path, capsys, embedded
):
    labels = ["Other", "A(e1,e2)", "A(e2,e1)", "B(e1,e2)"]
    encoder = keras.saving.load_model(encoder_path)
    model = SpanBertRelationExtractor(encoder, labels, ("ORGANIZATION", "PERSON"), ("CITY", "DATE"), row_length=24)
    model.save(tmp_path / "relation_extractor.keras")
    path = relation_file("dev.json", records=[record(i, relation=labels[i % 4]) for i in range(8)])
    flags = [f"--model={tmp_path / 'relation_extractor.keras'}", f"--data={path}", f"--output_dir={tmp_path / 'out'}"]
    run(*flags, "--no_relation=Other")
    scores = json.loads((tmp_path / "out" / "scores.json").read_text())["all relations"]
    found = (tmp_path / "out" / "predictions.txt").read_text().splitlines()
    gold = [labels[i % 4] for i in range(8)]
    expected = metrics.directed_scores(gold, found, "Other")
    assert {name: scores[name] for name in expected} == pytest.approx(expected)
    assert dict(embedded(tmp_path / "out" / "errors.html")["facts"])["macro_f1"] == f"{expected['macro_f1']:.2f}"
    assert f"macro_f1        {expected['macro_f1']:.2f}" in capsys.readouterr().out


@pytest.mark.parametrize("form", ["list", "lines"])
def test_predictions_need_no_relations_and_are_those_of_the_same_file_with_them(
    saved, relation_file, tmp_path, form, capsys
):
    records = [record(i) for i in range(9)]
    bare = [{key: value for key, value in one.items() if key != "relation"} for one in records]
    wrong = [one | {"relation": 7} for one in records]
    written = []
    for rows, flags in (
        (records, []),
        (records, ["--predict_only"]),
        (bare, ["--predict_only"]),
        (wrong, ["--predict_only"]),
    ):
        path, out = tmp_path / "data.json", tmp_path / f"out{len(written)}"
        path.write_text(json.dumps(rows) if form == "list" else "\n".join(map(json.dumps, rows)))
        run(f"--model={saved}", f"--data={path}", f"--output_dir={out}", "--nopage", *flags)
        written.append({file.name: file for file in out.iterdir()})
    texts = [files["predictions.txt"].read_text() for files in written]
    assert len(set(texts)) == 1 and len(texts[0].splitlines()) == 9
    for files in written[1:]:
        assert set(files) == {"predictions.txt", "predictions.jsonl"}
        rows = [json.loads(line) for line in files["predictions.jsonl"].read_text().splitlines()]
        assert rows == [{"id": f"e{i}", "relation": label} for i, label in enumerate(texts[0].splitlines())]
    assert "Predictions of 9 sentences are in" in capsys.readouterr().out


@pytest.mark.parametrize("skip", [[], ["--skip_bad_examples"]])
def test_a_file_without_relations_names_the_flag_that_it_needs(saved, relation_file, tmp_path, skip):
    bare = [{key: value for key, value in record(i).items() if key != "relation"} for i in range(3)]
    flags = [f"--model={saved}", f"--output_dir={tmp_path / 'out'}", *skip]
    with pytest.raises(InputError, match="For a file without relations, `evaluate --predict_only` writes") as caught:
        run(*flags, f"--data={relation_file(records=bare)}")
    assert "--skip_bad_examples" not in str(caught.value)
    with pytest.raises(
        InputError, match="lacks relation.*Correct the file, or leave bad examples out with --skip_bad_examples"
    ):
        run(*flags[:2], f"--data={relation_file(records=[bare[0], record(1)])}")
    with pytest.raises(InputError, match="--predict_only reads no gold answers, which --labels needs"):
        run(*flags, f"--data={relation_file()}", "--predict_only", "--labels=x.json")


def test_progress_and_one_relation_for_all_are_logged(saved, relation_file, tmp_path, caplog):
    caplog.set_level("INFO")
    model = keras.saving.load_model(saved)
    bias = next(weight for weight in model.head.weights if tuple(weight.shape) == (len(LABELS),))
    bias.assign([99.0, 0.0, 0.0, 0.0])
    model.save(tmp_path / "dull.keras")
    flags = [f"--model={tmp_path / 'dull.keras'}", f"--output_dir={tmp_path / 'out'}", "--batch_size=2", "--nopage"]
    run(*flags, f"--data={relation_file(count=8)}")
    lines = [one.getMessage() for one in caplog.records]
    shown = [line.split(",")[0] for line in lines if " rows" in line]
    assert len(shown) > 1 and shown[-1] == "8 of 8 rows"
    assert "All 8 sentences get the same prediction, no_relation." in lines
