"""Which units of each row are masked: spans of them, or single ones. Vectorised over rows (NumPy only).

Shape letters: R rows, U units (specials included), W units without specials.
"""

import numpy as np

from spanbert_keras.preprocessing import philox
from spanbert_keras.preprocessing.masking.random_streams import RandomStream
from spanbert_keras.preprocessing.masking.row_units import RaggedRows, RowUnits, consecutive
from spanbert_keras.preprocessing.masking.span_lengths import lengths_of_words, span_words

# A row gives up after this many draws for each piece of its budget.
DRAWS_PER_PIECE = 10

# The cost of a special: more than any budget, so no span can contain it.
SPECIAL_COST = 2**30

# Draws per round, made for all unfinished rows at once: MIN_DRAWS, plus one per PIECES_PER_DRAW pieces of the largest
# remaining budget. A span takes about four pieces, so one round nearly always spends the budget.
MIN_DRAWS = 4
PIECES_PER_DRAW = 4

# Units taken between two checks whether all rows are done: the check costs as much as a unit.
UNITS_PER_CHECK = 8

# After this many draws, rows in which no unit fits any more are dropped: further draws would change nothing.
DRAWS_BEFORE_FIT_CHECK = 32


def choose_spans(units: RowUnits, rows: RaggedRows, budgets: np.ndarray, length_thresholds: np.ndarray) -> np.ndarray:
    """Chooses units by drawing spans of them: draw after draw, all unfinished rows at once.

    Args:
        units: `RowUnits`.
        rows: `RaggedRows`.
        budgets: int64 `(R,)`. Pieces to mask in each row, at most.
        length_thresholds: uint64. The law of the lengths in units, as `span_lengths.length_thresholds` returns it.

    Returns:
        int64. Indices of the chosen units, ascending.
    """
    # Pieces that masking a unit costs; 0 once masked. The last entry is where idle rows wait.  (U + 1,)
    costs = np.full(len(units.length) + 1, SPECIAL_COST, np.int32)
    np.copyto(costs[:-1], units.length, where=~units.special, casting="same_kind")
    active = np.flatnonzero(budgets)
    remaining = budgets[active].astype(np.int32)
    drawn = 0
    while active.size:
        count = MIN_DRAWS + int(remaining.max()) // PIECES_PER_DRAW
        first, length = _draw_spans(units, rows.seeds, active, budgets, (drawn, drawn + count), length_thresholds)
        _mask_spans(costs, first, length, remaining)
        drawn += count
        unfinished = (remaining > 0) & (drawn < DRAWS_PER_PIECE * budgets[active])
        active, remaining = active[unfinished], remaining[unfinished]
        if active.size and drawn >= DRAWS_BEFORE_FIT_CHECK:
            possible = _has_affordable_unit(units, costs, active, remaining)
            active, remaining = active[possible], remaining[possible]
    return np.flatnonzero(costs == 0)


def _draw_spans(
    units: RowUnits,
    seeds: np.ndarray,
    rows: np.ndarray,
    budgets: np.ndarray,
    draws: tuple[int, int],
    length_thresholds: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the first unit and the number of units, clipped at the row's end, of the draws [begin, end).

    int64 and int32 `(end - begin, rows)`; a draw past a row's last one points to the last entry of the costs.
    """
    begin, end = draws
    for_length, for_start = span_words(seeds[rows], begin, end)
    choosable = units.row_choosable[rows]
    # Uniform over the row's units without specials, long or short.
    first = units.choosable[choosable + philox.scale(for_start, units.row_choosable[rows + 1] - choosable)]
    length = np.minimum(lengths_of_words(for_length, length_thresholds), units.row_starts[rows + 1] - first)
    # The limit is one of draws, not of rounds: how draws are cut into rounds must not change the result.
    allowed = np.arange(begin, end)[:, np.newaxis] < DRAWS_PER_PIECE * budgets[rows]
    return np.where(allowed, first, len(units.length)), length.astype(np.int32)


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
    num_draws, num_rows = first.shape
    # A row that has made its draws waits at the last entry of the costs, which no budget can pay.
    first = np.append(first, np.full(num_rows, len(costs) - 1))
    length = np.append(length, np.ones(num_rows, np.int32))
    draw = np.arange(num_rows)  # index of each row's draw in `first` and `length`
    waiting = draw + num_draws * num_rows
    unit, left, begins = first[draw], length[draw], np.ones(num_rows, bool)
    while (draw < waiting).any():
        for _ in range(UNITS_PER_CHECK):
            cost = costs[unit]
            # A span can't begin at a masked unit (cost 0); inside a span such a unit is free.
            taken = (cost <= remaining) & (cost >= begins)
            spent = cost * taken
            costs[unit] = cost - spent
            remaining -= spent
            unit += taken
            left -= 1
            begins = (left == 0) | ~taken  # The last unit ends a span, and the first one that doesn't fit.
            ended = np.flatnonzero(begins)
            drawn = np.minimum(draw[ended] + num_rows, waiting[ended])
            draw[ended], unit[ended], left[ended] = drawn, first[drawn], length[drawn]


def _has_affordable_unit(units: RowUnits, costs: np.ndarray, rows: np.ndarray, remaining: np.ndarray) -> np.ndarray:
    """Returns bool `(rows,)`: whether any unmasked unit fits the remaining budget; if none, draws change nothing."""
    begin, count = units.row_starts[rows], units.row_starts[rows + 1] - units.row_starts[rows]
    cost = costs[consecutive(begin, count)]
    cheapest = np.minimum.reduceat(np.where(cost > 0, cost, SPECIAL_COST), np.cumsum(count) - count)
    return cheapest <= remaining


def choose_pieces(units: RowUnits, rows: RaggedRows, budgets: np.ndarray, length_thresholds: np.ndarray) -> np.ndarray:
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
