"""The masking law on ragged rows, vectorised over rows (NumPy only).

Shape letters: R rows, N pieces of all rows, U units (words and specials), K masked pieces, S spans, L span words.
"""

import dataclasses

import numpy as np

from spanbert_keras.preprocessing import philox
from spanbert_keras.preprocessing.masking.masking_settings import MaskingSettings
from spanbert_keras.preprocessing.masking.masking_tables import CONTINUATION, SPECIAL, MaskingTables, draw_random_ids
from spanbert_keras.preprocessing.masking.span_lengths import lengths_of_words, span_words

# Third word of the counter under a row's seed; `span_lengths.SPAN_STREAM` is 1.
REPLACEMENT_STREAM = 2
PIECE_STREAM = 3
CHOICE_STREAM = 4

# A row gives up after this many draws for each piece of its budget.
DRAWS_PER_PIECE = 10

# What a special would cost: more than any budget.
FORBIDDEN = 2**30

# Draws are made for all unfinished rows at once: so many, and one for each of so many pieces of the largest budget.
MIN_DRAWS = 4
PIECES_PER_DRAW = 4

# Words taken between two looks at whether all rows are done.
STEPS = 8

# After this many draws, rows in which no word fits any more are looked for: further draws would change nothing.
PATIENCE = 32


@dataclasses.dataclass(frozen=True, eq=False)
class MaskedRows:
    """Masked rows as flat arrays, sorted by row, then position.

    Args:
        pieces: int32 `(N,)`. All rows' pieces after masking.
        rows: int64 `(K,)`. The row of each masked piece.
        positions: int32 `(K,)`. Its index in the row.
        ids: int32 `(K,)`. Its original id.
        left_positions: int32 `(K,)`. Index in the row of its span's left neighbour s - 1; 0 where the row has none.
        right_positions: int32 `(K,)`. Index of the right neighbour e + 1; 0 where the row has none.
        span_offsets: int32 `(K,)`. i - s, zero-based, also past the position table.
        span_weights: float32 `(K,)`. 1 where the piece has a span boundary target: both neighbours exist and the
            offset is inside the position table.
    """

    pieces: np.ndarray
    rows: np.ndarray
    positions: np.ndarray
    ids: np.ndarray
    left_positions: np.ndarray
    right_positions: np.ndarray
    span_offsets: np.ndarray
    span_weights: np.ndarray


