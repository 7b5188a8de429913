"""Which units of each row are masked: spans of them, mentions, or single ones. Vectorised over rows (NumPy only).

Shape letters: R rows, U units (specials included), W units without specials.
"""

from collections.abc import Callable

import numpy as np

from spanbert_keras.preprocessing import philox
from spanbert_keras.preprocessing.masking.random_streams import RandomStream
from spanbert_keras.preprocessing.masking.row_units import RaggedRows, RowUnits, consecutive, find_mentions
from spanbert_keras.preprocessing.masking.span_lengths import lengths_of_words, span_words

# A row gives up after this many draws for each piece of its budget.
DRAWS_PER_PIECE = 10

# The cost of a special: more than any budget, so no span can contain it.
SPECIAL_COST = 2**30

# Draws per round, made for all unfinished rows at once: MIN_DRAWS, plus these for each piece of the largest remaining
# budget. One round nearly always spends the budget: a round costs more than draws that are not needed.
MIN_DRAWS = 4
SPANS_PER_PIECE = 0.25
WORDS_PER_PIECE = 1.0
MENTIONS_PER_PIECE = 1.5  # Few mentions are soon masked, and then drawn again.

# Units taken between two checks whether all rows are done: the check costs as much as a unit.
UNITS_PER_CHECK = 8

# After this many draws, rows in which no unit fits any more are dropped: further draws would change nothing.
DRAWS_BEFORE_FIT_CHECK = 32


