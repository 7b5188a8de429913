"""The fine-tuned tasks: one entry per task holds everything that conversion needs to know about it."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
from typing_extensions import TypedDict

from spanbert_keras.conversion import head_settings
from spanbert_keras.conversion.head_settings import CLASSIFIER, HeadSettings, HeadSource
from spanbert_keras.conversion.hugging_face_names import (
    NEXT_SENTENCE,
    POOLER,
    Table,
    answer_table,
    any_in,
    classifier_table,
    coreference_table,
    entity_table,
    heads_in,
    pooler_table,
)
from spanbert_keras.errors import InputError
from spanbert_keras.files.json_files import checked
from spanbert_keras.models.coreference_resolver import SpanBertCoreferenceResolver
from spanbert_keras.models.entity_recognizer import SpanBertEntityRecognizer
from spanbert_keras.models.question_answerer import SpanBertQuestionAnswerer
from spanbert_keras.models.relation_extractor import SpanBertRelationExtractor
from spanbert_keras.models.text_classifier import SpanBertTextClassifier

SETTINGS_KEY = "spanbert_keras"  # key of config.json for the settings of a task's model; transformers preserves it
NEXT_SENTENCE_CLASSES = ("BertForNextSentencePrediction", "BertForPreTraining")


class _OwnSettings(TypedDict, total=False):
    """The settings that are used here; those of the model are checked by its constructor."""

    labels: list[str]
    problem_type: Literal[tuple(head_settings.PROBLEM_TYPES.values())] | None  # type: ignore[valid-type]
    row_length: int | None
    window_length: int | None
    segment_length: int | None


class _Config(TypedDict, total=False):
    architectures: str | list[str] | None
    spanbert_keras: _OwnSettings | None


Settings = dict[str, Any]  # arguments of a task's model besides its encoder


@dataclasses.dataclass(frozen=True)
class Task:
    """What conversion needs to know about one task.

    Attributes:
        model: class. The task's model.
        length: str. Name of the setting for the length of the model's input.
        mark: str. Name of the setting that identifies the settings of this task, see `task_of`.
        head: function. Takes the settings; returns the weights of the head.
        fits: function. Takes the task's settings in `config.json` and the source; returns whether they match the
            tensors.
        read: function. Takes a Hugging Face source without settings of ours; returns the head's settings, or `None` if
            the source is of another task.
        config: function. Takes the settings; returns further keys of `config.json`.
        architecture: function. Takes the settings; returns the equivalent class of transformers, or "".
        adopt: function. Takes another task's name, or `None` for an encoder or pretrainer, and its settings; returns
            settings of this task, or `None` if the source cannot become its model. By default {}: a new head.
        expected: str. What can become its model, for messages; "" for everything.
        classifies: bool. Whether its model is a classifier: then a classifier of unknown task is one of texts.
        reads_rows: bool. Whether the model reads one row at a time; the tokenizer's files then have its length too.
        not_a_graph: str. Why the model cannot be exported; "" if it can.
    """

    model: Any
    length: str
    mark: str
    head: Callable[[Settings], Table]
    fits: Callable[[Settings, HeadSource], bool]
    read: Callable[[HeadSource], HeadSettings | None] = lambda source: None
    config: Callable[[Settings], Settings] = lambda settings: {}
    architecture: Callable[[Settings], str] = lambda settings: ""
    adopt: Callable[[str | None, Settings], Settings | None] = lambda name, settings: {}
    expected: str = ""
    classifies: bool = False
    reads_rows: bool = True
    not_a_graph: str = ""


def in_words(kind: str) -> str:
    """Returns a kind of model with its article, for messages: "a question answerer"."""
    return f"{'an' if kind.startswith('e') else 'a'} {kind.replace('_', ' ')}"


def _classifier_head(settings: Settings) -> Table:
    return classifier_table() | (pooler_table() if settings.get("pooler") else {})


def _without_settings(table: Table, kind: str, setting: str) -> Callable[[HeadSource], HeadSettings | None]:
    """Returns a function that gives the reason why a head of ours without its settings cannot be used; `None` for
    another source.

    The sizes of its layers follow from the tensors, but not how it reads a text.
    """

    def read(source: HeadSource) -> HeadSettings | None:
        if not any_in(table, source.tensors):
            return None
        return HeadSettings(
            refusal=f"{source.folder} contains {in_words(kind)} without its settings. Expected: `{SETTINGS_KEY}` in "
            f"config.json, with the settings that `convert` writes, such as {setting}."
        )

    return read


def _relation_settings(name: str | None, settings: Settings) -> Settings | None:
    """Returns a relation extractor's settings from those of a text classifier; its markers remain to be set.

    `None` unless the source is a classifier that predicts a single label.
    """
    if name != "text_classifier" or settings.get("problem_type") not in (None, "single_label"):
        return None
    dropped = ("problem_type", "takes_pairs", "threshold")
    return {key: value for key, value in settings.items() if key not in dropped} | {"markers": {}}


# A task whose settings contain the mark of another one comes after it, see `task_of`.
TASKS: dict[str, Task] = {
    "question_answerer": Task(
        model=SpanBertQuestionAnswerer,
        length="window_length",
        mark="window_length",
        head=lambda settings: answer_table(),
        fits=lambda settings, source: not source.names_classifier and "qa_outputs.weight" in source.tensors,
        read=head_settings.read_question_answerer,
        architecture=lambda settings: "BertForQuestionAnswering",
    ),
    "coreference_resolver": Task(
        model=SpanBertCoreferenceResolver,
        length="segment_length",
        mark="segment_length",
        head=lambda settings: coreference_table(),
        fits=lambda settings, source: not source.names_classifier and any_in(coreference_table(), source.tensors),
        read=_without_settings(coreference_table(), "coreference_resolver", "segment_length"),
        reads_rows=False,
        not_a_graph="it resolves a document in steps of different sizes",
    ),
    "text_classifier": Task(
        model=SpanBertTextClassifier,
        length="row_length",
        mark="labels",
        head=_classifier_head,
        classifies=True,
        fits=head_settings.classifier_still_fits,
        read=head_settings.read_text_classifier,
        config=head_settings.classifier_config,
        architecture=lambda settings: CLASSIFIER if settings.get("pooler") else "",
        adopt=lambda name, settings: None,
        expected="a text classifier, which has labels",
    ),
    "relation_extractor": Task(
        model=SpanBertRelationExtractor,
        length="row_length",
        mark="markers",
        head=_classifier_head,
        classifies=True,
        fits=head_settings.classifier_still_fits,
        config=head_settings.classifier_config,
        architecture=lambda settings: CLASSIFIER if settings.get("pooler") else "",
        adopt=_relation_settings,
        expected="a relation extractor, or a text classifier with one label per text (single_label)",
    ),
    "entity_recognizer": Task(
        model=SpanBertEntityRecognizer,
        length="row_length",
        mark="nested",
        head=lambda settings: entity_table(),
        fits=lambda settings, source: not source.names_classifier and any_in(entity_table(), source.tensors),
        read=_without_settings(entity_table(), "entity_recognizer", "labels"),
        adopt=lambda name, settings: None,
        expected="an entity recognizer, which has labels",
    ),
}


def task_of(settings: Settings) -> str | None:
    """Returns the name of the task that the settings of a head belong to; `None` for those of a pretrainer, and for {}.

    The last task whose mark is among them: a relation extractor's settings have a classifier's mark too.
    """
    return next((name for name, task in reversed(TASKS.items()) if task.mark in settings), None)


def read_head_settings(
    folder: Path, config: Settings, tensors: dict[str, np.ndarray], positions: int, kind: str = "auto"
) -> HeadSettings:
    """Returns the settings of the head in a folder.

    Args:
        folder: path. Folder of the tokenizer's files.
        config: dict. Contents of `config.json`; {} if the file is missing.
        tensors: dict of arrays by canonical names.
        positions: int. The encoder's `max_sequence_length`.
        kind: str. The model asked for; decides what a classifier is if `config.json` does not.

    Raises:
        InputError: a length in the tokenizer's files is not a number, or a setting of the head is invalid.
    """
    wants_classifier = kind in TASKS and TASKS[kind].classifies
    source = HeadSource(folder, config, tensors, positions, wants_classifier)
    own, notes = config.get(SETTINGS_KEY), []
    try:
        checked(config, _Config)
    except ValueError as error:
        raise InputError(f"{folder / 'config.json'} cannot be used: {error}.") from error
    if isinstance(own, dict):
        if _still_fits(own, source):
            return HeadSettings(dict(own))
        notes.append(
            f"The settings under {SETTINGS_KEY} in config.json are those of another model: its labels or its head have "
            "changed since. They are ignored."
        )
    found = next((head for head in (task.read(source) for task in TASKS.values()) if head is not None), None)
    if found is None:
        found = HeadSettings()
    found.notes = [*notes, *found.notes, *_notes_on_next_sentence(source, kind)]
    return found


def _notes_on_next_sentence(source: HeadSource, kind: str) -> list[str]:
    """Returns a note if the next-sentence head of a source, which it names or which is incomplete, is left out."""
    if f"{NEXT_SENTENCE}.weight" not in source.tensors:
        return []
    left_out = f"Its next-sentence head ({NEXT_SENTENCE}) is left out"
    if "next_sentence" not in heads_in(source.tensors):
        return [f"{left_out}: its pooler ({POOLER}) is missing."]
    is_named = bool(set(source.architectures) & set(NEXT_SENTENCE_CLASSES))
    return [f"{left_out}: only a pretrainer has one."] if is_named and kind not in ("auto", "pretrainer") else []


def _still_fits(own: Settings, source: HeadSource) -> bool:
    """Returns whether our settings in `config.json` match the weights in the same folder.

    transformers keeps these settings when it trains the model further.
    """
    task = task_of(own)
    return TASKS[task].fits(own, source) if task else not source.names_classifier  # those of a pretrainer


def task_config(settings: Settings) -> Settings:
    """Returns a task's keys of `config.json`: the settings of its model, and transformers' own keys for such a head.

    Args:
        settings: dict. Arguments of the task's model; {} without a task.
    """
    found: Settings = {SETTINGS_KEY: settings} if settings else {}
    task = task_of(settings)
    return found | (TASKS[task].config(settings) if task else {})


def longest_row(settings: Settings, positions: int) -> int:
    """Returns the longest row that a task's model reads, in tokens; `positions` for other models."""
    lengths = (settings.get(name) for name in row_lengths())
    return min(next((length for length in lengths if length), positions), positions)


def row_lengths() -> list[str]:
    """Returns the names of the settings for the length of rows."""
    return list(dict.fromkeys(task.length for task in TASKS.values() if task.reads_rows))
