"""BERT's tokenizer as TensorFlow operations. Shape letters: B texts, T tokens, N code points or words of all texts."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from spanbert_keras.conversion.exports.normalization_tables import SEPARATE, SPACE, NormalizationTables, PagedTable
from spanbert_keras.conversion.foreign_keys import SPECIAL_TOKENS
from spanbert_keras.errors import InputError

NEEDED_PIECES = tuple(SPECIAL_TOKENS[name] for name in ("pad_token", "unk_token", "cls_token", "sep_token"))
MAX_WORD_LENGTH = 100  # characters; BERT's tokenizer maps longer words to [UNK]
MAX_BYTES_PER_CHARACTER = 4  # of UTF-8


class GraphTokenizer:
    """Turns string tensors into an encoder's inputs, inside `tf.function`, `tf.data` and SavedModels.

    Gives the same ids as `SpanBertTokenizer`. tensorflow-text finds the pieces of a word. The steps before (cleaning,
    lower-casing, accents, splitting at spaces, punctuation and Chinese characters) use tables over all code points,
    because tensorflow-text's own operations follow another version of Unicode and other rules than BERT's.
    Literal "[MASK]" or "[SEP]" in a text is ordinary text. Bytes that are not valid UTF-8 are dropped, as in BERT.

    Runs under every Keras backend, and needs TensorFlow and tensorflow-text. A SavedModel that holds it loads after
    `import tensorflow_text`, which registers the operations.

    Args:
        vocabulary: list of str. All word pieces by id. Needs [PAD], [UNK], [CLS] and [SEP].
        lowercase: bool. Whether text is lowercased and stripped of accents (uncased models).
        max_sequence_length: int. Longest row, in tokens with [CLS] and [SEP]. Defaults to `512`.
        strip_accents: bool or `None`. Whether accents are removed; `None`: same as `lowercase`.
        split_chinese_characters: bool. Whether every CJK character is a word.

    Call arguments:
        texts: string `(B,)`, UTF-8.
        length: int or `None`. T, in tokens, at most `max_sequence_length`; `None`: that of the longest row.

    Returns:
        A dict of int32 tensors. A text that is too long for a row loses its end:

        token_ids `(B, T)`: [CLS], the pieces, [SEP], then padding.
        segment_ids `(B, T)`: zeros.
        padding_mask `(B, T)`: 1 at tokens, 0 at padding.
        truncated_pieces `(B,)`: number of pieces of each text that were cut off.

    Raises:
        InputError: the vocabulary lacks a special token or has a piece of more than 256 bytes; tensorflow-text cannot
            be imported.
        ValueError: `max_sequence_length` is below 2 or `length` does not fit.

    Example:

    ```python
    import tensorflow as tf

    from spanbert_keras.conversion.exports.graph_tokenizer import GraphTokenizer

    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "token", "##s"]
    tokenize = GraphTokenizer(vocabulary, lowercase=True)
    tokenize(tf.constant(["Tokens"]))["token_ids"]  # [[2, 4, 5, 3]]
    ```

    Reference: Devlin et al., 2019, section 3; Song et al., 2021 (the WordPiece operation).
    """

    def __init__(
        self,
        vocabulary: Sequence[str],
        lowercase: bool = False,
        max_sequence_length: int = 512,
        strip_accents: bool | None = None,
        split_chinese_characters: bool = True,
    ):
        vocabulary = list(vocabulary)
        missing = [piece for piece in NEEDED_PIECES if piece not in vocabulary]
        if missing:
            raise InputError(
                f"The vocabulary given to GraphTokenizer lacks {' and '.join(missing)}. "
                f"Expected: {', '.join(NEEDED_PIECES)}. Received: {len(vocabulary)} pieces without them."
            )
        if max_sequence_length < 2:
            raise ValueError(f"`max_sequence_length` must be at least 2. Received: {max_sequence_length}.")
        self.lowercase = bool(lowercase)
        self.max_sequence_length = max_sequence_length
        self._pad, self._unknown, self._cls, self._sep = (vocabulary.index(piece) for piece in NEEDED_PIECES)
        self._tables = NormalizationTables.read(self.lowercase, strip_accents, split_chinese_characters)
        self._wordpiece = _wordpiece_operation(vocabulary)

    def __call__(self, texts, length: int | None = None):
        import tensorflow as tf

        if length is not None and not 2 <= length <= self.max_sequence_length:
            raise ValueError(f"`length` must be in [2, {self.max_sequence_length}]. Received: {length}.")
        pieces = self.tokenize(texts)
        kept = pieces[:, : (length or self.max_sequence_length) - 2]  # there are [CLS] and [SEP] too
        cut = tf.cast(pieces.row_lengths() - kept.row_lengths(), tf.int32)
        return self.rows([kept], length=length) | {"truncated_pieces": cut}

    def rows(self, parts: Sequence, num_segments: int = 1, length: int | None = None) -> dict:
        """Returns an encoder's inputs, int32 `(B, T)`: [CLS], then the pieces of each part and [SEP], then padding.

        Args:
            parts: sequence of ragged int32 `(B, None)`.
            num_segments: int. Number of segments of the encoder: part i is segment i, or the last one.
            length: int or `None`. T; `None`: that of the longest row.
        """
        import tensorflow as tf

        ends = tf.ones_like(parts[0].row_lengths(), tf.int32)[:, None]  # (B, 1)
        cells = [ends * self._cls, *(cell for part in parts for cell in (part, ends * self._sep))]
        rows = tf.concat(cells, axis=1)
        token_ids = rows.to_tensor(self._pad, shape=(None, length))  # (B, T)
        lengths = tf.cast(rows.row_lengths(), tf.int32)[:, None]  # (B, 1)
        places = tf.range(tf.shape(token_ids)[1])
        segment_ids, end = tf.zeros_like(token_ids), 1
        for number, part in enumerate(parts[: num_segments - 1]):
            end += tf.cast(part.row_lengths(), tf.int32)[:, None] + 1
            segment_ids = tf.where(tf.logical_and(places >= end, places < lengths), number + 1, segment_ids)
        return {
            "token_ids": token_ids,
            "segment_ids": segment_ids,
            "padding_mask": tf.cast(places < lengths, tf.int32),
        }

    def tokenize(self, texts):
        """Returns the ids of each text, a ragged int32 `(B, None)`, without [CLS] and [SEP]."""
        import tensorflow as tf

        words = self._words(texts)
        pieces = self._wordpiece.tokenize(tf.where(words.too_long, "[UNK]", words.texts))  # ragged (N, None)
        return _by_text(pieces, words.rows, texts)

    def tokenize_with_offsets(self, texts):
        """Returns the ids of each text, and the characters of each piece, as `SpanBertTokenizer.encode_with_offsets`.

        Returns:
            token_ids, starts, ends: ragged int32 `(B, None)`, without [CLS] and [SEP]. Half-open places of characters
            (code points) in the text as given. In uncased text, marks that are kept but put in another order (Hangul
            tone marks, musical stems) may have the place of a neighbouring mark.
        """
        import tensorflow as tf

        words = self._words(texts)
        given = tf.where(words.too_long, "[UNK]", words.texts)
        pieces, starts, ends = self._wordpiece.tokenize_with_offsets(given)  # in bytes of the word
        word_of = pieces.value_rowids()
        points = words.points.flat_values
        sizes = 1 + sum(tf.cast(points >= first, tf.int64) for first in (0x80, 0x800, 0x10000))  # bytes in UTF-8
        byte_ends = tf.cumsum(sizes)
        byte_starts = byte_ends - sizes
        bounds = tf.concat([[0], byte_ends], 0)
        begin = tf.gather(tf.gather(bounds, words.points.row_starts()), word_of)
        end = tf.gather(tf.gather(bounds, words.points.row_limits()), word_of)
        is_cut = tf.logical_not(tf.gather(words.too_long, word_of))
        end = tf.where(is_cut, begin + tf.cast(ends.values, tf.int64), end)
        begin += tf.cast(starts.values, tf.int64)
        first = tf.gather(words.sources, tf.searchsorted(byte_starts, begin))
        last = tf.gather(words.sources, tf.searchsorted(byte_ends, end))
        found = (pieces, pieces.with_values(first), pieces.with_values(last + 1))
        return tuple(_by_text(values, words.rows, texts) for values in found)

    def words(self, texts):
        """Returns the normalized words of each text, a ragged string `(B, None)`, before they are split into pieces."""
        import tensorflow as tf

        words = self._words(texts)
        return tf.RaggedTensor.from_value_rowids(
            words.texts, words.rows, nrows=tf.size(texts, tf.int64), validate=False
        )

    def _words(self, texts) -> "_Words":
        import tensorflow as tf

        points, rows, sources = self._normalize(tf.strings.unicode_decode(tf.convert_to_tensor(texts), "UTF-8"))
        kinds = _look_up(self._tables.kinds, points)
        space, separate = tf.equal(kinds, SPACE), tf.equal(kinds, SEPARATE)
        # A word begins at a separate character, and at an ordinary one unless another in the same text precedes it.
        follows = tf.logical_not(
            tf.logical_or(_differs_from_previous(rows), _shifted_right(tf.logical_or(space, separate)))
        )
        begins = tf.logical_not(tf.logical_or(space, tf.logical_and(follows, tf.logical_not(separate))))
        inside = tf.logical_not(space)
        begins = tf.boolean_mask(begins, inside)
        word_of = tf.cumsum(tf.cast(begins, tf.int64)) - 1
        words = tf.RaggedTensor.from_value_rowids(
            tf.boolean_mask(points, inside),
            word_of,
            nrows=tf.math.count_nonzero(begins),
            validate=False,
        )
        return _Words(
            tf.strings.unicode_encode(words, "UTF-8"),
            tf.boolean_mask(tf.boolean_mask(rows, inside), begins),
            words.row_lengths() > MAX_WORD_LENGTH,
            words,
            tf.boolean_mask(sources, inside),
        )

    def _normalize(self, decoded):
        """Returns normalized text, from ragged int32 `(B, None)`.

        Returns:
            Code points int32 `(N,)`, their texts int64 `(N,)`, and the place in its text of the character that each
            comes from, int32 `(N,)`.
        """
        import tensorflow as tf

        tables = self._tables
        rows, points = decoded.value_rowids(), decoded.flat_values
        which = _look_up(tables.replacements, points)  # 0: the code point stays
        # Sequence 0 is the code point itself, of length 1.
        lengths = tf.gather(np.concatenate([[1], np.diff(tables.splits)]).astype(np.int32), which)
        starts = tf.gather(np.concatenate([[0], tables.splits[:-1]]).astype(np.int32), which)
        source = tf.repeat(tf.range(tf.size(points)), lengths)
        place = tf.range(tf.size(source)) - tf.gather(tf.cumsum(lengths, exclusive=True) - starts, source)
        replaced = tf.gather(tables.values, tf.minimum(place, len(tables.values) - 1))
        points = tf.where(tf.gather(tf.equal(which, 0), source), tf.gather(points, source), replaced)
        rows = tf.gather(rows, source)
        source -= tf.gather(tf.cast(decoded.row_starts(), tf.int32), rows)
        if tables.ranks is None:
            return points, rows, source
        ranks = _look_up(tables.ranks, points)
        # Marks change places; the places themselves stay in order, as in the `tokenizers` library.
        points = tf.cond(tf.reduce_any(ranks > 0), lambda: _in_canonical_order(points, ranks, rows), lambda: points)
        is_kept = tf.not_equal(points, 0)
        return tuple(tf.boolean_mask(values, is_kept) for values in (points, rows, source))


class _Words(NamedTuple):
    """The words of all texts, as tensors.

    Attributes:
        texts: string `(N,)`. The words, normalized.
        rows: int64 `(N,)`. The text of each.
        too_long: bool `(N,)`. Whether a word has more than `MAX_WORD_LENGTH` characters.
        points: ragged int32 `(N, None)`. Code points of each word.
        sources: int32 `(P,)`. Place in its text of the character that each of these code points comes from.
    """

    texts: Any
    rows: Any
    too_long: Any
    points: Any
    sources: Any


def _by_text(values, rows, texts):
    """Returns the values of words, ragged `(N, None)`, as those of texts, ragged `(B, None)`."""
    import tensorflow as tf

    by_word = tf.RaggedTensor.from_value_rowids(values, rows, nrows=tf.size(texts, tf.int64), validate=False)
    return by_word.merge_dims(1, 2)


def _wordpiece_operation(vocabulary: list[str]):
    """Returns tensorflow-text's tokenizer of single words."""
    try:
        import tensorflow_text
    except ImportError as error:
        raise InputError(
            f"A tokenizer inside a TensorFlow graph needs tensorflow-text. Received: {error}; install it with "
            "`pip install tensorflow-text`, in the minor version of your TensorFlow."
        ) from error
    import tensorflow as tf

    try:
        return tensorflow_text.FastWordpieceTokenizer(
            vocabulary,
            token_out_type=tf.int32,
            unknown_token="[UNK]",
            max_bytes_per_word=MAX_WORD_LENGTH * MAX_BYTES_PER_CHARACTER,
            no_pretokenization=True,
        )
    except RuntimeError as error:
        raise InputError(
            f"tensorflow-text cannot represent the vocabulary given to GraphTokenizer. Received: {error}; "
            "remove that piece from the vocabulary."
        ) from error


def _look_up(table: PagedTable, points):
    """Returns the table's numbers for code points `(N,)`, int32 `(N,)`."""
    import tensorflow as tf

    page = tf.gather(table.pages, points // 256)
    return tf.gather(table.entries, page * 256 + points % 256)


def _shifted_right(flags):
    """Returns bool `(N,)` shifted right by one, with False first."""
    import tensorflow as tf

    return tf.concat([[False], flags], axis=0)[:-1]


def _differs_from_previous(values):
    """Returns bool `(N,)`: whether an entry differs from the one before; True for the first."""
    import tensorflow as tf

    return tf.concat([tf.ones_like(values[:1], tf.bool), tf.not_equal(values[1:], values[:-1])], axis=0)


def _in_canonical_order(points, ranks, rows):
    """Returns code points `(N,)` with each run of marks sorted by rank; no mark moves across a code point of rank 0."""
    import tensorflow as tf

    runs = tf.cumsum(tf.cast(tf.logical_or(tf.equal(ranks, 0), _differs_from_previous(rows)), tf.int64))
    return tf.gather(points, tf.argsort(runs * 256 + tf.cast(ranks, tf.int64), stable=True))
