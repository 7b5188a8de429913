"""Tests of the scores of pronouns: WinoBias by hand, GAP's files and its official figures."""

import gzip
import re

import pytest

from spanbert_keras.data.documents.conll import read_conll
from spanbert_keras.program import InputError
from tasks.coreference.metrics import score
from tasks.coreference.pronouns import GapExample, gap_scores, read_gap, refers, winobias_scores

HEADER = "ID\tText\tPronoun\tPronoun-offset\tA\tA-offset\tA-coref\tB\tB-offset\tB-coref\tURL"
TEXT = 'Ann Lee\'s friend Eve "lost" her hat.'


def gap_row(**changes):
    cells = {"ID": "d-1", "Text": TEXT, "Pronoun": "her", "Pronoun-offset": TEXT.index("her")}
    cells |= {
        "A": "Ann Lee",
        "A-offset": 0,
        "A-coref": "FALSE",
        "B": "Eve",
        "B-offset": 17,
        "B-coref": "TRUE",
        "URL": "u",
    }
    return "\t".join(str(value) for value in (cells | changes).values())


def write(path, *rows, header=HEADER, end="\n"):
    data = "".join(row + end for row in (header, *rows)).encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def example(name, pronoun, a_refers, b_refers):
    text = f"{pronoun} Ann Eve"
    n = len(pronoun)
    return GapExample(name, text, (0, n), (n + 1, n + 4), (n + 5, n + 8), a_refers, b_refers)


GOLD = [[(0, 2), (7, 8)]]
WRONG = [[(3, 5), (7, 8)]]


def test_winobias_is_the_average_f1_of_both_halves_and_its_difference():
    pro, anti = [(GOLD, GOLD)] * 4, [(GOLD, GOLD)] * 2 + [(GOLD, WRONG), (GOLD, [])]
    found = winobias_scores(iter(pro), iter(anti))
    assert found.pro.average_f1 == 1 and found.anti == score(anti)
    # MUC: 2 of 4 links, 2 of 3; B-cubed: 4 + 1 / 2 of 8 mentions, of 6; CEAF: 2 + 1 / 2 of 4 clusters, of 3.
    assert found.anti.average_f1 == pytest.approx((4 / 7 + 2 * 4.5 / 14 + 2 * 2.5 / 7) / 3)
    assert found.difference == pytest.approx(1 - found.anti.average_f1)
    assert found.average == pytest.approx((1 + found.anti.average_f1) / 2)
    assert winobias_scores(anti, pro).difference == -found.difference


def test_the_halves_of_winobias_have_the_same_documents():
    with pytest.raises(InputError, match=r"halves of a WinoBias set differ .*Received: 2 and 1\."):
        winobias_scores([(GOLD, GOLD)] * 2, [(GOLD, GOLD)])


def test_real_winobias_sets_agree_with_themselves(data_folder):
    for kind, mentions in ((1, 801), (2, 798)):
        halves = []
        for side in ("pro", "anti"):
            path = data_folder / f"coref/winobias_dev_type{kind}_{side}_stereotype.v4_auto_conll.gz"
            halves.append([(document.clusters, document.clusters) for document in read_conll(path).documents])
        found = winobias_scores(*halves)
        assert (found.average, found.difference) == (1, 0) and found.pro.documents == 396
        assert found.pro.mentions.recall_denominator == found.anti.mentions.recall_denominator == mentions
        # Nothing is found: only the other half counts.
        assert winobias_scores(halves[0], [(gold, []) for gold, _ in halves[1]]).difference == 1


@pytest.mark.parametrize("name, end", [("gap.tsv", "\n"), ("gap.tsv.gz", "\r\n"), ("gap", "\n\n")])
def test_gap_files_are_read(tmp_path, name, end):
    rows = [gap_row(), gap_row(**{"ID": "d-2", "Pronoun": "hat", "A-coref": "true", "B-coref": "False"})]
    rows[1] = rows[1].replace("hat.", "his.").replace("\that\t28", "\this\t32")
    first, second = read_gap(write(tmp_path / name, *rows, end=end))
    assert first == GapExample("d-1", TEXT, (28, 31), (0, 7), (17, 20), False, True)
    assert first.gender == "feminine" and second.gender == "masculine"
    assert (second.id, second.a_refers, second.b_refers) == ("d-2", True, False)


BAD = {
    "fewer columns": ("a\tb", r"line 3 has other columns than GAP\. Expected: 11\. Received: 2\."),
    "wrong offset": (
        gap_row(**{"A-offset": 1}),
        r"line 3: A is not at its offset.*'Ann Lee' from character 1\. .*\"nn Lee'\"",
    ),
    "no number": (gap_row(**{"B-offset": "x"}), r"line 3: B is not at its offset.*from character x"),
    "below 0": (gap_row(**{"B-offset": "-1"}), r"line 3: B is not at its offset"),
    "no name": (gap_row(B=""), r"line 3: B is not at its offset"),
    "no gender": (gap_row(**{"Pronoun": "hat", "Pronoun-offset": 32}), r"line 3: the pronoun has no gender.*'hat'"),
    "no truth": (gap_row(**{"B-coref": "yes"}), r"line 3: B-coref cannot be read\. Expected: TRUE or FALSE.*'yes'"),
    "twice": (gap_row(ID="first"), r"line 3: the id 'first' occurs twice"),
}


