"""Tests of the evaluation program: tables, files, WinoBias, GAP, the page."""

import dataclasses
import json

import keras
import pytest

import spanbert_keras
from spanbert_keras import Mention, program
from spanbert_keras.program import InputError
from tasks.coreference import baselines, evaluate, metrics, predictions, pronouns

A, B, C, D, E = [(i, i + 1) for i in range(5)]

pytestmark = pytest.mark.usefixtures("eagerly")


@pytest.fixture(scope="module")
def saved(encoder_path, tmp_path_factory):
    """A saved resolver with random weights."""
    keras.utils.set_random_seed(3)
    encoder = keras.saving.load_model(encoder_path)
    model = spanbert_keras.SpanBertCoreferenceResolver(
        encoder, max_span_width=3, max_antecedents=5, feature_dim=2, hidden_dim=4, genres=("nw", "wb")
    )
    path = tmp_path_factory.mktemp("model") / "coreference_resolver.keras"
    model.save(path)
    return path


def run(*flags):
    evaluate.main(program.parse(evaluate.Config, list(flags)))


def test_the_program_writes_predictions_scores_and_the_page(saved, documents_file, tmp_path, capsys, embedded):
    path, out = documents_file(count=3), tmp_path / "out"
    run(f"--model={saved}", f"--data={path}", f"--output_dir={out}")
    assert sorted(p.name for p in out.iterdir()) == ["errors.html", "predictions.conll", "scores.json"]
    gold = spanbert_keras.read_documents(path).documents
    written = spanbert_keras.read_documents(out / "predictions.conll").documents
    model = keras.saving.load_model(saved)
    expected = [[sorted(cluster) for cluster in found] for found in predictions.predict(model, gold)]
    assert [sorted(map(sorted, document.clusters)) for document in written] == [sorted(one) for one in expected]
    tables = json.loads((out / "scores.json").read_text())
    own = metrics.score(zip([d.clusters for d in gold], expected, strict=True)).summary()
    assert tables["all documents"] == pytest.approx(own)
    page = embedded(out / "errors.html")
    counts = {kind: sum(row["kind"] == kind for row in page["rows"]) for kind in tables["errors"]}
    assert counts == tables["errors"] and sum(counts.values()) > 0
    printed = capsys.readouterr().out
    assert f"average_f1           {metrics.truncated_percent(own['average_f1'] / 100):.2f}" in printed
    assert f"and errors.html are in {out}" in printed


def test_links_are_scored_by_their_lowest_probability(saved, documents_file, tmp_path, capsys):
    flags = (f"--model={saved}", "--nopage", f"--data={documents_file(count=2)}")
    run(*flags, f"--output_dir={tmp_path / 'curve'}", "--link_curve")
    assert "scores, and links.png are in" in capsys.readouterr().out
    tables = json.loads((tmp_path / "curve" / "scores.json").read_text())
    assert (tmp_path / "curve" / "links.png").is_file()
    for limit in ("0.3", "0.5"):
        run(*flags, f"--output_dir={tmp_path / limit}", f"--min_score={limit}")
        own = json.loads((tmp_path / limit / "scores.json").read_text())["all documents"]
        row = tables[f"links with a probability of at least {limit}"]
        assert row == {name: own[f"muc_{name}"] for name in ("precision", "recall", "f1")}
    values = [tables[name]["recall"] for name in tables if name.startswith("links with")]
    assert len(set(values)) > 1


def test_the_page_shows_the_scores_that_are_printed(capsys):
    scores = dict.fromkeys(("mentions_f1", "muc_f1", "b_cubed_f1", "ceaf_f1", "average_f1"), 200 / 3)
    evaluate.print_tables({"all documents": scores})
    assert set(evaluate.headlines({"all documents": scores}).values()) == {"66.66"}
    assert capsys.readouterr().out.count("66.66\n") == len(scores)


def test_genres_have_tables_of_their_own(saved, documents_file, tmp_path):
    records = [json.loads(line) for line in documents_file(count=2).read_text().splitlines()]
    records[1]["genre"] = "wb"
    run(f"--model={saved}", f"--data={documents_file(records=records)}", f"--output_dir={tmp_path / 'out'}", "--nopage")
    tables = json.loads((tmp_path / "out" / "scores.json").read_text())
    assert list(tables) == ["all documents", "genre: nw", "genre: wb", "errors"]
    assert tables["genre: nw"]["documents"] == 1 and not (tmp_path / "out" / "errors.html").exists()


