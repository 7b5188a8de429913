"""Fine-tunes an encoder for coreference resolution: OntoNotes, and any documents in CoNLL-2012 format or in JSON lines.

python -m tasks.coreference.finetune --flagfile=configs/coreference_base.flags --encoder=encoder.keras \\
    --train_file=train.english.v4_gold_conll --dev_file=dev.english.v4_gold_conll --output_dir=runs/coreference
"""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

from absl import logging

import spanbert_keras
from spanbert_keras import program
from spanbert_keras.fine_tuning.settings import FineTuningSettings, parse_numbers
from spanbert_keras.model_flag import check_language_flag
from spanbert_keras.program import InputError, setting
from tasks.coreference import predictions
from tasks.shared.task import Task, fine_tune

if TYPE_CHECKING:
    from spanbert_keras.fine_tuning.run import TrainingRows


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(FineTuningSettings):
    """Settings of one fine-tuning run."""

    # --- data
    train_file: tuple[str, ...] = setting(
        "Training documents: CoNLL-2012 or JSON lines, also .gz; several files with commas.", path=True, changeable=True
    )
    dev_file: str = setting("Dev documents, by which the best model is chosen.", path=True, changeable=True)
    test_file: str | None = setting(
        "Test documents, scored once at the end by the chosen model.", default=None, path=True, changeable=True
    )
    dataset: str | None = setting(
        "Name of the data in the results table, e.g. OntoNotes.", default=None, changeable=True
    )
    skip_bad_examples: bool = setting("Skips and reports bad documents.", default=False, changeable=True)
    # --- how: the released code's, base
    batch_size: int = setting("Documents per step.", default=1, minimum=1)
    learning_rate: float = setting("Peak learning rate of the encoder.", default=2e-5, above=0)
    task_learning_rate: float = setting(
        "Initial learning rate of the other layers, without warm-up.", default=1e-4, above=0
    )
    epochs: float = setting("Passes over the training documents.", default=20.0, above=0)
    evaluations_per_epoch: int = 2
    # --- model
    segment_length: int = setting("Word pieces per segment; at most the encoder's maximum.", default=384, minimum=3)
    max_training_segments: int = setting(
        "Segments per training row; a random window of a longer document.", default=3, minimum=1
    )
    max_span_width: int = setting("Width of the longest span, in word pieces.", default=30, minimum=1)
    top_span_ratio: float = setting("Spans kept per word piece.", default=0.4, above=0)
    max_antecedents: int = setting("Largest number of antecedents compared with a span.", default=50, minimum=1)
    hidden_dim: int = setting("Width of the task's hidden layers.", default=3000, minimum=1)
    feature_dim: int = setting("Width of the feature embeddings.", default=20, minimum=1)
    task_dropout: float = setting("Dropout rate of the task's layers.", default=0.3, minimum=0, below=1)
    genres: tuple[str, ...] = setting(
        "Genres that the model distinguishes.", default=("bc", "bn", "mz", "nw", "pt", "tc", "wb")
    )
    default_genre: str | None = setting(
        "Genre of documents without one. Default: nw if it is one of --genres, else their first.", default=None
    )
    candidates: str = setting(
        "Spans that may be mentions: whole words, or any word pieces as in the released code.",
        default="words",
        choices=("words", "pieces"),
    )
    language: str = setting(
        "Language of the raw texts that the model will be asked about, which is saved with it: one for which spaCy has "
        "a blank pipeline, e.g. de.",
        default="en",
    )
    # --- sweep (appendix B, and the released code for the segments)
    sweep_learning_rates: tuple[str, ...] = setting(
        "Learning rates of the encoder to try.", default=("1e-5", "2e-5"), changeable=True
    )
    sweep_batch_sizes: tuple[str, ...] = setting(
        "Batch sizes (documents per step) to try.", default=("1",), changeable=True
    )
    sweep_task_learning_rates: tuple[str, ...] = setting(
        "Learning rates of the other layers to try.", default=("1e-4", "2e-4", "3e-4"), changeable=True
    )
    sweep_segments: tuple[str, ...] = setting(
        "Segment lengths to try, each with its number of training segments.",
        default=("128:11", "256:5", "384:3", "512:3"),
        changeable=True,
    )

    def check(self) -> None:
        """Raises `InputError` for settings that contradict each other, and for an unusable language."""
        super().check()
        if self.language != "en":  # which needs no spaCy until there is raw text
            check_language_flag(self.language)

    def sweep_axes(self) -> list[list[dict[str, Any]]]:
        """Returns the axes of a sweep: both learning rates, batch size, and segment lengths with their numbers."""
        rates = parse_numbers("sweep_task_learning_rates", self.sweep_task_learning_rates, float)
        pairs = [text.split(":") for text in self.sweep_segments]
        whole = [
            len(pair) == 2 and all(part.isascii() and part.isdigit() and int(part) for part in pair) for pair in pairs
        ]
        if not whole or not all(whole):
            raise InputError(
                "--sweep_segments must be pairs of a segment length and the segments per row, e.g. 128:11,384:3. "
                f"Received: {','.join(self.sweep_segments)}."
            )
        segments = [{"segment_length": int(length), "max_training_segments": int(count)} for length, count in pairs]
        return [*super().sweep_axes(), [{"task_learning_rate": rate} for rate in rates], segments]


