"""Settings of a task's model in Hugging Face's files: read from them, and written to `config.json`.

`tasks.py` assigns these functions to tasks. Settings that the source does not specify get the encoder's maximum or the
value that the source's own programs use, and a note.
"""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

from spanbert_keras.conversion.foreign_keys import read_settings
from spanbert_keras.errors import InputError

CLASSIFIER = "BertForSequenceClassification"
PROBLEM_TYPES = {  # transformers' names and ours
    "single_label_classification": "single_label",
    "multi_label_classification": "multi_label",
    "regression": "regression",
}
# Classes of transformers whose head is called `classifier` too, but does not classify whole texts.
OTHER_CLASSIFIERS = {
    "BertForTokenClassification": "labels each token",
    "BertForMultipleChoice": "scores each of several choices",
}
NO_LENGTH = 1e20  # transformers writes 1e30 for a tokenizer without a maximum length
THRESHOLD = 0.5
READING = {
    "input_order": "question_first",
    "stride": 128,
    "max_question_pieces": 64,
    "max_answer_pieces": 30,
    "no_answer_threshold": None,
    "special_tokens_in_text": False,
    "temperature": 1.0,
}


@dataclasses.dataclass
class HeadSettings:
    """Settings of the head in a folder, with notes on them.

    Attributes:
        settings: dict. Arguments of the task's model; {} without a task.
        notes: list of str. Sentences to show to the user.
        refusal: str. Why the head cannot be used; see `Checkpoint.refusal`.
    """

    settings: dict[str, Any] = dataclasses.field(default_factory=dict)
    notes: list[str] = dataclasses.field(default_factory=list)
    refusal: str = ""


@dataclasses.dataclass(frozen=True)
class HeadSource:
    """What the settings of a head are read from.

    Attributes:
        folder: path. Folder of the tokenizer's files.
        config: dict. Contents of `config.json`; {} if the file is missing.
        tensors: dict of arrays by canonical names.
        positions: int. The encoder's `max_sequence_length`.
        wants_classifier: bool. Whether the user asked for a model that classifies texts.
    """

    folder: Path
    config: dict[str, Any]
    tensors: dict[str, np.ndarray]
    positions: int
    wants_classifier: bool = False

    @property
    def architectures(self) -> list[str]:
        """The classes of transformers that the configuration names."""
        names = self.config.get("architectures") or ()
        return [names] if isinstance(names, str) else [str(name) for name in names]

    @property
    def other_classifier(self) -> str | None:
        """The configuration's class if its classifier does not classify whole texts, or `None`."""
        return next((name for name in self.architectures if name in OTHER_CLASSIFIERS), None)

    @property
    def names_classifier(self) -> bool:
        """Whether the configuration names a class with a classifier of any kind."""
        return CLASSIFIER in self.architectures or self.other_classifier is not None

    @property
    def has_classifier(self) -> bool:
        """Whether there are weights of a classifier, or the configuration names a class with one."""
        return (
            self.names_classifier
            or bool(self.config)
            and {"classifier.weight", "classifier.bias"} <= (self.tensors.keys())
        )


def read_text_classifier(source: HeadSource) -> HeadSettings | None:
    """Returns the settings of a classifier or the reason why it is unusable; `None` without one."""
    if not source.has_classifier:
        return None
    folder, other = source.folder, source.other_classifier
    if CLASSIFIER in source.architectures:
        return _text_classifier(folder, source.config, source.tensors, source.positions)
    if other is not None:
        refusal = f"{folder} contains a {other}, which {OTHER_CLASSIFIERS[other]}: this package has no such model."
        return HeadSettings(refusal=refusal)
    if source.wants_classifier:
        return _text_classifier(folder, source.config, source.tensors, source.positions)
    return HeadSettings(
        refusal=f"{folder} contains a classifier, but its config.json does not say what it classifies. Expected: "
        f'"architectures": ["{CLASSIFIER}"] if it classifies texts, or an explicit kind '
        '(kind="text_classifier", convert --model=text_classifier). Received: '
        f"{', '.join(source.architectures) or 'none'}."
    )


