"""WordPiece on the `tokenizers` library, without Keras: vocabulary files, ids, character offsets."""

import hashlib
import itertools
import json
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import tokenizers
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors

from spanbert_keras.errors import InputError
from spanbert_keras.preprocessing.added_token import AddedToken

SPECIAL_PIECES = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
UNUSED_PIECE = re.compile(r"\[unused\d+\]")
BATCH_CHARACTERS = 50_000  # the library needs some 60 bytes per character while it encodes a batch
LONE_SURROGATES = re.compile("[\ud800-\udfff]")


def read_vocabulary(path: str | os.PathLike) -> list[str]:
    """Reads a `vocab.txt` in BERT's format: one piece per line, the line's number is the id.

    Args:
        path: str or path. UTF-8, with or without a byte order mark; only "\\n" and "\\r\\n" end a line, since pieces
            may hold other Unicode separators.

    Returns:
        list of str.

    Raises:
        InputError: the file is missing, is not UTF-8, or has an empty line between pieces.
    """
    try:
        with open(path, encoding="utf-8-sig", newline="\n") as file:
            lines = [line.removesuffix("\n").removesuffix("\r") for line in file]
    except OSError as error:
        raise InputError(f"The vocabulary file {path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise InputError(
            f"The vocabulary file {path} is not text. Expected: UTF-8, one piece per line. "
            f"Received: byte 0x{error.object[error.start]:02x} that UTF-8 forbids."
        ) from error
    while lines and not lines[-1]:
        lines.pop()
    if "" in lines:
        raise InputError(
            f"The vocabulary file {path} has an empty line. Expected: one piece per line. "
            f"Received: nothing on line {lines.index('') + 1}; remove the line if no id follows from it."
        )
    return lines


def write_vocabulary(pieces: Sequence[str], path: str | os.PathLike) -> None:
    """Writes a `vocab.txt` in BERT's format."""
    with open(path, "w", encoding="utf-8", newline="\n") as file:
        file.writelines(f"{piece}\n" for piece in pieces)


def check_vocabulary(pieces: Sequence[str], where: str) -> None:
    """Raises if SpanBERT cannot work with a vocabulary.

    Args:
        pieces: list of str.
        where: str. The vocabulary's origin for messages, such as "given as a list".

    Raises:
        InputError: a special piece is missing, a piece occurs twice, or a piece holds a line break.
    """
    missing = [piece for piece in SPECIAL_PIECES if piece not in pieces]
    if missing:
        raise InputError(
            f"The vocabulary {where} lacks {' and '.join(missing)}. Expected: {', '.join(SPECIAL_PIECES)}, "
            f"each on its own line. Received: {len(pieces)} pieces without; add the missing ones at the end."
        )
    first: dict[str, int] = {}
    for index, piece in enumerate(pieces):
        if piece in first:
            raise InputError(
                f"The vocabulary {where} holds a piece twice. Expected: every piece once. "
                f"Received: {piece!r} on lines {first[piece] + 1} and {index + 1}."
            )
        if "\n" in piece or "\r" in piece or not piece:
            raise InputError(
                f"The vocabulary {where} holds a piece that vocab.txt cannot store: {piece!r}, id {index}."
            )
        first[piece] = index


