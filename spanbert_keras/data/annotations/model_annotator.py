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
        model: str. Path of a `.keras` file, or the folder of the fine-tuning run that saved it.
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
        file = Path(model)
        if file.is_dir():
            file /= "entity_recognizer.keras"  # as a fine-tuning run saves it
        self._model = _load(model, file)
        self.description = f"model {file.name}"
        self.settings: dict[str, Any] = {"sha256": hashlib.sha256(file.read_bytes()).hexdigest()}
        self.labels = {ENTITIES: sorted(self._model.labels)}

    def annotate(self, texts: Sequence[str]) -> list[dict[str, list[Mention]] | None]:
        """Returns the entities of each text."""
        places = [place for place, text in enumerate(texts) if len(self._model.windows.of_text(text))]
        found: list[list[Mention]] = [[] for _ in texts]
        of_texts = self._model.recognize([texts[place] for place in places])
        for place, entities in zip(places, of_texts, strict=True):
            found[place] = [Mention(one.start, one.end, one.label) for one in entities]
        return [{ENTITIES: mentions} for mentions in found]


def _load(model: str, file: Path) -> Any:
    """Returns the recognizer of a file, to which `--annotator=model:MODEL` leads."""
    import keras

    from spanbert_keras.models.entity_recognizer import SpanBertEntityRecognizer  # and the classes of its parts

    kind = SpanBertEntityRecognizer.__name__
    if not file.is_file():
        raise InputError(
            f"--annotator=model:{model} cannot be loaded: {file} is missing. Expected: a .keras file of a {kind}, or "
            "the folder of the fine-tuning run that saved it."
        )
    try:
        loaded = keras.saving.load_model(file, compile=False)
    except (OSError, ValueError, TypeError) as error:
        raise InputError(
            f"--annotator=model:{model} cannot be loaded. Expected: a .keras file of a {kind}. "
            f"Received: {str(error).partition(chr(10))[0][:200]}"
        ) from error
    if not isinstance(loaded, SpanBertEntityRecognizer):
        raise InputError(
            f"--annotator=model:{model} must be a {kind}. Train one with tasks.named_entities.finetune. "
            f"Received: {type(loaded).__name__}."
        )
    return loaded