def classifier_still_fits(settings: dict[str, Any], source: HeadSource) -> bool:
    """Returns whether a classifier's settings in `config.json` match the weights in the same folder.

    transformers keeps these settings when it trains the model further, even if the labels change.
    """
    if "classifier.bias" not in source.tensors or source.other_classifier is not None or "labels" not in settings:
        return False
    named, pooled = CLASSIFIER in source.architectures, "bert.pooler.dense.weight" in source.tensors
    if named and pooled and settings.get("pooler") is False:
        return False
    described = label_settings(settings)
    return all(source.config.get(key) in (None, described[key]) for key in ("id2label", "problem_type"))


def read_question_answerer(source: HeadSource) -> HeadSettings | None:
    """Returns the settings of `BertForQuestionAnswering`; `None` if the source has another head."""
    if source.has_classifier or "qa_outputs.weight" not in source.tensors:
        return None
    return _question_answerer(source.folder, source.positions)


def _text_classifier(folder: Path, config: dict, tensors: dict[str, np.ndarray], positions: int) -> HeadSettings:
    """Returns the settings of `BertForSequenceClassification`, by transformers' rules."""
    if "classifier.bias" not in tensors:
        note = f"config.json names {CLASSIFIER}, but there are no weights of a classifier: only the encoder is loaded."
        return HeadSettings(notes=[note])
    classes = len(tensors["classifier.bias"])
    notes: list[str] = []
    try:
        problem = _problem_type(config, classes, notes)
        labels = _labels(config, classes, notes)
    except InputError as error:
        return HeadSettings(refusal=f"{folder} cannot become a text classifier: {error}")
    length, note = row_length(folder, positions)
    dropout = config.get("classifier_dropout")
    settings = {
        "labels": [] if problem == "regression" and labels == ["LABEL_0"] else labels,
        "problem_type": problem,
        "row_length": length,
        "pooler": True,
        "dropout": config.get("hidden_dropout_prob", 0.1) if dropout is None else dropout,
        "takes_pairs": None,
        "threshold": THRESHOLD,
        "temperature": 1.0,
    }
    if problem == "multi_label":
        notes.append(f"No file specifies the probability that a label must reach: `threshold` is {THRESHOLD}.")
    notes.append(
        "It is treated as a text classifier. To use it as a relation extractor (kind `relation_extractor`), set the "
        "entity markers first: the folder contains neither them nor the `feature_mode`, which is assumed to be "
        '"ner".'
    )
    return HeadSettings(settings, [*notes, note])


def _problem_type(config: dict, classes: int, notes: list[str]) -> str:
    """Returns our name of the problem type, by transformers' rules.

    Raises:
        InputError: an unknown type, or one that makes no sense with this number of outputs.
    """
    given = config.get("problem_type")
    if given is None:
        if classes > 1:
            return "single_label"
        notes.append(
            "config.json has no problem_type: its single output is treated as a number (regression), as in "
            "transformers' loss. If it is the logit of a label, set problem_type to multi_label_classification."
        )
        return "regression"
    if not isinstance(given, str) or given not in PROBLEM_TYPES:
        raise InputError(f"its config.json says problem_type={given!r}. Expected: {', '.join(PROBLEM_TYPES)} or null.")
    if given == "single_label_classification" and classes == 1:
        raise InputError(
            "its config.json says problem_type='single_label_classification' for one output, whose softmax is always "
            "1. Expected: at least two labels, or regression or multi_label_classification for one output."
        )
    return PROBLEM_TYPES[given]


