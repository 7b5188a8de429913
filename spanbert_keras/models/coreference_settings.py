"""The settings of coreference resolution, checked."""

import dataclasses
import functools

from spanbert_keras.arguments import dropout_rate, list_of_names, one_of, real_number, whole_number
from spanbert_keras.errors import shown
from spanbert_keras.preprocessing.document_segments import CANDIDATES, span_limit
from spanbert_keras.preprocessing.text_words import language_code


@dataclasses.dataclass(frozen=True, kw_only=True)
class CoreferenceSettings:
    """Settings of a `SpanBertCoreferenceResolver` besides its encoder; see its docstring for their meaning.

    Values are converted to their types: a config may hold NumPy numbers, or lists where tuples are meant.

    Raises:
        ValueError: a value is out of range, or genres that do not fit.
    """

    segment_length: int
    max_span_width: int
    top_span_ratio: float
    max_antecedents: int
    antecedent_window: int
    refinements: int
    feature_dim: int
    hidden_dim: int
    dropout: float
    genres: tuple[str, ...]
    default_genre: str
    max_segment_distance: int
    candidates: str
    language: str

    def __post_init__(self):
        checks = {int: functools.partial(whole_number, minimum=-(2**31)), float: real_number}
        for field in dataclasses.fields(self):
            if check := checks.get(field.type):
                object.__setattr__(self, field.name, check(field.name, getattr(self, field.name)))
        dropout_rate("dropout", self.dropout)
        one_of("candidates", self.candidates, CANDIDATES)
        object.__setattr__(self, "language", language_code(self.language))
        object.__setattr__(self, "genres", list_of_names("genres", self.genres))
        if not 0 < self.top_span_ratio <= 1:
            raise ValueError(
                f"`top_span_ratio` must be above 0 and at most 1. Received: top_span_ratio={self.top_span_ratio}."
            )
        if self.refinements < 0:
            raise ValueError(f"`refinements` must not be negative. Received: refinements={self.refinements}.")
        positive = ("max_span_width", "max_antecedents", "antecedent_window", "feature_dim", "hidden_dim")
        for name in (*positive, "max_segment_distance"):
            if getattr(self, name) < 1:
                raise ValueError(f"`{name}` must be positive. Received: {getattr(self, name)}.")
        if len(set(self.genres)) < len(self.genres):
            raise ValueError(f"`genres` must be different names. Received: {list(self.genres)}.")
        if not isinstance(self.default_genre, str) or self.default_genre not in self.genres:
            raise ValueError(
                f"`default_genre` must be one of {list(self.genres)}. Received: {shown(self.default_genre)}."
            )

    def span_limit(self, pieces: int) -> int:
        """Returns how many spans are kept at most in a document of that many pieces."""
        return span_limit(self.top_span_ratio, pieces)

    def span_dim(self, encoder_dim: int) -> int:
        """Returns G, the width of a span's vector: its first piece, its last one, their attention, its width."""
        return 3 * encoder_dim + self.feature_dim

    def config(self) -> dict:
        """Returns the settings by name, as JSON values."""
        return dataclasses.asdict(self) | {"genres": list(self.genres)}
