"""Tests of CoNLL-2012 files: what is read, messages about bad ones, and round trips."""

import gzip
import io
import random
import re

import pytest

from spanbert_keras.data.documents.conll import read_conll, write_conll, write_predictions
from spanbert_keras.errors import InputError
from spanbert_keras.preprocessing.document import Document

NAME = "nw/xinhua/00/chtb_0009"


def row(i, word, column, speaker="-", name=NAME, part=0):
    return f"{name}\t{part}\t{i}\t{word}\tNN\t*\t-\t-\t-\t{speaker}\t*\t{column}"


def text_of(*rows, name=NAME, part=0):
    """A file of one document; a row of `None` is a blank line."""
    lines = [f"#begin document ({name}); part {part:03d}", *("" if r is None else r for r in rows), "#end document"]
    return "\n".join(lines) + "\n"


GOOD = text_of(
    row(0, "Ann", "(4|(7)", "ann"),
    row(1, "'s", "4)", "ann"),
    row(2, "/.", "-", "ann"),
    None,
    row(0, "She", "(7)"),
    row(1, "/?", "(4)"),
    None,
)


def write(path, text):
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


def written(documents):
    stream = io.StringIO()
    write_conll(stream, documents)
    return stream.getvalue()


@pytest.mark.parametrize("name", ["a.v4_gold_conll", "a.v4_auto_conll.gz"])
@pytest.mark.parametrize("separator, end", [("\t", "\n"), ("   ", " \t\n"), (" ", "\r\n")])
def test_a_file_is_read_with_any_blanks(tmp_path, name, separator, end):
    text = GOOD.replace("\t", separator).replace("\n", end)
    found = read_conll(write(tmp_path / name, text))
    assert found.format == "conll" and found.left_out == ()
    assert found.documents == (
        Document(
            tokens=("Ann", "'s", ".", "She", "?"),
            sentences=((0, 3), (3, 5)),
            speakers=("ann",) * 3 + ("",) * 2,
            genre="nw",
            clusters=(((0, 1), (3, 4)), ((0, 2), (4, 5))),  # of two in one column, that of one token comes first
            name=NAME,
            cluster_numbers=(7, 4),
        ),
    )


def test_slashes_may_be_kept(tmp_path):
    path = write(tmp_path / "a", GOOD.replace("She", "/"))
    assert read_conll(path).documents[0].tokens == ("Ann", "'s", ".", "/", "?")
    assert read_conll(path, strip_slashes=False).documents[0].tokens == ("Ann", "'s", "/.", "/", "/?")


def test_a_word_may_hold_other_spaces_and_end_like_a_comment(tmp_path):
    words = ("a\u00a0b", "\u3000", "#end", "x\u2028y", "\x1c")
    text = written([Document(words, name="tc/a b")])
    (found,) = read_conll(write(tmp_path / "a", text)).documents
    assert (found.tokens, found.name, found.genre) == (words, "tc/a b", "tc")


def test_parts_names_and_documents_without_tokens(tmp_path):
    text = text_of(name="a (b); c", part=3) + "\n" + text_of(None, None, name="a (b); c", part=12)
    text += "# begin document (lone); \nx -\nx\t(1)\t\n# end document"
    found = read_conll(write(tmp_path / "a", text))
    assert [(d.name, d.part, len(d)) for d in found.documents] == [
        ("a (b); c", 3, 0),
        ("a (b); c", 12, 0),
        ("lone", 0, 2),
    ]
    assert found.documents[2].tokens == ("_", "_") and found.documents[2].clusters == (((1, 2),),)
    (said,) = found.left_out
    assert said.endswith(
        "a, line 9: 2 rows of document 'lone' have fewer than 5 columns and so no word; '_' stands for each."
    )


def test_sentences_may_differ_in_columns(tmp_path):
    rows = [row(0, "He", "(1)").replace("\t*\t(", "\t*\t*\t(V*)\t("), None, None, row(0, "ran", "-"), "  "]
    (found,) = read_conll(write(tmp_path / "a", text_of(*rows))).documents
    assert found.sentences == ((0, 1), (1, 2)) and found.clusters == (((0, 1),),)


