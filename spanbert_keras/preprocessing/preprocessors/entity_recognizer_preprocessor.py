"""Texts with entities for the entity recognizer. Shape letters: E examples, N rows, T tokens, W span widths."""

from typing import ClassVar

import keras

from spanbert_keras.errors import InputError
from spanbert_keras.preprocessing.examples.given_entity_texts import labelled_texts
from spanbert_keras.preprocessing.preprocessors.span_label_rows import INPUTS, SpanLabelRows
from spanbert_keras.preprocessing.preprocessors.task_preprocessor import TaskPreprocessor
from spanbert_keras.preprocessing.word_windows import WordWindows


@keras.saving.register_keras_serializable(package="spanbert_keras")
class SpanBertEntityRecognizerPreprocessor(TaskPreprocessor):
    """Turns texts, and the entities in them, into what `SpanBertEntityRecognizer` computes with.

    A long text makes several overlapping rows of whole words. Each span of words is scored in the row where it has most
    context. Entities may be inside one another.

    Args:
        tokenizer: `SpanBertTokenizer`. `None`: the model's.
        labels: sequence of str. The types of entities, in the order of the classes from 1.
        row_length: int. Longest row, in word pieces. Defaults to `512`.
        max_span_width: int. W, words of the longest span. Defaults to `16`.

    Settings that are not given are those of the model, if the preprocessor belongs to one.

    Call arguments:
        x: list of E str, or of E lists of tokens; or of E dicts, or a dict of columns with E entries each. The entries
            are `text` (str) or `tokens` (list of str), and `entities`, if these are not in `y`.
        y: for each example the list of its entities, (start, end, label) each, or dicts with these: half-open places of
            characters in a str, of tokens in a list of them. `None`: the entities in `x`, or none.
        sample_weight: float `(E,)` or `None`. Weight of each text, and so of its rows.

    Returns:
        x, (x, y) or (x, y, sample_weight): x a dict of `token_ids`, `segment_ids`, `padding_mask`, `word_starts` and
        `word_ends`, int32 `(N, T)`; y a dict of `span_labels`, int32 `(N, T, W)`, 0 for "no entity", and
        `span_weights`, float32 `(N, T, W)`; sample_weight float32 `(N,)`.

    Raises:
        InputError: a text has no words, an entity is outside of its text, or a label is unknown.

    Example:

    ```python
    from spanbert_keras import SpanBertEntityRecognizerPreprocessor, SpanBertTokenizer

    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "Ann", "lives", "in", "Os", "##lo"]
    preprocessor = SpanBertEntityRecognizerPreprocessor(
        SpanBertTokenizer(vocabulary), labels=["PER", "LOC"], max_span_width=2
    )
    x, y = preprocessor(["Ann lives in Oslo"], [[(0, 3, "PER"), (13, 17, "LOC")]])
    x["word_ends"][0, :4]  # [1, 2, 3, 5]
    y["span_labels"][0, :4, 0]  # [1, 0, 0, 2]
    ```

    Reference: Zhong and Chen, 2021.
    """

    defaults: ClassVar = {"labels": (), "row_length": 512, "max_span_width": 16}

    def __init__(self, tokenizer=None, labels=None, row_length=None, max_span_width=None, **kwargs):
        settings = {
            "labels": None if labels is None else list(labels),
            "row_length": row_length,
            "max_span_width": max_span_width,
        }
        super().__init__(tokenizer, settings, **kwargs)

    def rows(self, x, y=None, sample_weight=None) -> SpanLabelRows:
        """Returns the rows of each text, with the classes of their spans; see the call arguments."""
        texts, entities = labelled_texts(x, y)
        settings = self.settings
        windows = WordWindows(self.tokenizer, settings["row_length"], settings["max_span_width"])
        return SpanLabelRows(texts, entities, settings["labels"], windows, sample_weight)

    def row_spec(self):
        """Returns the `tf.TensorSpec` of each input in a `tf.data` pipeline."""
        import tensorflow as tf

        return {key: tf.TensorSpec((None, None), tf.int32) for key in INPUTS}

    def target_spec(self, x, y):
        if y is None and not (hasattr(x, "keys") and "entities" in x):
            return None
        raise InputError(
            "Lists of entities are not tensors, of which a `tf.data.Dataset` is made. Expected: lists, as in "
            "`fit(texts, entities)`. Received: a pipeline of tensors."
        )
