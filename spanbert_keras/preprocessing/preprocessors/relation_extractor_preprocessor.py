"""Sentences with two entities for the relation extractor. Shape letters: E examples, T tokens, C classes."""

from collections.abc import Mapping
from typing import ClassVar

import keras

from spanbert_keras.preprocessing.entity_rows import EntityRows
from spanbert_keras.preprocessing.examples.given_entities import labelled_pairs
from spanbert_keras.preprocessing.preprocessors.labelled_rows import LabelledRows, label_array
from spanbert_keras.preprocessing.preprocessors.task_preprocessor import TaskPreprocessor


@keras.saving.register_keras_serializable(package="spanbert_keras")
class SpanBertRelationExtractorPreprocessor(TaskPreprocessor):
    """Turns sentences with two entities, and their relations, into what `SpanBertRelationExtractor` computes with.

    Args:
        tokenizer: `SpanBertTokenizer`. `None`: the model's.
        labels: sequence of str. The relations, in the order of the logits.
        markers: dict from a marker's name (`SUBJ-PERSON`) to its piece (`[unused1]`).
        feature_mode: `"ner"`, `"text"`, `"text_ner"` or `"ner_text"`; see `SpanBertRelationExtractor`. Defaults to
            `"ner"`.
        row_length: int. Longest row, in word pieces; longer sentences keep what is nearest to the entities. Defaults
            to `128`.

    Settings that are not given are those of the model, if the preprocessor belongs to one.

    Call arguments:
        x: list of E `EntityPair`, or of E dicts, or a dict of columns with E entries each (in `tf.data` of tensors).
            The entries are `tokens` (list of str) or `text` (str); `subject` and `object`, half-open (start, end) of
            tokens, or of characters of a text; `subject_type` and `object_type` (str), not needed in mode `"text"`;
            and `label`, if the labels are not in `y`. Others are ignored.
        y: for each example the name or the number of its relation, or a row of C probabilities. `None`: the labels in
            `x`, or none.
        sample_weight: float `(E,)` or `None`.

    Returns:
        x, (x, y) or (x, y, sample_weight): x a dict of `token_ids`, `segment_ids` and `padding_mask`, int32 `(E, T)`;
        y class numbers, int32 `(E,)`, or float32 `(E, C)`.

    Raises:
        InputError: an example lacks an entry, an entity is out of range, its type has no marker, or a label is unknown.

    Example:

    ```python
    from spanbert_keras import SpanBertRelationExtractorPreprocessor, SpanBertTokenizer

    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[unused1]", "[unused2]", "lives", "in"]
    tokenizer = SpanBertTokenizer(vocabulary)
    preprocessor = SpanBertRelationExtractorPreprocessor(
        tokenizer, labels=["no_relation", "city"], markers={"SUBJ-PERSON": "[unused1]", "OBJ-CITY": "[unused2]"}
    )
    example = {"text": "Ann lives in Oslo", "subject": (0, 3), "object": (13, 17), "label": "city"}
    x, y = preprocessor([example | {"subject_type": "PERSON", "object_type": "CITY"}])
    x["token_ids"][:, :6]  # [[2, 5, 7, 8, 6, 3]]
    y  # [1]
    ```

    Reference: Joshi et al., 2020, section 4.1; Zhang et al., 2017 (TACRED).
    """

    defaults: ClassVar = {"labels": (), "markers": {}, "feature_mode": "ner", "row_length": 128}

    def __init__(self, tokenizer=None, labels=None, markers=None, feature_mode=None, row_length=None, **kwargs):
        settings = {
            "labels": None if labels is None else list(labels),
            "markers": None if markers is None else dict(markers),
            "feature_mode": feature_mode,
            "row_length": row_length,
        }
        super().__init__(tokenizer, settings, **kwargs)

    def rows(self, x, y=None, sample_weight=None) -> LabelledRows:
        """Returns a row for each pair of entities, with its label; see the call arguments."""
        settings = self.settings
        pairs, own_labels = labelled_pairs(x)
        y = own_labels if y is None else y
        labels = None if y is None else label_array(y, settings["labels"], "single_label")
        entities = EntityRows(self.tokenizer, settings["markers"], settings["feature_mode"], settings["row_length"])
        return LabelledRows(entities.rows(pairs), labels, len(settings["labels"]), sample_weight)

    def target_spec(self, x, y):
        import tensorflow as tf

        y = x.get("label") if y is None and isinstance(x, Mapping) else y
        if y is None:
            return None
        if len(y.shape) == 1 or y.shape[1] == 1:
            return tf.TensorSpec((None,), tf.int32)
        return tf.TensorSpec((None, len(self.settings["labels"])), tf.float32)
