"""Tests of rows cut into columns: by single tabs or by runs of blanks, and which column is which."""

import gzip

import pytest

from spanbert_keras.data.documents.collector import BadDocumentError
from spanbert_keras.data.documents.conll import read_conll, write_conll, write_predictions
from spanbert_keras.data.documents.conll_columns import read_table
from spanbert_keras.errors import InputError
from tests.data.documents.conll_test import row, text_of, write

TWELVE = "a 0 {} {} - * - - - ann * {}"


def table(*texts):
    return read_table(list(enumerate(texts, start=2)))


def full(*rows, blank="\t"):
    return [TWELVE.format(*row).replace(" ", blank) for row in rows]


def cells(found):
    return [cell for _, cell in found.cluster_cells()]


@pytest.mark.parametrize("blank", ["\t", " ", "  \t ", "   "])
def test_twelve_columns_are_those_of_the_format(blank):
    found = table(*full((0, "Ann", "(0)"), (1, "ran", "-"), blank=blank), "", *full((0, "She", "(0)"), blank=blank))
    assert [found.word(i) for i in range(3)] == ["Ann", "ran", "She"] and found.sentences == ((0, 2), (2, 3))
    assert [found.speaker(i) for i in range(3)] == ["ann"] * 3 and cells(found) == ["(0)", "-", "(0)"]
    assert found.note() == "" and found.clusters == -1


def test_a_tab_at_the_end_of_some_lines_is_an_empty_cell_if_columns_then_agree():
    rows = full((0, "Ann", "(0)"), (1, "ran", ""))
    assert rows[1].endswith("\t") and cells(table(*rows)) == ["(0)", "-"]
    assert table(*rows).with_clusters(rows[1], "(3)") == rows[1] + "(3)"
    assert table(*rows).with_clusters(rows[0], "-") == rows[0].replace("(0)", "-")


def test_a_tab_at_the_end_of_every_line_is_not_a_column():
    rows = [row + "\t" for row in full((0, "Ann", "(0)"), (1, "ran", "-"))]
    found = table(*rows)
    assert cells(found) == ["(0)", "-"] and found.clusters == -2
    assert found.with_clusters(rows[1], "(0)") == rows[1].removesuffix("-\t") + "(0)\t"


def test_a_tab_at_the_end_of_some_lines_too_many_is_a_blank():
    rows = ["a (0)", "a\t(0)\t", "a   - "]
    found = table(*rows)
    assert cells(found) == ["(0)", "(0)", "-"] and not found.has_words
    assert [found.with_clusters(row, "(7)") for row in rows] == ["a (7)", "a\t(7)\t", "a   (7) "]


def test_cells_hold_spaces_and_may_be_empty_in_a_file_with_tabs():
    rows = [row.replace("_", " ").replace("ann", "") for row in full((0, "New_York", "(0)"), (1, "is", ""))]
    found = table(rows[0], rows[1] + " ")
    assert [found.word(0), found.speaker(0), cells(found)] == ["New York", "", ["(0)", "-"]]


def test_several_tabs_that_align_columns_are_one():
    found = table(*(row.replace("\t", "\t\t") for row in full((0, "Ann", "(0)"), (1, "ran", "-"))))
    assert [found.word(0), found.speaker(1), cells(found)] == ["Ann", "ann", ["(0)", "-"]]


@pytest.mark.parametrize("blank", ["\t", "  "])
def test_a_last_column_of_entities_or_arguments_holds_no_clusters(blank):
    rows = [row.removesuffix(f"{blank}-") for row in full((0, "Ann", "-"), (1, "ran", "-"), blank=blank)]
    rows[1] += f"{blank}(V*)"
    rows[0] += f"{blank}(ARG0*)"
    found = table(*rows)
    assert (found.clusters, found.has_speakers, cells(found)) == (None, True, ["-", "-"])
    assert "no column of clusters" in found.note()
    assert found.with_clusters(rows[0], "(4)") == f"{rows[0]}{blank}(4)"


@pytest.mark.parametrize("wrong", ["word", "number"])
def test_twelve_columns_of_another_kind_are_rejected(wrong):
    row = "1\tAnn\tann\tNNP" + "\t_" * 9 + "\t(0)" if wrong == "word" else TWELVE.format("x", "Ann", "(0)")
    with pytest.raises(BadDocumentError, match="it is unclear which") as caught:
        table(row)
    assert caught.value.line == 2


def test_a_row_without_word_is_rejected_with_its_line():
    with pytest.raises(BadDocumentError, match="the fourth column is empty") as caught:
        table(*full((0, "Ann", "-"), (1, "", "-")))
    assert caught.value.line == 3