class WordPiece:
    """Text to ids as BERT does it: clean, split at whitespace, punctuation and CJK characters, longest match first.

    Equal to the `tokenizers` library's WordPiece with BERT's normalizer and splitter, id for id. Holds no mutable
    state: threads may share it.

    Args:
        pieces: list of str. The vocabulary, added tokens included; `check_vocabulary` has passed it.
        lowercase: bool. Whether text is lowercased (BERT's uncased models).
        strip_accents: bool or `None`. Whether accents are removed; `None` takes the value of `lowercase`.
        split_chinese_characters: bool. Whether every CJK character is a word.
        clean_text: bool. Whether control characters are removed and every whitespace becomes a space.
        added_tokens: tuple of `AddedToken`, each one of `pieces`.
    """

    def __init__(
        self,
        pieces: Sequence[str],
        lowercase: bool,
        strip_accents: bool | None = None,
        split_chinese_characters: bool = True,
        clean_text: bool = True,
        added_tokens: Sequence[AddedToken] = (),
    ):
        self.pieces = tuple(pieces)
        self.lowercase = lowercase
        self.ids = {piece: index for index, piece in enumerate(self.pieces)}
        self._rules: dict[str, Any] = {
            "lowercase": lowercase,
            "strip_accents": strip_accents,
            "handle_chinese_chars": split_chinese_characters,
            "clean_text": clean_text,
        }
        self.added_tokens = tuple(sorted(added_tokens, key=lambda token: self.ids[token.content]))
        # The library gives the last ids to tokens that WordPiece must not produce; these are the vocabulary's ids.
        outside = [self.ids[token.content] for token in self.added_tokens if not token.word_piece]
        inside = [index for index in range(len(self.pieces)) if index not in set(outside)]
        self._places = np.array(inside + outside, np.int32)
        self._moved = bool((np.diff(self._places) != 1).any())
        # The library matches added special pieces in raw text, and switching that off changes shared state: keep two.
        self._ordinary = self._build(inside, special_pieces=False)
        self._special = self._build(inside, special_pieces=True)

    def _build(self, inside: Sequence[int], special_pieces: bool) -> tokenizers.Tokenizer:
        """Returns the library's tokenizer, with BERT's normalizer and splitter."""
        ids = {self.pieces[index]: place for place, index in enumerate(inside)}
        tokenizer = tokenizers.Tokenizer(models.WordPiece(ids, unk_token="[UNK]"))
        tokenizer.normalizer = normalizers.BertNormalizer(**self._rules)
        tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        ours = {token.content for token in self.added_tokens}
        plain = [AddedToken(piece, special=True) for piece in SPECIAL_PIECES if piece not in ours]
        for token in [*self.added_tokens, *plain]:
            if special_pieces or token.content not in SPECIAL_PIECES:
                token.add_to(tokenizer)
        return tokenizer

    def _encode(self, texts: Sequence[str], specials: bool, offsets: bool) -> list[tokenizers.Encoding]:
        """Returns one `tokenizers.Encoding` per text; lone surrogates, which UTF-8 cannot encode, become U+FFFD."""
        tokenizer = self._special if specials else self._ordinary
        encode = tokenizer.encode_batch if offsets else tokenizer.encode_batch_fast
        try:
            return encode(texts, add_special_tokens=False)
        except (TypeError, UnicodeEncodeError):
            cleaned = [LONE_SURROGATES.sub("\ufffd", text) for text in texts]
            if cleaned == list(texts):
                raise
            return encode(cleaned, add_special_tokens=False)

    def encode(self, texts: Sequence[str], specials: bool = False) -> list[list[int]]:
        """Returns the ids of each text, without [CLS] and [SEP].

        Args:
            texts: list of str.
            specials: bool. Whether a literal "[MASK]" (or other special piece) in a text is that piece.
        """
        return [self._ids_of(encoding) for encoding in self._encode(texts, specials, offsets=False)]

    def _ids_of(self, encoding: tokenizers.Encoding) -> list[int]:
        """Returns the ids of one text, added tokens renumbered to their places in the vocabulary."""
        return self._places[encoding.ids].tolist() if self._moved and encoding.ids else encoding.ids

    def encode_ragged(self, texts: Sequence[str], specials: bool = False) -> tuple[np.ndarray, np.ndarray]:
        """Returns the ids of all texts in one int32 array `(N,)` and the int64 number of ids of each text `(R,)`."""
        encodings = self._encode(texts, specials, offsets=False)
        lengths = np.fromiter(map(len, encodings), np.int64, len(encodings))
        ids = itertools.chain.from_iterable(encoding.ids for encoding in encodings)
        flat = np.fromiter(ids, np.int32, int(lengths.sum()))
        return self._places[flat] if self._moved else flat, lengths

    def encode_many(self, texts: Sequence[str], specials: bool = False) -> tuple[np.ndarray, np.ndarray]:
        """Returns what `encode_ragged` returns; encodes a few texts at a time, which takes less memory."""
        encoded = [self.encode_ragged(batch, specials) for batch in _batches(texts)]
        if not encoded:
            return np.zeros(0, np.int32), np.zeros(0, np.int64)
        ids, lengths = zip(*encoded, strict=True)
        return np.concatenate(ids), np.concatenate(lengths)

    def encode_with_offsets(
        self, texts: Sequence[str], specials: bool = False
    ) -> list[tuple[list[int], list[tuple[int, int]]]]:
        """Returns the ids of each text and the half-open character span of each id in the text as it was given."""
        return [(self._ids_of(found), found.offsets) for found in self._encode(texts, specials, offsets=True)]

    def decode(self, ids: Iterable[int], skip: frozenset[int] = frozenset()) -> str:
        """Returns words with one space between: the normalized text, with [UNK] for words that no pieces match."""
        text = " ".join(self.pieces[index] for index in ids if index not in skip)
        return text.replace(" ##", "")

    def to_json(self, special_pieces: bool = True) -> str:
        """Returns the content of a `tokenizer.json`, with BERT's rows of a text and of a pair.

        Args:
            special_pieces: bool. Whether a literal "[MASK]" (or other special piece) in a text is that piece. Without,
                ids are the vocabulary's only if there are no added tokens.
        """
        tokenizer = tokenizers.Tokenizer.from_str((self._special if special_pieces else self._ordinary).to_str())
        specials = [(piece, self.ids[piece]) for piece in ("[CLS]", "[SEP]")]
        tokenizer.post_processor = processors.TemplateProcessing(
            single="[CLS]:0 $A:0 [SEP]:0", pair="[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1", special_tokens=specials
        )
        tokenizer.decoder = decoders.WordPiece(prefix="##")
        return tokenizer.to_str()

    def fingerprint(self) -> str:
        """Returns 64 hexadecimal digits: SHA-256 of the settings and of every piece in order.

        Settings that have BERT's defaults are left out: fingerprints in older manifests stay valid.
        """
        defaults = {"strip_accents": None, "handle_chinese_chars": True, "clean_text": True}
        settings = [f"{name}={self._rules[name]}" for name, value in defaults.items() if self._rules[name] != value]
        settings += [json.dumps(token.to_dict(), sort_keys=True) for token in self.added_tokens]
        content = "\n".join([f"lowercase={self.lowercase}", *settings, *self.pieces])
        return hashlib.sha256(content.encode("utf-8")).hexdigest()


def _batches(texts: Sequence[str]) -> Iterator[list[str]]:
    """Yields the texts in batches of about `BATCH_CHARACTERS`."""
    batch: list[str] = []
    characters = 0
    for text in texts:
        batch.append(text)
        characters += len(text)
        if characters >= BATCH_CHARACTERS:
            yield batch
            batch, characters = [], 0
    if batch:
        yield batch
