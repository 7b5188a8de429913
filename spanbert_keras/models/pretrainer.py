"""The pre-training model.

Shape letters: B batch, T tokens, M masked positions, P pairs of a row, D hidden_dim, V vocabulary.
"""

from typing import ClassVar

import keras
from keras import ops

from spanbert_keras.arguments import one_of, real_number
from spanbert_keras.layers.masked_lm_head import MaskedLMHead
from spanbert_keras.layers.next_sentence_head import NextSentenceHead
from spanbert_keras.layers.saving.saved_state import without_policy_map
from spanbert_keras.layers.span_boundary_head import SpanBoundaryHead
from spanbert_keras.losses.next_sentence_loss import next_sentence_loss
from spanbert_keras.losses.span_bert_loss import NORMALIZATIONS, span_bert_loss, target_losses, targets_hit
from spanbert_keras.models.bucketed_prediction import BucketedPrediction
from spanbert_keras.models.fill_spans import fill_spans
from spanbert_keras.models.named_targets import sum_over_replicas
from spanbert_keras.preprocessing.preprocessors.masked_text_rows import MaskedTextRows
from spanbert_keras.preprocessing.preprocessors.pretrainer_preprocessor import SpanBertPretrainerPreprocessor


@keras.saving.register_keras_serializable(package="spanbert_keras")
class SpanBertPretrainer(BucketedPrediction):
    """Encoder, masked-LM head and span-boundary head: the model that pre-training trains.

    A functional model. Both heads share the encoder's embedding layer, each has its own vocabulary bias, and they
    compute logits at the masked positions only. With `next_sentence` there is a third head, BERT's own objective on
    pairs of segments, which SpanBERT leaves out (section 3.3).

    `fit` takes texts: it cuts and packs them, and masks other spans in every epoch; see
    `SpanBertPretrainerPreprocessor`. It also takes the dict that `SpanMasker` returns; the targets in it (`mask_ids`,
    `mask_weights`, `span_weights`) are found by name. A `sample_weight` `(B,)` scales the losses of a row; the sum is
    still divided by the number of targets, on several replicas of a strategy by that of all of them.
    `compile(loss={"masked_lm": ...})` uses Keras' losses instead; see `NamedTargets`.

    With `next_sentence` the model takes batches alone, with segments 0 and 1 in `segment_ids`, `pair_positions`, and
    the targets `next_sentence_labels` (0: the second segment follows the first; 1: it is from another document) and
    `pair_weights` (1 for a pair, 0 at padding), `(B, P)` each. The mean loss of the pairs is added.

    Args:
        encoder: `SpanBertEncoder`.
        max_span_positions: int. Rows of the head's position table, in pieces. Defaults to `15` (released recipe).
        position_dim: int. Width of its vectors. Defaults to `200` (paper, section 4.2).
        sbo_weight: float. Weight of the SBO in the loss. Defaults to `1.0` (section 3.2).
        loss_normalization: `"targets"` (section 3.2) or `"separate"` (the released code's); see `span_bert_loss`.
        next_sentence: bool. Whether there is a next-sentence head. Defaults to `False` (section 3.3).
        nsp_weight: float. Weight of its loss, whose divisor is the number of pairs. Defaults to `1.0` (Devlin et al.).
        **kwargs: `preprocessor`, `dtype`, `name`, `trainable`; `backbone` means `encoder`. See `TaskModel`.

    Call arguments:
        token_ids, segment_ids, padding_mask: int32 `(B, T)`. See `SpanBertEncoder`.
        mask_positions, left_positions, right_positions, span_offsets: int32 `(B, M)`. See `SpanMasker`.
        pair_positions: int32 `(B, P)`. Column of each pair's [CLS]; only with `next_sentence`.

    Returns:
        `{"masked_lm": (B, M, V), "span_boundary": (B, M, V)}`, float32 logits; with `next_sentence` also
        `"next_sentence"` `(B, P, 2)`.

    Raises:
        ValueError: an input or a target is missing, or a model with `next_sentence` is given texts.

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

    needs_tokenizer = False  # unless it is given texts
    default_learning_rate = 1e-4  # section 4.2

    def __init__(
        self,
        encoder=None,
        max_span_positions=15,
        position_dim=200,
        sbo_weight=1.0,
        loss_normalization="targets",
        next_sentence=False,
        nsp_weight=1.0,
        **kwargs,
    ):
        encoder = self.only_encoder(encoder, kwargs)
        sbo_weight = real_number("sbo_weight", sbo_weight, minimum=0)
        nsp_weight = real_number("nsp_weight", nsp_weight, minimum=0)
        one_of("loss_normalization", loss_normalization, NORMALIZATIONS)
        dtype = kwargs.pop("dtype", None) or encoder.dtype_policy
        if next_sentence:
            self._take_pairs()
        # === Layers ===
        masked_lm_head = MaskedLMHead(encoder.token_embedding, dtype=dtype, name="masked_lm_head")
        span_boundary_head = SpanBoundaryHead(
            encoder.token_embedding, max_span_positions, position_dim, dtype=dtype, name="span_boundary_head"
        )
        next_sentence_head = NextSentenceHead(dtype=dtype, name="next_sentence_head") if next_sentence else None

        # === Graph ===
        def head(sequence, inputs):  # (B, T, D)
            borders = (inputs["left_positions"], inputs["right_positions"], inputs["span_offsets"])
            outputs = {
                "masked_lm": masked_lm_head(sequence, inputs["mask_positions"]),  # (B, M, V)
                "span_boundary": span_boundary_head(sequence, *borders),  # (B, M, V)
            }
            if next_sentence_head is not None:
                outputs["next_sentence"] = next_sentence_head(sequence, inputs["pair_positions"])  # (B, P, 2)
            return outputs

        super().__init__(encoder, head, dtype, **kwargs)

        # === Config ===
        self.masked_lm_head = masked_lm_head
        self.span_boundary_head = span_boundary_head
        self.next_sentence_head = next_sentence_head
        self.max_span_positions = span_boundary_head.max_span_positions
        self.position_dim = span_boundary_head.position_dim
        self.sbo_weight = sbo_weight
        self.loss_normalization = loss_normalization
        self.next_sentence = bool(next_sentence)
        self.nsp_weight = nsp_weight
        names = (f"{head}_{kind}" for kind in ("loss", "accuracy") for head in self.target_of)
        self.loss_trackers = {name: keras.metrics.Mean(name=name) for name in names}

    def _take_pairs(self):
        """Adds the input and the targets of the next-sentence head to those of the class."""
        kind = type(self)
        self.input_keys = (*kind.input_keys, "pair_positions")
        self.target_keys = (*kind.target_keys, "next_sentence_labels", "pair_weights")
        self.target_of = kind.target_of | {"next_sentence": "next_sentence_labels"}
        self.weight_of = kind.weight_of | {"next_sentence": "pair_weights"}

    def is_raw(self, x):
        is_raw = super().is_raw(x)
        if is_raw and self.next_sentence:
            raise ValueError(
                f"This `{type(self).__name__}` has a next-sentence head, whose pairs of segments its preprocessor does "
                f"not make. Expected: batches with {list(self.input_keys)} and {list(self.target_keys)}, as "
                "`python -m spanbert_keras.pretrain --segments=2` makes them; or a model with next_sentence=False. "
                f"Received: {type(x).__name__}."
            )
        return is_raw

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
            targets = batch[self.target_of[name]]
            losses[name] = target_losses(logits, targets)
            self.loss_trackers[f"{name}_loss"].update_state(losses[name], sample_weight=weights[name])
            self.loss_trackers[f"{name}_accuracy"].update_state(
                targets_hit(logits, targets), sample_weight=weights[name]
            )
        counts = dict(zip(outputs, sum_over_replicas([ops.sum(weights[name]) for name in outputs]), strict=True))
        if row_weights is not None:
            rows = ops.reshape(ops.cast(row_weights, "float32"), (-1, 1))  # (B, 1)
            weights = {name: weight * rows for name, weight in weights.items()}
        loss = span_bert_loss(
            losses["masked_lm"],
            losses["span_boundary"],
            weights["masked_lm"],
            weights["span_boundary"],
            (counts["masked_lm"], counts["span_boundary"]),
            sbo_weight=self.sbo_weight,
            normalization=self.loss_normalization,
        )
        if self.next_sentence:
            of_pairs = (part["next_sentence"] for part in (losses, weights, counts))
            loss = loss + self.nsp_weight * next_sentence_loss(*of_pairs)
        return loss

    def get_config(self):
        config = super().get_config() | {
            "max_span_positions": self.max_span_positions,
            "position_dim": self.position_dim,
            "sbo_weight": self.sbo_weight,
            "loss_normalization": self.loss_normalization,
        }
        # Without the head a file is as earlier versions wrote and read it.
        return config | ({"next_sentence": True, "nsp_weight": self.nsp_weight} if self.next_sentence else {})

    @classmethod
    def from_config(cls, config):
        return super().from_config(without_policy_map(dict(config), ("masked_lm_head/", "span_boundary_head/")))