def test_the_tenth_column_is_not_a_speaker_if_it_is_the_last(tmp_path):
    (found,) = read_conll(write(tmp_path / "a", text_of("n 0 0 He - - - - - (1)"))).documents
    assert (found.tokens, found.speakers, found.clusters) == (("He",), ("",), (((0, 1),),))


def test_a_repeated_mention_of_a_cluster_counts_once_and_is_recorded(tmp_path):
    found = read_conll(write(tmp_path / "a", text_of(row(0, "a", "(1|(1"), row(1, "b", "1)|1)|(1)|(2)"))))
    assert found.documents[0].clusters == (((0, 2), (1, 2)), ((1, 2),))
    assert re.search(r"a, line 1: 1 mentions of document .* the first: \[0, 2\) in cluster 0\.$", found.left_out[0])


OTHER = text_of(row(0, "b", "-"), name="other")
BAD = {
    "never closes": (
        text_of(row(0, "a", "(3"), None, row(0, "b", "-")),
        r"line 2: a bracket of cluster 3 opens and never",
    ),
    "never opens": (text_of(row(0, "a", "-"), row(1, "b", "3)")), r"line 3: a bracket of cluster 3 closes that never"),
    "bad number": (text_of(row(0, "a", "(x)")), r"line 2: the cluster column cannot be read.*Received: '\(x\)'"),
    "ragged": (
        text_of(row(0, "a", "-"), row(1, "b c", "-").replace("b c", "b\tc")),
        r"line 3: the rows of a sentence differ in columns\. Expected: 12 as in line 2\. Received: 13\.",
    ),
    "no end": (
        text_of(row(0, "a", "-")).replace("#end document\n", ""),
        r"line 1: '#begin.*no '#end document' before the",
    ),
    "no name": (
        text_of(row(0, "a", "-")).replace("(", "").replace(")", ""),
        r"line 1: a document's header cannot be read",
    ),
    "bad part": (text_of(row(0, "a", "-")).replace("000", "one"), r"line 1: a document's header.*Received: '#begin"),
    "text before": (
        "x y\nz\n" + text_of(row(0, "a", "-"), name="a"),
        r"line 1: text outside of a document.*Received: 'x y'",
    ),
    "end before": ("#end document\n", r"line 1: text outside of a document"),
    "twice": (OTHER, r"document 'other', part 0, is in line \d already"),
}


@pytest.mark.parametrize("text, sentence", BAD.values(), ids=BAD)
def test_a_bad_document_is_named_and_can_be_left_out(tmp_path, text, sentence):
    path = write(tmp_path / "a.conll", text + OTHER if "other" not in text else OTHER + text)
    sentence = f"^{re.escape(str(path))}, {sentence}" if "line" in sentence[:5] else sentence
    with pytest.raises(InputError, match=sentence):
        read_conll(path)
    found = read_conll(path, skip_bad=True)
    kept = [document.name for document in found.documents]
    assert kept == (["a", "other"] if "name (a)" in text or text.startswith("x y") else ["other"])
    (said,) = found.left_out
    assert re.search(sentence, said)


def test_a_document_without_end_is_bad(tmp_path):
    path = write(tmp_path / "a", OTHER + "#begin document (b); part 000\n" + row(0, "a", "-"))
    with pytest.raises(
        InputError, match=r"line 4: '#begin document \(b\).* has no '#end document' before the file ends"
    ):
        read_conll(path)
    assert len(read_conll(path, skip_bad=True).documents) == 1


def test_a_file_without_documents_is_rejected(tmp_path):
    for skip_bad in (False, True):
        with pytest.raises(InputError, match="gives no document: it is empty"):
            read_conll(write(tmp_path / "a", "\n\n"), skip_bad)
    with pytest.raises(InputError, match=r"gives no document: all are bad, the first: .*line 1: text outside"):
        read_conll(write(tmp_path / "a", "Once upon a time\n"), skip_bad=True)


