"""Tests of rows cut into columns: by single tabs or by runs of blanks, and which column is which."""

import pytest

from spanbert_keras.data.conll_table import read_table
from spanbert_keras.data.document_collector import BadDocumentError

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


def test_a_tab_at_the_end_of_some_lines_is_an_empty_cell_where_columns_then_agree():
    rows = full((0, "Ann", "(0)"), (1, "ran", ""))
    assert rows[1].endswith("\t") and cells(table(*rows)) == ["(0)", "-"]
    assert table(*rows).with_clusters(rows[1], "(3)") == rows[1] + "(3)"
    assert table(*rows).with_clusters(rows[0], "-") == rows[0].replace("(0)", "-")


def test_a_tab_at_the_end_of_every_line_is_no_column():
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
    with pytest.raises(BadDocumentError, match="holds the word cannot be known") as caught:
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