def test_baselines_are_scored_beside_the_model_where_they_are_asked_for(saved, documents_file, tmp_path, capsys):
    path = documents_file(count=3)
    run(f"--model={saved}", f"--data={path}", f"--output_dir={tmp_path / 'out'}", "--nopage", "--baselines")
    tables = json.loads((tmp_path / "out" / "scores.json").read_text())
    documents = spanbert_keras.read_documents(path).documents
    printed = capsys.readouterr().out
    for name, rule in baselines.RULES.items():
        expected = predictions.score(documents, [rule(document) for document in documents])
        assert tables[f"baseline: {name}, all documents"] == pytest.approx(expected)
        assert f"\nbaseline: {name}, all documents\n" in printed
    for flag in ("--baselines", "--gold_mentions", "--link_curve"):
        with pytest.raises(InputError, match="--link_curve need gold clusters. Received: --data=x.tsv, a file of G"):
            run(f"--model={saved}", "--data=x.tsv", flag)


def test_linking_alone_is_scored_where_the_gold_mentions_are_given(saved, documents_file, tmp_path):
    path = documents_file(count=3, words=64)
    run(f"--model={saved}", f"--data={path}", f"--output_dir={tmp_path / 'out'}", "--nopage", "--gold_mentions")
    gold = spanbert_keras.read_documents(path).documents
    written = spanbert_keras.read_documents(tmp_path / "out" / "predictions.conll").documents
    for document, expected in zip(written, gold, strict=True):
        assert set(baselines.mentions_of(document)) <= set(baselines.mentions_of(expected))
    tables = json.loads((tmp_path / "out" / "scores.json").read_text())
    assert tables["all documents"]["mentions_precision"] == 100.0 > tables["all documents"]["average_f1"]


def test_errors_add_up_over_documents():
    class Gold:
        def __init__(self, *clusters):
            self.clusters = clusters

    documents = [Gold([A, B], [C, D]), Gold([A, B, C])]
    assert evaluate.count_errors(documents, [[[A, B, C]], [[A, B], [E]]]) == {
        "missed": 2,
        "invented": 1,
        "merged": 1,
        "split": 0,
    }


def test_singletons_are_predicted_where_they_are_asked_for(saved, documents_file, tmp_path):
    path, sizes = documents_file(count=3, words=64), []
    for flag in ("--singletons", "--nosingletons"):
        run(f"--model={saved}", f"--data={path}", f"--output_dir={tmp_path / flag}", "--nopage", flag)
        found = spanbert_keras.read_documents(tmp_path / flag / "predictions.conll").documents
        sizes.append({len(cluster) for document in found for cluster in document.clusters})
    assert 1 in sizes[0] and 1 not in sizes[1]


def test_both_halves_of_winobias_are_scored_beside_each_other(saved, documents_file, tmp_path, capsys):
    pro, anti = documents_file("pro.jsonl"), documents_file("anti.jsonl", first=5)
    out = tmp_path / "out"
    run(f"--model={saved}", f"--data={pro}", f"--anti_data={anti}", f"--output_dir={out}", "--nopage")
    tables = json.loads((out / "scores.json").read_text())
    table = tables["WinoBias"]
    halves = []
    for path, written in ((pro, "predictions.conll"), (anti, "predictions_anti.conll")):
        gold = [d.clusters for d in spanbert_keras.read_documents(path).documents]
        found = [d.clusters for d in spanbert_keras.read_documents(out / written).documents]
        halves.append(100 * metrics.score(zip(gold, found, strict=True)).average_f1)
    assert [table["pro_average_f1"], table["anti_average_f1"]] == pytest.approx(halves)
    assert table["difference"] == pytest.approx(halves[0] - halves[1]) and table["average"] == pytest.approx(
        sum(halves) / 2
    )
    assert tables["all documents"]["average_f1"] == pytest.approx(halves[0]) and "WinoBias" in capsys.readouterr().out


GAP_TEXT = "Ann met Eve and she smiled ."


@pytest.fixture
def gap_file(tmp_path):
    rows = ["\t".join(pronouns.COLUMNS)]
    for number, truth in enumerate((("TRUE", "FALSE"), ("FALSE", "TRUE"), ("TRUE", "FALSE"))):
        rows.append(
            "\t".join([f"test-{number}", GAP_TEXT, "she", "16", "Ann", "0", truth[0], "Eve", "8", truth[1], "u"])
        )
    path = tmp_path / "gap-test.tsv"
    path.write_text("\n".join(rows) + "\n")
    return path


