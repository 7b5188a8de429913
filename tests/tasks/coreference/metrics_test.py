"""Tests of the coreference metrics: by hand, against the definitions, and against the official scorer's figures."""

import hashlib
import itertools
import json
import random
import tarfile

import pytest

from spanbert_keras.data.documents.conll import read_conll
from spanbert_keras.program import InputError
from tasks.coreference.metrics import Figure, score, truncated_percent

A, B, C, D, E, F, X, Y = ((i, i + 1) for i in range(8))
KEY = [[A], [B, C], [D, E, F]]
# Names here, and in the official files.
NAMES = {"mentions": "mentions", "muc": "muc", "b_cubed": "bcub", "ceaf": "ceafe"}


def figures(gold, predicted):
    """Recall, precision and F1 of each metric."""
    scores = score([(gold, predicted)])
    return {name: (f.recall, f.precision, f.f1) for name in NAMES for f in [getattr(scores, name)]}


@pytest.mark.parametrize(
    "predicted, muc, b_cubed, ceaf",
    [
        (KEY, (1, 1, 1), (1, 1, 1), (1, 1, 1)),
        ([[B, C], [D]], (1 / 3, 1, 1 / 2), (7 / 18, 1, 14 / 25), ((1 + 1 / 2) / 3, (1 + 1 / 2) / 2, None)),
        ([[A], [B, C], [D, E, F, X, Y]], (1, 3 / 5, 3 / 4), (1, (3 + 9 / 5) / 8, None), (11 / 12, 11 / 12, 11 / 12)),
        # One each, and all in one.
        ([[A], [B], [C], [D], [E], [F]], (0, 0, 0), (1 / 2, 1, 2 / 3), None),
        ([[A, B, C, D, E, F]], (1, 3 / 5, 3 / 4), (1, 14 / 36, 0.56), (2 * 3 / 9 / 3, 2 * 3 / 9, 1 / 3)),
        ([], (0, 0, 0), (0, 0, 0), (0, 0, 0)),
        ([[X, Y]], (0, 0, 0), (0, 0, 0), (0, 0, 0)),
        # |K & R| 2 of 3 and 1 of 2, with one strange mention each: phi4 = 4 / 6 and 2 / 4.
        (
            [[D, E, X], [B, Y]],
            (1 / 3, 1 / 3, 1 / 3),
            ((4 / 3 + 1 / 2) / 6, (4 / 3 + 1 / 2) / 5, None),
            (7 / 18, 7 / 12, None),
        ),
    ],
)
def test_figures_by_hand(predicted, muc, b_cubed, ceaf):
    found = figures(KEY, predicted)
    for name, expected in (("muc", muc), ("b_cubed", b_cubed), ("ceaf", ceaf)):
        for value, wanted in zip(found[name], expected or (), strict=expected is not None):
            assert wanted is None or value == pytest.approx(wanted, abs=1e-12), name


def definition_muc(gold, predicted):
    """Recall's fraction: links less those that the other side's parts of a cluster lose (Vilain et al., 1995)."""
    other = {mention: i for i, cluster in enumerate(predicted) for mention in cluster}
    parts = [{other.get(mention, mention) for mention in cluster} for cluster in gold]
    return sum(len(c) - len(p) for c, p in zip(gold, parts, strict=True)), sum(len(c) - 1 for c in gold)


def definition_b_cubed(gold, predicted):
    """Recall's fraction: each gold mention's share of its cluster that is predicted with it."""
    shares = [len(set(k) & set(r)) / len(k) for k in gold for mention in k for r in predicted if mention in r]
    return sum(shares), sum(map(len, gold))


def definition_ceaf(gold, predicted):
    """Recall's fraction: the best of all one-to-one assignments."""
    few, many = sorted((gold, predicted), key=len)
    similarity = {
        (i, j): 2 * len(set(a) & set(b)) / (len(a) + len(b)) for i, a in enumerate(few) for j, b in enumerate(many)
    }
    choices = itertools.permutations(range(len(many)), len(few))
    return max(sum(similarity[i, j] for i, j in enumerate(choice)) for choice in choices), len(gold)


def definition_mentions(gold, predicted):
    known, found = ({mention for cluster in side for mention in cluster} for side in (gold, predicted))
    return len(known & found), len(known)


DEFINITIONS = {
    "muc": definition_muc,
    "b_cubed": definition_b_cubed,
    "ceaf": definition_ceaf,
    "mentions": definition_mentions,
}


def random_partition(source, mentions):
    chosen = source.sample(mentions, source.randint(0, len(mentions)))
    clusters = [[] for _ in range(source.randint(1, 5))]
    for mention in chosen:
        source.choice(clusters).append(mention)
    return [cluster for cluster in clusters if cluster]