@pytest.mark.parametrize("row, sentence", BAD.values(), ids=BAD)
def test_a_bad_row_of_gap_is_named(tmp_path, row, sentence):
    path = write(tmp_path / "gap.tsv", gap_row(ID="first"), row)
    with pytest.raises(InputError, match=rf"^{re.escape(str(path))}, {sentence}"):
        read_gap(path)


@pytest.mark.parametrize("row, sentence", BAD.values(), ids=BAD)
def test_a_bad_row_of_gap_is_left_out_and_named_where_that_is_asked_for(tmp_path, row, sentence):
    path, left_out = write(tmp_path / "gap.tsv", gap_row(ID="first"), row, gap_row(ID="third")), []
    assert [example.id for example in read_gap(path, left_out)] == ["first", "third"]
    assert len(left_out) == 1 and re.match(rf"{re.escape(str(path))}, {sentence}", left_out[0])


def test_another_file_is_rejected_as_gap_file(tmp_path):
    with pytest.raises(InputError, match=r"line 1 is not the header of a GAP file.*Received: once"):
        read_gap(write(tmp_path / "a", header="once"))
    with pytest.raises(InputError, match=r"line 1 is not the header .*Received: nothing"):
        read_gap(write(tmp_path / "a", header="", end=""))
    with pytest.raises(InputError, match="holds no example"):
        read_gap(write(tmp_path / "a"))
    with pytest.raises(InputError, match="cannot be read: No such file"):
        read_gap(tmp_path / "none")
    (tmp_path / "a").write_bytes(gzip.compress(b"x" * 99)[:-9])
    with pytest.raises(InputError, match="cannot be read: Compressed file ended"):
        read_gap(tmp_path / "a")


@pytest.mark.parametrize(
    "clusters, expected",
    [
        ([], (False, False)),
        ([[(28, 31), (17, 20)]], (False, True)),
        ([[(28, 31), (0, 7)], [(17, 20), (32, 35)]], (True, False)),
        ([[[28, 31], [0, 9]]], (True, False)),  # with 's
        ([[(28, 31), (4, 7)]], (True, False)),  # a part of the name
        ([[(28, 31), (0, 20)]], (True, True)),  # both names are in that mention
        ([[(28, 31), (5, 9)]], (False, False)),  # it only overlaps
        ([[(28, 35), (17, 20)]], (False, False)),  # "her hat" is not the pronoun
        ([[(28, 31)], [(17, 20)]], (False, False)),
        ([[(28, 31), (0, 7)], [(28, 31), (17, 20)]], (True, True)),
    ],
)
def test_a_cluster_links_the_pronoun_itself_with_a_mention_of_the_name(clusters, expected):
    assert refers(GapExample("d", TEXT, (28, 31), (0, 7), (17, 20), False, True), clusters) == expected


def test_gap_scores_by_hand():
    examples = [
        example("m1", "He", True, False),
        example("m2", "his", False, True),
        example("f1", "Her", True, False),
        example("f2", "she", False, False),
        example("f3", "hers", False, True),
    ]
    answers = {"m1": (True, False), "m2": (True, False), "f1": (True, True), "f2": (False, False), "x": (True, True)}
    found = gap_scores(examples, answers)
    # Masculine: 1 of 2 found, 1 of 2 said right. Feminine: f3 is missing, two false negatives: 1 of 3, 1 of 2.
    assert found["masculine_recall"] == found["masculine_precision"] == found["masculine_f1"] == 50
    assert found["feminine_recall"] == pytest.approx(100 / 3) and found["feminine_precision"] == 50
    assert found["feminine_f1"] == pytest.approx(40) and found["bias"] == pytest.approx(0.8)
    assert found["overall_recall"] == pytest.approx(40) and found["overall_precision"] == 50
    assert found["overall_f1"] == pytest.approx(400 / 9)
    assert (found["examples"], found["missing"]) == (5, 1) and len(found) == 12


def test_gap_without_a_gender_has_no_bias():
    found = gap_scores([example("m", "he", True, False)], {"m": (True, False)})
    assert (found["overall_f1"], found["feminine_f1"], found["bias"]) == (100, 0, None)


def test_gap_rejects_answers_that_it_cannot_score():
    with pytest.raises(InputError, match="There is nothing to score"):
        gap_scores([], {})
    for answer in ((True,), ("yes", False)):
        with pytest.raises(InputError, match=r"The answer to example 'm' of GAP cannot be used"):
            gap_scores([example("m", "he", True, False)], {"m": answer})


def test_the_real_gap_scores_its_own_truth_and_constant_answers(data_folder):
    examples = read_gap(data_folder / "coref/gap-development.tsv.gz")
    assert len(examples) == 2000 and sum(e.gender == "feminine" for e in examples) == 1000
    assert (sum(e.a_refers for e in examples), sum(e.b_refers for e in examples)) == (874, 925)
    clusters = [
        [[e.pronoun, *(span for span, true in ((e.a, e.a_refers), (e.b, e.b_refers)) if true)]] for e in examples
    ]
    truth = gap_scores(examples, {e.id: refers(e, c) for e, c in zip(examples, clusters, strict=True)})
    assert (truth["overall_f1"], truth["masculine_f1"], truth["feminine_f1"], truth["bias"]) == (100, 100, 100, 1)
    always = gap_scores(examples, {e.id: (True, True) for e in examples})
    assert always["overall_recall"] == 100 and always["overall_precision"] == pytest.approx(100 * 1799 / 4000)
