"""BERT's tokenizer as TensorFlow operations. Shape letters: B texts, T tokens, N code points or words of all texts."""

from collections.abc import Sequence

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
        self._split_words = _wordpiece_operation(vocabulary).tokenize

    def __call__(self, texts, length: int | None = None):
        import tensorflow as tf

        if length is not None and not 2 <= length <= self.max_sequence_length:
            raise ValueError(f"`length` must be in [2, {self.max_sequence_length}]. Received: {length}.")
        pieces = self.tokenize(texts)
        room = (length or self.max_sequence_length) - 2  # for [CLS] and [SEP]
        kept = pieces[:, :room]
        ends = tf.ones_like(kept.row_lengths(), tf.int32)[:, None]  # (B, 1)
        rows = tf.concat([ends * self._cls, kept, ends * self._sep], axis=1)
        token_ids = rows.to_tensor(self._pad, shape=(None, length))  # (B, T)
        lengths = tf.cast(rows.row_lengths(), tf.int32)  # (B,)
        return {
            "token_ids": token_ids,
            "segment_ids": tf.zeros_like(token_ids),
            "padding_mask": tf.cast(tf.range(tf.shape(token_ids)[1]) < lengths[:, None], tf.int32),
            "truncated_pieces": tf.cast(pieces.row_lengths() - kept.row_lengths(), tf.int32),
        }

    def tokenize(self, texts):
        """Returns the ids of each text, a ragged int32 `(B, None)`, without [CLS] and [SEP]."""
        import tensorflow as tf

        words, rows, too_long = self._words(texts)
        pieces = self._split_words(tf.where(too_long, "[UNK]", words))  # ragged (N, None); "[UNK]" stays one piece
        by_word = tf.RaggedTensor.from_value_rowids(pieces, rows, nrows=tf.size(texts, tf.int64), validate=False)
        return by_word.merge_dims(1, 2)

    def words(self, texts):
        """Returns the normalized words of each text, a ragged string `(B, None)`, before they are split into pieces."""
        import tensorflow as tf

        words, rows, _ = self._words(texts)
        return tf.RaggedTensor.from_value_rowids(words, rows, nrows=tf.size(texts, tf.int64), validate=False)

    def _words(self, texts):
        """Returns all words, string `(N,)`; the text of each, int64 `(N,)`; whether each is too long, bool `(N,)`."""
        import tensorflow as tf

        points, rows = self._normalize(tf.strings.unicode_decode(tf.convert_to_tensor(texts), "UTF-8"))
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
        strings = tf.strings.unicode_encode(words, "UTF-8")
        return strings, tf.boolean_mask(tf.boolean_mask(rows, inside), begins), words.row_lengths() > MAX_WORD_LENGTH

    def _normalize(self, points):
        """Returns normalized text, from ragged int32 `(B, None)`: code points int32 `(N,)` and texts int64 `(N,)`."""
        import tensorflow as tf

        tables = self._tables
        rows, points = points.value_rowids(), points.flat_values
        which = _look_up(tables.replacements, points)  # 0: the code point stays
        # Sequence 0 is the code point itself, of length 1.
        lengths = tf.gather(np.concatenate([[1], np.diff(tables.splits)]).astype(np.int32), which)
        starts = tf.gather(np.concatenate([[0], tables.splits[:-1]]).astype(np.int32), which)
        source = tf.repeat(tf.range(tf.size(points)), lengths)
        place = tf.range(tf.size(source)) - tf.gather(tf.cumsum(lengths, exclusive=True) - starts, source)
        replaced = tf.gather(tables.values, tf.minimum(place, len(tables.values) - 1))
        points = tf.where(tf.gather(tf.equal(which, 0), source), tf.gather(points, source), replaced)
        rows = tf.gather(rows, source)
        if tables.ranks is None:
            return points, rows
        ranks = _look_up(tables.ranks, points)
        points = tf.cond(tf.reduce_any(ranks > 0), lambda: _in_canonical_order(points, ranks, rows), lambda: points)
        is_kept = tf.not_equal(points, 0)
        return tf.boolean_mask(points, is_kept), tf.boolean_mask(rows, is_kept)


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
