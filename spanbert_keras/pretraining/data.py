"""The text of a pre-training run: opened or prepared, masked, and cut into batches."""

import dataclasses
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from absl import logging

from spanbert_keras.data.annotations.kept_mentions import mention_facts
from spanbert_keras.data.batches.batch_stream import BatchStream
from spanbert_keras.data.batches.corpus_mixture import Corpora, open_corpora
from spanbert_keras.data.batches.row_settings import RowSettings
from spanbert_keras.data.corpus.preparation_settings import PreparationSettings
from spanbert_keras.data.corpus.prepare_corpus import open_tokenizer, prepare_corpus, warnings_of
from spanbert_keras.errors import InputError
from spanbert_keras.files.known_files import known_files
from spanbert_keras.preprocessing.masking.schemes import SCHEMES
from spanbert_keras.preprocessing.masking.span_masker import SpanMasker
from spanbert_keras.preprocessing.philox import fold
from spanbert_keras.preprocessing.seeds import PHASE, run_seed
from spanbert_keras.pretraining.config import Config
from spanbert_keras.pretraining.phases import PhasedStream
from spanbert_keras.pretraining.piece_scores import unigram_losses


class PretrainingData:
    """Corpora, vocabulary and batches of a run.

    Args:
        config: `Config`.
        wait_for: function of (path, what), or `None`. The workers other than the chief call it before they read a file
            that the chief writes.

    Attributes:
        corpora: `Corpora`.
        tokenizer: `SpanBertTokenizer`.
        unigram: float `(V,)`. Loss of each piece if it is predicted by its frequency alone.
        streams: list of `BatchStream` of the training split, one for each phase.
        train: `BatchStream` or `PhasedStream`. All of them.

    Raises:
        InputError: a corpus or a vocabulary cannot be used.
    """

    def __init__(self, config: Config, wait_for: Callable[[Path, str], object] | None = None):
        self.config = config
        self.wait_for = wait_for
        self.seed = run_seed(config.seed)
        cache = Path(config.cache_dir) if config.cache_dir else Path(config.output_dir) / "cache"
        self._vocabulary: str | None = None
        self.corpora: Corpora = open_corpora(
            config.corpus,
            cache / "blocks",
            lambda path: self._prepare(path, cache / "shards"),
            config.verify_corpus,
        )
        if self._vocabulary is None and (config.train_vocabulary or config.lowercase):
            logging.warning(
                "--train_vocabulary and --lowercase have no effect: a prepared corpus has its own vocabulary."
            )
        self.tokenizer = self.corpora.tokenizer
        self._check_vocabulary()
        self.unigram = unigram_losses(self.corpora.unigram_counts)
        self._report_pairs()
        self.streams = self._training_streams()
        self.train = self.streams[0] if config.phases is None else PhasedStream(self.streams, config.phase_list)
        for split in ("train", "heldout"):
            left_out = self.corpora.left_out_pieces(split, self._rows_of(config.longest_row))
            if left_out:
                few = split == "train" and left_out < self.corpora.unigram_counts.sum() / 1000
                log = logging.info if few else logging.warning
                log("%d tokens (%s) are left out: their words are longer than a row.", left_out, split)

    def _prepare(self, path: str, cache: Path) -> str:
        """Prepares raw text into the cache, or finds it there, and returns the folder of its shards."""
        config = self.config
        choices: dict[str, Any] = {
            "vocabulary": config.vocabulary,
            "train_vocabulary": config.train_vocabulary,
            "lowercase": config.lowercase,
            "heldout_share": config.heldout_share,
        }
        if self._vocabulary is not None:  # of the first raw corpus: all corpora of a run share one
            choices |= {"vocabulary": self._vocabulary, "train_vocabulary": None}
        mark = hashlib.sha256(repr((path, sorted(choices.items()))).encode()).hexdigest()[:12]
        folder = cache / f"{Path(path).name.split('.')[0] or 'text'}-{mark}"
        manifest = folder / "manifest.json"
        if self.wait_for is not None:
            self.wait_for(manifest, f"the shards of {path}")
        elif not manifest.is_file():
            logging.info("Preparing %s into %s.", path, folder)
        try:
            settings = PreparationSettings(input=(path,), output_dir=str(folder), workers=config.workers, **choices)
            with known_files(cache.parent / "blocks", folder.name, config.verify_corpus) as known:
                found = prepare_corpus(settings, wait=True, known=known)
        except InputError as error:
            raise InputError(
                f"--corpus={path} cannot be prepared into {folder} (--cache_dir is its parent). {error}"
            ) from error
        for sentence in warnings_of(found):
            logging.warning("%s: %s", path, sentence)
        is_folder = config.vocabulary is not None and Path(config.vocabulary).is_dir()
        self._vocabulary = config.vocabulary if is_folder else str(folder / "vocab.txt")
        return str(folder)

    def _check_vocabulary(self) -> None:
        """Raises `InputError` if prepared corpora have another vocabulary than --vocabulary."""
        if self.config.vocabulary is None:
            return
        given = open_tokenizer(self.config.vocabulary, self.tokenizer.lowercase)
        if given.fingerprint() != self.tokenizer.fingerprint():
            raise InputError(
                f"--vocabulary={self.config.vocabulary} ({given.vocabulary_size()} pieces) is not the vocabulary that "
                f"{self.corpora.shards[0].directory} was prepared with ({self.tokenizer.vocabulary_size()} pieces). "
                "Leave the flag out, or prepare the corpus with it."
            )

    def _training_streams(self) -> list[BatchStream]:
        """Returns the batches of each phase; every phase has its own order and its own masks."""
        config = self.config
        streams = []
        for number, phase in enumerate(config.phase_list):
            seed = self.seed if config.phases is None else fold(self.seed, PHASE, number)
            streams.append(self._stream("train", self._masker(config.scheme, training=True), phase.row_length, seed))
        return streams

    def held_out_stream(self, scheme: str, segments: int | None = None) -> BatchStream:
        """Returns the held-out split under a masking scheme, in rows as long as the longest of training.

        Its masks follow the paper, so that runs with other settings compare.

        Args:
            scheme: str.
            segments: 1, 2 or `None`: as in training.
        """
        masker, length = self._masker(scheme, training=False), self.config.longest_row
        return self._stream("heldout", masker, length, self.seed, segments)

    def _stream(self, split: str, masker: SpanMasker, row_length: int, seed, segments=None) -> BatchStream:
        """Returns the batches of a split."""
        rows = self._rows_of(row_length)
        if split == "heldout":
            segments = segments or rows.segments  # all else is the same for every run, so that scores compare
            rows = dataclasses.replace(rows, short_sequence_rate=0.0, segments=segments, packing=True)
        batch_rows = self.config.rows_of(row_length)
        return self.corpora.stream(split, masker, rows, batch_rows, seed, self.config.entity_labels)

    def _rows_of(self, row_length: int) -> RowSettings:
        """Returns how text becomes rows of this length."""
        config = self.config
        return RowSettings(
            row_length,
            config.cut,
            config.segments,
            config.pair_units,
            config.short_sequence_rate,
            config.pair_copies,
            config.mask_copies,
            config.packing == "on",
        )

    def _report_pairs(self) -> None:
        """Logs the labels of pairs in rows of each length.

        Raises:
            InputError: most second segments are random, and the flags do not allow it.
        """
        config = self.config
        if config.segments == 1:
            return
        for length in dict.fromkeys(phase.row_length for phase in config.phase_list):
            rows = self._rows_of(length)
            for shards, shares in zip(self.corpora.shards, self.corpora.pair_shares("train", rows), strict=True):
                logging.info("%s, rows of %d tokens: %s.", shards.directory, length, shares)
            if not config.allow_skewed_pairs:
                self.corpora.check_pair_shares("train", rows)

    def _masker(self, scheme: str, training: bool) -> SpanMasker:
        """Returns what masks text, by the flags in training and by the paper otherwise."""
        config = self.config
        law: dict[str, Any] = {"unigram_counts": self.corpora.unigram_counts}
        if training:
            law |= {
                "masking_rate": config.masking_rate,
                "geometric_rate": config.geometric_rate,
                "max_span_length": config.max_span_length,
                "mention_rate": config.mention_rate,
                "rule": config.masking_rule,
            }
            if config.masking_rule == "bert":
                law |= {"unigram_counts": None, "max_predictions": config.max_predictions}
        try:
            return SpanMasker(
                tokenizer=self.tokenizer, scheme=scheme, max_span_positions=config.max_span_positions, **law
            )
        except ValueError as error:
            raise InputError(f"The masks cannot be drawn with these flags: {error}") from error

    def facts(self) -> dict:
        """Returns what identifies the text and its vocabulary, for the run's record."""
        annotation = SCHEMES[self.config.scheme].annotation
        mentions = mention_facts(self.corpora.shards, annotation, self.config.entity_labels) if annotation else {}
        return mentions | {
            "corpus_fingerprint": self.corpora.fingerprint,
            "corpus_weights": self.corpora.shares,
            "vocabulary_fingerprint": self.tokenizer.fingerprint(),
        }
