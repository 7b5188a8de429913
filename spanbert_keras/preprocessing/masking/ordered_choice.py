"""Which units of each row are masked under BERT's rule: in random order, as long as they fit (NumPy only).

Shape letters: R rows.
"""

import numpy as np

from spanbert_keras.preprocessing.masking.row_units import RaggedRows, RowUnits
from spanbert_keras.preprocessing.masking.unit_choice import in_random_order


def choose_in_random_order(
    units: RowUnits, rows: RaggedRows, budgets: np.ndarray, length_thresholds: np.ndarray
) -> np.ndarray:
    """Goes through each row's units in random order and takes every unit that still fits the budget.

    A unit that is too long is skipped, and the next one is tried. With units of one piece this is `choose_pieces`.

    Args:
        units: `RowUnits`.
        rows: `RaggedRows`.
        budgets: int64 `(R,)`. Pieces to mask in each row, at most.
        length_thresholds: not used: no length is drawn.

    Returns:
        int64. Indices of the chosen units, ascending.

    Reference: Devlin et al., 2019, appendix A.1, and its whole-word variant.
    """
    order = in_random_order(units, rows)
    taken = np.zeros(len(units.length), bool)
    # One step tries the next unit of every row that has budget and units left.
    following, last = units.row_choosable[:-1].copy(), units.row_choosable[1:]
    remaining = np.asarray(budgets, np.int64).copy()
    active = np.flatnonzero((remaining > 0) & (following < last))
    while active.size:
        tried = order[following[active]]
        fits = units.length[tried] <= remaining[active]
        taken[tried[fits]] = True
        remaining[active[fits]] -= units.length[tried[fits]]
        following[active] += 1
        active = active[(remaining[active] > 0) & (following[active] < last[active])]
    return np.flatnonzero(taken)
