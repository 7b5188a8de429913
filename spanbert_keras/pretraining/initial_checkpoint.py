"""Published weights as the initial weights of a pre-training run."""

import dataclasses
from pathlib import Path
from typing import Any

from absl import logging

from spanbert_keras.conversion.checkpoint import Checkpoint
from spanbert_keras.conversion.formats.own_models import make_tokenizer, to_model
from spanbert_keras.conversion.hugging_face_names import HEADS, SBO_POSITIONS
from spanbert_keras.conversion.resizing import resize_positions
from spanbert_keras.conversion.sources import open_source
from spanbert_keras.errors import InputError
from spanbert_keras.files.writing import input_error_if_unwritable, write_atomically, write_text
from spanbert_keras.models.pretrainer import SpanBertPretrainer
from spanbert_keras.preprocessing.tokenizer import SpanBertTokenizer
from spanbert_keras.pretraining.config import Config


class InitialCheckpoint:
    """The checkpoint of `--init_checkpoint`: sizes, vocabulary and initial weights of a run.

    Args:
        config: `Config` with `init_checkpoint`.

    Attributes:
        checkpoint: `Checkpoint`, with as many positions as the run's rows.
        config: `Config` that fits it: raw text is prepared with its vocabulary unless another is given, and the sizes
            of its span boundary head, if it has one, are kept.

    Raises:
        InputError: the checkpoint cannot be used, or flags ask for other sizes.
    """

    def __init__(self, config: Config):
        sizes = {
            "num_layers": config.num_layers,
            "hidden_dim": config.hidden_dim,
            "num_heads": config.num_heads,
            "intermediate_dim": config.intermediate_dim,
        }
        given = [name for name, value in sizes.items() if value is not None]
        if given:
            raise InputError(f"--{given[0]} cannot be given with --init_checkpoint, whose sizes the model has.")
        checkpoint = open_source(config.init_checkpoint or "", config.vocabulary)
        self.checkpoint: Checkpoint = resize_positions(checkpoint, config.max_sequence_length)
        for note in self.checkpoint.notes:
            logging.info("%s: %s", config.init_checkpoint, note)
        self.tokenizer = make_tokenizer(self.checkpoint)
        changes: dict[str, Any] = {}
        if config.vocabulary is None and config.train_vocabulary is None:
            if config.lowercase and not self.tokenizer.lowercase:
                raise InputError(
                    f"--lowercase does not fit --init_checkpoint={config.init_checkpoint}, whose tokenizer keeps case. "
                    "Leave the flag out."
                )
            changes["vocabulary"] = self._write_vocabulary(Path(config.cache_dir or Path(config.output_dir) / "cache"))
            changes["lowercase"] = self.tokenizer.lowercase
        self._check_segments(max([config.segments, *map(int, config.eval_segments)]))
        table = self.checkpoint.tensors.get(SBO_POSITIONS)
        if table is not None:
            changes |= {"max_span_positions": len(table), "position_dim": table.shape[1]}
        self.config = dataclasses.replace(config, **changes)

    def _check_segments(self, segments: int) -> None:
        """Raises if rows have more segments than the checkpoint's encoder knows."""
        known = self.checkpoint.architecture["num_segments"]
        if segments > known:
            raise InputError(
                f"--segments or --eval_segments={segments} does not fit --init_checkpoint={self.checkpoint.source}. "
                f"Expected: a checkpoint with at least {segments} segments, as BERT's. Received: one with {known}."
            )

    def _write_vocabulary(self, cache: Path) -> str:
        """Writes the tokenizer for the preparation of raw text, and returns its path; every worker writes the same.

        It is a `vocab.txt`, or a preset folder if the tokenizer has settings that a `vocab.txt` does not hold.
        """
        whole = bool(self.tokenizer.text_settings)
        path = cache / "vocabularies" / f"{self.tokenizer.fingerprint()[:12]}{'' if whole else '.txt'}"
        if self._is_written(path):
            return str(path)
        if path.exists():
            logging.warning("%s is damaged and is written again.", path)
        with input_error_if_unwritable(path):
            if whole:
                write_atomically(path, lambda temporary: self.tokenizer.save_to_preset(str(temporary)))
            else:
                write_text(path, "".join(f"{piece}\n" for piece in self.tokenizer.get_vocabulary()))
        return str(path)

    def _is_written(self, path: Path) -> bool:
        """Returns whether the tokenizer is in a file or folder of the cache."""
        if not path.exists():
            return False
        try:
            if path.is_dir():
                found = SpanBertTokenizer.from_preset(str(path))
            else:
                found = SpanBertTokenizer(path, lowercase=self.tokenizer.lowercase)
        except ValueError:
            return False
        return found.fingerprint() == self.tokenizer.fingerprint()

    def check_tokenizer(self, tokenizer: SpanBertTokenizer) -> None:
        """Raises if text was prepared with another vocabulary.

        Raises:
            InputError: the tokenizer is not the checkpoint's.
        """
        if tokenizer.fingerprint() != self.tokenizer.fingerprint():
            raise InputError(
                f"--corpus was prepared with another vocabulary ({tokenizer.vocabulary_size()} pieces, "
                f"{_case(tokenizer)}) than --init_checkpoint={self.config.init_checkpoint} has "
                f"({self.tokenizer.vocabulary_size()} pieces, {_case(self.tokenizer)}). "
                "Prepare it with the checkpoint's vocabulary."
            )

    def make_model(self, nsp_weight: float = 0.0) -> SpanBertPretrainer:
        """Returns the pretrainer with the checkpoint's weights, and logs which heads are random.

        Args:
            nsp_weight: float. Weight of next-sentence prediction; 0: the model has no head for it.
        """
        config, next_sentence = self.config, nsp_weight > 0
        settings: dict[str, Any] = {"sbo_weight": config.sbo_weight, "loss_normalization": config.loss_normalization}
        settings |= {"next_sentence": next_sentence, "nsp_weight": nsp_weight}
        if SBO_POSITIONS not in self.checkpoint.tensors:
            settings |= {"max_span_positions": config.max_span_positions, "position_dim": config.position_dim}
        tensors = {name: x for name, x in self.checkpoint.tensors.items() if name.startswith(("bert.", "cls."))}
        checkpoint = dataclasses.replace(self.checkpoint, tensors=tensors, head_settings=settings)
        dropout, attention_dropout = config.dropout, config.attention_dropout
        model = to_model(checkpoint, "pretrainer", dropout=dropout, attention_dropout=attention_dropout)
        heads = [name for name in HEADS if name != "next_sentence" or next_sentence]
        missing = ", ".join(name for name in heads if name not in checkpoint.heads) or "none"
        logging.info("Weights of %s; heads initialised randomly: %s.", config.init_checkpoint, missing)
        if "next_sentence" in checkpoint.heads and not next_sentence:
            logging.info("The next-sentence head of %s is left out: rows have no pairs.", config.init_checkpoint)
        return model


def _case(tokenizer: SpanBertTokenizer) -> str:
    """Returns the case of a tokenizer in words."""
    return "uncased" if tokenizer.lowercase else "cased"
