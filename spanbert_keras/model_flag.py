"""Loads the task model of a program's `--model` flag, in the precision of `--precision`; checks `--language`."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from absl import logging

import spanbert_keras
from spanbert_keras.errors import InputError
from spanbert_keras.preprocessing.text_words import check_language
from spanbert_keras.settings import setting

SAMPLE = 32  # questions, texts or sentences on which precisions are compared


def precision_setting():
    """Returns the setting `precision` of a program that predicts."""
    return setting(
        "Precision of the encoder. mixed_bfloat16 is faster on many machines; the difference that it makes on the "
        "first examples is printed.",
        default="float32",
        choices=("float32", "mixed_bfloat16"),
    )


def language_setting():
    """Returns the setting `language` of a program whose model reads raw text."""
    return setting(
        "Language of raw text: one for which spaCy has a blank pipeline, e.g. de. Default: the model's.", default=None
    )


def check_language_flag(language: str | None) -> None:
    """Raises `InputError` if `--language` is given and raw text in this language cannot be cut into words."""
    if language is not None:
        try:
            check_language(language)
        except (ValueError, ImportError) as error:
            raise InputError(f"--language={language} cannot be used: {error}") from error


def load_task_model(path: str, kind: str, precision: str = "float32"):
    """Returns the saved task model of `--model`.

    Args:
        path: str. Value of the flag: a `.keras` file, or anything else that `load_pretrained` reads.
        kind: str. Name of the expected public class, e.g. `"SpanBertQuestionAnswerer"`.
        precision: str. Dtype policy of the model, `"float32"` or another.

    Raises:
        InputError: the path does not exist, or holds a model of another class.
    """
    return load_model_of(path, (kind,), precision)


def load_model_of(path: str, kinds: Sequence[str], precision: str = "float32"):
    """Returns the saved model of `--model`, which may be of several classes.

    Args:
        path, precision: see `load_task_model`.
        kinds: sequence of str. Names of public classes.

    Raises:
        InputError: the path does not exist, or holds a model of another class.
    """
    if not Path(path).exists():
        raise InputError(f"--model={path} is not there. Expected: a .keras file, or the folder of a run or of a model.")
    overrides: dict[str, Any] = {} if precision == "float32" else {"dtype": precision}
    classes: Any = tuple(getattr(spanbert_keras, kind) for kind in kinds)
    model = spanbert_keras.load_pretrained(path, **overrides)
    if not isinstance(model, classes):
        expected = f"{kinds[0]}, as fine-tuning saves it" if len(kinds) == 1 else f"model of {', '.join(kinds)}"
        raise InputError(f"--model={path} holds a {type(model).__name__}. Expected: a {expected}.")
    for note in model.conversion_notes:  # what the folder of another library did not determine
        logging.info("%s: %s", path, note)
    return model


def print_precision_difference(
    path: str, model, precision: str, what: str, scores_of: Callable[..., np.ndarray | list[float]]
) -> None:
    """Prints by how much the scores of a model differ from those in float32; nothing if that is its precision.

    Args:
        path: str. Value of `--model`, from which the model was loaded.
        model: the model.
        precision: str. The dtype policy that it was loaded with.
        what: str. Name of the scores, in the plural.
        scores_of: function from a model to its scores of a sample, the same number for either model.
    """
    if precision == "float32":
        return
    counts = dict(model.counts)
    found, expected = (np.asarray(scores_of(one)) for one in (model, load_task_model(path, type(model).__name__)))
    model.counts.update(counts)  # the sample is not part of what the program is asked
    print(
        f"--precision={precision}: {found.size:,} {what} of the first examples differ from float32 by at most "
        f"{np.abs(found - expected).max():.2g}."
    )
