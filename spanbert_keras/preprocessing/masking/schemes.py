"""The masking schemes: what is masked, chosen and replaced together. A new one is an entry of `SCHEMES`."""

import dataclasses
from collections.abc import Callable

import numpy as np

from spanbert_keras.preprocessing.masking.ordered_choice import choose_in_random_order
from spanbert_keras.preprocessing.masking.row_units import RaggedRows, RowUnits, find_pieces, find_words
from spanbert_keras.preprocessing.masking.unit_choice import choose_mentions, choose_pieces, choose_spans

ChooseUnits = Callable[[RowUnits, RaggedRows, np.ndarray, np.ndarray], np.ndarray]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Scheme:
    """What the masking law leaves open. All else (budget, 80/10/10, neighbours, offsets) is the same for all schemes.

    A scheme on word pieces alone needs one entry of `SCHEMES`, and its name in the docstring of `SpanMasker`; flags and
    checks read the names here.

    A scheme that needs more than pieces, such as `"named_entity"` (section 6.1), names an annotation: one value per
    piece, passed through `SpanMasker`, that `choose` reads from `RaggedRows.annotation`. The program `annotate` writes
    the annotations of prepared corpora.

    Attributes:
        find_units: function. Cuts `RaggedRows` into `RowUnits`, each masked as a whole or not at all.
        choose: function. Returns the indices of the units to mask, ascending, given `RowUnits`, `RaggedRows`, each
            row's budget in pieces, and the thresholds that interpret the first random word of a draw; see
            `choose_spans` and `choose_mentions`.
        choose_by_bert: function or `None`. The same under BERT's own rule (`MaskingSettings.rule`), which not every
            scheme has.
        replaces_spans: bool. Whether a span of touching units shares one draw of [MASK], random pieces or no change;
            otherwise every unit has its own.
        max_span_length: int or `None`. Longest span drawn, in units. `None` is the setting `max_span_length`.
        annotation: str or `None`. Name of the annotation that the scheme reads.
    """

    find_units: Callable[[RaggedRows], RowUnits]
    choose: ChooseUnits
    choose_by_bert: ChooseUnits | None = None
    replaces_spans: bool = False
    max_span_length: int | None = None
    annotation: str | None = None


SCHEMES = {
    "span": Scheme(find_units=find_words, choose=choose_spans, replaces_spans=True),
    "whole_word": Scheme(
        find_units=find_words, choose=choose_spans, choose_by_bert=choose_in_random_order, max_span_length=1
    ),
    "subword": Scheme(find_units=find_pieces, choose=choose_pieces, choose_by_bert=choose_pieces, max_span_length=1),
    "named_entity": Scheme(
        find_units=find_words, choose=choose_mentions, replaces_spans=True, max_span_length=1, annotation="entities"
    ),
    "noun_phrase": Scheme(
        find_units=find_words, choose=choose_mentions, replaces_spans=True, max_span_length=1, annotation="noun_phrases"
    ),
}
SCHEME_NAMES = tuple(SCHEMES)
