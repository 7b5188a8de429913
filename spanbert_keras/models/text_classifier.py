"""Classification of texts and pairs of texts. Shape letters: B batch, T tokens, C classes."""

from collections.abc import Sequence

import keras
import keras_hub

from spanbert_keras.arguments import real_number
from spanbert_keras.decoding.results import Classification
from spanbert_keras.errors import InputError, shown
from spanbert_keras.models.row_classifier import RowClassifier, numbered_labels
from spanbert_keras.preprocessing.examples.given_texts import given_list, text_columns
from spanbert_keras.preprocessing.preprocessors.text_classifier_preprocessor import SpanBertTextClassifierPreprocessor
from spanbert_keras.preprocessing.text_pairs import TextPairs


@keras.saving.register_keras_serializable(package="spanbert_keras")
class SpanBertTextClassifier(RowClassifier, keras_hub.models.TextClassifier):
    """Classifies texts, or pairs of texts: an encoder and a linear layer on [CLS].

    A functional model. One saved file holds weights, tokenizer and labels; `fit`, `predict` and `classify` take raw
    text. See `SpanBertTextClassifierPreprocessor` for the forms of texts and labels.

    Args:
        encoder: `SpanBertEncoder`, with its tokenizer.
        labels: sequence of str. The classes, in the order of the logits; of a regression the names of its numbers.
            Empty: the model predicts one number without a name (regression).
        row_length: int or `None`. Longest row, in word pieces; the end of a longer text is cut, in a pair that of the
            longer one. `None`: `128` (paper, appendix B), or the encoder's `max_sequence_length` if that is less.
        pooler: bool. Whether a dense layer with tanh precedes the linear one, as in the released code.
            Defaults to `False` (paper, section 4.1).
        dropout: float. Dropout rate before the linear layer. Defaults to `0.1`.
        takes_pairs: bool or `None`. Whether the model was trained on pairs of texts; `classify` rejects the other kind.
            `None`: it takes both.
        problem_type: `"single_label"`, a text has one of the labels (softmax of the logits, cross-entropy);
            `"multi_label"`, it may have none, one or several (a sigmoid for each, the mean of their binary
            cross-entropies); `"regression"`, one number for each label (mean squared error). `None`: single label,
            or regression without labels.
        threshold: float, from 0 to 1. With `"multi_label"`, a text has the labels whose probability is at least this.
            Defaults to `0.5`. May be set.
        temperature: float. Number that logits are divided by for probabilities: above 1 they become less sure.
            `tasks.glue.evaluate --calibrated_model` fits it. Defaults to `1.0`. May be set.
        **kwargs: `num_classes` (int) in place of `labels`: that many classes, named "0", "1" and so on; with 1, a
            regression. `preprocessor`, `dtype`, `name`, `trainable`; `backbone` is another name for `encoder`. See
            `TaskModel`.

    Call arguments:
        token_ids, segment_ids, padding_mask: int32 `(B, T)`. See `SpanBertEncoder`.

    Returns:
        `{"logits": (B, C)}`, float32; C is the number of labels, 1 without any.

    Raises:
        ValueError: duplicate labels or labels that do not fit the problem type, a threshold out of range, a row longer
            than the encoder reads, or no tokenizer.

    Example:

    ```python
    from spanbert_keras import SpanBertEncoder, SpanBertTextClassifier, SpanBertTokenizer

    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "moving", "film", "."]
    tokenizer = SpanBertTokenizer(vocabulary)
    encoder = SpanBertEncoder(len(vocabulary), 1, 2, 8, 16, max_sequence_length=32, tokenizer=tokenizer)
    classifier = SpanBertTextClassifier(encoder, labels=["negative", "positive"])
    classifier.fit(["a film .", "a moving film ."], ["negative", "positive"], epochs=2, verbose=0)
    list(classifier.classify("a moving film .").scores)  # ["negative", "positive"]
    len(classifier.classify([("a film .", "a moving film ."), ("a film", "film .")]))  # 2

    tagger = SpanBertTextClassifier(encoder, labels=["joy", "sadness"], problem_type="multi_label", threshold=0.0)
    tagger.classify("a moving film .").labels  # ("joy", "sadness")
    ```

    Reference: Joshi et al., 2020, section 4.1.
    """

    preprocessor_cls = SpanBertTextClassifierPreprocessor

    def __init__(
        self,
        encoder=None,
        labels=(),
        row_length=None,
        pooler=False,
        dropout=0.1,
        takes_pairs=None,
        problem_type=None,
        threshold=0.5,
        temperature=1.0,
        **kwargs,
    ):
        encoder = self.only_encoder(encoder, kwargs)
        labels = numbered_labels(labels, kwargs.pop("num_classes", None))
        super().__init__(encoder, labels, row_length, pooler, dropout, problem_type, temperature=temperature, **kwargs)
        self.threshold = _checked_threshold(threshold)
        self.takes_pairs = None if takes_pairs is None else bool(takes_pairs)
        self.pairs = TextPairs(encoder.tokenizer, self.row_length, encoder.num_segments)
        self.counts = {"texts": 0, "texts_cut": 0}

    def classify(self, texts: str | tuple[str, str] | Sequence, batch_size: int = 32, min_score: float | None = None):
        """Returns the class, the classes or the numbers of a text or of a pair, or of each of several; several threads
        may call it.

        The model's `counts` are the number of texts classified, and of those that were cut.

        Args:
            texts: str, or (str, str), or a list of either.
            batch_size: int. Rows of the longest length that are computed at once; of shorter ones as many tokens.
            min_score: float, from 0 to 1, or `None`. Lowest probability of a label that is given: below it `label` is
                `None` and `labels` is (). With several labels for each text it replaces the threshold.

        Returns:
            `Classification`; a list of them for a list of texts.

        Raises:
            InputError: a text is invalid or has no words, texts and pairs are mixed, the model was trained on the other
                kind, or `min_score` is not a probability.
        """
        lowest = self.lowest_score(min_score)
        given, single = given_list(texts, "texts", "a str, a pair of them, or a list of either", (str, tuple))
        firsts, seconds = text_columns(given)
        if given:
            self.check_kind(seconds is not None)
        rows = self.pairs.rows(firsts, seconds)
        empty = 2 if seconds is None else 3
        for number, row in enumerate(rows):
            if len(row) == empty:
                raise InputError(f"Text {number} has no words. Expected: text. Received: {shown(given[number])}.")
        logits = self.logits_of(rows, batch_size)
        with self._one_call:
            self.counts["texts"] += len(rows)
            self.counts["texts_cut"] += sum(row.cut for row in rows)
        if self.problem_type == "regression":
            found = [self._numbers(row) for row in logits.tolist()]
        else:
            threshold = self.threshold if min_score is None else lowest
            found = [self._named(row, lowest, threshold) for row in self.probabilities(logits)]
        return found[0] if single else found

    def reached(self, probabilities, threshold: float | None = None) -> tuple[str, ...]:
        """Returns the labels whose probability is at least the threshold; see `threshold`.

        Args:
            probabilities: float `(C,)`, of one text.
            threshold: float. `None`: the model's.
        """
        threshold = self.threshold if threshold is None else threshold
        pairs = zip(self.labels, probabilities, strict=True)
        return tuple(label for label, probability in pairs if probability >= threshold)

    def check_kind(self, pairs: bool) -> None:
        """Raises if this model was not trained on the given kind of texts.

        Args:
            pairs: bool. Whether pairs are to be classified, rather than single texts.

        Raises:
            InputError: the model was trained on the other kind.
        """
        if self.takes_pairs is not None and self.takes_pairs != pairs:
            kinds = {True: "pairs of texts", False: "single texts"}
            raise InputError(f"This model classifies {kinds[self.takes_pairs]}. Received: {kinds[pairs]}.")

    def preprocessor_settings(self):
        return {
            "labels": list(self.labels),
            "row_length": self.row_length,
            "takes_pairs": self.takes_pairs,
            "problem_type": self.problem_type,
            "num_segments": self.encoder.num_segments,
        }

    def get_config(self):
        return super().get_config() | {
            "takes_pairs": self.takes_pairs,
            "problem_type": self.problem_type,
            "threshold": self.threshold,
        }

    @classmethod
    def from_config(cls, config):
        number = config.get("num_classes")
        if number is not None and number != max(1, len(config.get("labels") or ())):
            config = config | {"labels": None, "problem_type": None}  # keras-hub's `from_preset` asks for a new head
        return super().from_config(config)

    def _named(self, row, lowest: float, threshold: float) -> Classification:
        best = int(row.argmax())
        scores = dict(zip(self.labels, row.tolist(), strict=True))
        found = self.reached(row, threshold) if self.problem_type == "multi_label" else None
        label = self.labels[best] if row[best] >= lowest else None
        return Classification(label, float(row[best]), scores, found)

    def _numbers(self, row: list[float]) -> Classification:
        scores = dict(zip(self.labels, row, strict=True)) if self.labels else {}
        return Classification(None, row[0] if len(row) == 1 else None, scores)


def _checked_threshold(threshold) -> float:
    """Returns the threshold; `ValueError` if it is not a probability."""
    return real_number("threshold", threshold, 0, 1)