def test_gap_is_answered_from_its_raw_texts(saved, gap_file, tmp_path, monkeypatch, capsys):
    class Found:
        clusters = [[Mention("Ann", 0, 3), Mention("she", 16, 19)]]

    asked = []

    class Model:
        def resolve(self, texts, **options):
            asked.append((texts, options))
            return [Found()] * len(texts)

    monkeypatch.setattr(evaluate, "load_task_model", lambda *given: Model())
    out = tmp_path / "out"
    run(f"--model={saved}", f"--data={gap_file}", f"--output_dir={out}", "--batch_size=4")
    assert asked == [([GAP_TEXT] * 3, {"batch_size": 4, "min_score": 0.0, "language": None})]
    run(f"--model={saved}", f"--data={gap_file}", f"--output_dir={out}", "--min_score=0.25", "--language=de")
    assert asked[1][1] == {"batch_size": 32, "min_score": 0.25, "language": "de"}
    assert (out / "predictions.tsv").read_text() == "".join(f"test-{i}\tTRUE\tFALSE\n" for i in range(3))
    scores = json.loads((out / "scores.json").read_text())["GAP"]
    assert scores["overall_f1"] == pytest.approx(100 * 2 / 3) and scores["bias"] is None and scores["examples"] == 3
    printed = capsys.readouterr().out
    assert "feminine_f1          66.66" in printed and "bias                 -" in printed
    assert f"Predictions and scores are in {out}." in printed
    assert sorted(p.name for p in out.iterdir()) == ["predictions.tsv", "scores.json"]


def test_unusable_input_is_rejected_before_anything_is_written(saved, documents_file, gap_file, tmp_path):
    path, few = documents_file(), documents_file("few.jsonl", count=2)
    empty = documents_file("empty.jsonl", records=[{"tokens": [], "sentences": [], "clusters": []}])
    out = tmp_path / "out"
    for flags, message in (
        ((f"--data={path}", "--batch_size=0"), "--batch_size must be at least 1"),
        ((f"--data={gap_file}", f"--anti_data={path}"), "--anti_data belongs to a WinoBias file"),
        ((f"--data={gap_file}", "--singletons"), "--singletons changes no answer to GAP, which asks for links. Rec"),
        ((f"--data={gap_file}", "--language=zz"), "--language=zz cannot be used: `language` must be one"),
        ((f"--data={path}", "--language=de"), "--language belongs to the raw texts of GAP. Received: --data="),
        ((f"--data={path}", f"--anti_data={few}"), "the same number of documents. Received: 3 and 2"),
        ((f"--data={tmp_path / 'no.jsonl'}",), "no.jsonl"),
        ((f"--data={empty}",), "has no document with words"),
    ):
        with pytest.raises(InputError, match=message):
            run(f"--model={saved}", *flags, f"--output_dir={out}")
    assert not out.exists()


def test_a_file_that_is_not_a_resolver_is_rejected(encoder_path, documents_file):
    with pytest.raises(InputError, match="holds a SpanBertEncoder. Expected: a SpanBertCoreferenceResolver"):
        run(f"--model={encoder_path}", f"--data={documents_file()}")


WORDS = [f"w{3 + i % 5}" for i in range(40)]


def conll(column, columns=12, header="#begin document (nw/a); part 0"):
    middle = "\t".join(["-"] * (columns - 5))
    rows = [f"nw/a\t0\t{i}\t{word}\t{middle}{chr(9) * bool(middle)}{column(i)}" for i, word in enumerate(WORDS)]
    return "\n".join([header, *rows, "", "#end document"]) + "\n"


@pytest.fixture
def loaded_once(saved, monkeypatch):
    """Keeps the program from opening the same model again and again."""
    model = keras.saving.load_model(saved)
    monkeypatch.setattr(evaluate, "load_task_model", lambda *given: model)


