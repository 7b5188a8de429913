"""Tests of the program that resolves with a saved model."""

import gzip
import json
import re

import keras
import pytest

import spanbert_keras
from spanbert_keras import SpanBertCoreferenceResolver, SpanBertEncoder, program, resolve
from spanbert_keras.program import InputError

TEXT = "w3 w4 w3. w5 w6 w3 w4!\n\nw3 <b> w4"
LINE = {"name": "nw/one", "tokens": ["w3", "w4", "w3", "w5"], "sentences": [[0, 2], [2, 4]], "clusters": []}

pytestmark = pytest.mark.usefixtures("eagerly")


@pytest.fixture(scope="module")
def model_path(toy_tokenizer, tmp_path_factory):
    keras.utils.set_random_seed(1)
    encoder = SpanBertEncoder(64, 1, 2, 8, 12, max_sequence_length=24, tokenizer=toy_tokenizer)
    model = SpanBertCoreferenceResolver(encoder, max_span_width=3, hidden_dim=6, feature_dim=2)
    for weight in model.trainable_variables:  # so large that spans are linked
        weight.assign(weight * 20.0)
    path = tmp_path_factory.mktemp("resolve") / "resolver.keras"
    model.save(path)
    return path


@pytest.fixture
def run(model_path, tmp_path):
    """Function of the input's name and content, the output's name and flags; returns the output's path."""

    def call(name, content, output, *flags):
        (tmp_path / name).write_bytes(content.encode() if isinstance(content, str) else content)
        paths = [f"--input={tmp_path / name}", f"--output={tmp_path / output}"]
        resolve.main(program.parse(resolve.Config, [f"--model={model_path}", *paths, *flags]))
        return tmp_path / output

    return call


def test_a_text_gives_chains_with_their_places(run, model_path, capsys):
    [line] = run("in.txt", TEXT, "out.jsonl", "--singletons").read_text().splitlines()
    clusters = json.loads(line)["clusters"]
    assert clusters and all(TEXT[m["start"] : m["end"]] == m["text"] for cluster in clusters for m in cluster)
    assert f"1 documents, {len(clusters)} chains" in capsys.readouterr().out
    expected = spanbert_keras.load_pretrained(str(model_path)).resolve(TEXT, singletons=True).clusters
    assert [[m["start"] for m in c] for c in clusters] == [[m.start for m in c] for c in expected]


def test_a_page_shows_one_document(run):
    page = run("in.txt", TEXT, "out.html", "--singletons").read_text()
    assert "&lt;" in page and "<b> w4" not in page and "<title>in.txt</title>" in page
    with pytest.raises(InputError, match="shows one document. Received: 2"):
        run("in.jsonl", json.dumps(LINE) + "\n" + json.dumps(LINE | {"name": "nw/two"}) + "\n", "out.html")


def test_documents_in_words_may_become_conll(run):
    path = run("in.jsonl", json.dumps(LINE) + "\n", "out.conll")
    [document] = spanbert_keras.read_conll(path).documents
    assert document.tokens == tuple(LINE["tokens"]) and document.name == "nw/one"
    [line] = run("in.jsonl", json.dumps(LINE) + "\n", "out.jsonl").read_text().splitlines()
    assert json.loads(line)["name"] == "nw/one"


@pytest.mark.parametrize("cell, end", [("", "\n"), ("", "\r\n"), ("(0)", "\n")])
def test_a_conll_file_keeps_all_but_its_clusters(run, cell, end, capsys):
    rows = [f"x\t0\t{i}\tw{i + 3}" + "\t_" * 8 + f"\t{cell}" for i in range(6)]
    text = end.join(["#begin document (x); part 0", *rows, "", "#end document", ""])
    path = run("in.conll", text, "out.conll", "--singletons")
    given, found = text.split(end), path.read_bytes().decode().split(end)
    assert [line.rpartition("\t")[0] for line in given] == [line.rpartition("\t")[0] for line in found]
    [document] = spanbert_keras.read_conll(path).documents
    assert document.clusters and document.tokens == tuple(f"w{i + 3}" for i in range(6))


