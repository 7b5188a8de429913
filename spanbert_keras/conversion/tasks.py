"""The fine-tuned tasks: one row each says all that conversion has to know of it."""

import dataclasses
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import numpy as np

from spanbert_keras.conversion import head_settings
from spanbert_keras.conversion.head_settings import CLASSIFIER, HeadSettings, HeadSource
from spanbert_keras.conversion.tensor_names import (
    Table,
    answer_table,
    classifier_table,
    coreference_table,
    pooler_table,
)
from spanbert_keras.errors import InputError
from spanbert_keras.models.coreference_resolver import SpanBertCoreferenceResolver
from spanbert_keras.models.question_answerer import SpanBertQuestionAnswerer
from spanbert_keras.models.relation_extractor import SpanBertRelationExtractor
from spanbert_keras.models.text_classifier import SpanBertTextClassifier

OWN = "spanbert_keras"  # a key of config.json, which transformers leaves alone: the settings of a task's model
NEXT_SENTENCE = ("BertForNextSentencePrediction", "BertForPreTraining")

Settings = dict[str, Any]  # arguments of a task's model besides its encoder


@dataclasses.dataclass(frozen=True)
class Task:
    """What conversion has to know of one task.

    Attributes:
        model: class of its model.
        length: str. The setting that is the length of what it reads at once.
        mark: str. A setting that tells its settings from those of other tasks' models.
        head: function of the settings that returns the weights of its head.
        is_task: function of a checkpoint's head settings and tensor names: whether it is of this task.
        fits: function of its settings in `config.json` and of the source: whether they belong to the tensors there.
        read: function of a Hugging Face folder without such settings; returns `None` if that is of another task.
        config: function of its settings that returns further keys of `config.json`.
        architecture: function of its settings that returns the class of transformers that computes the same, or "".
        adopt: function of another task's name and settings; returns its own, or `None` if they make none.
        reads_rows: bool. Whether it reads one row at a time, whose length the tokenizer's files say too.
        not_a_graph: str. Why it cannot be exported; "" if it can.
    """

    model: Any
    length: str
    mark: str
    head: Callable[[Settings], Table]
    is_task: Callable[[Settings, Collection[str]], bool]
    fits: Callable[[Settings, HeadSource], bool]
    read: Callable[[HeadSource], HeadSettings | None] = lambda source: None
    config: Callable[[Settings], Settings] = lambda settings: {}
    architecture: Callable[[Settings], str] = lambda settings: ""
    adopt: Callable[[str | None, Settings], Settings | None] = lambda name, settings: None
    reads_rows: bool = True
    not_a_graph: str = ""


def _has(table: Table, names: Collection[str]) -> bool:
    """Returns whether some weight of a head is among tensors."""
    return any(weight.name in names for weight in table.values())


def _classifier_head(settings: Settings) -> Table:
    return classifier_table() | (pooler_table() if settings.get("pooler") else {})


def _relation_of_texts(name: str | None, settings: Settings) -> Settings | None:
    """Returns a text classifier's settings as those of a relation extractor, whose markers must be set.

    Raises:
        InputError: the classifier gives something else than one label.
    """
    if name != "text_classifier":
        return None
    problem = settings.get("problem_type")
    if problem not in (None, "single_label"):
        raise InputError(
            "A relation extractor cannot be made of this source: it must give one label for each text "
            f"(single_label). Received: {problem}."
        )
    others = ("problem_type", "takes_pairs", "threshold")
    return {key: value for key, value in settings.items() if key not in others} | {"markers": {}}