# Maps (rows, the words for the lengths, the words for the starts) of some draws, uint64 `(draws, rows)`, to the first
# unit and the number of units that each draw asks for.
DrawSpans = Callable[[np.ndarray, np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]


def choose_spans(units: RowUnits, rows: RaggedRows, budgets: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """Chooses units by drawing spans of them: draw after draw, all unfinished rows at once.

    Args:
        units: `RowUnits`.
        rows: `RaggedRows`.
        budgets: int64 `(R,)`. Pieces to mask in each row, at most.
        thresholds: uint64. The law of the lengths in units, as `span_lengths.length_thresholds` returns it.

    Returns:
        int64. Indices of the chosen units, ascending.
    """

    def draw(active: np.ndarray, for_length: np.ndarray, for_start: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        # Uniform over the row's units without specials, long or short.
        choosable = units.row_choosable[active]
        first = units.choosable[choosable + philox.scale(for_start, units.row_choosable[active + 1] - choosable)]
        length = np.minimum(lengths_of_words(for_length, thresholds), units.row_starts[active + 1] - first)
        return first, length

    return _choose(units, rows, budgets, draw, SPANS_PER_PIECE if thresholds.size else WORDS_PER_PIECE)


def choose_mentions(units: RowUnits, rows: RaggedRows, budgets: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """Chooses words by drawing mentions (named entities, noun phrases) and single words (section 6.1).

    Arguments and result are those of `choose_spans`, except for the thresholds: of each draw, the word that would give
    a length decides. Below `thresholds[0]` the draw is a mention, uniform over those of the row, and all its words;
    else it is one word, uniform over the words of the row. A row without mentions draws words only.
    """
    mentions = find_mentions(rows, units)
    # All words, then all mentions, so that a draw of either kind is one look-up.
    num_words = len(units.choosable)
    first = np.concatenate([units.choosable, mentions.first])
    length = np.concatenate([np.ones(num_words, np.int32), mentions.length.astype(np.int32)])

    def draw(active: np.ndarray, for_kind: np.ndarray, for_start: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        begin = np.stack([units.row_choosable[active], num_words + mentions.row_starts[active]])
        end = np.stack([units.row_choosable[active + 1], num_words + mentions.row_starts[active + 1]])
        count = end - begin  # of words and of mentions  (2, rows)
        is_mention = (for_kind < thresholds[0]) & (count[1] > 0)
        drawn = np.where(is_mention, begin[1], begin[0])
        drawn += philox.scale(for_start, np.where(is_mention, count[1], count[0]))
        return first[drawn], length[drawn]

    return _choose(units, rows, budgets, draw, MENTIONS_PER_PIECE)


def _choose(
    units: RowUnits, rows: RaggedRows, budgets: np.ndarray, draw: DrawSpans, draws_per_piece: float
) -> np.ndarray:
    """Masks the spans of units that `draw` returns until the budgets are spent; returns the chosen units."""
    # Pieces that masking a unit costs; 0 once masked. The last entry is where idle rows wait.  (U + 1,)
    costs = np.full(len(units.length) + 1, SPECIAL_COST, np.int32)
    np.copyto(costs[:-1], units.length, where=~units.special, casting="same_kind")
    active = np.flatnonzero(budgets)
    remaining = budgets[active].astype(np.int32)
    drawn = 0
    while active.size:
        count = MIN_DRAWS + int(remaining.max() * draws_per_piece)
        words = span_words(rows.seeds[active], drawn, drawn + count)
        first, length = draw(active, *words)
        limits = DRAWS_PER_PIECE * budgets[active]
        if drawn + count > limits.min():
            # The limit is one of draws, not of rounds: how draws are cut into rounds must not change the result.
            first = np.where(np.arange(drawn, drawn + count)[:, np.newaxis] < limits, first, len(units.length))
        _mask_spans(costs, first, length.astype(np.int32, copy=False), remaining)
        drawn += count
        unfinished = (remaining > 0) & (drawn < limits)
        active, remaining = active[unfinished], remaining[unfinished]
        if active.size and drawn >= DRAWS_BEFORE_FIT_CHECK:
            possible = _has_affordable_unit(units, costs, active, remaining)
            active, remaining = active[possible], remaining[possible]
    return np.flatnonzero(costs == 0)


def _mask_spans(costs: np.ndarray, first: np.ndarray, length: np.ndarray, remaining: np.ndarray) -> None:
    """Masks each row's spans one after the other; each step takes one unit of every row.

    A loop over rows would be plain but slow. Rows do not depend on each other, so each has its own place in its own
    list of draws, and one step of the loop advances all of them by one unit.

    Args:
        costs: int32 `(U + 1,)`. Set to 0 at masked units.
        first: int64 `(draws, rows)`. The units at which spans begin.
        length: int32 `(draws, rows)`. Their numbers of units.
        remaining: int32 `(rows,)`. The rows' budgets, spent here.
    """
    num_rows = first.shape[1]
    # A row that has made its draws waits at the last entry of the costs, which no budget can pay.
    first = np.vstack([first, np.full(num_rows, len(costs) - 1)]).T.ravel()  # one row's draws after the other
    length = np.vstack([length, np.ones(num_rows, np.int32)]).T.ravel()
    is_new = _first_occurrences(first, len(costs)).reshape(num_rows, -1)
    is_new[:, -1] = True
    kept = np.flatnonzero(is_new)
    first, length = first[kept], length[kept]
    waiting = np.cumsum(np.count_nonzero(is_new, axis=1)) - 1  # index of each row's last entry in `first`
    draw = np.append(0, waiting[:-1] + 1)  # index of each row's draw
    unit, left, begins = first[draw], length[draw], np.ones(num_rows, bool)
    while ((draw < waiting) & (remaining > 0)).any():
        for _ in range(UNITS_PER_CHECK):
            cost = costs[unit]
            # A span can't begin at a masked unit (cost 0); inside a span such a unit is free.
            taken = (cost <= remaining) & (cost >= begins)
            spent = cost * taken
            costs[unit] = cost - spent
            remaining -= spent
            unit += 1
            left -= 1
            left *= taken
            begins = left <= 0  # The last unit ends a span, and the first one that doesn't fit.
            ended = np.flatnonzero(begins)
            drawn = np.minimum(draw[ended] + 1, waiting[ended])
            draw[ended], unit[ended], left[ended] = drawn, first[drawn], length[drawn]


def _first_occurrences(units: np.ndarray, size: int) -> np.ndarray:
    """Returns bool `(N,)`: whether a unit occurs for the first time in a list of units below `size`.

    Only the first draw that begins at a unit can mask anything: afterwards the unit is masked, or costs more than what
    remains of the budget, which never grows.
    """
    places = np.arange(len(units), dtype=np.int32)
    earliest = np.empty(size, np.int32)
    earliest[units[::-1]] = places[::-1]  # of several values for one index the last one stays
    return earliest[units] == places


def _has_affordable_unit(units: RowUnits, costs: np.ndarray, rows: np.ndarray, remaining: np.ndarray) -> np.ndarray:
    """Returns bool `(rows,)`: whether any unmasked unit fits the remaining budget; if none, draws change nothing."""
    begin, count = units.row_starts[rows], units.row_starts[rows + 1] - units.row_starts[rows]
    cost = costs[consecutive(begin, count)]
    cheapest = np.minimum.reduceat(np.where(cost > 0, cost, SPECIAL_COST), np.cumsum(count) - count)
    return cheapest <= remaining


def choose_pieces(units: RowUnits, rows: RaggedRows, budgets: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """Chooses `budgets` units of each row without replacement: those with the smallest random numbers.

    Arguments and result are those of `choose_spans`; every unit must be one piece, and no length is drawn.
    """
    return np.sort(in_random_order(units, rows)[consecutive(units.row_choosable[:-1], budgets)])


def in_random_order(units: RowUnits, rows: RaggedRows) -> np.ndarray:
    """Returns `units.choosable` with the units of each row in random order: int64 `(W,)`."""
    unit_rows, positions = rows.locate(units.first[units.choosable])  # (W,)
    words = philox.philox_words(rows.seeds[unit_rows], (positions, 0, RandomStream.SINGLE_PIECES, 0))[0]
    # Stable: of two equal numbers the earlier position wins, on every platform.
    return units.choosable[np.argsort((unit_rows.astype(np.uint64) << philox.HALF) | words, kind="stable")]
