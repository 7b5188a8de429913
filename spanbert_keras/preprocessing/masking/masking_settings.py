"""What is masked and how: the settings of the masking law, with everything derived from them in integers."""

import dataclasses
import functools

import numpy as np

from spanbert_keras.arguments import one_of, real_number, whole_number
from spanbert_keras.preprocessing.masking import span_lengths
from spanbert_keras.preprocessing.masking.schemes import SCHEMES

RULES = ("paper", "bert")


@dataclasses.dataclass(frozen=True, kw_only=True)
class MaskingSettings:
    """The settings of `mask_rows`.

    Args:
        scheme: str, a name in `schemes.SCHEMES`. Defaults to `"span"` (section 3.1).
        masking_rate: float. Share of a row's pieces that is masked. Defaults to 0.15 (section 4.2).
        geometric_rate: float. The `p` of the length law. Defaults to 0.2 (section 3.1).
        max_span_length: int. Longest span drawn, in words. Defaults to 10 (section 3.1).
        max_span_positions: int. Rows of the span boundary head's position table; pieces further inside a span have no
            span boundary target. Defaults to 15 (the released code's README command; the paper gives none).
        mask_token_rate: float. Share of spans that become [MASK]. Defaults to 0.8 (section 3.1).
        random_token_rate: float. Share of spans that become random pieces; the rest stays unchanged. Defaults to 0.1.
        rule: `"paper"`, or `"bert"`: how Google's BERT was trained. Then the budget counts specials and is rounded to
            the nearest integer, [UNK] may be masked, each piece has its own draw of [MASK], random piece or no change,
            random pieces are uniform over the whole vocabulary, and a word that does not fit the budget is skipped.
            Only for the schemes `"subword"` and `"whole_word"`. Defaults to `"paper"` (section 4.2).
        max_predictions: int or `None`. Most pieces masked of a row, under BERT's rule. Defaults to `None`: no limit.
        mention_rate: float. Share of draws that are mentions, in schemes that read an annotation; the others are words.
            Defaults to 0.5 (section 6.1).

    Raises:
        ValueError: a setting is unknown or out of range.
    """

    scheme: str = "span"
    masking_rate: float = 0.15
    geometric_rate: float = 0.2
    max_span_length: int = 10
    max_span_positions: int = 15
    mask_token_rate: float = 0.8
    random_token_rate: float = 0.1
    rule: str = "paper"
    max_predictions: int | None = None
    mention_rate: float = 0.5

    def __post_init__(self) -> None:
        one_of("rule", self.rule, RULES)
        one_of("scheme", self.scheme, tuple(SCHEMES))
        for name in ("masking_rate", "geometric_rate", "mask_token_rate", "random_token_rate", "mention_rate"):
            object.__setattr__(self, name, real_number(name, getattr(self, name)))
        for name in ("max_span_length", "max_span_positions", "max_predictions"):
            if name != "max_predictions" or self.max_predictions is not None:
                object.__setattr__(self, name, whole_number(name, getattr(self, name)))
        if self.rule == "bert" and SCHEMES[self.scheme].choose_by_bert is None:
            able = " or ".join(repr(name) for name, scheme in SCHEMES.items() if scheme.choose_by_bert)
            raise ValueError(f"`rule='bert'` needs `scheme` {able}. Received: scheme={self.scheme!r}.")
        if not 0 < self.masking_rate <= 1:
            raise ValueError(
                f"`masking_rate` must be above 0 and at most 1. Received: masking_rate={self.masking_rate}."
            )
        rates = (self.mask_token_rate, self.random_token_rate)
        if min(rates) < 0 or sum(map(span_lengths.as_fraction, rates)) > 1:
            raise ValueError(
                "`mask_token_rate` and `random_token_rate` must not be negative and add up to at most 1. "
                f"Received: mask_token_rate={rates[0]}, random_token_rate={rates[1]}."
            )
        if not 0 <= self.mention_rate <= 1:
            raise ValueError(f"`mention_rate` must be from 0 to 1. Received: mention_rate={self.mention_rate}.")
        span_lengths.length_thresholds(self.geometric_rate, self.max_span_length)  # Raises if they are wrong.

    def budget(self, num_pieces: np.ndarray, num_specials: int | np.ndarray = 2) -> np.ndarray:
        """Returns the most pieces that are masked in a row.

        Args:
            num_pieces: int, any shape. Pieces of a row without specials.
            num_specials: int or array of the same shape. Its specials, which count under BERT's rule only.

        Returns:
            int64 of the same shape, exact: ceil(masking_rate x num_pieces); under BERT's rule masking_rate x
            (num_pieces + num_specials), rounded half to even, at least 1 and at most `max_predictions`.
        """
        rate = span_lengths.as_fraction(self.masking_rate)
        num_pieces = np.asarray(num_pieces, np.int64)
        if self.rule == "paper":
            return -(-num_pieces * rate.numerator // rate.denominator)
        whole, rest = np.divmod((num_pieces + num_specials) * rate.numerator, rate.denominator)
        up = (2 * rest > rate.denominator) | ((2 * rest == rate.denominator) & (whole % 2 == 1))
        limit = num_pieces if self.max_predictions is None else np.minimum(num_pieces, self.max_predictions)
        return np.minimum(np.maximum(whole + up, 1), limit)

    @functools.cached_property
    def length_thresholds(self) -> np.ndarray:
        """uint64 thresholds of the span lengths, in units of the scheme; none where all spans are one unit."""
        longest = SCHEMES[self.scheme].max_span_length or self.max_span_length
        return span_lengths.length_thresholds(self.geometric_rate, longest)

    @functools.cached_property
    def draw_thresholds(self) -> np.ndarray:
        """uint64 thresholds of a draw's first random word: of the lengths, or that of mentions."""
        if SCHEMES[self.scheme].annotation is None:
            return self.length_thresholds
        return np.array([int(span_lengths.as_fraction(self.mention_rate) * 2**32)], np.uint64)

    @functools.cached_property
    def replacement_thresholds(self) -> np.ndarray:
        """uint64 `(2,)`: a 32-bit word below the first is [MASK], below the second a random piece, else no change."""
        mask, random = map(span_lengths.as_fraction, (self.mask_token_rate, self.random_token_rate))
        return np.array([int(mask * 2**32), int((mask + random) * 2**32)], np.uint64)
