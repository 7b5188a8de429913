"""The SpanBERT encoder. Shape letters: B batch, T tokens, D hidden_dim."""

import functools
import os
import threading
from collections.abc import Callable
from typing import ClassVar

import keras
from keras import ops
from keras_hub.models import Backbone

from spanbert_keras.arguments import MAX_PIECES, MAX_WIDTH, dropout_rate, one_of, whole_number
from spanbert_keras.errors import InputError
from spanbert_keras.files.checksum_file import PRESET_FILES, write_checksums
from spanbert_keras.kernels.attention import KINDS, is_fused
from spanbert_keras.layers.attention_mask import AttentionMask
from spanbert_keras.layers.encoder_block import RECOMPUTE, EncoderBlock, is_pure
from spanbert_keras.layers.functional import initializer, is_plain, reject_rematerialization
from spanbert_keras.layers.input_embedding import InputEmbedding
from spanbert_keras.layers.saving.saved_state import SavedState, plain_policy, without_policy_map
from spanbert_keras.models.compiled_call import CompiledCall
from spanbert_keras.models.computed_rows import ComputedRows
from spanbert_keras.models.embed_spans import embed_spans
from spanbert_keras.models.named_inputs import NamedInputs
from spanbert_keras.preprocessing.tokenizer import SpanBertTokenizer
from spanbert_keras.presets import ARCHITECTURES

MAX_PARAMETERS = 10**11  # of an encoder, without biases; 400 GB in float32
MAX_LAYERS = 1000  # Keras needs 10 ms or more for each


