"""Published weights as the beginning of a pre-training run."""

import dataclasses
from pathlib import Path
from typing import Any

from absl import logging

from spanbert_keras.conversion.checkpoint import Checkpoint
from spanbert_keras.conversion.formats.own_models import make_tokenizer, to_model
from spanbert_keras.conversion.resizing import resize_positions
from spanbert_keras.conversion.sources import open_source
from spanbert_keras.conversion.tensor_names import HEADS, SBO_POSITIONS
from spanbert_keras.errors import InputError
from spanbert_keras.files.writing import input_error_if_unwritable, write_atomically, write_text

SIZES = ("num_layers", "hidden_dim", "num_heads", "intermediate_dim")


class InitialCheckpoint:
    """The checkpoint of `--init_checkpoint`: it gives a run its sizes, its vocabulary and its first weights.

    Args:
        config: `pretrain.Config` with `init_checkpoint`.

    Attributes:
        checkpoint: `Checkpoint`, with as many positions as the run's rows.
        config: `pretrain.Config` that fits it: raw text is prepared with its vocabulary unless there is another, and
            the rows of a span-boundary head are its own.

    Raises:
        InputError: the checkpoint cannot be used, or flags ask for other sizes.
    """

    def __init__(self, config: Any):
        given = [name for name in SIZES if getattr(config, name) is not None]
        if given:
            raise InputError(f"--{given[0]} cannot be given with --init_checkpoint, whose sizes the model has.")
        checkpoint = open_source(config.init_checkpoint, config.vocabulary)
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
        table = self.checkpoint.tensors.get(SBO_POSITIONS)
        if table is not None:
            changes |= {"max_span_positions": len(table), "position_dim": table.shape[1]}
        self.config = dataclasses.replace(config, **changes)

    def _write_vocabulary(self, cache: Path) -> str:
        """Writes the tokenizer where raw text finds it, and returns the path; every worker writes the same.

        That is a `vocab.txt`, or a preset folder where text is cut in a way that no `vocab.txt` tells.
        """
        whole = bool(self.tokenizer.text_settings)
        path = cache / "vocabularies" / f"{self.tokenizer.fingerprint()[:12]}{'' if whole else '.txt'}"
        if whole and not path.is_dir():
            with input_error_if_unwritable(path):
                write_atomically(path, lambda temporary: self.tokenizer.save_to_preset(str(temporary)))
        elif not path.exists():
            write_text(path, "".join(f"{piece}\n" for piece in self.tokenizer.get_vocabulary()))
        return str(path)

    def check_tokenizer(self, tokenizer) -> None:
        """Refuses text that was prepared with another vocabulary.

        Raises:
            InputError: its pieces are not the checkpoint's.
        """
        if tokenizer.fingerprint() != self.tokenizer.fingerprint():
            raise InputError(
                f"--corpus was prepared with another vocabulary ({tokenizer.vocabulary_size()} pieces, "
                f"{_case(tokenizer)}) than --init_checkpoint={self.config.init_checkpoint} has "
                f"({self.tokenizer.vocabulary_size()} pieces, {_case(self.tokenizer)}). Prepare it with that one."
            )

    def make_model(self):
        """Returns the pretrainer with the checkpoint's weights, and logs which heads begin anew."""
        config = self.config
        settings = {name: getattr(config, name) for name in ("sbo_weight", "loss_normalization")}
        if SBO_POSITIONS not in self.checkpoint.tensors:
            settings |= {name: getattr(config, name) for name in ("max_span_positions", "position_dim")}
        tensors = {name: x for name, x in self.checkpoint.tensors.items() if name.startswith(("bert.", "cls."))}
        checkpoint = dataclasses.replace(self.checkpoint, tensors=tensors, head_settings=settings)
        model = to_model(
            checkpoint, "pretrainer", dropout=config.dropout, attention_dropout=config.attention_dropout
        )  # fmt: skip
        fresh = [name for name in HEADS if name not in checkpoint.heads]
        logging.info(
            "Weights of %s; heads that begin anew: %s.", config.init_checkpoint, ", ".join(fresh) or "none"
        )  # fmt: skip
        return model


def _case(tokenizer) -> str:
    return "uncased" if tokenizer.lowercase else "cased"