def test_written_documents_make_a_round_trip_byte_for_byte(tmp_path):
    text = GOOD.replace("NN", "-").replace("(4|(7)", "(4|(7)")
    documents = read_conll(write(tmp_path / "a", text), strip_slashes=False).documents
    assert written(documents) == text
    for name in ("b.conll", "b.conll.gz"):
        write_conll(tmp_path / name, documents)
        assert read_conll(tmp_path / name, strip_slashes=False).documents == documents
    assert gzip.decompress((tmp_path / "b.conll.gz").read_bytes()).decode() == text
    assert [file.name for file in tmp_path.iterdir() if file.name not in ("a", "b.conll", "b.conll.gz")] == []


@pytest.mark.parametrize(
    "documents, sentence",
    [
        ([Document(("a b",), name="n")], r"Document 'n', part 0: token 0 holds a blank.*Received: 'a b'"),
        ([Document(("a",), speakers=("x\ty",))], r"token 0 holds a blank.*Received: 'x\\ty'"),
        ([Document(("a",), name="x\ny")], r"the name holds a line break"),
        ([Document(("a",), name="x")] * 2, r"Document 'x', part 0 is given twice"),
        (
            [Document(("a",) * 3, clusters=(((0, 2), (1, 3)),), name="x")],
            r"Document 'x', part 0: two mentions .* cross",
        ),
    ],
)
def test_documents_that_the_format_cannot_hold_are_rejected_before_writing(tmp_path, documents, sentence):
    with pytest.raises(InputError, match=sentence):
        write_conll(tmp_path / "a", documents)
    assert list(tmp_path.iterdir()) == []


def random_document(source, number):
    """A document of random sentences, speakers and clusters, which nest inside and cross between each other."""
    length = source.randint(0, 25)
    cuts = sorted(source.sample(range(1, length), source.randint(0, min(4, length - 1)))) if length > 1 else []
    bounds = [0, *cuts, length] if length else []
    clusters, numbers = [], source.sample(range(99), 5)
    for _ in range(source.randint(0, 5) if length else 0):
        cluster = set()
        for _ in range(source.randint(1, 6)):
            start = source.randrange(length)
            end = min(length, start + source.choice((1, 2, 3, 9)))
            if not any(a < start < b < end or start < a < end < b for a, b in cluster):
                cluster.add((start, end))
        clusters.append(tuple(sorted(cluster)))
    return Document(
        tokens=tuple(source.choice(("w", "(1)", "-", "é", "#", "/.")) for _ in range(length)),
        sentences=tuple(zip(bounds, bounds[1:], strict=False)),
        speakers=tuple(source.choice(("", "ann", "(2)")) for _ in range(length)),
        genre="wb",
        clusters=tuple(clusters),
        name=f"wb/{number // 2}",
        part=number % 2,
        cluster_numbers=tuple(numbers[: len(clusters)]),
    )


def by_number(document):
    return dict(zip(document.cluster_numbers, document.clusters, strict=True))


def test_random_documents_make_a_round_trip(tmp_path):
    source = random.Random(0)
    documents = [random_document(source, i) for i in range(300)]
    path = write(tmp_path / "a", written(documents))
    found = read_conll(path, strip_slashes=False).documents
    assert [by_number(document) for document in found] == [by_number(document) for document in documents]
    assert [d.with_clusters(()) for d in found] == [d.with_clusters(()) for d in documents]
    assert written(found) == path.read_text(encoding="utf-8")


def test_predictions_keep_every_other_column(tmp_path):
    key = write(tmp_path / "key.gz", GOOD + "\n" + OTHER.replace("\t", "  "))
    documents = read_conll(key).documents
    predicted = [documents[1].with_clusters([[(0, 1)]]), documents[0].with_clusters([[(0, 2)], [(3, 4), (4, 5)]])]
    write_predictions(key, tmp_path / "a", predicted)
    expected = GOOD + "\n" + OTHER.replace("\t", "  ").replace("*  -\n", "*  (0)\n")
    for old, new in (("(4|(7)", "(0"), ("4)", "0)"), ("(7)", "(1)"), ("(4)", "(1)")):
        expected = expected.replace(f"\t{old}\n", f"\t{new}\n")
    assert (tmp_path / "a").read_text() == expected
    assert read_conll(tmp_path / "a").documents[0].clusters == predicted[1].clusters