def _labels(config: dict, classes: int, notes: list[str]) -> list[str]:
    """Returns the names of the outputs; transformers' default names if `config.json` has no names.

    Raises:
        InputError: the number of names differs from the number of outputs, or a name occurs twice.
    """
    for key in ("num_labels", "_num_labels"):
        if config.get(key) not in (None, classes):
            raise InputError(
                f"its config.json says {key}={config[key]!r}, but classifier.bias has {classes} outputs. "
                "Expected: the same number."
            )
    names = config.get("id2label")
    if names is None:
        labels = [f"LABEL_{i}" for i in range(classes)]
        if classes > 1:
            notes.append(f"config.json has no label names (id2label): they are called {labels[0]} to {labels[-1]}.")
        return labels
    if not isinstance(names, dict) or set(names) != {str(i) for i in range(classes)}:
        shown = ", ".join(map(str, names))[:60] if isinstance(names, dict) else repr(names)[:60]
        raise InputError(
            f"id2label of its config.json must name the {classes} outputs of classifier.bias, from 0 to {classes - 1}. "
            f"Received: {shown or 'no names'}."
        )
    labels = [str(names[str(i)]) for i in range(classes)]
    if len(set(labels)) < classes:
        raise InputError(f"id2label of its config.json must have distinct names. Received: {', '.join(labels)[:80]}.")
    if config.get("label2id") not in (None, {label: i for i, label in enumerate(labels)}):
        notes.append("label2id of config.json contradicts id2label; id2label is used, as in transformers' predictions.")
    return labels


def _question_answerer(folder: Path, positions: int) -> HeadSettings:
    """Returns the settings of `BertForQuestionAnswering`; its folder specifies only a length."""
    length, note = row_length(folder, positions)
    reading = (
        "The folder does not specify how a question and its context are read. Assumed: the question comes first and "
        f"has up to {READING['max_question_pieces']} tokens, windows begin every {READING['stride']} tokens, answers "
        f"have up to {READING['max_answer_pieces']} tokens, and the model always answers (no `no_answer_threshold`)."
    )
    return HeadSettings({"window_length": length, **READING}, [note, reading])


def row_length(folder: Path, positions: int) -> tuple[int, str]:
    """Returns the longest row of a fine-tuned model, in tokens, and a sentence on its origin.

    `model_max_length` of `tokenizer_config.json` comes first, as in transformers; then `truncation` of
    `tokenizer.json`; then the encoder's maximum.

    Raises:
        InputError: a length is not a positive number.
    """
    config = read_settings(folder / "tokenizer_config.json") or {}
    key = "max_len" if "model_max_length" not in config else "model_max_length"
    truncation = (read_settings(folder / "tokenizer.json") or {}).get("truncation")
    of_truncation = truncation.get("max_length") if isinstance(truncation, dict) else None
    lengths = [(config.get(key), f"tokenizer_config.json ({key})"), (of_truncation, "tokenizer.json (truncation)")]
    for value, where in lengths:
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int | float) or not value >= 1:
            raise InputError(f"{folder}: the length in {where} must be a positive number. Received: {value!r}.")
        if value >= NO_LENGTH:
            continue
        length = min(int(value), positions)
        short = f", but the encoder reads at most {positions}" if value > positions else ""
        return length, f"Rows have up to {length} tokens: {where} says {int(value)}{short}."
    note = f"No file specifies the length of rows: they have up to {positions} tokens, the encoder's maximum."
    return positions, note


def label_settings(settings: dict[str, Any]) -> dict[str, Any]:
    """Returns a classifier's labels and problem type as keys of transformers' `config.json`.

    Args:
        settings: dict. Arguments of the classifier; those from an earlier version lack `problem_type`.
    """
    labels = settings["labels"] or ["LABEL_0"]
    problem = settings.get("problem_type") or ("single_label" if settings["labels"] else "regression")
    return {
        "id2label": {str(i): label for i, label in enumerate(labels)},
        "label2id": {label: i for i, label in enumerate(labels)},
        "problem_type": next(theirs for theirs, ours in PROBLEM_TYPES.items() if ours == problem),
    }


def classifier_config(settings: dict[str, Any]) -> dict[str, Any]:
    """Returns a classifier's keys of transformers' `config.json`.

    Args:
        settings: dict. Arguments of the classifier.
    """
    return label_settings(settings) | {"classifier_dropout": settings.get("dropout")}