@pytest.mark.parametrize("form", ["litbank", "no column", "jsonl"])
def test_predictions_need_no_clusters_and_are_those_of_the_same_file_with_them(
    saved, loaded_once, tmp_path, form, capsys
):
    if form in ("jsonl", "released"):
        bare = {"tokens": WORDS, "name": "nw/a"} if form == "jsonl" else {"doc_key": "nw/a_0", "sentences": [WORDS]}
        span = [[[0, 1], [5, 6]]] if form == "jsonl" else [[[0, 0], [5, 5]]]
        files = [json.dumps(bare | {"clusters": span}), json.dumps(bare), json.dumps(bare | {"clusters": "?"})]
    else:
        nothing = {"conll": "-", "litbank": "", "no column": "*"}[form]
        files = [
            conll(lambda i: "(0)" if i in (0, 5) else nothing if form != "no column" else "-"),
            conll(lambda i: nothing, 11 if form == "no column" else 12),
            conll(lambda i: "(0" if form != "no column" else "(V*)"),
        ]
    written = []
    for text, flags in zip([files[0], *files], [[], *[["--predict_only"]] * 3], strict=True):
        path, out = tmp_path / "data", tmp_path / f"out{len(written)}"
        path.write_text(text)
        run(f"--model={saved}", f"--data={path}", f"--output_dir={out}", "--nopage", *flags)
        assert sorted(file.name for file in out.iterdir()) == ["predictions.conll"] + ["scores.json"] * (not flags)
        written.append(spanbert_keras.read_conll(out / "predictions.conll").documents[0].clusters)
    assert written[0] and written == [written[0]] * 4
    first = (out / "predictions.conll").read_text().splitlines()[0]
    assert first == ("#begin document (nw/a); part 000" if form in ("jsonl", "released") else files[0].splitlines()[0])
    path.write_text(files[1])
    with pytest.raises(InputError, match="has no gold clusters to score.*--predict_only writes predictions"):
        run(f"--model={saved}", f"--data={path}", f"--output_dir={tmp_path / 'none'}")
    for flag in ("--gold_mentions", "--baselines", "--link_curve", "--anti_data=x"):
        with pytest.raises(
            InputError, match=f"--predict_only reads no gold answers, which {flag.partition('=')[0]} needs"
        ):
            run(f"--model={saved}", f"--data={path}", "--predict_only", flag)
    assert f"Predictions are in {out}" in capsys.readouterr().out


def test_gap_is_answered_without_truths(saved, loaded_once, gap_file, tmp_path):
    names = pronouns.COLUMNS
    rows = [line.split("\t") for line in gap_file.read_text().splitlines()]
    bare = [[cell for cell, name in zip(row, names, strict=True) if not name.endswith("coref")] for row in rows]
    written = []
    for lines in (rows, bare):
        gap_file.write_text("\n".join(map("\t".join, lines)))
        out = tmp_path / f"out{len(written)}"
        run(f"--model={saved}", f"--data={gap_file}", f"--output_dir={out}", "--predict_only")
        assert [file.name for file in out.iterdir()] == ["predictions.tsv"]
        written.append((out / "predictions.tsv").read_text())
    assert written[0] == written[1] and len(written[0].splitlines()) == 3
    with pytest.raises(InputError, match="has no gold answers to score.*--predict_only writes predictions"):
        run(f"--model={saved}", f"--data={gap_file}", f"--output_dir={tmp_path / 'none'}")


def test_progress_and_a_model_that_links_nothing_are_logged(saved, documents_file, tmp_path, caplog, monkeypatch):
    caplog.set_level("INFO")
    path = documents_file(count=40)
    resolve = spanbert_keras.SpanBertCoreferenceResolver.resolve

    def unlinked(self, documents, **settings):
        return [dataclasses.replace(one, token_clusters=()) for one in resolve(self, documents, **settings)]

    monkeypatch.setattr(spanbert_keras.SpanBertCoreferenceResolver, "resolve", unlinked)
    run(f"--model={saved}", f"--data={path}", f"--output_dir={tmp_path / 'out'}", "--nopage", "--batch_size=1")
    lines = [record.getMessage() for record in caplog.records]
    assert [line.split(",")[0] for line in lines if " documents, " in line] == [
        f"{n} of 40 documents" for n in range(4, 41, 4)
    ]
    assert "The model links no mentions: none of the 40 documents has a chain." in lines


def test_documents_are_resolved_in_parts_of_full_batches():
    assert predictions.parts_of([10] * 6, 16) == [slice(0, 6)]
    assert predictions.parts_of([10] * 40, 16) == [slice(0, 16), slice(16, 32), slice(32, 40)]
    assert predictions.parts_of([3000] * 4, 16) == [slice(i, i + 1) for i in range(4)]
    parts = predictions.parts_of([1000] * 1000, 16)
    assert len(parts) == 20 and parts[0] == slice(0, 50) and parts[-1].stop == 1000
    assert predictions.parts_of([], 16) == []
