"""Chooses how the rows of a run are packed, with one static shape for all copies of a corpus."""

import dataclasses
from collections.abc import Callable

import numpy as np

from spanbert_keras.preprocessing.packing import PackingPlan, most_predictions, plan_packing, plan_single_blocks
from spanbert_keras.preprocessing.row_blocks import SPECIALS_PER_BLOCK

MAX_PADDING_SHARE = 0.05
SLACKS = (0.06, 0.12, 0.25, 0.5, 1.0)  # masked pieces per row above those of one full block, tried in turn


@dataclasses.dataclass(frozen=True)
class RowPlanner:
    """Plans rows of one length by `plan_packing`, with the least slack that pads little.

    Args:
        row_length: int. T.
        budget: function. Maps piece counts to the most pieces masked of each (`MaskingSettings.budget`).
        packing: bool. Whether short blocks share a row; otherwise each has a row of its own.
        specials: int. [CLS] and [SEP] of a block.
    """

    row_length: int
    budget: Callable[[np.ndarray], np.ndarray]
    packing: bool = True
    specials: int = SPECIALS_PER_BLOCK

    def plan(self, histogram: np.ndarray) -> PackingPlan:
        """Returns the plan of the blocks of a histogram, whose entry n counts the blocks of n pieces."""
        return self._choose(histogram)[0]

    def plan_of_first_copy(self, histogram: np.ndarray) -> tuple[PackingPlan, Callable[[np.ndarray], PackingPlan]]:
        """Returns a plan, and a function that plans the rows of other histograms within the same limits."""
        first, slack = self._choose(histogram)
        most = first.max_predictions
        if self.packing:
            most = most_predictions(self.row_length, self.budget, slack, self.specials)

        def plan_copy(later: np.ndarray) -> PackingPlan:
            return self._with_slack(later, slack).with_limits(most, first.max_blocks)

        return plan_copy(histogram), plan_copy

    def _choose(self, histogram: np.ndarray) -> tuple[PackingPlan, float]:
        """Returns the packing with the least slack that pads little, and that slack.

        Every block rounds its masked pieces up, and short blocks reach the limit of masked pieces before the row is
        full: then more are allowed.
        """
        for slack in SLACKS:
            plan = self._with_slack(histogram, slack)
            if plan.padding_share < MAX_PADDING_SHARE or not self.packing:
                break
        return plan, slack

    def _with_slack(self, histogram: np.ndarray, slack: float) -> PackingPlan:
        if not self.packing:
            return plan_single_blocks(histogram, self.row_length, self.budget, self.specials)
        return plan_packing(histogram, self.row_length, self.budget, slack, self.specials)
