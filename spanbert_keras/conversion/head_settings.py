"""The settings of a task's model in Hugging Face's files: read from them, and written to `config.json`.

`tasks.py` says which function is of which task. What a source says is taken from there; what it leaves open has the
encoder's maximum or the value that its own programs use, and a note.
"""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

from spanbert_keras.conversion.foreign_keys import read_settings
from spanbert_keras.errors import InputError

CLASSIFIER = "BertForSequenceClassification"
PROBLEM_TYPES = {  # transformers' words and ours
    "single_label_classification": "single_label",
    "multi_label_classification": "multi_label",
    "regression": "regression",
}
# Classes of transformers whose head is a `classifier` too, but of something else than a text.
OTHER_CLASSIFIERS = {
    "BertForTokenClassification": "labels each token",
    "BertForMultipleChoice": "scores each of several choices",
}
NO_LENGTH = 1e20  # transformers writes 1e30 as the length of a tokenizer that has none
THRESHOLD = 0.5
READING = {
    "input_order": "question_first",
    "stride": 128,
    "max_question_pieces": 64,
    "max_answer_pieces": 30,
    "no_answer_threshold": None,
    "special_tokens_in_text": False,
}


@dataclasses.dataclass
class HeadSettings:
    """What a folder says about the head beside its encoder.

    Attributes:
        settings: dict. Arguments of the task's model; {} if there is none.
        notes: list of str. Sentences that a user must be told.
        refusal: str. Why the head cannot be used, see `Checkpoint.refusal`.
    """

    settings: dict[str, Any] = dataclasses.field(default_factory=dict)
    notes: list[str] = dataclasses.field(default_factory=list)
    refusal: str = ""


@dataclasses.dataclass(frozen=True)
class HeadSource:
    """What the settings of a head are read from.

    Attributes:
        folder: with the tokenizer's files.
        config: dict. What `config.json` holds; {} without one.
        tensors: dict of arrays under canonical names.
        positions: int. The encoder's `max_sequence_length`.
        wants_classifier: bool. Whether a model that classifies texts is asked for.
    """

    folder: Path
    config: dict[str, Any]
    tensors: dict[str, np.ndarray]
    positions: int
    wants_classifier: bool = False

    @property
    def architectures(self) -> list[str]:
        """Names of transformers' classes that the configuration is of."""
        names = self.config.get("architectures") or ()
        return [names] if isinstance(names, str) else [str(name) for name in names]

    @property
    def other_classifier(self) -> str | None:
        """The class that the configuration is of if its classifier is of something else than a text."""
        return next((name for name in self.architectures if name in OTHER_CLASSIFIERS), None)

    @property
    def names_classifier(self) -> bool:
        """Whether the configuration is of a class with a classifier, of whatever."""
        return CLASSIFIER in self.architectures or self.other_classifier is not None

    @property
    def has_classifier(self) -> bool:
        """Whether there is a classifier, or the configuration is of a class that has one."""
        return (
            self.names_classifier
            or bool(self.config)
            and {"classifier.weight", "classifier.bias"} <= (self.tensors.keys())
        )


def read_text_classifier(source: HeadSource) -> HeadSettings | None:
    """Returns the settings of a classifier, or why it cannot be used; `None` if there is none."""
    if not source.has_classifier:
        return None
    folder, other = source.folder, source.other_classifier
    if CLASSIFIER in source.architectures:
        return _text_classifier(folder, source.config, source.tensors, source.positions)
    if other is not None:
        refusal = f"{folder} holds a {other}, which {OTHER_CLASSIFIERS[other]}: this package has no such model."
        return HeadSettings(refusal=refusal)
    if source.wants_classifier:
        return _text_classifier(folder, source.config, source.tensors, source.positions)
    return HeadSettings(
        refusal=f"{folder} holds a classifier, and its config.json does not say of what. Expected: "
        f'"architectures": ["{CLASSIFIER}"] if it classifies texts, or the kind that is wanted '
        '(kind="text_classifier", convert --model=text_classifier). Received: '
        f"{', '.join(source.architectures) or 'none'}."
    )


def classifier_still_fits(settings: dict[str, Any], source: HeadSource) -> bool:
    """Returns whether a classifier's settings in `config.json` belong to the weights beside them.

    transformers keeps them there when it trains such a folder's model further, also with other labels.
    """
    if "classifier.bias" not in source.tensors or source.other_classifier is not None:
        return False
    named, pooled = CLASSIFIER in source.architectures, "bert.pooler.dense.weight" in source.tensors
    if named and pooled and settings.get("pooler") is False:
        return False
    described = label_settings(settings)
    return all(source.config.get(key) in (None, described[key]) for key in ("id2label", "problem_type"))


def read_question_answerer(source: HeadSource) -> HeadSettings | None:
    """Returns the settings of `BertForQuestionAnswering`; `None` if there is none."""
    if source.has_classifier or "qa_outputs.weight" not in source.tensors:
        return None
    return _question_answerer(source.folder, source.positions)