@pytest.mark.parametrize(
    "column, output",
    [
        (("(1", "-", "-"), "out.jsonl"),
        (("z", "y", "z"), "out.html"),
        (("(1", "-", "-"), "out.conll"),
        (("z", "y", "z"), "out.conll"),
        (("-", "1)", "(x)"), "out.conll"),
    ],
)
def test_gold_clusters_of_a_conll_file_are_not_read(run, column, output):
    rows = [f"x 0 {i} w{i + 3} - * - - - - * {cell}" for i, cell in enumerate(column)]
    text = "\n".join(["#begin document (x); part 000", *rows, "", "#end document", ""])
    plain = "\n".join(row.rpartition(" ")[0] + " -" if row in rows else row for row in text.split("\n"))
    expected = run("in.conll", plain, "plain." + output, "--singletons").read_text()
    found = run("in.conll", text, output, "--singletons").read_text()
    if column[0] == "z" and output == "out.conll":  # another column than one of clusters stays
        found = "\n".join(re.sub(" [yz] ", " ", row) for row in found.split("\n"))
    assert found == expected


def test_gold_clusters_of_json_lines_are_not_read(run):
    expected = texts_of(run("in.jsonl", json.dumps(LINE) + "\n", "plain.jsonl", "--singletons"))
    for wrong in ([[[0, 99]]], "none"):
        lines = json.dumps(LINE | {"clusters": wrong}) + "\n"
        assert texts_of(run("in.jsonl", lines, "out.jsonl", "--singletons")) == expected


def test_columns_that_are_not_those_of_conll_2012_are_reported(run, capsys):
    run("in.conll", "#begin document (x)\nx 0 0 w3 -\nx 0 1 w4 -\n#end document\n", "out.jsonl")
    assert "5 columns, not CoNLL-2012's 12 or more" in capsys.readouterr().out


@pytest.mark.parametrize(
    "name, content, output, sentence",
    [
        (
            "in.jsonl",
            json.dumps(LINE, indent=1),
            "out.jsonl",
            "is a JSON object over several lines. Expected: JSON lines",
        ),
        ("in.jsonl", json.dumps([LINE]), "out.jsonl", "Received: a JSON array"),
        ("in.txt", TEXT, "out.pdf", "must end with one of"),
        ("in.txt", TEXT, "nowhere/out.jsonl", "folder does not exist"),
        ("in.txt", TEXT, "out.conll", "needs tokenized documents"),
        ("in.txt", "  \n", "out.jsonl", "has no words"),
        ("in.txt", b"caf\xe9", "out.jsonl", "is not UTF-8 text. Received: byte 0xe9 at byte 3"),
        ("in.txt", b"\xff\xfe", "out.jsonl", "has no words"),
        ("in.jsonl", "nonsense", "out.jsonl", "holds no documents that can be read"),
    ],
)
def test_bad_input_is_one_sentence(run, name, content, output, sentence):
    with pytest.raises(InputError, match=sentence):
        run(name, content, output)


def test_a_missing_file_is_named_once(run, tmp_path):
    with pytest.raises(InputError) as error:
        run("in.txt", TEXT, "out.jsonl", f"--input={tmp_path / 'missing.txt'}")
    assert str(error.value).count("missing.txt") == 1


def test_a_folder_is_never_replaced(run, tmp_path):
    (tmp_path / "folder.conll").mkdir()
    with pytest.raises(InputError, match="is a folder. Expected: the name of a file"):
        run("in.txt", TEXT, "out.jsonl", f"--output={tmp_path / 'folder.conll'}")


def test_an_unknown_genre_is_rejected(run):
    with pytest.raises(InputError, match="'zz' is not one of the model's"):
        run("in.txt", TEXT, "out.jsonl", "--genre=zz")


def test_another_model_is_rejected(run, toy_tokenizer, tmp_path):
    SpanBertEncoder(64, 1, 2, 8, 12, max_sequence_length=24, tokenizer=toy_tokenizer).save(tmp_path / "encoder.keras")
    with pytest.raises(InputError, match="holds a SpanBertEncoder. Expected: a SpanBertCoreferenceResolver"):
        run("in.txt", TEXT, "out.jsonl", f"--model={tmp_path / 'encoder.keras'}")
    with pytest.raises(InputError, match="is not there"):
        run("in.txt", TEXT, "out.jsonl", f"--model={tmp_path / 'nothing.keras'}")


def texts_of(path):
    """The mentions' texts of each line of chains."""
    lines = [json.loads(line)["clusters"] for line in path.read_text().splitlines()]
    return [[[mention["text"] for mention in cluster] for cluster in clusters] for clusters in lines]


