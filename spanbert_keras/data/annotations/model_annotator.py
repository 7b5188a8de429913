"""Named entities of a saved `SpanBertEntityRecognizer`."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from spanbert_keras.data.annotations.annotator import ENTITIES, Mention
from spanbert_keras.errors import InputError


class ModelAnnotator:
    """Named entities by a recognizer of this package.

    Args:
        model: str. Path of a `.keras` file.
        names: sequence of str. Annotations to make: `"entities"` alone.

    Raises:
        InputError: other annotations were asked for, or the file is missing or holds another model.

    Example:

    ```python
    from spanbert_keras.data.annotations.model_annotator import ModelAnnotator

    def entities_of(path, text):
        return ModelAnnotator(path, ("entities",)).annotate([text])
    ```
    """

    def __init__(self, model: str, names: Sequence[str]):
        if tuple(names) != (ENTITIES,):
            raise InputError(
                f"--annotator=model:{model} finds entities. Expected: --annotations=entities. "
                f"Received: {','.join(names)}."
            )
        self._model = _load(model)
        self.description = f"model {Path(model).name}"
        self.settings: dict[str, Any] = {"sha256": hashlib.sha256(Path(model).read_bytes()).hexdigest()}
        self.labels = {ENTITIES: sorted(self._model.labels)}

    def annotate(self, texts: Sequence[str]) -> list[dict[str, list[Mention]] | None]:
        """Returns the entities of each text."""
        places = [place for place, text in enumerate(texts) if len(self._model.windows.of_text(text))]
        found: list[list[Mention]] = [[] for _ in texts]
        of_texts = self._model.recognize([texts[place] for place in places])
        for place, entities in zip(places, of_texts, strict=True):
            found[place] = [Mention(one.start, one.end, one.label) for one in entities]
        return [{ENTITIES: mentions} for mentions in found]


def _load(path: str) -> Any:
    """Returns the recognizer of a file."""
    import keras

    from spanbert_keras.models.entity_recognizer import SpanBertEntityRecognizer  # and the classes of its parts

    kind = SpanBertEntityRecognizer.__name__
    try:
        model = keras.saving.load_model(path, compile=False)
    except (OSError, ValueError, TypeError) as error:
        raise InputError(
            f"--annotator=model:{path} cannot be loaded. Expected: a .keras file of a {kind}. "
            f"Received: {str(error).partition(chr(10))[0][:200]}"
        ) from error
    if not isinstance(model, SpanBertEntityRecognizer):
        raise InputError(
            f"--annotator=model:{path} must be a {kind}. Train one with tasks.named_entities.finetune. "
            f"Received: {type(model).__name__}."
        )
    return model