@keras.saving.register_keras_serializable(package="spanbert_keras")
class SpanBertEncoder(SavedState, ComputedRows, NamedInputs, Backbone):
    """Post-layer-norm BERT encoder without pooler: one vector per word piece.

    A functional model and a `keras_hub.models.Backbone`, with its presets, LoRA and quantisation. It computes what the
    published BERT and SpanBERT checkpoints were trained with: the exact (erf) GELU, layer-norm epsilon 1e-12, learned
    positions. The tokenizer is saved with the model in every format.

    Args:
        vocabulary_size: int. Number of word pieces.
        num_layers: int. Number of transformer blocks.
        num_heads: int. Attention heads per block; divides `hidden_dim`.
        hidden_dim: int. Width D of every vector.
        intermediate_dim: int. Width of the feed-forward networks.
        dropout: float. Probability of zeroing a hidden state. Defaults to `0.1` (paper, section 4.2).
        attention_dropout: float or `None`. Probability of zeroing an attention weight; `None`: the same as `dropout`.
        max_sequence_length: int. Longest row, in word pieces, [CLS] and [SEP] included. Defaults to `512` (paper,
            section 4.2).
        num_segments: int. Number of segment ids. Defaults to `2` (BERT); SpanBERT pre-trains with segment 0 alone.
        tokenizer: `SpanBertTokenizer` or `None`. Saved with the model.
        dtype: dtype policy or its name, e.g. `"mixed_bfloat16"`.

    Call arguments:
        token_ids: int32 `(B, T)`. Pieces with [CLS] and [SEP].
        segment_ids: int32 `(B, T)`.
        padding_mask: int32 `(B, T)`. 1 at pieces, 0 at padding. Values above 1 pack several blocks into a row;
            see `AttentionMask`.

    Returns:
        `{"sequence_output": (B, T, D)}`, float in the compute dtype.

    Raises:
        ValueError: a number is out of range or not a number; an input is missing; the tokenizer's size is not
            `vocabulary_size`; within a `keras.RematScope`.

    Example:

    ```python
    import numpy as np
    from spanbert_keras import SpanBertEncoder

    encoder = SpanBertEncoder(
        vocabulary_size=30, num_layers=1, num_heads=2, hidden_dim=8, intermediate_dim=16, max_sequence_length=32
    )
    token_ids = np.array([[2, 7, 8, 3, 0]])  # [CLS], two pieces, [SEP], padding
    padding_mask = (token_ids > 0).astype("int32")
    inputs = {"token_ids": token_ids, "segment_ids": 0 * token_ids, "padding_mask": padding_mask}
    tuple(encoder(inputs)["sequence_output"].shape)  # (1, 5, 8)
    # Published weights: SpanBertEncoder.from_preset("hf://SpanBERT/spanbert-base-cased")
    ```

    Reference: Joshi et al., 2020, sections 3.3 and 4.2; Devlin et al., 2019.
    """

    input_keys = ("token_ids", "segment_ids", "padding_mask")
    converters: ClassVar[list[Callable]] = []  # `conversion` adds its own; see `from_preset`

    def __init__(
        self,
        vocabulary_size,
        num_layers,
        num_heads,
        hidden_dim,
        intermediate_dim,
        dropout=0.1,
        attention_dropout=None,
        max_sequence_length=512,
        num_segments=2,
        tokenizer=None,
        dtype=None,
        **kwargs,
    ):
        vocabulary_size = whole_number("vocabulary_size", vocabulary_size, maximum=MAX_PIECES)
        num_layers = whole_number("num_layers", num_layers, maximum=MAX_LAYERS)
        hidden_dim = whole_number("hidden_dim", hidden_dim, maximum=MAX_WIDTH)
        num_heads = whole_number("num_heads", num_heads, maximum=hidden_dim)
        intermediate_dim = whole_number("intermediate_dim", intermediate_dim, maximum=MAX_WIDTH)
        max_sequence_length = whole_number("max_sequence_length", max_sequence_length, maximum=MAX_WIDTH)
        num_segments = whole_number("num_segments", num_segments)
        dropout = dropout_rate("dropout", dropout)
        if attention_dropout is not None:
            attention_dropout = dropout_rate("attention_dropout", attention_dropout)
        if hidden_dim % num_heads:
            raise InputError(
                f"`hidden_dim` must be a multiple of `num_heads`. Received: hidden_dim={hidden_dim}, "
                f"num_heads={num_heads}."
            )
        rows = vocabulary_size + max_sequence_length + num_segments
        parameters = hidden_dim * (rows + num_layers * (4 * hidden_dim + 2 * intermediate_dim))
        if parameters > MAX_PARAMETERS:
            raise InputError(
                f"The encoder would have about {parameters:,} parameters. Expected: at most {MAX_PARAMETERS:,}. "
                "Lower its sizes."
            )
        if tokenizer is not None and tokenizer.has_vocabulary and tokenizer.vocabulary_size() != vocabulary_size:
            raise ValueError(
                "The tokenizer's vocabulary does not fit the encoder. Expected: vocabulary_size="
                f"{vocabulary_size} pieces. Received: a tokenizer of {tokenizer.vocabulary_size()} pieces."
            )
        reject_rematerialization(type(self))
        # === Layers ===
        self.token_embedding = keras.layers.ReversibleEmbedding(
            vocabulary_size,
            hidden_dim,
            embeddings_initializer=initializer(),
            reverse_dtype="float32",  # the heads' logits, under every policy
            dtype=dtype,
            name="token_embedding",
        )
        self.attention_mask_layer = AttentionMask(dtype=dtype, name="attention_mask")
        self.input_embedding = InputEmbedding(
            max_sequence_length, num_segments, dropout, dtype=dtype, name="input_embedding"
        )
        self.blocks = [
            EncoderBlock(
                num_heads,
                intermediate_dim,
                dropout,
                dropout if attention_dropout is None else attention_dropout,
                dtype=dtype,
                name=f"block_{i}",
            )
            for i in range(num_layers)
        ]

        # === Graph ===
        inputs = self.symbolic_inputs()
        attention_mask, positions = self.attention_mask_layer(inputs["padding_mask"])
        x = self.token_embedding(inputs["token_ids"])  # (B, T, D)
        x = self.input_embedding(x, inputs["segment_ids"], positions)  # (B, T, D)
        for block in self.blocks:
            x = block(x, attention_mask)  # (B, T, D)
        super().__init__(inputs=inputs, outputs={"sequence_output": x}, dtype=dtype, **kwargs)
        # The layers of the graph, also if an attribute is set to another one.
        layers = (self.attention_mask_layer, self.token_embedding, self.input_embedding, *self.blocks)
        self._graph_layers = functools.partial(tuple, layers)

        # === Config ===
        self.vocabulary_size = vocabulary_size
        self.num_layers = num_layers
        self.num_heads = num_heads
        self.hidden_dim = hidden_dim
        self.intermediate_dim = intermediate_dim
        self.dropout = dropout
        self.attention_dropout = attention_dropout
        self.max_sequence_length = max_sequence_length
        self.num_segments = num_segments
        self.tokenizer = tokenizer
        self._compiled_call = CompiledCall(self)
        self._one_call = threading.RLock()

    def embed_spans(self, texts, spans, pooling="boundary", batch_size=32):
        """Returns a vector for each span of a text, or of several; several threads may call it.

        A text that is longer than a row is read in windows that overlap by half, and each span in the window where it
        has most context. A span longer than a window is read piece by piece, each in its best window.

        Args:
            texts: str, a list of tokens, or a list of either.
            spans: list of (start, end), half-open ranges of characters (code points) of a str or of tokens; for several
                texts a list of such lists. A span means all word pieces that it touches.
            pooling: what a span's vector is made of. `"boundary"`: the vectors of its first and of its last piece, side
                by side. `"external"`: those of the pieces before and after it, from which the span boundary objective
                predicts a span (paper, section 3.2); beside a text's first and last piece these are [CLS] and [SEP].
                `"mean"`: the mean over its pieces.
            batch_size: int. Rows of the longest length that are encoded at once; of shorter ones as many tokens.

        Returns:
            float32 NumPy array `(N, 2 D)`, or `(N, D)` for `"mean"`; for several texts a list of them.

        Raises:
            InputError: another pooling, a span outside its text or without a word, lists that do not fit, or an encoder
                without a tokenizer.

        Example:

        ```python
        from spanbert_keras import SpanBertEncoder, SpanBertTokenizer

        vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "Ann", "lives", "in", "Rome"]
        encoder = SpanBertEncoder(9, 1, 2, 8, 16, max_sequence_length=32, tokenizer=SpanBertTokenizer(vocabulary))
        encoder.embed_spans("Ann lives in Rome", [(0, 3), (13, 17)]).shape  # (2, 16)
        encoder.embed_spans(["Ann", "lives", "in", "Rome"], [(3, 4)], pooling="mean").shape  # (1, 8)
        ```
        """
        return embed_spans(self, texts, spans, pooling, batch_size)

    def first_vectors(self, inputs, training=None):
        """Returns the encoding of each row's first piece, [CLS], without computing the other vectors of the last block.

        Args:
            inputs: dict, as for a call.
            training: bool or `None`. As for a call.

        Returns:
            float `(B, 1, D)`, in the compute dtype; `None` if a call has effects that would be missing: of a subclass,
            of what was replaced, of losses of activations, of hooks, of scales of float8 that adapt.
        """
        mask_layer, token_embedding, input_embedding, *blocks = layers = self._graph_layers()
        known = type(self).call is SpanBertEncoder.call and is_pure(blocks[-1]) and all(map(is_plain, (self, *layers)))
        values = {name: ops.convert_to_tensor(value) for name, value in self._pick(inputs).items()}
        if not known or any(len(value.shape) != 2 for value in values.values()):
            return None
        if any(getattr(layer, "_forward_hooks", None) for layer in (self, *layers)):  # torch's
            return None
        values = {name: ops.cast(value, "int32") for name, value in values.items()}
        named = {} if training is None else {"training": training}  # an explicit `None` would hide the outer call's
        with keras.name_scope(self.name):
            attention_mask, positions = mask_layer(values["padding_mask"])
            x = token_embedding(values["token_ids"])  # (B, T, D)
            x = input_embedding(x, values["segment_ids"], positions, **named)  # (B, T, D)
            for block in blocks[:-1]:
                x = block(x, attention_mask, **named)  # (B, T, D)
            return blocks[-1](x, attention_mask, first_only=True, **named)  # (B, 1, D)

    def set_attention(self, kind):
        """Sets how the blocks compute attention in training: see `SelfAttention`. Not saved with the model.

        Call it before `fit`, which keeps what it has compiled.

        Args:
            kind: `"auto"`, `"reference"` or `"fused"`.

        Raises:
            InputError: another kind, or `"fused"` with float16.
        """
        one_of("attention", kind, KINDS)
        is_fused(kind, self.compute_dtype, True)
        for block in self.blocks:
            block.attention.attention = kind

    def set_recompute(self, kind):
        """Sets what the blocks compute again for the gradient: see `EncoderBlock`. Not saved with the model.

        Call it before `fit`, which keeps what it has compiled.

        Args:
            kind: `"none"`, `"attention"` or `"blocks"`.

        Raises:
            InputError: another kind.
        """
        one_of("recompute", kind, RECOMPUTE)
        for block in self.blocks:
            block.recompute = kind

    def saved_apart(self):
        return () if self.tokenizer is None else (self.tokenizer,)

    def restore_layer_state(self, state):
        super().restore_layer_state(state)
        layers = [layer for layer in self._flatten_layers(include_self=False) if layer.weights]
        adapted = [place for place, layer in enumerate(layers) if getattr(layer, "lora_enabled", False)]
        if adapted:  # what keras-hub's `save_lora_weights` needs to know
            self._lora_enabled_layers, self._lora_rank = adapted, layers[adapted[0]].lora_rank

    def get_config(self):
        # Not keras-hub's own: it writes quantized layers as a dtype policy map, and in doing so changes their policies.
        return self.layer_state() | {
            "name": self.name,
            "trainable": self.trainable,
            "dtype": keras.dtype_policies.serialize(plain_policy(self.dtype_policy)),
            "vocabulary_size": self.vocabulary_size,
            "num_layers": self.num_layers,
            "num_heads": self.num_heads,
            "hidden_dim": self.hidden_dim,
            "intermediate_dim": self.intermediate_dim,
            "dropout": self.dropout,
            "attention_dropout": self.attention_dropout,
            "max_sequence_length": self.max_sequence_length,
            "num_segments": self.num_segments,
            "tokenizer": None if self.tokenizer is None else keras.saving.serialize_keras_object(self.tokenizer),
        }

    @classmethod
    def from_config(cls, config):
        config = without_policy_map(dict(config))
        if isinstance(config.get("tokenizer"), dict):
            config["tokenizer"] = keras.saving.deserialize_keras_object(config["tokenizer"])
        return super().from_config(config)

    @classmethod
    def from_preset(cls, preset, load_weights=True, **kwargs):
        """Makes an encoder from an architecture's name or a preset directory, with its tokenizer.

        Args:
            preset: str or path. `"tiny"`, `"small"`, `"base"` or `"large"`: an architecture, which has no weights;
                otherwise a Hugging Face folder or name (`hf://SpanBERT/spanbert-base-cased`), or anything that
                `keras_hub.models.Backbone.from_preset` takes, e.g. a folder that `save_to_preset` wrote. Other
                checkpoints: `load_pretrained`.
            load_weights: bool. Must be `False` for an architecture's name: its weights are random.
            **kwargs: arguments of the constructor that replace the preset's.

        Raises:
            ValueError: weights were requested for the name of an architecture.
            InputError: the checkpoint cannot be used.
        """
        if preset in ARCHITECTURES:
            if load_weights:
                raise ValueError(
                    f"`{preset}` names an architecture and has no weights. Pass load_weights=False for random ones, "
                    "or the path of a preset directory or of published weights."
                )
            return cls(**(dict(ARCHITECTURES[preset]) | kwargs))
        preset = os.fspath(preset)
        for convert in cls.converters:
            converted = convert(preset, load_weights, kwargs)
            if converted is not None:
                return converted
        encoder = super().from_preset(preset, load_weights=load_weights, **kwargs)
        if encoder.tokenizer is not None and not encoder.tokenizer.has_vocabulary:
            encoder.tokenizer.load_preset_assets(preset)
        return encoder

    def save_to_preset(self, preset_dir, max_shard_size=10):
        """Writes a keras-hub preset directory: configuration, weights and tokenizer.

        Args:
            preset_dir: str. The directory; created if missing.
            max_shard_size: float. Largest weights file, in GB.
        """
        super().save_to_preset(os.fspath(preset_dir), max_shard_size=max_shard_size)
        if self.tokenizer is not None:
            self.tokenizer.save_to_preset(os.fspath(preset_dir))
        write_checksums(preset_dir, PRESET_FILES)


SpanBertTokenizer.backbone_cls = SpanBertEncoder
