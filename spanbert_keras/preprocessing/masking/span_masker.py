"""Span masking as a preprocessing layer.

Shape letters: B batch, T tokens, M masked positions, V vocabulary; of ragged rows: R rows, N pieces.
"""

from collections.abc import Mapping
from typing import Any

import keras
import keras_hub
import numpy as np

from spanbert_keras.arguments import whole_number
from spanbert_keras.preprocessing import philox
from spanbert_keras.preprocessing.masking.masking_law import MaskedRows, mask_rows
from spanbert_keras.preprocessing.masking.masking_settings import MaskingSettings
from spanbert_keras.preprocessing.masking.masking_tables import MaskingTables
from spanbert_keras.preprocessing.masking.schemes import SCHEMES
from spanbert_keras.preprocessing.tokenizer_inputs import in_tf_graph

SEQUENCE_KEYS = ("token_ids", "segment_ids", "padding_mask")
INPUT_KEYS = (*SEQUENCE_KEYS, "annotations")
POSITION_KEYS = ("mask_positions", "mask_ids", "left_positions", "right_positions", "span_offsets")
WEIGHT_KEYS = ("mask_weights", "span_weights")
MASKED_KEYS = ("token_ids", *POSITION_KEYS, *WEIGHT_KEYS)


@keras.saving.register_keras_serializable(package="spanbert_keras")
class SpanMasker(keras_hub.models.Preprocessor):
    """Masks spans of words and lists the targets of both objectives.

    Section 3.1: draw a length from p (1 - p)^(l - 1) on 1..10 words, renormalised, and a start uniform over the row's
    words, until ceil(0.15 n) of the row's n pieces are masked. Touching spans are one span, so a span's neighbours
    are always observed; [CLS] and [SEP] are valid neighbours. 80 % of the spans become [MASK], 10 % random pieces,
    10 % stay. Unlike the research code, starts are uniform over words (there: over pieces, which favours long words),
    a word is never cut, and spans that touch [CLS] or [SEP] have span boundary targets too.

    A row's masks are a pure function of its pieces and its seed: the same in any batch, at any length, on every
    backend and platform. The layer draws nothing by itself. It works in `tf.data` (batched or not) and eagerly;
    NumPy arrays and lists give NumPy arrays, tensors of any framework give the backend's tensors.

    Args:
        tokenizer: `SpanBertTokenizer`. Defines word starts and special pieces ([UNK] included), which are never masked.
        max_predictions: int. M, entries for masked pieces per row. Defaults to ceil(masking_rate x T).
        scheme: str. What is masked and replaced together: `"span"`, spans of words (section 3.1), `"whole_word"`,
            single words, `"subword"`, single pieces (BERT, section 6.1), `"named_entity"` or `"noun_phrase"`, mentions
            marked in `annotations` and single words (section 6.1). Defaults to `"span"`.
        max_span_positions: int. Pieces at this offset in a span and later have no span boundary target. Defaults to
            15 (the released code's README command).
        unigram_counts: integers `(V,)`. The corpus' piece counts, from which random pieces are drawn; `None` draws
            uniformly. Only ordinary pieces (neither special nor [unusedN]) are drawn.
        masking_rate: float. Share of a row's pieces that is masked. Defaults to 0.15 (section 4.2).
        geometric_rate: float. The length law's p. Defaults to 0.2 (section 3.1).
        max_span_length: int. Longest span drawn, in words. Defaults to 10 (section 3.1).
        mask_token_rate: float. Share of spans that become [MASK]. Defaults to 0.8 (section 3.1).
        random_token_rate: float. Share of spans that become random pieces. Defaults to 0.1 (section 3.1).
        rule: str. `"paper"`, or `"bert"`: how Google's BERT was trained, for the schemes `"subword"` and
            `"whole_word"`. A row's budget is then 0.15 of its length with specials, rounded to the nearest integer, at
            least 1 and at most `max_predictions`; [UNK] may be masked; each piece has its own draw; random pieces are
            uniform over the whole vocabulary; a word that does not fit is skipped. Defaults to `"paper"`.
        mention_rate: float. Share of draws that are mentions, in the schemes with `annotations`; the other draws are
            words. Defaults to 0.5 (section 6.1).
        **kwargs: name and dtype, as for any Keras layer.

    Call arguments:
        inputs: dict. `token_ids` int `(B, T)` or `(T,)`; `padding_mask` of the same shape, 0 at padding; optionally
            `segment_ids` of the same shape. The schemes `"named_entity"` and `"noun_phrase"` need `annotations`, int of
            the same shape: bit 0 is set inside a mention, bit 1 at its first piece, other bits are ignored.
        seed: integers `(B, 2)`, each row's own seed, or `(2,)`: row r then uses `fold(seed, r)`. For `(T,)` inputs
            `(2,)` is the row's own seed. Required.

    Returns:
        dict, int32 unless noted; padding entries are 0:
        `token_ids` `(B, T)`: the pieces after masking.
        `segment_ids` `(B, T)`: as given, or zeros.
        `padding_mask` `(B, T)`: as given.
        `mask_positions` `(B, M)`: where the masked pieces are, ascending.
        `mask_ids` `(B, M)`: their original ids.
        `mask_weights` float32 `(B, M)`: 1 at real entries.
        `left_positions`, `right_positions` `(B, M)`: the observed neighbours s - 1 and e + 1 of the piece's span.
        `span_offsets` `(B, M)`: i - s; the true value also past `max_span_positions`.
        `span_weights` float32 `(B, M)`: 1 where the piece has a span boundary target.

    Raises:
        ValueError: an argument is out of range, `max_predictions` is below ceil(masking_rate x (T - 2)) or what a row
            needs, `seed` or an input is missing or has a wrong shape, the scheme needs `annotations`.

    Example:

    ```python
    import numpy as np

    from spanbert_keras import SpanBertTokenizer, SpanMasker

    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "super", "bowl", "##s", "game"]
    tokenizer = SpanBertTokenizer(vocabulary)
    masker = SpanMasker(tokenizer=tokenizer, masking_rate=0.3)

    token_ids = np.array([[2, *tokenizer("a super bowls game a game"), 3, 0]])  # (1, 10)
    masked = masker({"token_ids": token_ids, "padding_mask": token_ids != 0}, seed=(1, 2))
    masked["token_ids"]  # (1, 10), ceil(0.3 x 7) = 3 pieces replaced, or fewer
    masked["mask_positions"].shape  # (1, 3)

    # The mention "super bowls", as an annotation of named entities marks it.
    mentions = SpanMasker(tokenizer=tokenizer, scheme="named_entity", masking_rate=0.3, mention_rate=1.0)
    annotations = np.array([[0, 0, 3, 1, 1, 0, 0, 0, 0, 0]])  # (1, 10)
    inputs = {"token_ids": token_ids, "padding_mask": token_ids != 0, "annotations": annotations}
    mentions(inputs, seed=(1, 2))["mask_positions"]  # [[2, 3, 4]]
    ```

    In `tf.data`: `dataset.map(lambda inputs, seed: masker(inputs, seed=seed))`.

    Reference: Joshi et al., 2020, sections 3.1 and 6.1.
    """

    def __init__(
        self,
        tokenizer,
        max_predictions=None,
        scheme="span",
        max_span_positions=15,
        unigram_counts=None,
        masking_rate=0.15,
        geometric_rate=0.2,
        max_span_length=10,
        mask_token_rate=0.8,
        random_token_rate=0.1,
        rule="paper",
        mention_rate=0.5,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if max_predictions is not None:
            max_predictions = whole_number("max_predictions", max_predictions)
        if rule == "bert" and unigram_counts is not None:
            raise ValueError(
                "`unigram_counts` must be None with rule='bert', whose random pieces are uniform over the vocabulary. "
                "Received: counts."
            )
        self.tokenizer = tokenizer
        self.max_predictions = max_predictions
        self.unigram_counts = None if unigram_counts is None else np.array(unigram_counts)
        self.settings = MaskingSettings(
            scheme=scheme,
            masking_rate=masking_rate,
            geometric_rate=geometric_rate,
            max_span_length=max_span_length,
            max_span_positions=max_span_positions,
            mask_token_rate=mask_token_rate,
            random_token_rate=random_token_rate,
            rule=rule,
            max_predictions=max_predictions if rule == "bert" else None,
            mention_rate=mention_rate,
        )
        self._tables = None
        self.built = True

    def get_config(self):
        config = super().get_config()
        counts = self.unigram_counts
        config.update(
            {
                "max_predictions": self.max_predictions,
                "scheme": self.settings.scheme,
                "max_span_positions": self.settings.max_span_positions,
                "unigram_counts": None if counts is None else counts.tolist(),
                "masking_rate": self.settings.masking_rate,
                "geometric_rate": self.settings.geometric_rate,
                "max_span_length": self.settings.max_span_length,
                "mask_token_rate": self.settings.mask_token_rate,
                "random_token_rate": self.settings.random_token_rate,
                "rule": self.settings.rule,
                "mention_rate": self.settings.mention_rate,
            }
        )
        return config

    @property
    def tables(self) -> MaskingTables:
        """The vocabulary's tables, read at first use: a loaded tokenizer has its vocabulary after its config."""
        if self._tables is None:
            self._tables = MaskingTables.from_tokenizer(self.tokenizer, self.unigram_counts, self.settings.rule)
        return self._tables

    def mask_ragged(
        self, pieces: np.ndarray, row_starts: np.ndarray, seeds: np.ndarray, annotation: np.ndarray | None = None
    ) -> MaskedRows:
        """Masks ragged rows: the layer without padding, for programs that build their own batches.

        Args:
            pieces: int `(N,)`. All rows' pieces with specials, one row after the other.
            row_starts: int `(R + 1,)`. Where each row begins, and N.
            seeds: integers `(R, 2)`. Each row's own seed.
            annotation: int `(N,)` or `None`. A value for each piece, for a scheme that needs one; see `annotations` in
                the class's call arguments.

        Returns:
            `MaskedRows` of NumPy arrays.

        Raises:
            ValueError: a piece isn't in the vocabulary, shapes disagree, or the scheme needs an annotation.
        """
        return mask_rows(pieces, row_starts, seeds, self.tables, self.settings, annotation)

    def call(self, inputs, seed=None):
        _check_inputs(inputs, seed)
        if in_tf_graph():
            return self._call_in_graph(inputs, seed)
        values = [inputs[key] for key in INPUT_KEYS if inputs.get(key) is not None]
        arrays = {key: _to_numpy(inputs[key]) for key in INPUT_KEYS if inputs.get(key) is not None}
        token_ids, padding_mask = arrays["token_ids"], arrays["padding_mask"]
        segment_ids = arrays.get("segment_ids", np.zeros(token_ids.shape, np.int32))
        annotations = self._annotations(arrays)
        _check_shapes(token_ids, segment_ids, padding_mask, *annotations)
        masked = self._mask_batch(token_ids, padding_mask, _to_numpy(seed), *annotations)
        outputs = dict(zip(MASKED_KEYS, masked, strict=True))
        outputs.update(segment_ids=segment_ids.astype(np.int32), padding_mask=padding_mask.astype(np.int32))
        if all(isinstance(value, np.ndarray | list | tuple) for value in values):
            return outputs
        return {key: keras.ops.convert_to_tensor(value) for key, value in outputs.items()}

    def _call_in_graph(self, inputs, seed):
        """Calls the NumPy law from a TensorFlow graph (`tf.data`), with static shapes."""
        import tensorflow as tf

        token_ids, padding_mask = (tf.convert_to_tensor(inputs[key]) for key in ("token_ids", "padding_mask"))
        segment_ids = inputs.get("segment_ids")
        segment_ids = tf.zeros_like(token_ids) if segment_ids is None else tf.convert_to_tensor(segment_ids)
        annotations = [tf.convert_to_tensor(value) for value in self._annotations(inputs)]
        _check_shapes(token_ids, segment_ids, padding_mask, *annotations)
        types = [tf.float32 if key in WEIGHT_KEYS else tf.int32 for key in MASKED_KEYS]
        # Stateless: the result is a pure function of the arguments, which lets tf.data reorder and cache.
        arguments = [token_ids, padding_mask, seed, *annotations]
        masked = tf.numpy_function(self._mask_batch, arguments, types, stateful=False)
        *batch_shape, length = token_ids.shape
        predictions = self.max_predictions if length is None else self._num_predictions(length)
        for key, value in zip(MASKED_KEYS, masked, strict=True):
            value.set_shape([*batch_shape, length if key == "token_ids" else predictions])
        outputs = dict(zip(MASKED_KEYS, masked, strict=True))
        outputs.update(segment_ids=tf.cast(segment_ids, tf.int32), padding_mask=tf.cast(padding_mask, tf.int32))
        return outputs

    def _annotations(self, inputs: Mapping) -> list:
        """Returns a list of the inputs' `annotations`, if the scheme reads them; raises `ValueError` without them."""
        if SCHEMES[self.settings.scheme].annotation is None:
            return []
        if inputs.get("annotations") is None:
            raise ValueError(
                f"`SpanMasker(scheme={self.settings.scheme!r})` needs the key 'annotations' in its inputs: integers of "
                "the shape of token_ids, with bit 0 inside mentions and bit 1 at their first pieces. "
                f"Received keys: {sorted(inputs)}."
            )
        return [inputs["annotations"]]

    def _mask_batch(self, token_ids, padding_mask, seed, annotations=None):
        """Masks NumPy inputs `(B, T)` or `(T,)`; returns a list of arrays in the order of `MASKED_KEYS`."""
        shape = token_ids.shape
        num_predictions = self._num_predictions(shape[-1])
        token_ids = np.array(token_ids, np.int32).reshape(-1, shape[-1])  # (B, T), a copy that is overwritten
        real = np.flatnonzero(padding_mask)  # flat index of each real piece        (N,)
        firsts = np.arange(len(token_ids) + 1) * shape[-1]  # flat index of each row     (B + 1,)
        row_starts = np.searchsorted(real, firsts)
        annotation = None if annotations is None else annotations.reshape(-1)[real]
        masked = self.mask_ragged(token_ids.reshape(-1)[real], row_starts, _row_seeds(seed, shape), annotation)
        token_ids.reshape(-1)[real] = masked.pieces
        # Padding may stand anywhere: an index among a row's real pieces becomes a column.
        begin, first = row_starts[masked.rows], firsts[masked.rows]
        values = (
            real[begin + masked.positions] - first,
            masked.ids,
            real[begin + masked.left_positions] - first,
            real[begin + masked.right_positions] - first,
            masked.span_offsets,
            np.ones(len(masked.rows), np.float32),
            masked.span_weights,
        )
        counts = np.bincount(masked.rows, minlength=len(token_ids))  # (B,)
        if counts.size and counts.max() > num_predictions:
            raise ValueError(
                f"`max_predictions` must be at least {counts.max()} for these rows, which have fewer than two special "
                f"pieces. Received: max_predictions={num_predictions}."
            )
        slots = masked.rows * num_predictions + np.arange(len(masked.rows)) - (np.cumsum(counts) - counts)[masked.rows]
        padded = [np.zeros(len(counts) * num_predictions, np.int32) for _ in POSITION_KEYS]
        padded += [np.zeros(len(counts) * num_predictions, np.float32) for _ in WEIGHT_KEYS]
        for array, value in zip(padded, values, strict=True):
            array[slots] = value
        return [token_ids.reshape(shape), *(array.reshape(*shape[:-1], num_predictions) for array in padded)]

    def _num_predictions(self, length: int) -> int:
        """Returns M for rows of `length` pieces."""
        if self.max_predictions is None:
            return int(self.settings.budget(length, 0))
        least = int(self.settings.budget(max(length - 2, 0)))
        if self.max_predictions < least:
            raise ValueError(
                f"`max_predictions` must be at least ceil(masking_rate x (T - 2)) = {least} for rows of T={length}. "
                f"Received: max_predictions={self.max_predictions}."
            )
        return self.max_predictions


def _row_seeds(seed: np.ndarray, shape: tuple) -> np.ndarray:
    """Returns the rows' own seeds: uint32 `(B, 2)`."""
    rows = 1 if len(shape) == 1 else shape[0]
    if seed.shape == (2,):
        return philox.as_seed(seed)[np.newaxis] if len(shape) == 1 else philox.fold(seed, np.arange(rows))
    if len(shape) == 1 or seed.shape != (rows, 2):
        raise ValueError(f"`seed` must have shape (2,) or (B, 2), where token_ids has {shape}. Received: {seed.shape}.")
    return philox.as_seed(seed)


def _check_inputs(inputs: Any, seed: Any) -> None:
    """Raises `ValueError` if the call's arguments are incomplete."""
    if not isinstance(inputs, Mapping):
        raise ValueError(f"`inputs` must be a dict with token_ids and padding_mask. Received: {type(inputs).__name__}.")
    missing = [key for key in ("token_ids", "padding_mask") if key not in inputs]
    if missing:
        raise ValueError(f"`inputs` must have the key {missing[0]!r}. Received keys: {sorted(inputs)}.")
    if seed is None:
        raise ValueError(
            "`SpanMasker` draws nothing by itself: pass `seed`, integers of shape (2,) or (B, 2). Received: seed=None."
        )


def _check_shapes(token_ids: Any, segment_ids: Any, padding_mask: Any, annotations: Any = None) -> None:
    """Raises `ValueError` if the inputs' shapes or types disagree; arrays, or TensorFlow's symbolic tensors."""
    rank, dtype = len(token_ids.shape), keras.backend.standardize_dtype(token_ids.dtype)
    if rank not in (1, 2) or "int" not in dtype:
        raise ValueError(
            f"`token_ids` must be integers of shape (B, T) or (T,). Received: dtype={dtype}, shape={token_ids.shape}."
        )
    others = {"segment_ids": segment_ids, "padding_mask": padding_mask}
    if annotations is not None:
        others["annotations"] = annotations
        dtype = keras.backend.standardize_dtype(annotations.dtype)
        if "int" not in dtype:
            raise ValueError(f"`annotations` must be integers. Received: dtype={dtype}.")
    for name, value in others.items():
        sizes = zip(value.shape, token_ids.shape, strict=False)
        if len(value.shape) != rank or any(None not in pair and pair[0] != pair[1] for pair in sizes):
            raise ValueError(f"`{name}` must have the shape of token_ids, {token_ids.shape}. Received: {value.shape}.")


def _to_numpy(value: Any) -> np.ndarray:
    """Returns a list or a tensor of any framework as a NumPy array."""
    if hasattr(value, "detach"):  # torch, possibly on a GPU
        value = value.detach().cpu()
    return np.asarray(value)
