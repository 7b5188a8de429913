"""Tokens that a vocabulary was extended with after its pieces were trained."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import tokenizers

from spanbert_keras.errors import shown


@dataclasses.dataclass(frozen=True)
class AddedToken:
    """A token that is matched in the text before words are cut into pieces, e.g. the entity marker `[E1]`.

    The fields have the meaning of the `tokenizers` library.

    Attributes:
        content: str. The text of the token.
        special: bool. Whether it is a marker rather than text: masking and `skip_special_tokens` leave it alone.
        lstrip, rstrip: bool. Whether the whitespace before (after) it belongs to it.
        single_word: bool. Whether it is matched only if no letter or digit is beside it.
        normalized: bool. Whether it is matched in the normalized text (e.g. lowercased) rather than in the text as
            given. `None`, the default, becomes the opposite of `special`.
        word_piece: bool. Whether the base vocabulary holds it too, so that WordPiece may also produce it as a piece of
            a word. A tokenizer sets it when the token is added.
    """

    content: str
    special: bool = False
    lstrip: bool = False
    rstrip: bool = False
    single_word: bool = False
    normalized: bool | None = None
    word_piece: bool = True

    def __post_init__(self):
        if self.normalized is None:
            object.__setattr__(self, "normalized", not self.special)

    @classmethod
    def of(cls, value: "str | Mapping[str, Any] | AddedToken") -> "AddedToken":
        """Returns the token for a str (its content), a mapping of fields, or a token.

        Raises:
            ValueError: a field is unknown or of another type, or the content is empty.
        """
        if isinstance(value, tokenizers.AddedToken):
            names = ("content", "special", "lstrip", "rstrip", "single_word", "normalized")
            value = {name: getattr(value, name) for name in names}
        fields = {"content": value} if isinstance(value, str) else value
        if isinstance(fields, cls):
            return fields
        names = {field.name for field in dataclasses.fields(cls)}
        if not isinstance(fields, Mapping) or not fields.keys() <= names or not isinstance(fields.get("content"), str):
            raise ValueError(
                f"An added token must be a str or a mapping with `content` and, if any, {sorted(names - {'content'})}. "
                f"Received: {shown(value)}."
            )
        wrong = [name for name in fields if name != "content" and not isinstance(fields[name], bool | None)]
        if wrong or not fields["content"].strip():
            raise ValueError(
                f"An added token needs some text, and flags that are true or false. Received: {shown(value)}."
            )
        known: dict[str, Any] = {name: value for name, value in fields.items() if value is not None}
        return cls(**known)

    def to_dict(self) -> dict[str, Any]:
        """Returns the fields, as a configuration stores them."""
        return dataclasses.asdict(self)

    def add_to(self, tokenizer: tokenizers.Tokenizer) -> None:
        """Adds the token to a tokenizer of the library."""
        flags = self.to_dict()
        del flags["word_piece"]
        token = tokenizers.AddedToken(**flags)
        if self.special:
            tokenizer.add_special_tokens([token])
        else:
            tokenizer.add_tokens([token])