def _text_classifier(folder: Path, config: dict, tensors: dict[str, np.ndarray], positions: int) -> HeadSettings:
    """Returns the settings of `BertForSequenceClassification`, as transformers understands them."""
    if "classifier.bias" not in tensors:
        return HeadSettings(notes=[f"config.json says {CLASSIFIER}, but there is no classifier: the encoder is taken."])
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
    }
    if problem == "multi_label":
        notes.append(f"No file says which probability a label must reach: {THRESHOLD} is taken (`threshold`).")
    notes.append(
        "It is taken for a classifier of texts. Of a relation extractor (kind `relation_extractor`) the markers of "
        'entities are not in such a folder, nor is its `feature_mode`, which is taken for "ner": the markers must be '
        "set before it reads."
    )
    return HeadSettings(settings, [*notes, note])


def _problem_type(config: dict, classes: int, notes: list[str]) -> str:
    """Returns what the logits are, by transformers' rules.

    Raises:
        InputError: an unknown type, or one that makes no sense with this number of outputs.
    """
    given = config.get("problem_type")
    if given is None:
        if classes > 1:
            return "single_label"
        notes.append(
            "config.json has no problem_type: its one output is taken for a number (regression), as in transformers' "
            "loss. For the logit of a label set it to multi_label_classification."
        )
        return "regression"
    if not isinstance(given, str) or given not in PROBLEM_TYPES:
        raise InputError(f"its config.json says problem_type={given!r}. Expected: {', '.join(PROBLEM_TYPES)} or null.")
    if given == "single_label_classification" and classes == 1:
        raise InputError(
            "its config.json says problem_type='single_label_classification' for one output, whose softmax is always "
            "1. Expected: two labels at least; for one output regression or multi_label_classification."
        )
    return PROBLEM_TYPES[given]


def _labels(config: dict, classes: int, notes: list[str]) -> list[str]:
    """Returns the names of the outputs; transformers' own where `config.json` has none.

    Raises:
        InputError: there are more or fewer of them than outputs, or one is there twice.
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
            notes.append(f"config.json names no labels (id2label): they are called {labels[0]} to {labels[-1]}.")
        return labels
    if not isinstance(names, dict) or set(names) != {str(i) for i in range(classes)}:
        shown = ", ".join(map(str, names))[:60] if isinstance(names, dict) else repr(names)[:60]
        raise InputError(
            f"id2label of its config.json must name the {classes} outputs of classifier.bias, from 0 to {classes - 1}. "
            f"Received: {shown or 'no names'}."
        )
    labels = [str(names[str(i)]) for i in range(classes)]
    if len(set(labels)) < classes:
        raise InputError(f"id2label of its config.json must be different names. Received: {', '.join(labels)[:80]}.")
    if config.get("label2id") not in (None, {label: i for i, label in enumerate(labels)}):
        notes.append("label2id of config.json contradicts id2label, which counts, as in transformers' predictions.")
    return labels


def _question_answerer(folder: Path, positions: int) -> HeadSettings:
    """Returns the settings of `BertForQuestionAnswering`, which its folder does not have but for a length."""
    length, note = row_length(folder, positions)
    reading = (
        "Such a folder does not say how a question and its context are read: the question stands first and has up to "
        f"{READING['max_question_pieces']} pieces, windows begin every {READING['stride']} pieces, answers have up to "
        f"{READING['max_answer_pieces']} pieces, and without a `no_answer_threshold` there is always an answer."
    )
    return HeadSettings({"window_length": length, **READING}, [note, reading])


def row_length(folder: Path, positions: int) -> tuple[int, str]:
    """Returns the number of pieces in the longest row of a fine-tuned model, and a sentence on where it is from.

    `model_max_length` of `tokenizer_config.json` comes first, as in transformers; then `truncation` of
    `tokenizer.json`; then what the encoder reads.

    Raises:
        InputError: a length is not a positive number.
    """
    config = read_settings(folder / "tokenizer_config.json") or {}
    key = "max_len" if "model_max_length" not in config else "model_max_length"
    truncation = (read_settings(folder / "tokenizer.json") or {}).get("truncation")
    of_truncation = truncation.get("max_length") if isinstance(truncation, dict) else None
    told = [(config.get(key), f"tokenizer_config.json ({key})"), (of_truncation, "tokenizer.json (truncation)")]
    for value, where in told:
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int | float) or not value >= 1:
            raise InputError(f"{folder}: the length in {where} must be a positive number. Received: {value!r}.")
        if value >= NO_LENGTH:
            continue
        length = min(int(value), positions)
        short = f", and the encoder reads {positions}" if value > positions else ""
        return length, f"Rows have up to {length} pieces: {where} says {int(value)}{short}."
    return positions, f"No file says how long a row may be: rows have up to {positions} pieces, all that is encoded."


def label_settings(settings: dict[str, Any]) -> dict[str, Any]:
    """Returns how transformers describes a classifier's labels.

    Args:
        settings: dict. Arguments of the classifier; those of an earlier version lack `problem_type`.
    """
    labels = settings["labels"] or ["LABEL_0"]
    problem = settings.get("problem_type") or ("single_label" if settings["labels"] else "regression")
    return {
        "id2label": {str(i): label for i, label in enumerate(labels)},
        "label2id": {label: i for i, label in enumerate(labels)},
        "problem_type": next(theirs for theirs, ours in PROBLEM_TYPES.items() if ours == problem),
    }


def classifier_config(settings: dict[str, Any]) -> dict[str, Any]:
    """Returns what transformers' `config.json` says of a classifier.

    Args:
        settings: dict. Arguments of the classifier.
    """
    return label_settings(settings) | {"classifier_dropout": settings.get("dropout")}
