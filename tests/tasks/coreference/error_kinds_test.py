"""Tests of what counts as missed, invented, merged and split."""

from tasks.coreference.error_kinds import Errors, errors_of

A, B, C, D, E, F = [(i, i + 1) for i in range(6)]


def test_equal_clusters_in_any_order_have_no_error():
    assert errors_of([[A, B], [C, D]], [[D, C], [B, A]]) == Errors((), (), (), ())


def test_missed_and_invented_mentions_are_returned_in_order():
    errors = errors_of([[A, B], [E]], [[A, D, C]])
    assert errors.missed == (B, E) and errors.invented == (C, D)
    assert errors.merged == () and errors.split == ()


def test_a_predicted_chain_of_two_gold_ones_is_merged_once_and_invented_mentions_in_it_do_not_count():
    errors = errors_of([[A, B], [C, D], [E, F]], [[E, F], [A, B, C, (9, 10)]])
    assert errors.merged == ((1, (0, 1)),)
    assert errors.invented == ((9, 10),) and errors.missed == (D,) and errors.split == ()


def test_a_gold_chain_in_two_predicted_ones_is_split_and_missed_mentions_do_not_count():
    errors = errors_of([[A, B, C, D], [E, F]], [[E, F], [A, B], [C, (9, 10)]])
    assert errors.split == ((0, (1, 2)),) and errors.merged == () and errors.missed == (D,)
    assert errors_of([[A, B, C]], [[A, B]]).split == ()


def test_the_sides_mirror_each_other():
    gold, predicted = [[A, B, C], [D, E]], [[A, D], [B, F], [E]]
    one, other = errors_of(gold, predicted), errors_of(predicted, gold)
    assert (one.missed, one.merged) == (other.invented, other.split)
    assert (one.invented, one.split) == (other.missed, other.merged)
    assert one.split == ((0, (0, 1)), (1, (0, 2))) and one.merged == ((0, (0, 1)),)


def test_lists_are_taken_as_tuples():
    assert errors_of([[[0, 1], [1, 2]]], [[(0, 1), (1, 2)]]) == Errors((), (), (), ())


def test_nothing_has_no_error_and_everything_is_missed():
    assert errors_of([], []) == Errors((), (), (), ())
    assert errors_of([[A, B]], []).missed == (A, B)