TASKS: dict[str, Task] = {
    "question_answerer": Task(
        model=SpanBertQuestionAnswerer,
        length="window_length",
        mark="window_length",
        head=lambda settings: answer_table(),
        is_task=lambda settings, names: "labels" not in settings and _has(answer_table(), names),
        fits=lambda settings, source: not source.names_classifier and "qa_outputs.weight" in source.tensors,
        read=head_settings.read_question_answerer,
        architecture=lambda settings: "BertForQuestionAnswering",
    ),
    "coreference_resolver": Task(
        model=SpanBertCoreferenceResolver,
        length="segment_length",
        mark="segment_length",
        head=lambda settings: coreference_table(),
        is_task=lambda settings, names: "labels" not in settings and _has(coreference_table(), names),
        fits=lambda settings, source: not source.names_classifier and _has(coreference_table(), source.tensors),
        reads_rows=False,
        not_a_graph="it resolves a document in steps of different sizes",
    ),
    "text_classifier": Task(
        model=SpanBertTextClassifier,
        length="row_length",
        mark="labels",
        head=_classifier_head,
        is_task=lambda settings, names: "labels" in settings and "markers" not in settings,
        fits=head_settings.classifier_still_fits,
        read=head_settings.read_text_classifier,
        config=head_settings.classifier_config,
        architecture=lambda settings: CLASSIFIER if settings.get("pooler") else "",
    ),
    "relation_extractor": Task(
        model=SpanBertRelationExtractor,
        length="row_length",
        mark="markers",
        head=_classifier_head,
        is_task=lambda settings, names: "labels" in settings and "markers" in settings,
        fits=head_settings.classifier_still_fits,
        config=head_settings.classifier_config,
        architecture=lambda settings: CLASSIFIER if settings.get("pooler") else "",
        adopt=_relation_of_texts,
    ),
}


def task_of(settings: Settings, names: Collection[str]) -> str | None:
    """Returns the name of the task that head settings and tensors of these names are of, or `None`."""
    return next((name for name, task in TASKS.items() if task.is_task(settings, names)), None)


def read_head_settings(
    folder: Path, config: Settings, tensors: dict[str, np.ndarray], positions: int, kind: str = "auto"
) -> HeadSettings:
    """Returns the settings of the head that a folder's tensors belong to.

    Args:
        folder: with the tokenizer's files.
        config: dict. What `config.json` holds; {} without one.
        tensors: dict of arrays under canonical names.
        positions: int. The encoder's `max_sequence_length`.
        kind: str. The model that is wanted; a classifier is taken for what `config.json` does not name.

    Raises:
        InputError: a length in the tokenizer's files is not a number.
    """
    wants_classifier = kind in TASKS and TASKS[kind].head is _classifier_head
    source = HeadSource(folder, config, tensors, positions, wants_classifier)
    own, notes = config.get(OWN), []
    if isinstance(own, dict):
        if _still_fits(own, source):
            return HeadSettings(dict(own))
        notes.append(
            f"The settings under {OWN} in config.json are those of another model: its labels or its head have changed "
            "since. They are left out."
        )
    found = next((head for head in (task.read(source) for task in TASKS.values()) if head is not None), None)
    if found is None:
        found = HeadSettings()
        if "cls.seq_relationship.weight" in tensors and set(source.architectures) & set(NEXT_SENTENCE):
            found.notes.append(
                "Its next-sentence head (cls.seq_relationship) is left out: this package has no such model."
            )
    found.notes = [*notes, *found.notes]
    return found


def _still_fits(own: Settings, source: HeadSource) -> bool:
    """Returns whether our settings in `config.json` belong to the weights beside them.

    transformers keeps them there when it trains such a folder's model further.
    """
    for task in TASKS.values():
        if task.mark in own:
            return task.fits(own, source)
    return not source.names_classifier  # a pretrainer's


def task_config(settings: Settings) -> Settings:
    """Returns what a task's model adds to `config.json`: its settings, and what transformers says of such a head.

    Args:
        settings: dict. Arguments of the task's model; {} for none.
    """
    found: Settings = {OWN: settings} if settings else {}
    task = next((task for task in TASKS.values() if task.mark in settings), None)
    return found | (task.config(settings) if task else {})


def longest_row(settings: Settings, positions: int) -> int:
    """Returns the length of the longest row that a task's model reads, `positions` for all others."""
    lengths = (settings.get(name) for name in row_lengths())
    return min(next((length for length in lengths if length), positions), positions)


def row_lengths() -> list[str]:
    """Returns the settings that are lengths of rows."""
    return list(dict.fromkeys(task.length for task in TASKS.values() if task.reads_rows))
