"""The pre-training model. Shape letters: B batch, T tokens, M masked positions, D hidden_dim, V vocabulary."""

from typing import ClassVar

import keras
from keras import ops

from spanbert_keras.layers.masked_lm_head import MaskedLMHead
from spanbert_keras.layers.saving.saved_state import without_policy_map
from spanbert_keras.layers.span_boundary_head import SpanBoundaryHead
from spanbert_keras.losses.span_bert_loss import span_bert_loss, target_losses
from spanbert_keras.models.fill_spans import fill_spans
from spanbert_keras.models.named_targets import sum_over_replicas
from spanbert_keras.models.task_model import TaskModel
from spanbert_keras.preprocessing.preprocessors.masked_text_rows import MaskedTextRows
from spanbert_keras.preprocessing.preprocessors.pretrainer_preprocessor import SpanBertPretrainerPreprocessor


@keras.saving.register_keras_serializable(package="spanbert_keras")
class SpanBertPretrainer(TaskModel):
    """Encoder, masked-LM head and span-boundary head: the model that pre-training trains.

    A functional model. Both heads share the encoder's embedding layer, each has its own vocabulary bias, and they
    compute logits at the masked positions only.

    `fit` takes texts: it cuts and packs them, and masks other spans in every epoch; see
    `SpanBertPretrainerPreprocessor`. It also takes the dict that `SpanMasker` returns; the targets in it (`mask_ids`,
    `mask_weights`, `span_weights`) are found by name. A `sample_weight` `(B,)` scales the losses of a row; the sum is
    still divided by the number of targets, on several replicas of a strategy by that of all of them.
    `compile(loss={"masked_lm": ...})` uses Keras' losses instead; see `NamedTargets`.

    Args:
        encoder: `SpanBertEncoder`.
        max_span_positions: int. Rows of the head's position table, in pieces. Defaults to `15` (released recipe).
        position_dim: int. Width of its vectors. Defaults to `200` (paper, section 4.2).
        sbo_weight: float. Weight of the SBO in the loss. Defaults to `1.0` (section 3.2).
        loss_normalization: `"targets"` (section 3.2) or `"separate"` (the released code's); see `span_bert_loss`.
        **kwargs: `preprocessor`, `dtype`, `name`, `trainable`; `backbone` means `encoder`. See `TaskModel`.

    Call arguments:
        token_ids, segment_ids, padding_mask: int32 `(B, T)`. See `SpanBertEncoder`.
        mask_positions, left_positions, right_positions, span_offsets: int32 `(B, M)`. See `SpanMasker`.

    Returns:
        `{"masked_lm": (B, M, V), "span_boundary": (B, M, V)}`, float32 logits.

    Raises:
        ValueError: an input or a target is missing.

    Example:

    ```python
    from spanbert_keras import SpanBertEncoder, SpanBertPretrainer, SpanBertTokenizer

    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefgh"]
    tokenizer = SpanBertTokenizer(vocabulary)
    encoder = SpanBertEncoder(len(vocabulary), 1, 2, 8, 16, max_sequence_length=32, tokenizer=tokenizer)
    pretrainer = SpanBertPretrainer(encoder, position_dim=4)
    pretrainer.fit(["a b c d e f g h", "h g f e d c b a"], epochs=2, verbose=0)
    pretrainer.fill_spans("a b [MASK] d")  # the text, with a piece in place of [MASK]
    ```

    Reference: Joshi et al., 2020, section 3.
    """

    preprocessor_cls = SpanBertPretrainerPreprocessor
    input_keys = MaskedTextRows.input_keys
    target_keys = ("mask_ids", "mask_weights", "span_weights")
    target_of: ClassVar = {"masked_lm": "mask_ids", "span_boundary": "mask_ids"}
    weight_of: ClassVar = {"masked_lm": "mask_weights", "span_boundary": "span_weights"}

    functional = True
    needs_tokenizer = False  # unless it is given texts
    default_learning_rate = 1e-4  # section 4.2

    def __init__(
        self,
        encoder=None,
        max_span_positions=15,
        position_dim=200,
        sbo_weight=1.0,
        loss_normalization="targets",
        **kwargs,
    ):
        encoder = self.only_encoder(encoder, kwargs)
        dtype = kwargs.pop("dtype", None) or encoder.dtype_policy
        # === Layers ===
        masked_lm_head = MaskedLMHead(encoder.token_embedding, dtype=dtype, name="masked_lm_head")
        span_boundary_head = SpanBoundaryHead(
            encoder.token_embedding, max_span_positions, position_dim, dtype=dtype, name="span_boundary_head"
        )

        # === Graph ===
        def head(sequence, inputs):  # (B, T, D)
            borders = (inputs["left_positions"], inputs["right_positions"], inputs["span_offsets"])
            return {
                "masked_lm": masked_lm_head(sequence, inputs["mask_positions"]),  # (B, M, V)
                "span_boundary": span_boundary_head(sequence, *borders),  # (B, M, V)
            }

        super().__init__(encoder, head, dtype, **kwargs)

        # === Config ===
        self.masked_lm_head = masked_lm_head
        self.span_boundary_head = span_boundary_head
        self.max_span_positions = max_span_positions
        self.position_dim = position_dim
        self.sbo_weight = sbo_weight
        self.loss_normalization = loss_normalization
        self.loss_trackers = {
            name: keras.metrics.Mean(name=name)
            for name in ("masked_lm_loss", "span_boundary_loss", "masked_lm_accuracy", "span_boundary_accuracy")
        }

    def preprocessor_settings(self):
        return {
            "max_sequence_length": self.encoder.max_sequence_length,
            "max_span_positions": self.max_span_positions,
        }

    def fill_spans(self, text):
        """Returns `text`, or each of a list of texts, with its [MASK] filled in; see `models.fill_spans.fill_spans`."""
        return fill_spans(self, text)

    def own_loss(self, outputs, batch, row_weights):
        """Returns the loss of a batch, divided by the targets of all replicas; see `span_bert_loss`."""
        weights = {name: ops.cast(batch[self.weight_of[name]], "float32") for name in outputs}
        losses = {}
        for name, logits in outputs.items():
            losses[name] = target_losses(logits, batch["mask_ids"])
            correct = ops.equal(ops.argmax(logits, axis=-1), ops.cast(batch["mask_ids"], "int32"))
            self.loss_trackers[f"{name}_loss"].update_state(losses[name], sample_weight=weights[name])
            self.loss_trackers[f"{name}_accuracy"].update_state(
                ops.cast(correct, "float32"), sample_weight=weights[name]
            )
        counts = sum_over_replicas([ops.sum(weights["masked_lm"]), ops.sum(weights["span_boundary"])])
        if row_weights is not None:
            rows = ops.reshape(ops.cast(row_weights, "float32"), (-1, 1))  # (B, 1)
            weights = {name: weight * rows for name, weight in weights.items()}
        return span_bert_loss(
            losses["masked_lm"],
            losses["span_boundary"],
            weights["masked_lm"],
            weights["span_boundary"],
            counts,
            sbo_weight=self.sbo_weight,
            normalization=self.loss_normalization,
        )

    def get_config(self):
        return super().get_config() | {
            "max_span_positions": self.max_span_positions,
            "position_dim": self.position_dim,
            "sbo_weight": self.sbo_weight,
            "loss_normalization": self.loss_normalization,
        }

    @classmethod
    def from_config(cls, config):
        return super().from_config(without_policy_map(dict(config), ("masked_lm_head/", "span_boundary_head/")))