@dataclasses.dataclass(frozen=True, eq=False)
class _Rows:
    """The rows as given."""

    pieces: np.ndarray  # int32                                             (N,)
    starts: np.ndarray  # int64: where each row begins, and N               (R + 1,)
    seeds: np.ndarray  # uint32                                             (R, 2)

    def locate(self, flat: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Returns the row and the index in the row of ascending flat indices."""
        counts = np.diff(np.searchsorted(flat, self.starts))  # Rows are fewer than indices: look for the rows.
        return np.repeat(np.arange(len(counts)), counts), flat - np.repeat(self.starts[:-1], counts)


@dataclasses.dataclass(frozen=True, eq=False)
class _Units:
    """What can be masked at once (words, or pieces for `"subword"`), and the specials between them."""

    first: np.ndarray  # flat index of each unit's first piece              (U,)
    length: np.ndarray  # pieces                                            (U,)
    special: np.ndarray  # bool                                             (U,)
    choosable: np.ndarray  # indices of the units that aren't special       (W,)
    row_starts: np.ndarray  # first unit of each row, and U                 (R + 1,)
    row_choosable: np.ndarray  # first choosable of each row, and W         (R + 1,)
    num_pieces: np.ndarray  # pieces of each row without specials           (R,)


def mask_rows(
    pieces: np.ndarray,
    row_starts: np.ndarray,
    seeds: np.ndarray,
    tables: MaskingTables,
    settings: MaskingSettings,
) -> MaskedRows:
    """Masks each row by the law of section 3.1; a row's result depends on its own pieces and seed alone.

    Draw a length in words and a start, uniform over the row's words; redraw both if the start is masked. The span runs
    right up to the next special or the row's end. Masked words count toward its length, not the budget; the first word
    that doesn't fit the budget ends it. Stop when the budget is spent or after 10 draws for each piece of it. Then
    touching spans are one, and each is replaced by [MASK], by random pieces, or not at all.

    Unlike the research code, a start is uniform over words and not over pieces, and a word is never cut.

    Args:
        pieces: int `(N,)`. All rows' pieces one after the other, with specials.
        row_starts: int `(R + 1,)`. Where each row begins, and N.
        seeds: integers `(R, 2)`. Each row's own seed.
        tables: `MaskingTables` of the vocabulary.
        settings: `MaskingSettings`.

    Raises:
        ValueError: a piece isn't in the vocabulary, or shapes disagree.
    """
    rows = _Rows(np.asarray(pieces, np.int32), np.asarray(row_starts, np.int64), philox.as_seed(seeds))
    _check(rows, vocabulary_size=len(tables.kinds))
    units = _find_units(rows, tables, single_pieces=settings.scheme == "subword")
    budgets = settings.budget(units.num_pieces)
    if settings.scheme == "subword":
        chosen = _choose_pieces(units, rows, budgets)
    else:
        chosen = _choose_words(units, rows.seeds, budgets, settings)
    return _realise(rows, units, chosen, tables, settings)


def _check(rows: _Rows, vocabulary_size: int) -> None:
    """Raises ValueError where the arguments of `mask_rows` don't fit each other."""
    pieces, starts = rows.pieces, rows.starts
    if not starts.size or starts[0] != 0 or starts[-1] != len(pieces) or (np.diff(starts) < 0).any():
        raise ValueError(f"`row_starts` must rise from 0 to the number of pieces, {len(pieces)}. Received: {starts}.")
    if rows.seeds.shape != (len(starts) - 1, 2):
        raise ValueError(f"`seeds` must have shape ({len(starts) - 1}, 2), one a row. Received: {rows.seeds.shape}.")
    if pieces.size and (pieces.min() < 0 or pieces.max() >= vocabulary_size):
        raise ValueError(
            f"Token ids must be from 0 to vocabulary_size - 1 = {vocabulary_size - 1}. "
            f"Received: {pieces.min()}..{pieces.max()}."
        )


def _find_units(rows: _Rows, tables: MaskingTables, single_pieces: bool) -> _Units:
    """Splits rows into words (or single pieces) and specials."""
    kinds = tables.kinds[rows.pieces]  # (N,)
    if single_pieces:
        first = np.arange(len(kinds))
    else:
        # A continuation at a row's beginning or after a special begins a word all the same.
        begins = kinds != CONTINUATION
        begins[1:] |= kinds[:-1] == SPECIAL
        begins[rows.starts[rows.starts < len(kinds)]] = True
        first = np.flatnonzero(begins)
    special = kinds[first] == SPECIAL  # (U,)
    choosable = np.flatnonzero(~special)
    row_units = np.searchsorted(first, rows.starts)
    row_choosable = np.searchsorted(choosable, row_units)
    num_specials = row_units - row_choosable  # of all rows before; each is one piece     (R + 1,)
    return _Units(
        first=first,
        length=np.diff(first, append=len(kinds)),
        special=special,
        choosable=choosable,
        row_starts=row_units,
        row_choosable=row_choosable,
        num_pieces=np.diff(rows.starts - num_specials),
    )


def _choose_words(units: _Units, seeds: np.ndarray, budgets: np.ndarray, settings: MaskingSettings) -> np.ndarray:
    """Returns the indices of the masked units, ascending: draw after draw, all unfinished rows at once."""
    # Pieces that masking a unit costs; 0 once masked. The last entry is where idle rows wait.  (U + 1,)
    costs = np.full(len(units.length) + 1, FORBIDDEN, np.int32)
    np.copyto(costs[:-1], units.length, where=~units.special, casting="same_kind")
    rows = np.flatnonzero(budgets)
    remaining = budgets[rows].astype(np.int32)
    drawn = 0
    while rows.size:
        count = MIN_DRAWS + int(remaining.max()) // PIECES_PER_DRAW
        first, length = _draw_spans(units, rows, seeds, budgets, drawn, drawn + count, settings)
        _mask_spans(costs, first, length, remaining)
        drawn += count
        unfinished = (remaining > 0) & (drawn < DRAWS_PER_PIECE * budgets[rows])
        rows, remaining = rows[unfinished], remaining[unfinished]
        if rows.size and drawn >= PATIENCE:
            possible = _something_fits(units, costs, rows, remaining)
            rows, remaining = rows[possible], remaining[possible]
    return np.flatnonzero(costs == 0)


def _draw_spans(
    units: _Units,
    rows: np.ndarray,
    seeds: np.ndarray,
    budgets: np.ndarray,
    begin: int,
    end: int,
    settings: MaskingSettings,
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the first unit and the number of units, clipped at the row's end, of the draws begin..end - 1.

    int64 and int32 `(end - begin, rows)`; a draw past a row's last one stands at the last entry of the costs.
    """
    for_length, for_start = span_words(seeds[rows], begin, end)
    choosable = units.row_choosable[rows]
    first = units.choosable[choosable + philox.scale(for_start, units.row_choosable[rows + 1] - choosable)]
    length = np.minimum(lengths_of_words(for_length, settings.length_thresholds), units.row_starts[rows + 1] - first)
    allowed = np.arange(begin, end)[:, np.newaxis] < DRAWS_PER_PIECE * budgets[rows]
    return np.where(allowed, first, len(units.length)), length.astype(np.int32)


def _mask_spans(costs: np.ndarray, first: np.ndarray, length: np.ndarray, remaining: np.ndarray) -> None:
    """Masks each row's spans one after the other; each step takes one word of every row.

    Args:
        costs: int32 `(U + 1,)`. Set to 0 at masked units.
        first: int64 `(draws, rows)`. The units at which spans begin.
        length: int32 `(draws, rows)`. Their numbers of units.
        remaining: int32 `(rows,)`. The rows' budgets, spent here.
    """
    num_draws, num_rows = first.shape
    # A row that has made its draws waits at the last unit, which nobody can afford.
    first = np.append(first, np.full(num_rows, len(costs) - 1))
    length = np.append(length, np.ones(num_rows, np.int32))
    draw = np.arange(num_rows)  # index of each row's draw in `first` and `length`
    waiting = draw + num_draws * num_rows
    unit, left, begins = first[draw], length[draw], np.ones(num_rows, bool)
    while (draw < waiting).any():
        for _ in range(STEPS):
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


def _something_fits(units: _Units, costs: np.ndarray, rows: np.ndarray, remaining: np.ndarray) -> np.ndarray:
    """Returns bool `(rows,)`: whether any unmasked unit fits the remaining budget; if none, draws change nothing."""
    begin, count = units.row_starts[rows], units.row_starts[rows + 1] - units.row_starts[rows]
    cost = costs[_ranges(begin, count)]
    cheapest = np.minimum.reduceat(np.where(cost > 0, cost, FORBIDDEN), np.cumsum(count) - count)
    return cheapest <= remaining


def _choose_pieces(units: _Units, rows: _Rows, budgets: np.ndarray) -> np.ndarray:
    """Returns `budgets` units of each row without replacement, ascending: those with the smallest random numbers."""
    unit_rows, positions = rows.locate(units.choosable)  # A unit is a piece here.        (W,)
    words = philox.philox_words(rows.seeds[unit_rows], (positions, 0, CHOICE_STREAM, 0))[0]
    # Stable: of two equal numbers the earlier position wins, on every platform.
    order = np.argsort((unit_rows.astype(np.uint64) << philox.HALF) | words, kind="stable")
    return np.sort(units.choosable[order[_ranges(units.row_choosable[:-1], budgets)]])


def _realise(
    rows: _Rows, units: _Units, chosen: np.ndarray, tables: MaskingTables, settings: MaskingSettings
) -> MaskedRows:
    """Joins the chosen units into spans, replaces their pieces, and lists the targets."""
    first, length = units.first[chosen], units.length[chosen]
    unit_rows, unit_positions = rows.locate(first)
    joined = (first[1:] == first[:-1] + length[:-1]) & (unit_rows[1:] == unit_rows[:-1])
    leaders = np.flatnonzero(np.concatenate([np.ones(min(1, len(first)), bool), ~joined]))  # units, one a span  (S,)
    span_length = np.add.reduceat(length, leaders) if leaders.size else leaders

    flat = _ranges(first, length)  # (K,)
    start = np.repeat(unit_positions[leaders], span_length)  # s          (K,)
    right = start + np.repeat(span_length, span_length)  # e + 1          (K,)
    masked_rows, positions = np.repeat(unit_rows, length), _ranges(unit_positions, length)
    offsets = positions - start
    has_right = right < np.diff(rows.starts)[masked_rows]
    has_target = (start > 0) & has_right & (offsets < settings.max_span_positions)
    groups = (first[leaders], span_length) if settings.scheme == "span" else (first, length)
    return MaskedRows(
        pieces=_replace(rows, flat, groups, tables, settings),
        rows=masked_rows,
        positions=positions.astype(np.int32),
        ids=rows.pieces[flat],
        left_positions=np.maximum(start - 1, 0).astype(np.int32),
        right_positions=np.where(has_right, right, 0).astype(np.int32),
        span_offsets=offsets.astype(np.int32),
        span_weights=has_target.astype(np.float32),
    )


def _replace(
    rows: _Rows,
    flat: np.ndarray,
    groups: tuple[np.ndarray, np.ndarray],
    tables: MaskingTables,
    settings: MaskingSettings,
) -> np.ndarray:
    """Replaces each group of masked pieces by [MASK], by random pieces or by nothing.

    Args:
        rows: the rows as given.
        flat: int64 `(K,)`. Flat indices of the masked pieces.
        groups: first flat index and number of pieces of each group that shares one draw.
        tables: `MaskingTables`.
        settings: `MaskingSettings`.

    Returns:
        int32 `(N,)`: all pieces.
    """
    group_rows, group_positions = rows.locate(groups[0])
    draws = philox.philox_words(rows.seeds[group_rows], (group_positions, 0, REPLACEMENT_STREAM, 0))[0]
    actions = np.repeat(np.searchsorted(settings.replacement_thresholds, draws, side="right"), groups[1])  # (K,)
    pieces = rows.pieces.copy()
    pieces[flat[actions == 0]] = tables.mask_token_id
    random = flat[actions == 1]
    random_rows, positions = rows.locate(random)
    words = philox.philox_words(rows.seeds[random_rows], (positions, 0, PIECE_STREAM, 0))
    pieces[random] = draw_random_ids(tables, words[0], words[1])
    return pieces


def _ranges(starts: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Returns starts[0], starts[0] + 1, ... (counts[0] of them), then the same for the next: int64."""
    before = np.cumsum(counts) - counts
    return np.repeat(starts - before, counts) + np.arange(counts.sum())