class CoreferenceResolution(Task):
    """Coreference resolution as a `FineTuningTask`.

    Args:
        config: `Config`.
    """

    model_name = "coreference_resolver"
    select_by = "average_f1"

    def __init__(self, config: Config):
        super().__init__(config)
        self._keys: dict[str, str | None] = {}
        self.task_learning_rate = config.task_learning_rate
        self.train = [document for path in config.train_file for document in self._read(path)]
        self.dev = self._read(config.dev_file)
        self.test_documents = self._read(config.test_file) if config.test_file else []
        for flag, documents in (("train_file", self.train), ("dev_file", self.dev)):
            if not any(document.clusters for document in documents):
                raise InputError(
                    f"--{flag} has no clusters. Expected: documents with gold clusters, for training and for "
                    f"choosing the best model. Received: {len(documents)} documents without any."
                )
        for flag in ("train_file", "dev_file", "test_file"):
            self._check_genres(flag, {"train_file": self.train, "dev_file": self.dev}.get(flag, self.test_documents))

    def _read(self, path: str) -> list:
        """Returns the documents of a file that have words."""
        file = predictions.read(path, self.config.skip_bad_examples)
        self.left_out += file.left_out
        self._keys[path] = file.key if len(file.documents) == len(file.everything) else None
        return file.documents

    def _check_genres(self, flag: str, documents: list) -> None:
        """Raises `InputError` for a genre that the model will not know."""
        for document in documents:
            if document.genre and document.genre not in self.config.genres:
                raise InputError(
                    f"--{flag}: document {document.name!r}, part {document.part}, has the genre {document.genre!r}. "
                    f"Expected: one of {', '.join(self.config.genres)}. Name every genre with --genres."
                )

    def sets(self) -> dict[str, list]:
        """Returns the documents."""
        return {"train": self.train, "dev": self.dev, "test": self.test_documents}

    def make_model(self):
        """Returns the model over the encoder."""
        config = self.config
        encoder, segment_length = self.load_encoder("segment_length")
        self.log_left_out()
        default_genre = config.genres[0] if config.genres and "nw" not in config.genres else "nw"
        return self.build(
            spanbert_keras.SpanBertCoreferenceResolver,
            encoder,
            segment_length=segment_length,
            max_span_width=config.max_span_width,
            top_span_ratio=config.top_span_ratio,
            max_antecedents=config.max_antecedents,
            feature_dim=config.feature_dim,
            hidden_dim=config.hidden_dim,
            dropout=config.task_dropout,
            genres=config.genres,
            default_genre=config.default_genre or default_genre,
            max_segment_distance=config.max_training_segments,
            candidates=config.candidates,
            language=config.language,
            preprocessor=spanbert_keras.SpanBertCoreferencePreprocessor(
                max_segments=config.max_training_segments, seed=config.seed
            ),
        )

    def training_rows(self, model) -> "TrainingRows":
        """Returns the training rows."""
        rows = model.preprocessor.rows(self.train)
        logging.info("Training data: %s", {name: n for name, n in rows.counts.items() if n})
        return rows

    def evaluate(self, model, predict, rows: int) -> dict[str, float]:
        """Returns the scores on dev."""
        return predictions.score(self.dev, predictions.predict(model, self.dev))

    def finish(self, model, folder: Path, predict, rows: int) -> dict[str, Any]:
        """Writes dev's predictions, and returns dev's scores."""
        return self._scored(model, self.dev, folder / "dev", self.config.dev_file)

    def test(self, model, folder: Path) -> dict[str, Any]:
        """Returns the scores on test; {} without a test set."""
        test_file = self.config.test_file
        return self._scored(model, self.test_documents, folder / "test", test_file) if test_file else {}

    def _scored(self, model, documents, folder: Path, path: str) -> dict[str, float]:
        found = predictions.predict(model, documents)
        predictions.write(folder, documents, found, key=self._keys[path])
        return predictions.score(documents, found)


def main(config: Config) -> None:
    """Fine-tunes, evaluates, and writes the results."""
    fine_tune(config, CoreferenceResolution)


if __name__ == "__main__":
    program.run(main, Config)
