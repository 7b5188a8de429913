"""The tokenizer that travels with every saved model."""

import dataclasses
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import keras_hub
import numpy as np
from typing_extensions import TypedDict

from spanbert_keras.errors import InputError
from spanbert_keras.files.checksum_file import TOKENIZER_FILES, verify_checksums, write_checksums
from spanbert_keras.files.json_files import read_json
from spanbert_keras.preprocessing.added_token import AddedToken
from spanbert_keras.preprocessing.tokenizer_inputs import as_rows, as_texts, is_symbolic
from spanbert_keras.preprocessing.wordpiece import (
    SPECIAL_PIECES,
    UNUSED_PIECE,
    WordPiece,
    check_vocabulary,
    read_vocabulary,
    write_vocabulary,
)

VOCABULARY_FILE = "vocab.txt"


class _Preset(TypedDict):
    """The file of a tokenizer in a preset."""

    config: dict[str, Any]


@keras.saving.register_keras_serializable(package="spanbert_keras")
class SpanBertTokenizer(keras_hub.models.Tokenizer):
    """Turns text into BERT's word pieces and back.

    Equal to BERT's own tokenizer, cased and uncased, id for id. Runs on the `tokenizers` library: no TensorFlow needed,
    several threads may share one. The vocabulary is saved as an asset (`vocab.txt`) with every model and preset that
    holds the tokenizer; it is never part of a configuration.

    A literal "[MASK]" or "[SEP]" in a text is ordinary text ("[", "MASK", "]") unless `special_tokens_in_text` is set,
    so that a user's text cannot inject special pieces.

    Inside `tf.data` and `tf.function` it also accepts string tensors: a scalar gives int32 `(T,)`, a vector a ragged
    int32 `(B, T)`. That step runs in Python, so it cannot be part of a SavedModel.

    Args:
        vocabulary: path of a `vocab.txt`, or list of str, or `None`: loading fills it in from the saved asset.
            Needs [PAD], [UNK], [CLS], [SEP] and [MASK].
        lowercase: bool. Whether text is lowercased and stripped of accents (uncased models). Defaults to `False`
            (SpanBERT is cased).
        special_tokens_in_text: bool. Whether a literal special piece in a text is that piece. Each call may override
            it. Defaults to `False`.
        strip_accents: bool or `None`. Whether accents are removed. Defaults to `None`: the value of `lowercase` (BERT).
        split_chinese_characters: bool. Whether every CJK character is a separate word. Defaults to `True` (BERT).
        clean_text: bool. Whether control characters are removed. Defaults to `True` (BERT).
        added_tokens: sequence of str or dict: tokens matched in the text before words are cut into pieces, such as
            entity markers. Those that the vocabulary lacks are appended to it. A dict has `content` and flags as in the
            `tokenizers` library: `special`, `lstrip`, `rstrip`, `single_word`, `normalized`.

    Call arguments:
        inputs: str, or list (or array) of str.
        special_tokens_in_text: bool or `None`, which takes the constructor's setting.

    Returns:
        list of int for a str, list of lists of int for a list. No [CLS], no [SEP], no padding.

    Raises:
        InputError: the vocabulary lacks a special piece or holds a piece twice.
        ValueError: it is used without a vocabulary; an added token has no text or an unknown flag.

    Example:

    ```python
    from spanbert_keras import SpanBertTokenizer

    tokenizer = SpanBertTokenizer(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "span", "##s"])
    tokenizer("spans")  # [5, 6]
    tokenizer(["span", "spans"])  # [[5], [5, 6]]
    tokenizer.detokenize([5, 6])  # "spans"
    tokenizer.encode_with_offsets("spans")  # ([5, 6], [(0, 4), (4, 5)])
    ```

    Reference: Devlin et al., 2019, section 3.
    """

    pad_token, unk_token, cls_token, sep_token, mask_token = SPECIAL_PIECES

    def __init__(
        self,
        vocabulary: str | os.PathLike | Sequence[str] | None = None,
        lowercase: bool = False,
        special_tokens_in_text: bool = False,
        strip_accents: bool | None = None,
        split_chinese_characters: bool = True,
        clean_text: bool = True,
        added_tokens: Sequence[str | Mapping] = (),
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.built = True  # no weights; a model that holds an unbuilt layer cannot be quantized
        self.lowercase = bool(lowercase)
        self.special_tokens_in_text = bool(special_tokens_in_text)
        self.strip_accents = None if strip_accents is None else bool(strip_accents)
        self.split_chinese_characters = bool(split_chinese_characters)
        self.clean_text = bool(clean_text)
        self._added_tokens = tuple(AddedToken.of(token) for token in added_tokens)
        self.file_assets = [VOCABULARY_FILE]
        self._wordpiece: WordPiece | None = None
        if vocabulary is not None:
            self.set_vocabulary(vocabulary)

    # The vocabulary.

    def set_vocabulary(self, vocabulary: str | os.PathLike | Sequence[str]) -> None:
        """Sets the vocabulary, a `vocab.txt` or a list of pieces; raises as the constructor does."""
        if isinstance(vocabulary, str | os.PathLike):
            pieces, where = read_vocabulary(vocabulary), f"file {os.fspath(vocabulary)}"
        else:
            pieces, where = list(vocabulary), "given as a list"
        check_vocabulary(pieces, where)
        known = set(pieces)
        absent = {token.content: token for token in self._added_tokens if token.content not in known}
        if absent:
            pieces += absent
            check_vocabulary(pieces, where)
            outside = [dataclasses.replace(token, word_piece=False) for token in absent.values()]
            self._added_tokens = (*(token for token in self._added_tokens if token.content in known), *outside)
        self._wordpiece = WordPiece(
            pieces,
            self.lowercase,
            self.strip_accents,
            self.split_chinese_characters,
            self.clean_text,
            self._added_tokens,
        )

    @property
    def added_tokens(self) -> list[dict]:
        """The tokens matched in the text before word pieces, each a dict of its content and flags."""
        return [token.to_dict() for token in self._added_tokens]

    @property
    def has_vocabulary(self) -> bool:
        """Whether the vocabulary is set."""
        return self._wordpiece is not None

    @property
    def wordpiece(self) -> WordPiece:
        """The underlying `WordPiece`: ids in flat arrays, without Keras."""
        if self._wordpiece is None:
            raise ValueError(
                f"The tokenizer {self.name!r} has no vocabulary. Expected: one given at construction, or the asset "
                f"{VOCABULARY_FILE} of the model or preset that it was loaded from. Received: neither; pass "
                "`SpanBertTokenizer(vocabulary=...)` or call `set_vocabulary`."
            )
        return self._wordpiece

    def get_vocabulary(self) -> list[str]:
        """Returns every piece; the index is the id."""
        return list(self.wordpiece.pieces)

    def vocabulary_size(self) -> int:
        """Returns the number of pieces."""
        return len(self.wordpiece.pieces)

    def token_to_id(self, token: str) -> int:
        """Returns a piece's id; `ValueError` for a piece outside of the vocabulary."""
        try:
            return self.wordpiece.ids[token]
        except KeyError:
            raise ValueError(
                f"`token` must be in the vocabulary of {self.vocabulary_size()} pieces. Received: token={token!r}."
            ) from None

    def id_to_token(self, id: int) -> str:
        """Returns the piece of an id; `ValueError` for an id outside of the vocabulary."""
        if not 0 <= id < self.vocabulary_size():
            raise ValueError(f"`id` must be in [0, {self.vocabulary_size()}). Received: id={id}.")
        return self.wordpiece.pieces[id]

    def fingerprint(self) -> str:
        """Returns 64 hexadecimal digits, a hash of the vocabulary in order and of the settings for cutting text."""
        return self.wordpiece.fingerprint()

    @property
    def pad_token_id(self) -> int:
        """Id of [PAD]."""
        return self.wordpiece.ids[self.pad_token]

    @property
    def unk_token_id(self) -> int:
        """Id of [UNK]."""
        return self.wordpiece.ids[self.unk_token]

    @property
    def cls_token_id(self) -> int:
        """Id of [CLS]."""
        return self.wordpiece.ids[self.cls_token]

    @property
    def sep_token_id(self) -> int:
        """Id of [SEP]."""
        return self.wordpiece.ids[self.sep_token]

    @property
    def mask_token_id(self) -> int:
        """Id of [MASK]."""
        return self.wordpiece.ids[self.mask_token]

    @property
    def special_tokens(self) -> list[str]:
        """[PAD], [UNK], [CLS], [SEP], [MASK], then added tokens that are special."""
        added = (token.content for token in self._added_tokens if token.special)
        return [*SPECIAL_PIECES, *(content for content in added if content not in SPECIAL_PIECES)]

    @property
    def special_token_ids(self) -> list[int]:
        """Ids of `special_tokens`, in this order."""
        return [self.wordpiece.ids[piece] for piece in self.special_tokens]

    def word_starts(self) -> np.ndarray:
        """Returns bool `(V,)`: True for a piece that begins a word, False for one that begins with "##"."""
        added = {token.content for token in self._added_tokens}
        return np.array([piece in added or not piece.startswith("##") for piece in self.wordpiece.pieces])

    def ordinary_token_ids(self) -> np.ndarray:
        """Returns int32 `(V',)`: the ids that are neither special nor [unusedN], from which random pieces are drawn."""
        pieces = self.wordpiece.pieces
        special = set(self.special_tokens)
        ordinary = [i for i, p in enumerate(pieces) if p not in special and not UNUSED_PIECE.fullmatch(p)]
        return np.array(ordinary, np.int32)

    # Text to ids and back.

    def tokenize(self, inputs, special_tokens_in_text: bool | None = None):
        """Returns the ids of a text or of each text; see the class."""
        specials = self._specials(special_tokens_in_text)
        if is_symbolic(inputs):
            return self._tokenize_in_graph(inputs, specials)
        texts, batched = as_texts(inputs)
        ids = self.wordpiece.encode(texts, specials)
        return ids if batched else ids[0]

    def call(self, inputs, special_tokens_in_text=None):
        return self.tokenize(inputs, special_tokens_in_text)

    def encode_with_offsets(self, inputs, special_tokens_in_text: bool | None = None):
        """Returns the ids of a text and the place of each piece in it.

        Offsets count the characters (code points) of the text *as given*, before normalization. The pieces of one
        character share its offsets; characters that BERT drops (controls, accents at a word's end when
        `lowercase`) lie outside or between.

        Args:
            inputs: str, or list (or array) of str.
            special_tokens_in_text: bool or `None`, which takes the constructor's setting.

        Returns:
            (ids, offsets) for a str: list of int, and list of half-open (start, end) of the same length. For a list of
            texts two lists of such lists.
        """
        texts, batched = as_texts(inputs)
        encoded = self.wordpiece.encode_with_offsets(texts, self._specials(special_tokens_in_text))
        if not batched:
            return encoded[0]
        return [ids for ids, _ in encoded], [offsets for _, offsets in encoded]

    def detokenize(self, inputs, skip_special_tokens: bool = False):
        """Returns text: words with one space between, continued pieces joined.

        Without [UNK], this is exactly the normalized text that BERT read (with its splits at punctuation). For the
        original spacing use `encode_with_offsets`.

        Args:
            inputs: list (or array) of int, or a batch of those.
            skip_special_tokens: bool. Whether `special_tokens` are left out.

        Returns:
            str, or list of str for a batch.

        Raises:
            ValueError: an id outside of the vocabulary.
        """
        rows, batched = as_rows(inputs)
        size = self.vocabulary_size()
        skip = frozenset(self.special_token_ids) if skip_special_tokens else frozenset()
        for row in rows:
            outside = [index for index in row if not 0 <= index < size]
            if outside:
                raise ValueError(f"Ids must be in [0, {size}). Received: {outside[0]}.")
        texts = [self.wordpiece.decode(row, skip) for row in rows]
        return texts if batched else texts[0]

    def _specials(self, special_tokens_in_text: bool | None) -> bool:
        return self.special_tokens_in_text if special_tokens_in_text is None else bool(special_tokens_in_text)

    def _tokenize_in_graph(self, inputs, specials: bool):
        """Returns int32 `(T,)` for a scalar string tensor, a ragged `(B, T)` for a vector."""
        import tensorflow as tf

        wordpiece = self.wordpiece
        if inputs.shape.rank not in (0, 1):
            raise ValueError(f"Text must have shape () or (B,). Received: inputs.shape={inputs.shape}.")

        def encode(texts):
            return wordpiece.encode_ragged([text.decode("utf-8", "replace") for text in texts.tolist()], specials)

        flat = tf.reshape(inputs, [-1])
        pieces, lengths = tf.numpy_function(encode, [flat], (tf.int32, tf.int64), stateful=False)
        pieces.set_shape([None])
        lengths.set_shape([inputs.shape[0] if inputs.shape.rank else 1])
        return pieces if inputs.shape.rank == 0 else tf.RaggedTensor.from_row_lengths(pieces, lengths, validate=False)

    # Saving and loading.

    def save_assets(self, dir_path: str) -> None:
        """Writes `vocab.txt` into a folder; without a vocabulary, nothing."""
        if self.has_vocabulary:
            write_vocabulary(self.wordpiece.pieces, os.path.join(dir_path, VOCABULARY_FILE))

    def load_assets(self, dir_path: str) -> None:
        """Reads `vocab.txt` from a folder. If it is missing, every later use of the tokenizer raises."""
        path = os.path.join(dir_path, VOCABULARY_FILE)
        if os.path.exists(path):
            self.set_vocabulary(path)

    @classmethod
    def from_preset(cls, preset, config_file: str = "tokenizer.json", **kwargs):
        """Loads the tokenizer of a keras-hub preset.

        Args:
            preset: path of a preset directory (with or without a model in it), or any handle that keras-hub accepts.
            config_file: str. The tokenizer's file in the preset.
            **kwargs: constructor arguments that override the saved ones.

        Raises:
            InputError: the directory holds no tokenizer.
        """
        folder = pathlib.Path(preset)
        if not folder.is_dir():
            return super().from_preset(preset, config_file=config_file, **kwargs)
        verify_checksums(folder, (config_file, "assets/*"))
        try:
            config = read_json(folder / config_file, _Preset)["config"]
        except FileNotFoundError:
            raise InputError(f"The preset directory {preset} holds no tokenizer. Expected: {config_file}.") from None
        except (OSError, ValueError) as error:
            raise InputError(f"{folder / config_file} cannot be used: {str(error)[:200]}.") from error
        tokenizer = cls._from_settings({**config, **kwargs}, folder / config_file)
        if not tokenizer.has_vocabulary:
            tokenizer.set_vocabulary(folder / "assets" / config_file.split(".")[0] / VOCABULARY_FILE)
        return tokenizer

    @classmethod
    def _from_settings(cls, config: dict, path: pathlib.Path):
        """Returns the tokenizer of a config; raises `InputError` with the file's path if it rejects a setting."""
        try:
            return cls.from_config(config)
        except (TypeError, ValueError, AttributeError) as error:
            raise InputError(f"{path} holds no settings of a tokenizer: {str(error)[:200]}.") from error

    def save_to_preset(self, preset_dir):
        """Writes `tokenizer.json` and the vocabulary into a keras-hub preset directory."""
        super().save_to_preset(os.fspath(preset_dir))
        write_checksums(preset_dir, TOKENIZER_FILES)

    def get_config(self):
        config = super().get_config()
        config.update(lowercase=self.lowercase, special_tokens_in_text=self.special_tokens_in_text)
        return config | self.text_settings

    @property
    def text_settings(self) -> dict:
        """The arguments besides `lowercase` that decide how text is cut, if they differ from BERT's."""
        settings: dict = {  # the value here, BERT's value
            "strip_accents": (self.strip_accents, None),
            "split_chinese_characters": (self.split_chinese_characters, True),
            "clean_text": (self.clean_text, True),
            "added_tokens": (self.added_tokens, []),
        }
        return {name: value for name, (value, default) in settings.items() if value != default}
