"""The annotator that `--annotator` names."""

from collections.abc import Sequence

from spanbert_keras.data.annotations.annotator import Annotator
from spanbert_keras.data.annotations.jsonl_annotator import JsonlAnnotator
from spanbert_keras.data.annotations.model_annotator import ModelAnnotator
from spanbert_keras.data.annotations.rule_annotator import RuleAnnotator
from spanbert_keras.data.annotations.spacy_annotator import SpacyAnnotator
from spanbert_keras.data.shards.annotation_format import MAX_LABELS
from spanbert_keras.errors import InputError
from spanbert_keras.settings import expand


def check_annotator(text: str) -> None:
    """Raises `InputError` if `--annotator` has another form than those that `open_annotator` knows."""
    kind, colon, rest = text.partition(":")
    if not (text == "rules" or (kind in ("spacy", "jsonl", "model") and colon and rest)):
        raise InputError(
            "--annotator must be spacy:PACKAGE_OR_PATH, model:FILE, rules, or jsonl:FILE, as in "
            f"--annotator=spacy:en_core_web_sm. Received: {text}."
        )


def open_annotator(text: str, names: Sequence[str]) -> Annotator:
    """Returns the annotator that `--annotator` names.

    Args:
        text: str. `spacy:PACKAGE_OR_PATH`, `model:FILE`, `rules`, or `jsonl:FILE`.
        names: sequence of str. Annotations to make.

    Raises:
        InputError: it is of another form, cannot be loaded, or does not make these annotations.
    """
    check_annotator(text)
    kind, _, rest = text.partition(":")
    annotator: Annotator
    if kind == "rules":
        annotator = RuleAnnotator(names)
    elif kind == "jsonl":
        annotator = JsonlAnnotator(expand(rest), names)
    elif kind == "model":
        annotator = ModelAnnotator(expand(rest), names)
    else:
        annotator = SpacyAnnotator(expand(rest), names)
    for name, labels in annotator.labels.items():
        if len(labels) > MAX_LABELS:
            raise InputError(
                f"--annotator={text} has too many labels under {name!r}. Expected: at most {MAX_LABELS}. "
                f"Received: {len(labels)}."
            )
    return annotator