def test_rows_that_differ_are_rejected_with_their_line():
    with pytest.raises(
        BadDocumentError, match=r"differ in columns\. Expected: 12 as in line 2\. Received: 11"
    ) as caught:
        table(*full((0, "Ann", "-")), full((1, "ran", "-"))[0].removesuffix("\t-"))
    assert caught.value.line == 3


def test_no_rows_are_a_table_too():
    found = table("", "  ")
    assert (found.rows, found.sentences, found.note(), cells(found)) == ((), (), "", [])


def litbank(*cells, name="1_x_brat"):
    """A document in the form in which LitBank is published: `_` for what is unknown, an empty cell for no mention."""
    rows = [f"{name}\t0\t{i}\t{word}\t{'_' + chr(9)}".rstrip() for i, (word, _) in enumerate(cells)]
    rows = [row + "\t_" * 7 + f"\t{cell}" for row, (_, cell) in zip(rows, cells, strict=True)]
    return "\n".join([f"#begin document ({name}); part 0", *rows, "", "#end document"]) + "\n"


LITBANK = litbank(("In", ""), ("Chancery", "(0)"), ("the", "(2|(1"), ("Lord", "1)"), (".", "2)"), ("It", ""))


@pytest.mark.parametrize("end", ["\n", "\r\n", " \n"])
def test_an_empty_cell_after_a_tab_has_no_mention(tmp_path, end):
    path = write(tmp_path / "a.conll", LITBANK.replace("\n", end))
    found = read_conll(path)
    (document,) = found.documents
    assert document.tokens == ("In", "Chancery", "the", "Lord", ".", "It") and document.speakers == ("",) * 6
    assert document.clusters == (((1, 2),), ((2, 5),), ((2, 4),)) and found.left_out == found.notes == ()
    assert LITBANK.count("\t") == 6 * 12


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("before, after", [("\ufeff", ""), ("", "\n\n"), ("\n", "\n")])
def test_predictions_fill_the_last_cell_and_keep_every_other_byte(tmp_path, end, before, after):
    text = (before + LITBANK + after).replace("\n", end)
    key = write(tmp_path / "key", text)
    (document,) = read_conll(key).documents
    write_predictions(key, tmp_path / "a", [document.with_clusters([[(0, 1), (5, 6)]])])
    expected = text
    for old, new in (
        ("_\t(0)", "_\t-"),
        ("(2|(1", "-"),
        ("\t1)", "\t-"),
        ("\t2)", "\t-"),
        (f"_\t{end}", f"_\t(0){end}"),
    ):
        expected = expected.replace(old, new)
    assert (tmp_path / "a").read_bytes().decode() == expected
    assert read_conll(tmp_path / "a").documents[0].clusters == (((0, 1), (5, 6)),)
    write_predictions(tmp_path / "a", tmp_path / "b", [document])
    assert read_conll(tmp_path / "b").documents == (document,)


def test_clusters_go_into_the_empty_column_of_a_file_without_mentions(tmp_path):
    key = write(tmp_path / "key", litbank(("He", ""), ("ran", "")))
    (document,) = read_conll(key).documents
    assert document.clusters == () and document.tokens == ("He", "ran")
    write_predictions(key, tmp_path / "a", [document.with_clusters([[(0, 2)]])])
    assert (tmp_path / "a").read_text() == litbank(("He", "(0"), ("ran", "0)"))


@pytest.mark.parametrize("last", ["*", "(PERSON*)", "(MISC)", "(ARG1*"])
def test_a_missing_column_of_clusters_is_added(tmp_path, last):
    rows = [row(0, "Ann", last, "ann").replace(f"*\t{last}", last), row(1, "ran", "*", "ann").replace("*\t*", "*")]
    for text in (text_of(*rows), text_of(*rows).replace("\t", "   ")):
        key = write(tmp_path / "key", text)
        found = read_conll(key)
        (document,) = found.documents
        assert (document.tokens, document.speakers, document.clusters) == (("Ann", "ran"), ("ann", "ann"), ())
        assert "line 1: no column of clusters: the word is taken from column 4, the speaker from" in found.notes[0]
        write_predictions(key, tmp_path / "a", [document.with_clusters([[(0, 1)]])])
        blank = "\t" if "\t" in text else "   "
        expected = text.replace(f"{last}\n", f"{last}{blank}(0)\n", 1)
        expected = expected.replace(f"{blank}*\n#end", f"{blank}*{blank}-\n#end")
        assert (tmp_path / "a").read_text() == expected
        (again,) = read_conll(tmp_path / "a").documents
        assert again.clusters == (((0, 1),),) and again.with_clusters(()) == document


