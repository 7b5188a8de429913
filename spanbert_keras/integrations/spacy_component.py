"""What the spaCy components share: a model that is loaded when first needed and saved with the pipeline."""

import tempfile
import threading
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from spanbert_keras.errors import InputError
from spanbert_keras.files.keras_files import save_model
from spanbert_keras.integrations.component_model import load_component_model

FILE = "model.keras"  # in the component's folder of a saved pipeline


class SpacyComponent:
    """Base of the components: documents in, the same documents with annotations out.

    Args:
        name: str. Name in the pipeline.
        model: str. What `load_pretrained` reads: a `.keras` file, or the folder of a fine-tuning run. It is read when
            the first document comes: a pipeline that was saved has its own copy.

    Attributes:
        model_class: str. Name of the public class that the model must have.
    """

    model_class = ""

    def __init__(self, name: str, model: str):
        self.name = name
        self._source = str(model)
        self._model: Any = None
        self._loading = threading.Lock()

    @property
    def task_model(self):
        """The model. Its name is not `model`: spaCy looks for that in each component, in a random order of names.

        Raises:
            InputError: there is none, or it is of another class.
        """
        with self._loading:
            if self._model is None:
                self._model = self._load()
        return self._model

    def __call__(self, doc):
        """Annotates a document and returns it."""
        self.annotate([doc])
        return doc

    def pipe(self, stream: Iterable, batch_size: int = 128) -> Iterator:
        """Yields the documents of a stream in order, annotated; `batch_size` of them are computed together."""
        from spacy.util import minibatch

        for docs in minibatch(stream, batch_size):
            self.annotate(docs)
            yield from docs

    def annotate(self, docs: Sequence) -> None:
        """Annotates documents in place."""
        raise NotImplementedError

    def to_disk(self, path, *, exclude=()) -> None:
        """Saves the model in the component's folder; called by `nlp.to_disk`."""
        folder = Path(path)
        folder.mkdir(parents=True, exist_ok=True)
        save_model(self.task_model, folder / FILE)

    def from_disk(self, path, *, exclude=()):
        """Takes the model in the component's folder; called by `spacy.load`."""
        self._source, self._model = str(Path(path) / FILE), None
        return self

    def to_bytes(self, *, exclude=()) -> bytes:
        """Returns the model's file; called by `nlp.to_bytes`."""
        with tempfile.TemporaryDirectory() as folder:
            save_model(self.task_model, Path(folder) / FILE)
            return (Path(folder) / FILE).read_bytes()

    def from_bytes(self, data: bytes, *, exclude=()):
        """Takes the model's file; called by `nlp.from_bytes`."""
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / FILE).write_bytes(data)
            self._source = str(Path(folder) / FILE)
            self._model = self._load()
        return self

    def _load(self):
        if not self._source:
            raise InputError(
                f"The component {self.name!r} has no model. Expected: the path of a {self.model_class}, as in "
                f'config={{"model": "path"}}.'
            )
        return load_component_model(f"The component {self.name!r}", self._source, self.model_class)
