"""Flag files of every program, and arguments of the classes that users construct."""

import contextlib
import dataclasses
import importlib
import json
from pathlib import Path

from absl import flags

import spanbert_keras
from spanbert_keras import program
from tests.fuzzing.corpus_targets import PIECES
from tests.fuzzing.target import Target

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = [
    ".".join(file.relative_to(ROOT).with_suffix("").parts)
    for folder in ("spanbert_keras", "tasks")
    for file in sorted((ROOT / folder).rglob("*.py"))
    if "run(main, Config)" in file.read_text(encoding="utf-8")
]
ENCODER = {
    "vocabulary_size": 30,
    "num_layers": 1,
    "num_heads": 2,
    "hidden_dim": 8,
    "intermediate_dim": 12,
    "dropout": 0.1,
    "max_sequence_length": 24,
    "layer_norm_epsilon": 1e-12,
}
MASKER = {
    "scheme": "span",
    "max_span_positions": 10,
    "max_predictions": 4,
    "masking_rate": 0.15,
    "geometric_rate": 0.2,
    "max_span_length": 10,
    "mask_token_rate": 0.8,
    "random_token_rate": 0.1,
    "rule": "paper",
    "mention_rate": 0.5,
    "unigram_counts": [1] * len(PIECES),
}
HEADS = {
    "SpanBertPretrainer": {"max_span_positions": 10, "nsp_weight": 1.0, "sbo_weight": 1.0},
    "SpanBertQuestionAnswerer": {},
    "SpanBertTextClassifier": {"labels": ["a", "b"], "dropout": 0.1},
    "SpanBertRelationExtractor": {"labels": ["a", "b"], "feature_mode": "text", "dropout": 0.1},
    "SpanBertCoreferenceResolver": {"max_span_width": 4, "top_span_ratio": 0.4, "max_antecedents": 5, "hidden_dim": 8},
}


def _flag_file(module: str) -> Target:
    """Returns the target of a program's flag file: every flag that has a default, and its recipes' flags."""
    config_class = importlib.import_module(module).Config

    def make(folder: Path) -> None:
        lines = ["# Flags.", ""]
        for field in dataclasses.fields(config_class):
            default = "x" if field.default is dataclasses.MISSING else field.default
            if default is not None:
                text = ",".join(map(str, default)) if isinstance(default, tuple) else str(default)
                lines.append(f"--{field.name}={text}")
        (folder / "a.flags").write_text("\n".join(lines) + "\n")

    def read(folder: Path) -> None:
        with contextlib.chdir(folder):
            program.parse(config_class, ["--flagfile=a.flags"])

    return Target(f"flags of {module}", make, read, allowed=(flags.Error,))


def _constructor(name: str, arguments: dict, construct) -> Target:
    def make(folder: Path) -> None:
        (folder / "arguments.json").write_text(json.dumps(arguments))

    def read(folder: Path) -> None:
        try:
            given = json.loads((folder / "arguments.json").read_text())
        except (ValueError, RecursionError):
            return
        if isinstance(given, dict):
            construct(given)

    return Target(name, make, read, allowed=(ValueError, TypeError))


def _encoder(arguments: dict):
    return spanbert_keras.SpanBertEncoder(**arguments)


def _tokenizer():
    return spanbert_keras.SpanBertTokenizer(PIECES)


def _masker(arguments: dict) -> None:
    masker = spanbert_keras.SpanMasker(tokenizer=_tokenizer(), **arguments)
    masker({"token_ids": [[2, 5, 6, 7, 8, 9, 3]], "padding_mask": [[1] * 7]}, seed=[1, 2])


def _head(name: str):
    def construct(arguments: dict) -> None:
        encoder = _encoder(ENCODER | {"vocabulary_size": len(PIECES), "tokenizer": _tokenizer()})
        getattr(spanbert_keras, name)(encoder, **arguments)

    return construct


def _answer(arguments: dict) -> None:
    encoder = _encoder(ENCODER | {"vocabulary_size": len(PIECES), "tokenizer": _tokenizer()})
    spanbert_keras.SpanBertQuestionAnswerer(encoder).answer(**arguments)


QUESTIONS = {"questions": ["w1 ?", "Ann"], "contexts": ["w2 w1 .", "Ann w3"], "batch_size": 2, "n_best": 2}
TARGETS = [
    *map(_flag_file, PROGRAMS),
    _constructor("SpanBertEncoder", ENCODER, _encoder),
    _constructor("SpanMasker", MASKER, _masker),
    *(_constructor(name, arguments, _head(name)) for name, arguments in HEADS.items()),
    _constructor("answer", QUESTIONS, _answer),
]