def test_what_is_written_with_a_key_keeps_its_header(tmp_path):
    key = write(tmp_path / "key", LITBANK)
    documents = read_conll(key).documents
    write_conll(tmp_path / "a", documents, key=key)
    assert (tmp_path / "a").read_text() == LITBANK.replace("_\t\n", "_\t-\n")


SIX = {
    "no part": "a/b\t0\tAnn\tNNP\t*\t(0)",
    "number, part of speech": "0\tAnn\tann\tNNP\tnsubj\t(0)",
    "CoNLL-U": "1\tAnn\tann\tPROPN\tNNP\t_\t0\troot\t_\t_",
    "CoNLL-2003": "Ann NNP I-NP I-PER",
    "SemEval-2010": "1\tAnn\tann\tann\tNNP\tNNP\t_\t_\t2\t2\tSBJ\tSBJ\t_\t_\t(0)",
    "GUM": "1\tAnn\t(0)",
    "words of a number": "x 0 0 Ann (0)\nx 0 7 ran -",
    "one column": "Ann",
    "tags before words": "x 0 0 NNP Ann (0)\nx 0 1 VBD ran -\nx 0 2 . . -",
    "universal tags": "x 0 1 . . - (0)\nx 0 2 NOUN dog -  -",
    "pairs": "Ann (0)\nran -",
}


@pytest.mark.parametrize("rows", SIX.values(), ids=SIX)
def test_columns_that_cannot_be_identified_are_rejected(tmp_path, rows):
    path = write(tmp_path / "a", f"#begin document (a/b); part 000\n{rows}\n\n#end document\n")
    with pytest.raises(InputError, match=r"a, line [23]: it is unclear which of \d+ columns holds the word\. Expected"):
        read_conll(path)


WORDS = "The ( old ) dog barked".split()
SWAPPED = {
    "brackets": "DT -LSB- JJ -RSB- NN VBD",
    "compound tag": "DT -LRB- JJ|RB -RRB- NN|NNS VBD",
    "CLAWS": "AT ( JJ ) NN1 VVD",
    "STTS": "ART $( ADJA $( NN VVFIN",
    "French": "DET PONCT A PONCT NC V",
    "lower case": "det punct adj punct noun verb",
    "lemmas": "the ( old ) dog bark",
    "own tags": "1:d 2:p 3:a 4:p 5:n 6:v",
}


def swapped(tags, count, words=WORDS):
    rows, more = enumerate(zip(tags.split(), words, strict=True)), "- " * (count - 6)
    return [f"d 0 {i} {tag} {word} {more}{'(0)' if i == 4 else '-'}" for i, (tag, word) in rows]


@pytest.mark.parametrize("tags", SWAPPED.values(), ids=SWAPPED)
@pytest.mark.parametrize("count", [6, 8])
def test_words_in_the_fifth_of_fewer_columns_are_rejected(tags, count):
    with pytest.raises(BadDocumentError, match=rf"it is unclear which of {count} columns holds the word"):
        table(*swapped(tags, count))


@pytest.mark.parametrize("tags", SWAPPED.values(), ids=SWAPPED)
def test_words_in_the_fifth_of_twelve_columns_are_rejected_or_noted(tags):
    if len(set(tags.split())) < len(set(WORDS)):
        with pytest.raises(BadDocumentError, match="it is unclear which of 12 columns holds the word"):
            table(*swapped(tags, 12))
    else:
        note = table(*swapped(tags, 12)).note()
        assert note == "the word is taken from column 4, as in CoNLL-2012; a later one has as many different values."


def test_words_in_the_sixth_of_twelve_columns_are_rejected():
    rows = [f"d 0 {i} {tag.lower()} {tag} w{i} - - - - * -" for i, tag in enumerate("DT NN VBD DT NN".split())]
    with pytest.raises(BadDocumentError, match="it is unclear which of 12 columns holds the word"):
        table(*rows)


@pytest.mark.parametrize("count", [6, 7, 11, 12])
@pytest.mark.parametrize(
    "tags", ["DT -LRB- JJ -RRB- NN VBD", "ART $( ADJA $( NN VVFIN", "det punct adj punct noun verb", "- _ * - - -"]
)
def test_tags_after_the_word_are_not_words(tags, count):
    found = table(*swapped(" ".join(WORDS), count, tags.split()))
    assert [found.word(i) for i in range(6)] == WORDS and cells(found)[4] == "(0)"
    assert ("from column 4" in found.note()) == (count < 12)


@pytest.mark.parametrize("more", ["(S(NP*) dog", "7 dog", "x dog"])
def test_words_after_columns_of_something_else_are_rejected_too(more):
    with pytest.raises(BadDocumentError, match="it is unclear which of 7 columns holds the word"):
        table(f"d 0 0 X1 {more} (0)", f"d 0 1 X2 {more}s -")


