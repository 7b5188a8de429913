"""Texts and pairs of texts for the classifier. Shape letters: E examples, T tokens, C classes."""

from typing import ClassVar

import keras
import keras_hub

from spanbert_keras.errors import InputError
from spanbert_keras.preprocessing.examples.given_texts import given_list, text_columns
from spanbert_keras.preprocessing.preprocessors.labelled_rows import LabelledRows, label_array
from spanbert_keras.preprocessing.preprocessors.task_preprocessor import TaskPreprocessor
from spanbert_keras.preprocessing.text_pairs import TextPairs


@keras.saving.register_keras_serializable(package="spanbert_keras")
class SpanBertTextClassifierPreprocessor(TaskPreprocessor, keras_hub.models.TextClassifierPreprocessor):
    """Turns texts, or pairs of texts, and their labels into what `SpanBertTextClassifier` computes with.

    Args:
        tokenizer: `SpanBertTokenizer`. `None`: the model's.
        labels: sequence of str. The classes, in the order of the logits, or names of a regression's numbers.
        row_length: int. Longest row, in word pieces; the end of a longer text is cut. Defaults to `128`.
        takes_pairs: bool. Whether only pairs are accepted, or only single texts. Default: both are.
        problem_type: str. `"single_label"`, `"multi_label"` or `"regression"`. Default: single label, or regression
            without labels.
        num_segments: int. Number of segments of the encoder. Defaults to `2`.

    Settings that are not given are those of the model, if the preprocessor belongs to one.

    Call arguments:
        x: list or array of E str, or of E pairs of str; or a tuple of two such lists, the first and the second texts.
        y: what each text should get; see `label_array`. `None`: texts without labels.
        sample_weight: float `(E,)` or `None`.

    Returns:
        x, (x, y) or (x, y, sample_weight): x a dict of `token_ids`, `segment_ids` and `padding_mask`, int32 `(E, T)`;
        y class numbers, int32 `(E,)`, or float32 `(E, C)`.

    Raises:
        InputError: a text is not a str, texts and pairs are mixed, or a label is unknown.

    Example:

    ```python
    from spanbert_keras import SpanBertTextClassifierPreprocessor, SpanBertTokenizer

    tokenizer = SpanBertTokenizer(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "moving", "dull", "film"])
    preprocessor = SpanBertTextClassifierPreprocessor(tokenizer, labels=["bad", "good"])
    x, y = preprocessor(["a dull film", "a moving film"], ["bad", "good"])
    x["token_ids"][:, :5]  # [[2, 5, 7, 8, 3], [2, 5, 6, 8, 3]]
    y  # [0, 1]
    ```

    Reference: Joshi et al., 2020, section 4.1; Devlin et al., 2019, section 4.1.
    """

    defaults: ClassVar = {
        "labels": (),
        "row_length": 128,
        "takes_pairs": None,
        "problem_type": None,
        "num_segments": 2,
    }

    def __init__(
        self,
        tokenizer=None,
        labels=None,
        row_length=None,
        takes_pairs=None,
        problem_type=None,
        num_segments=None,
        **kwargs,
    ):
        settings = {
            "labels": None if labels is None else list(labels),
            "row_length": row_length,
            "takes_pairs": takes_pairs,
            "problem_type": problem_type,
            "num_segments": num_segments,
        }
        super().__init__(tokenizer, settings, **kwargs)

    def rows(self, x, y=None, sample_weight=None) -> LabelledRows:
        """Returns a row for each text or pair, with its label; see the call arguments."""
        settings = self.settings
        if isinstance(x, tuple) and len(x) == 2 and not any(isinstance(column, str) for column in x):
            firsts, seconds = (given_list(column, "x")[0] for column in x)
            if len(firsts) != len(seconds):
                raise InputError(
                    f"There must be a second text for each first one. Expected: {len(firsts)}. "
                    f"Received: {len(seconds)}."
                )
            x = list(zip(firsts, seconds, strict=True))
        given, _ = given_list(x, "x", "a list of str or of pairs of them", (str,))
        firsts, seconds = text_columns(given)
        if given and settings["takes_pairs"] not in (None, seconds is not None):
            kinds = {True: "pairs of texts", False: "single texts"}
            raise InputError(
                f"This model classifies {kinds[settings['takes_pairs']]}. Received: {kinds[seconds is not None]}."
            )
        pairs = TextPairs(self.tokenizer, settings["row_length"], settings["num_segments"])
        labels = None if y is None else label_array(y, settings["labels"], self.problem_type)
        return LabelledRows(pairs.rows(firsts, seconds), labels, len(settings["labels"]) or 1, sample_weight)

    @property
    def problem_type(self) -> str:
        """What the labels are; see the class."""
        return self.settings["problem_type"] or ("single_label" if self.settings["labels"] else "regression")

    def target_spec(self, x, y):
        import tensorflow as tf

        if y is None:
            return None
        if self.problem_type == "single_label" and (len(y.shape) == 1 or y.shape[1] == 1):
            return tf.TensorSpec((None,), tf.int32)
        return tf.TensorSpec((None, len(self.settings["labels"]) or 1), tf.float32)