def test_texts_may_be_gzipped_or_several_in_lines(run):
    plain = texts_of(run("in.txt", TEXT, "out.jsonl", "--singletons"))
    assert texts_of(run("in.txt.gz", gzip.compress(TEXT.encode()), "out.jsonl", "--singletons")) == plain
    lines = "".join(json.dumps({"text": text}) + "\n" for text in (TEXT, TEXT))
    assert texts_of(run("in.jsonl", lines, "out.jsonl", "--singletons")) == plain * 2
    with pytest.raises(InputError, match=r"in.jsonl, line 3 has no `text`, unlike the lines before"):
        run("in.jsonl", lines + '{"tokens": ["a"]}\n', "out.jsonl")


def test_raw_text_is_cut_by_the_rules_of_a_language(run, monkeypatch, capsys):
    asked, scored = [], []
    resolver = spanbert_keras.SpanBertCoreferenceResolver
    resolved, scores = resolver.resolve, resolver.mention_scores
    monkeypatch.setattr(resolver, "resolve", lambda self, *a, **b: asked.append(resolved(self, *a, **b)) or asked[-1])
    monkeypatch.setattr(
        resolver, "mention_scores", lambda self, *a, **b: scored.append(b["language"]) or scores(self, *a, **b)
    )
    text = "w3 am 3. w4"
    for flags, words in (((), ["w3", "am", "3", ".", "w4"]), (("--language=de",), ["w3", "am", "3.", "w4"])):
        run("in.txt", text, "out.jsonl", *flags)
        run("in.jsonl", json.dumps({"text": text}), "out.jsonl", *flags)
        assert [list(one.tokens) for [one] in asked[-2:]] == [words, words]
    run("in.txt", text, "out.jsonl", "--language=de", "--precision=mixed_bfloat16")
    assert scored == ["de", "de"] and "mention scores of the first examples" in capsys.readouterr().out


@pytest.mark.parametrize(
    "content, language, message",
    [
        (TEXT, "zz", "--language=zz cannot be used: `language` must be one for which spaCy has a blank pipeline"),
        (TEXT, "de-AT", "--language=de-AT cannot be used: `language` must be the code of a language"),
        (json.dumps(LINE), "de", "--language belongs to raw text. Received: tokenized documents in --input="),
    ],
)
def test_an_unusable_language_is_one_sentence_before_the_model_is_loaded(run, monkeypatch, content, language, message):
    monkeypatch.setattr(resolve, "load_task_model", lambda *given: pytest.fail("it was loaded"))
    with pytest.raises(InputError, match=message):
        run("in.txt" if content == TEXT else "in.jsonl", content, "out.jsonl", f"--language={language}")


def test_a_byte_order_mark_is_not_part_of_the_text(run):
    with_mark = run("in.txt", b"\xef\xbb\xbf" + TEXT.encode(), "marked.jsonl", "--singletons").read_text()
    assert with_mark == run("in.txt", TEXT, "plain.jsonl", "--singletons").read_text()
    assert with_mark == run("in.txt", TEXT.encode("utf-16"), "wide.jsonl", "--singletons").read_text()
    lines = json.dumps({"text": TEXT}).encode("utf-16")
    assert with_mark == run("in.jsonl", lines, "lines.jsonl", "--singletons").read_text()


def test_bad_documents_are_rejected_with_a_hint_at_the_flag_or_left_out(run, capsys):
    lines = json.dumps(LINE) + "\n" + json.dumps(LINE | {"name": "bad", "sentences": [[0, 99]]}) + "\n"
    with pytest.raises(InputError, match="--skip_bad_examples"):
        run("in.jsonl", lines, "out.jsonl")
    assert len(texts_of(run("in.jsonl", lines, "out.jsonl", "--skip_bad_examples"))) == 1
    assert "Left out: " in capsys.readouterr().out


def test_documents_that_conll_cannot_hold_are_rejected_before_the_model_is_loaded(run, monkeypatch):
    monkeypatch.setattr(resolve, "load_task_model", lambda *given: pytest.fail("it was loaded"))
    with pytest.raises(InputError, match="holds a blank, which ends a column"):
        run("in.jsonl", json.dumps(LINE | {"speakers": ["Ann Lee"] * 4}) + "\n", "out.conll")
