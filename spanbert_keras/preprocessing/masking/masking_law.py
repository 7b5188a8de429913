"""The masking law on ragged rows, vectorised over rows (NumPy only).

Shape letters: R rows, N pieces of all rows, K masked pieces, S spans.
"""

import dataclasses
from typing import Any

import numpy as np

from spanbert_keras.preprocessing import philox
from spanbert_keras.preprocessing.masking.masking_settings import MaskingSettings
from spanbert_keras.preprocessing.masking.masking_tables import MaskingTables, draw_random_ids
from spanbert_keras.preprocessing.masking.random_streams import RandomStream
from spanbert_keras.preprocessing.masking.row_units import RaggedRows, RowUnits, consecutive
from spanbert_keras.preprocessing.masking.schemes import SCHEMES


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


def mask_rows(
    pieces: np.ndarray,
    row_starts: np.ndarray,
    seeds: np.ndarray,
    tables: MaskingTables,
    settings: MaskingSettings,
    annotation: np.ndarray | None = None,
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
        annotation: int `(N,)` or `None`. A value for each piece, for schemes that need one (see `Scheme`).

    Raises:
        ValueError: a piece isn't in the vocabulary, shapes disagree, or the scheme needs an annotation.
    """
    scheme = SCHEMES[settings.scheme]
    pieces, row_starts, seeds = np.asarray(pieces, np.int32), np.asarray(row_starts, np.int64), philox.as_seed(seeds)
    _check(pieces, row_starts, seeds, vocabulary_size=len(tables.kinds))
    annotation = _checked_annotation(annotation, pieces, settings.scheme)
    rows = RaggedRows(pieces, row_starts, seeds, tables.kinds[pieces], annotation)
    units = scheme.find_units(rows)
    choose = (settings.rule == "bert" and scheme.choose_by_bert) or scheme.choose
    budgets = settings.budget(units.num_pieces, np.diff(row_starts) - units.num_pieces)
    chosen = choose(units, rows, budgets, settings.draw_thresholds)
    return _masked_rows(rows, units, chosen, tables, settings)


def _check(pieces: np.ndarray, starts: np.ndarray, seeds: np.ndarray, vocabulary_size: int) -> None:
    """Raises `ValueError` if the arguments of `mask_rows` don't fit each other."""
    if not starts.size or starts[0] != 0 or starts[-1] != len(pieces) or (np.diff(starts) < 0).any():
        raise ValueError(f"`row_starts` must rise from 0 to the number of pieces, {len(pieces)}. Received: {starts}.")
    if seeds.shape != (len(starts) - 1, 2):
        raise ValueError(f"`seeds` must have shape ({len(starts) - 1}, 2), one per row. Received: {seeds.shape}.")
    if pieces.size and (pieces.min() < 0 or pieces.max() >= vocabulary_size):
        raise ValueError(
            f"Token ids must be from 0 to vocabulary_size - 1 = {vocabulary_size - 1}. "
            f"Received: {pieces.min()}..{pieces.max()}."
        )


def _checked_annotation(annotation: Any, pieces: np.ndarray, scheme: str) -> np.ndarray | None:
    """Returns the annotation as an array; raises `ValueError` if the scheme lacks it or it doesn't fit the pieces."""
    name = SCHEMES[scheme].annotation
    if name is None:
        return None
    if annotation is None:
        raise ValueError(
            f"The scheme {scheme!r} needs an annotation, one value per piece that marks its {name.replace('_', ' ')}: "
            "`annotations` in the inputs of `SpanMasker`, `annotation` in `mask_ragged`. Received: none."
        )
    annotation = np.asarray(annotation)
    if annotation.shape != pieces.shape or annotation.dtype.kind not in "iu":
        raise ValueError(
            f"The annotation must be integers of shape {pieces.shape}, one per piece. "
            f"Received: dtype={annotation.dtype}, shape={annotation.shape}."
        )
    return annotation


def _masked_rows(
    rows: RaggedRows, units: RowUnits, chosen: np.ndarray, tables: MaskingTables, settings: MaskingSettings
) -> MaskedRows:
    """Joins the chosen units into spans, replaces their pieces, and lists the targets."""
    first, length = units.first[chosen], units.length[chosen]
    unit_rows, unit_positions = rows.locate(first)
    # Touching units are one span, so that both neighbours of a span are always observed (or outside the row).
    joined = (first[1:] == first[:-1] + length[:-1]) & (unit_rows[1:] == unit_rows[:-1])
    leaders = np.flatnonzero(
        np.concatenate([np.ones(min(1, len(first)), bool), ~joined])
    )  # first unit of each span  (S,)
    span_length = np.add.reduceat(length, leaders) if leaders.size else leaders

    flat = consecutive(first, length)  # (K,)
    start = np.repeat(unit_positions[leaders], span_length)  # s          (K,)
    right = start + np.repeat(span_length, span_length)  # e + 1          (K,)
    masked_rows, positions = np.repeat(unit_rows, length), consecutive(unit_positions, length)
    offsets = positions - start
    has_right = right < np.diff(rows.starts)[masked_rows]
    has_target = (start > 0) & has_right & (offsets < settings.max_span_positions)
    groups = (first[leaders], span_length) if SCHEMES[settings.scheme].replaces_spans else (first, length)
    if settings.rule == "bert":
        groups = (flat, np.ones_like(flat))
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
    rows: RaggedRows,
    flat: np.ndarray,
    groups: tuple[np.ndarray, np.ndarray],
    tables: MaskingTables,
    settings: MaskingSettings,
) -> np.ndarray:
    """Replaces each group of masked pieces by [MASK] or by random pieces, or leaves it unchanged.

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
    draws = philox.philox_words(rows.seeds[group_rows], (group_positions, 0, RandomStream.REPLACEMENTS, 0))[0]
    actions = np.repeat(np.searchsorted(settings.replacement_thresholds, draws, side="right"), groups[1])  # (K,)
    pieces = rows.pieces.copy()
    pieces[flat[actions == 0]] = tables.mask_token_id
    # Numbers are counted by position and not in sequence, so a row's result does not depend on the rows beside it.
    random = flat[actions == 1]
    random_rows, positions = rows.locate(random)
    words = philox.philox_words(rows.seeds[random_rows], (positions, 0, RandomStream.RANDOM_PIECES, 0))
    pieces[random] = draw_random_ids(tables, words[0], words[1])
    return pieces
