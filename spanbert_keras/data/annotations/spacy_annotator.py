"""Named entities and noun phrases of a spaCy pipeline."""

import pathlib
from collections.abc import Sequence
from typing import Any

from spanbert_keras.data.annotations.annotator import ENTITIES, NOUN_PHRASE_LABEL, NOUN_PHRASES, Mention
from spanbert_keras.errors import InputError

# Components that neither entities nor noun phrases need. The parser stays out where only entities are asked for.
UNUSED = ("lemmatizer", "trainable_lemmatizer", "senter", "sentencizer", "entity_linker", "textcat")
FOR_NOUN_PHRASES = ("parser", "tagger", "morphologizer", "attribute_ruler")
FOR_ENTITIES = ("ner", "beam_ner", "entity_ruler")
BATCH_TEXTS = 64


class SpacyAnnotator:
    """Named entities and noun phrases by spaCy, as in section 6.1.

    Entities are `Doc.ents`. The paper extracts noun phrases with "spaCy's constituency parser", which spaCy does not
    have; noun phrases here are `Doc.noun_chunks`, the base noun phrases of its dependency parse, pronouns too.

    Args:
        model: str. Name of an installed package or path of a pipeline.
        names: sequence of str. Annotations to make.

    Raises:
        InputError: spaCy or the pipeline is not installed, or the pipeline lacks a component.

    Example:

    ```python
    from spanbert_keras.data.annotations.spacy_annotator import SpacyAnnotator

    def entities_of(text):
        return SpacyAnnotator("en_core_web_sm", ("entities",)).annotate([text])  # needs the package
    ```
    """

    def __init__(self, model: str, names: Sequence[str]):
        self._names = tuple(names)
        self._pipeline = _load(model, self._names)
        meta = self._pipeline.meta
        self.description = f"spacy {meta['lang']}_{meta['name']} {meta['version']}"
        self.settings: dict[str, Any] = {}  # components that other annotations need do not change these mentions
        self.labels = {}
        if ENTITIES in self._names:
            self.labels[ENTITIES] = self._entity_labels()
        if NOUN_PHRASES in self._names:
            self._check_noun_phrases()
            self.labels[NOUN_PHRASES] = [NOUN_PHRASE_LABEL]

    def annotate(self, texts: Sequence[str]) -> list[dict[str, list[Mention]] | None]:
        """Returns the mentions of each text."""
        found: list[dict[str, list[Mention]] | None] = []
        for doc in self._pipeline.pipe(texts, batch_size=BATCH_TEXTS):
            mentions = {}
            if ENTITIES in self._names:
                mentions[ENTITIES] = [Mention(e.start_char, e.end_char, e.label_) for e in doc.ents]
            if NOUN_PHRASES in self._names:
                chunks = doc.noun_chunks
                mentions[NOUN_PHRASES] = [Mention(c.start_char, c.end_char, NOUN_PHRASE_LABEL) for c in chunks]
            found.append(mentions)
        return found

    def _entity_labels(self) -> list[str]:
        """Returns the labels of all components that find entities, sorted."""
        factories = {name: self._pipeline.get_pipe_meta(name).factory for name in self._pipeline.pipe_names}
        finders = [name for name, factory in factories.items() if factory in FOR_ENTITIES]
        if not finders:
            raise InputError(
                f"{self.description} finds no named entities. Expected: a pipeline with a component `ner`. "
                f"Received: {', '.join(factories) or 'none'}."
            )
        return sorted({label for name in finders for label in self._pipeline.get_pipe(name).labels})

    def _check_noun_phrases(self) -> None:
        """Raises if spaCy has no noun phrases for the pipeline's language, or the pipeline does not parse."""
        try:
            list(self._pipeline("A word.").noun_chunks)
        except (NotImplementedError, ValueError) as error:
            raise InputError(
                f"{self.description} finds no noun phrases. Expected: a pipeline with a parser, for a language whose "
                f"noun phrases spaCy knows. Received: {str(error).splitlines()[0]}"
            ) from error


def _load(model: str, names: Sequence[str]) -> Any:
    """Returns the pipeline without the components that these annotations do not need."""
    try:
        import spacy
    except ImportError as error:
        raise InputError(
            f'--annotator=spacy:{model} needs spaCy. Install it with `pip install "spanbert-keras[linguistic]"`, '
            "or give --annotator=rules."
        ) from error
    needs = {ENTITIES: FOR_ENTITIES, NOUN_PHRASES: FOR_NOUN_PHRASES}
    excluded = [*UNUSED, *(component for name in needs.keys() - set(names) for component in needs[name])]
    try:
        pipeline = spacy.load(model, exclude=excluded)
    except (OSError, ValueError, KeyError) as error:
        advice = "Check the path." if pathlib.Path(model).exists() else f"Run `python -m spacy download {model}`."
        raise InputError(
            f"--annotator=spacy:{model} cannot be loaded. Expected: the name of an installed spaCy pipeline, or the "
            f"path of one. Received: {str(error).splitlines()[0]} {advice}"
        ) from error
    shared = [
        name for name in pipeline.pipe_names if not getattr(pipeline.get_pipe(name), "listening_components", True)
    ]
    for name in shared:  # vectors that only excluded components read
        pipeline.remove_pipe(name)
    pipeline.max_length = 2**62  # Lines are bounded when they are read.
    return pipeline