@pytest.mark.parametrize(
    "change, sentence",
    [
        (lambda a, b: [a], r"key, line 10: document 'other', part 0 has no prediction"),
        (lambda a, b: [a, b, b], r"Document 'other', part 0 is predicted twice"),
        (lambda a, b: [a, b, Document(("x",), name="z", part=2)], r"1 predicted documents are not in .*'z', part 2"),
        (lambda a, b: [a, Document(("x", "y"), name="other")], r"line 10: .*other words.*Expected: 1\. Received: 2"),
        (lambda a, b: [a.with_clusters([[(0, 2), (1, 3)]]), b], r"Document 'nw/.*: two mentions of cluster 0 cross"),
    ],
)
def test_predictions_must_be_those_of_the_file(tmp_path, change, sentence):
    key = write(tmp_path / "key", GOOD + OTHER)
    with pytest.raises(InputError, match=sentence):
        write_predictions(key, tmp_path / "a", change(*read_conll(key).documents))
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize("column", ["(0", "x)", "", "-"])
def test_clusters_are_read_only_on_request(tmp_path, column):
    path = write(tmp_path / "a", text_of(row(0, "Ann", column), row(1, "ran", "(3)")))
    assert read_conll(path, clusters=False).documents[0].clusters == ()


def columns_of(text):
    """The last column of every row, and headers and blank lines as they are."""
    return [line if line.startswith("#") else line.split()[-1:] for line in text.splitlines()]


COUNTS = {
    "litbank.dev.english.v4_gold_conll.gz": (10, 22820, 209, 2548),
    "litbank.train.english.v4_gold_conll.gz": (80, 167112, 1728, 18716),
    "ontogum.dev.english.v4_gold_conll.gz": (29, 27048, 817, 3697),
    "ontogum.train.english.v4_gold_conll.gz": (177, 177410, 5300, 23303),
    "winobias_dev_type1_anti_stereotype.v4_auto_conll.gz": (396, 5511, 396, 801),
    "winobias_dev_type1_pro_stereotype.v4_auto_conll.gz": (396, 5513, 396, 801),
    "winobias_dev_type2_anti_stereotype.v4_auto_conll.gz": (396, 5327, 396, 798),
    "winobias_dev_type2_pro_stereotype.v4_auto_conll.gz": (396, 5329, 396, 798),
}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] if "train" in name else []) for name in COUNTS]
)
def test_cluster_columns_of_real_files_make_a_round_trip(data_folder, name):
    path = data_folder / "coref" / name
    text = gzip.decompress(path.read_bytes()).decode()
    found = read_conll(path)
    clusters = [cluster for document in found.documents for cluster in document.clusters]
    counts = (len(found.documents), sum(map(len, found.documents)), len(clusters), sum(map(len, clusters)))
    assert counts == COUNTS[name] and found.left_out == ()
    assert columns_of(written(found.documents)) == columns_of(text)
    if "litbank" in name:  # these have no other columns
        assert written(found.documents) == text
    if "dev" in name:
        stream = io.StringIO()
        write_predictions(path, stream, found.documents)
        assert stream.getvalue() == text


def test_the_scorers_own_test_files_make_a_round_trip(data_folder):
    files = sorted((data_folder / "coref/conll_cases").glob("TC-*"))
    assert len(files) == 50
    for path in files:
        documents = read_conll(path).documents
        stream = io.StringIO()
        write_predictions(path, stream, documents)
        # Two of them have a mention more than once in its cluster.
        order = set if path.name in ("TC-A-7.response", "TC-A-9.response") else sorted
        again, wanted = (
            [order(re.findall(r"\(?\d+\)?", "".join(column))) for column in columns_of(text)]
            for text in (stream.getvalue(), path.read_text())
        )
        assert again == wanted, path.name