def test_random_clusters_score_as_the_definitions_say():
    source = random.Random(0)
    documents, sums = [], {name: [0.0] * 4 for name in DEFINITIONS}
    for _ in range(300):
        mentions = [(start, start + source.randint(1, 3)) for start in range(source.randint(1, 12))]
        gold, predicted = random_partition(source, mentions), random_partition(source, mentions)
        documents.append((gold, predicted))
        scores = score([(gold, predicted)])
        for name, definition in DEFINITIONS.items():
            expected = [*definition(gold, predicted), *definition(predicted, gold)]
            found = getattr(scores, name)
            assert found.recall_numerator == pytest.approx(expected[0], abs=1e-9), name
            assert found.precision_numerator == pytest.approx(expected[2], abs=1e-9), name
            assert (found.recall_denominator, found.precision_denominator) == (expected[1], expected[3]), name
            sums[name] = [a + b for a, b in zip(sums[name], expected, strict=True)]
    together = score(iter(documents))
    for name, (recall, gold, precision, predicted) in sums.items():
        figure = getattr(together, name)
        assert figure.recall == pytest.approx(recall / gold) and figure.precision == pytest.approx(
            precision / predicted
        )
    assert together.documents == 300 and together.repeated_mentions == 0


def test_the_order_of_clusters_and_mentions_changes_nothing():
    source = random.Random(1)
    mentions = [(start, start + 1) for start in range(40)]
    gold, predicted = random_partition(source, mentions), random_partition(source, mentions)
    expected = score([(gold, predicted)])
    for _ in range(20):
        shuffled = [[source.sample(c, len(c)) for c in source.sample(side, len(side))] for side in (gold, predicted)]
        assert score([tuple(shuffled)]) == expected


def test_a_gold_mention_predicted_again_is_taken_away():
    # B stays with A, in the first cluster; the second has the stranger X twice, which counts twice.
    scores = score([(KEY, [[A, B], [C, B, X, X, C]])])
    assert scores.repeated_mentions == 2
    assert scores.mentions == Figure(3, 6, 3, 4)
    assert scores.b_cubed.precision_denominator == 5 and scores.muc.precision_denominator == 1 + 2
    assert scores.b_cubed.precision_numerator == pytest.approx(1 / 2 + 1 / 2 + 1 / 3)
    # phi4 of {A} and {A, B}: 2 / 3; of {B, C} and {C, X, X}: 2 / 5.
    assert scores.ceaf.recall_numerator == pytest.approx(2 / 3 + 2 / 5)
    whole = score([(KEY, [[A, B], [B]])])
    assert whole.ceaf.precision_denominator == 1  # an empty cluster does not count


def test_of_gold_mentions_in_two_clusters_the_last_is_asked():
    gold = [[A, B], [B, C]]
    scores = score([(gold, [[A, B], [C]])])
    assert scores.muc == Figure(0, 2, 0, 1)
    # A: its cluster has both; B is asked for [B, C], of which [A, B] has one; C has one of two.
    assert scores.b_cubed == Figure(2 / 2 + 1 / 2 + 1 / 2, 4, 2 / 2 + 1 / 2 + 1 / 1, 3)
    assert scores.mentions == Figure(3, 3, 3, 3)


def test_more_than_ten_repeats_are_rejected_as_by_the_official_scorer():
    ten = (KEY, [[D] * 11])
    assert score([ten]).repeated_mentions == 10
    with pytest.raises(InputError, match=r"Too many gold mentions .*Expected: 10 at most\. Received: 11\."):
        score([ten, (KEY, [[A], [A]])])


def test_nothing_to_score_is_rejected():
    with pytest.raises(InputError, match="There is nothing to score"):
        score([])


@pytest.mark.parametrize("gold, predicted", [([], []), ([], KEY), ([[]], [[]])])
def test_empty_sides_score_zero(gold, predicted):
    assert set(itertools.chain(*figures(gold, predicted).values())) == {0.0}


@pytest.mark.parametrize("share, percent", [(2 / 3, 66.66), (0.29, 29.0), (1.0, 100.0), (0.99999, 99.99), (0.0, 0.0)])
def test_percentages_are_cut_not_rounded(share, percent):
    assert truncated_percent(share) == percent


def test_ceaf_is_cut_where_the_official_scorer_cuts_it():
    # phi4 = 2 x 1 / (4 + 6). The scorer looks for the least 1 - phi4 and subtracts that from 1 again.
    gold, predicted = [[A, B, C, D]], [[A] + [(i, i + 2) for i in range(20, 25)]]
    assert score([(gold, predicted)]).ceaf.printed == (19.99, 19.99, 19.99)


