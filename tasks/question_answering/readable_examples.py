"""Leaves out the examples that a model cannot read."""

import functools
from collections.abc import Sequence

from spanbert_keras.program import InputError
from tasks.question_answering.data import Example
from tasks.shared.example_collector import ExampleCollector

CHUNK_SIZE = 512  # contexts tokenized at once


def readable(examples: Sequence[Example], windows, path: str, skip: bool) -> tuple[list[Example], list[str]]:
    """Returns the examples that the model can read, and a sentence for each of the others.

    Args:
        examples: list of `Example`.
        windows: the model's `windows`.
        path: str. Path of the file, for messages.
        skip: bool. Whether such examples are left out.

    Raises:
        InputError: the first example that cannot be read, unless `skip`.
    """
    unreadable: set[str] = set()
    contexts = list(dict.fromkeys(example.context for example in examples))
    for start in range(0, len(contexts), CHUNK_SIZE):
        part = contexts[start : start + CHUNK_SIZE]
        try:
            windows.passages(part)
        except InputError:  # of one or more of them
            unreadable |= {context for context in part if not _is_readable(windows, context)}
    collector = ExampleCollector(path, skip)
    for example in examples:
        collector.add(functools.partial(_checked, example, windows, path, example.context in unreadable))
    return collector.examples, collector.left_out


def _is_readable(windows, context: str) -> bool:
    try:
        windows.passages([context])
    except InputError:
        return False
    return True


def _checked(example: Example, windows, path: str, check_context: bool) -> Example:
    """Returns the example; raises if its question, or its context if that is to be checked, cannot be read."""
    try:
        if check_context:
            windows.passages([example.context], [f"of question {example.id!r}"])
        windows.questions([example.question], [repr(example.id)])
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    return example