@pytest.mark.parametrize("count", [5, 6, 8, 11])
def test_fewer_columns_are_read_and_noted_if_the_first_four_are_those_of_the_format(tmp_path, count):
    rows = [f"a/b 0 {i} {w}{' x' * (count - 5)} {c}" for i, (w, c) in enumerate([("Ann", "(0)"), ("ran", "-")])]
    found = read_conll(write(tmp_path / "a", text_of(*rows, name="a/b")))
    (document,) = found.documents
    assert (document.tokens, document.speakers, document.clusters) == (("Ann", "ran"), ("", ""), (((0, 1),),))
    (note,) = found.notes
    assert (
        f"line 1: {count} columns, not CoNLL-2012's 12 or more: the word is taken from column 4, the clusters" in note
    )
    assert f"from column {count}, and speakers are unknown. Documents read like this: 1." in note


def test_sentences_of_a_short_form_have_the_same_columns(tmp_path):
    path = write(tmp_path / "a", text_of("a 0 0 Ann (0)", None, "a 0 0 He x (0)"))
    with pytest.raises(
        InputError, match=r"line 4: the sentences of a document differ in columns\. Expected: 5 as in line"
    ):
        read_conll(path)


@pytest.mark.parametrize("speaker", ["", "-", "_", "*"])
def test_an_empty_speaker_is_unknown(tmp_path, speaker):
    found = read_conll(write(tmp_path / "a", text_of(row(0, "Ann", "(0)", speaker), row(1, "ran", "", speaker))))
    assert found.documents[0].speakers == ("", "") and found.documents[0].clusters == (((0, 1),),)


@pytest.mark.parametrize(
    "text",
    [
        "EU NNP I-NP I-ORG\nrejects VBZ I-VP O\n",
        "# newdoc\n1\tAnn\tann\tPROPN\tNNP\t_\t0\troot\t_\t_\n",
        "Once upon a time\n",
    ],
)
def test_a_file_without_documents_is_rejected_without_a_hint_that_cannot_help(tmp_path, text):
    with pytest.raises(InputError, match="line 1: text outside of a document") as caught:
        read_conll(write(tmp_path / "a", text))
    assert "skip_bad" not in str(caught.value)


@pytest.mark.parametrize("rows", SIX.values(), ids=SIX)
def test_unknown_columns_are_left_out_or_rejected_without_a_hint_that_cannot_help(tmp_path, rows):
    bad = f"#begin document (a/b); part 000\n{rows}\n\n#end document\n"
    with pytest.raises(InputError) as caught:
        read_conll(write(tmp_path / "a", bad))
    assert "skip_bad" not in str(caught.value)
    found = read_conll(write(tmp_path / "b", bad + LITBANK), skip_bad=True)
    assert [document.name for document in found.documents] == ["1_x_brat"] and len(found.left_out) == 1


def test_real_documents_in_litbanks_published_form_are_the_same(data_folder, tmp_path):
    path = data_folder / "coref" / "litbank.dev.english.v4_gold_conll.gz"
    lines = gzip.decompress(path.read_bytes()).decode().splitlines()
    for i, line in enumerate(lines):
        if line and not line.startswith("#"):
            cells = line.split("\t")
            lines[i] = "\t".join([*cells[:4], *["_"] * 8, cells[-1] if cells[-1] != "-" else ""])
    key = write(tmp_path / "published", "\n".join(lines).replace("part 000", "part 0") + "\n")
    found = read_conll(key)
    assert found.documents == read_conll(path).documents and found.left_out == found.notes == ()
    write_predictions(key, tmp_path / "again", found.documents)
    assert (tmp_path / "again").read_text().replace("\t-\n", "\t\n") == key.read_text()


@pytest.mark.parametrize(
    "rows", ["nw/a 0 0 Ann NNP\nnw/a 0 1 ran VBD", "nw/a\t0\t0\tAnn\nnw/a\t0\t1\tran"], ids=["tags", "words"]
)
def test_a_last_column_of_something_else_is_kept_and_read_only_without_clusters(tmp_path, rows):
    text = f"#begin document (nw/a); part 0\n{rows}\n#end document\n"
    key = write(tmp_path / "key", text)
    (document,) = read_conll(key, clusters=False).documents
    assert document.tokens == ("Ann", "ran") and document.clusters == ()
    write_predictions(key, tmp_path / "a", [document.with_clusters([[(0, 2)]])])
    blank = "\t" if "\t" in rows else " "
    first, second = rows.split("\n")
    assert (tmp_path / "a").read_text() == text.replace(first, f"{first}{blank}(0").replace(
        second, f"{second}{blank}0)"
    )
    with pytest.raises(InputError, match="line 2: the cluster column cannot be read"):
        read_conll(key)