def test_the_summary_is_in_per_cent_and_averages_f1():
    scores = score([(KEY, [[A, B, C, D, E, F]])])
    summary = scores.summary()
    assert summary["muc_f1"] == pytest.approx(75) and summary["b_cubed_recall"] == 100 and summary["documents"] == 1
    assert summary["average_f1"] == pytest.approx((75 + 56 + 100 / 3) / 3)
    # In the official scorer's arithmetic 2 x 0.6 / 1.6 and 0.56 come out slightly lower, and are truncated.
    assert scores.printed_average_f1 == pytest.approx((74.99 + 55.99 + 33.33) / 3)
    assert len(summary) == 14


def test_thousands_of_clusters_need_no_matrix_of_all_with_all():
    count = 6000
    gold = [[(4 * i, 4 * i + 1), (4 * i + 2, 4 * i + 3)] for i in range(count)]
    predicted = [[gold[i][0], gold[(i + 1) % 3 + i // 3 * 3][1]] for i in range(count)]  # threes, in a ring each
    scores = score([(gold, predicted)])
    assert scores.ceaf.recall == pytest.approx(0.5) and scores.muc.recall == 0


def check(scores, expected):
    """Compares with the official scorer's numerators, denominators and printed figures."""
    for ours, theirs in NAMES.items():
        figure, wanted = getattr(scores, ours), expected[theirs]
        assert figure.printed == (wanted["recall"], wanted["precision"], wanted["f1"]), ours
        for side in ("recall", "precision"):
            assert getattr(figure, f"{side}_numerator") == pytest.approx(wanted[f"{side}_num"], abs=1e-9), ours
            assert getattr(figure, f"{side}_denominator") == wanted[f"{side}_den"], ours
        if "exact" in wanted:
            assert (figure.recall, figure.precision, figure.f1) == pytest.approx(wanted["exact"], abs=1e-9), ours
    assert scores.printed_average_f1 == pytest.approx(expected["average_f1_printed"], abs=1e-9)
    assert scores.average_f1 == pytest.approx(expected["average_exact"][2], abs=1e-9)


def half_open(clusters):
    return [[(start, end + 1) for start, end in cluster] for cluster in clusters]


@pytest.fixture(scope="module")
def cases(data_folder):
    return json.loads((data_folder / "coref/golden/coref_metric_cases.json").read_text())


def test_all_60_cases_score_as_the_official_scorer_says(cases):
    assert len(cases) == 60
    for case in cases:
        pairs = [(half_open(document["key"]), half_open(document["response"])) for document in case["documents"]]
        check(score(pairs), case["scores"])


def test_all_60_cases_read_from_files_score_the_same(cases, data_folder, tmp_path):
    with tarfile.open(data_folder / "coref/golden/coref_metric_cases.conll.tar.gz") as archive:
        archive.extractall(tmp_path, filter="data")
    for case in cases:
        gold = read_conll(tmp_path / f"{case['id']}.key.v4_gold_conll").documents
        response = read_conll(tmp_path / f"{case['id']}.response.v4_auto_conll").documents
        predicted = {(document.name, document.part): document.clusters for document in response}
        check(score((d.clusters, predicted[d.name, d.part]) for d in gold), case["scores"])
        for document, wanted in zip(gold, case["documents"], strict=True):
            ours = {n: sorted(c) for n, c in zip(document.cluster_numbers, document.clusters, strict=True)}
            theirs = dict(zip(wanted["key_ids"], map(sorted, half_open(wanted["key"])), strict=True))
            assert ours == theirs and [b - a for a, b in document.sentences] == wanted["sentence_lengths"]


def test_ten_perturbed_novels_score_as_the_official_scorer_says(data_folder):
    documents = read_conll(data_folder / "coref/litbank.dev.english.v4_gold_conll.gz").documents
    keys = {f"({document.name}); part {document.part:03d}": document.clusters for document in documents}
    cases = json.loads((data_folder / "coref/golden/coref_metric_litbank.json").read_text())
    assert len(cases) == 10
    for case in cases:
        key = keys[case["document"]]
        inclusive = sorted(sorted([start, end - 1] for start, end in cluster) for cluster in key)
        digest = hashlib.sha256(json.dumps(inclusive, separators=(",", ":")).encode()).hexdigest()
        assert digest == case["key_sha256"]
        check(score([(key, half_open(case["response"]))]), case["scores"])


def test_the_scorers_own_36_tests_score_as_they_say(data_folder):
    folder = data_folder / "coref/conll_cases"
    cases = json.loads((folder / "expected.json").read_text())
    compared = 0
    for case in cases:
        sides = [[d.clusters for d in read_conll(folder / case[key]).documents] for key in ("key", "resp")]
        scores = score(zip(*sides, strict=True))
        for ours, theirs in NAMES.items():
            wanted = case["m"].get(theirs)
            if wanted is not None:
                compared += 1
                figure = getattr(scores, ours)
                # Stated with five digits or more.
                assert (figure.recall, figure.precision, figure.f1) == pytest.approx(wanted, abs=6e-6), (
                    case["id"],
                    ours,
                )
    assert len(cases) == 36 and compared == 54
