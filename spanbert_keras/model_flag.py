"""The task model that a program's --model names."""

from pathlib import Path

from absl import logging

import spanbert_keras
from spanbert_keras.errors import InputError


def load_task_model(path: str, kind: str):
    """Returns the saved task model that --model names, in float32.

    Args:
        path: str. The flag's value: a `.keras` file, or anything else that `load_pretrained` reads.
        kind: str. Name of the public class that the model must be of, e.g. `"SpanBertQuestionAnswerer"`.

    Raises:
        InputError: the path does not exist, or holds a model of another class.
    """
    if not Path(path).exists():
        raise InputError(f"--model={path} is not there. Expected: a .keras file that fine-tuning saved.")
    model = spanbert_keras.load_pretrained(path)
    if not isinstance(model, getattr(spanbert_keras, kind)):
        raise InputError(f"--model={path} holds a {type(model).__name__}. Expected: a {kind}, as fine-tuning saves it.")
    for note in model.conversion_notes:  # of a model of another library: what its folder leaves open
        logging.info("%s: %s", path, note)
    return model
