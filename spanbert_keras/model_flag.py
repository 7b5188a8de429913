"""Loads the task model of a program's `--model` flag."""

from pathlib import Path

from absl import logging

import spanbert_keras
from spanbert_keras.errors import InputError


def load_task_model(path: str, kind: str):
    """Returns the saved task model of `--model`, in float32.

    Args:
        path: str. Value of the flag: a `.keras` file, or anything else that `load_pretrained` reads.
        kind: str. Name of the expected public class, e.g. `"SpanBertQuestionAnswerer"`.

    Raises:
        InputError: the path does not exist, or holds a model of another class.
    """
    if not Path(path).exists():
        raise InputError(f"--model={path} is not there. Expected: a .keras file that fine-tuning saved.")
    model = spanbert_keras.load_pretrained(path)
    if not isinstance(model, getattr(spanbert_keras, kind)):
        raise InputError(f"--model={path} holds a {type(model).__name__}. Expected: a {kind}, as fine-tuning saves it.")
    for note in model.conversion_notes:  # what the folder of another library did not determine
        logging.info("%s: %s", path, note)
    return model
