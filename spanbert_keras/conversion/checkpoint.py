"""A checkpoint as every reader gives it."""

import dataclasses
from typing import Any

import numpy as np

from spanbert_keras.conversion import tensor_names
from spanbert_keras.conversion.foreign_keys import CONFIG, check_keys
from spanbert_keras.conversion.tasks import TASKS, task_of
from spanbert_keras.errors import InputError

HEAD_SIZE = 64  # numbers an attention head has in BERT and SpanBERT of every published size
CASED_SIZE, UNCASED_SIZE = 28_996, 30_522


@dataclasses.dataclass
class Checkpoint:
    """Weights and settings, whatever program wrote them.

    Attributes:
        tensors: dict of arrays under Hugging Face's names and in its layout (products are `x W^T`), in the source's
            dtype; the span-boundary head under the research code's names.
        architecture: dict. Arguments of `SpanBertEncoder`, without a tokenizer.
        vocabulary: list of str, or `None` where the source has none.
        lowercase: bool or `None` (the vocabulary tells).
        kind: str. What the source is, for people.
        head_settings: dict. Arguments of the pretrainer or of the task's model that are no weights.
        notes: list of str. Sentences that a user must be told.
        refusal: str. Why what it has besides the encoder cannot be used; `check` says so.
        tokenizer_settings: dict. Further arguments of `SpanBertTokenizer`: how text is cut where not as in BERT.
    """

    tensors: dict[str, np.ndarray]
    architecture: dict[str, Any]
    vocabulary: list[str] | None = None
    lowercase: bool | None = None
    kind: str = "a checkpoint"
    head_settings: dict[str, Any] = dataclasses.field(default_factory=dict)
    notes: list[str] = dataclasses.field(default_factory=list)
    refusal: str = ""
    tokenizer_settings: dict[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def heads(self) -> list[str]:
        """The pre-training heads of which it has weights: of `masked_lm`, `span_boundary`."""
        found = []
        for name, table in tensor_names.HEADS.items():
            if any(weight.name in self.tensors for weight in table().values()):
                found.append(name)
        return found

    @property
    def task(self) -> str | None:
        """The fine-tuned task of which it has weights, a kind of `to_model`, or `None`."""
        return task_of(self.head_settings, self.tensors)

    @property
    def all_heads(self) -> list[str]:
        """The heads, of pre-training and of a task."""
        return [*self.heads, *([self.task] if self.task else [])]

    def table(self) -> tensor_names.Table:
        """Returns the weights of ours that it should have: the encoder's, and those of its heads."""
        table = tensor_names.encoder_table(self.architecture["num_layers"])
        for name in self.heads:
            table |= tensor_names.HEADS[name]()
        if self.task is not None:
            table |= TASKS[self.task].head(self.head_settings)
        return table

    def without_place(self) -> list[str]:
        """Returns the names of tensors that BERT has and our models do not: pooler, next sentence, copies."""
        ours = {weight.name for weight in self.table().values()}
        return sorted(name for name in self.tensors.keys() - ours if tensor_names.WITHOUT_PLACE.fullmatch(name))

    def problems(self) -> tuple[list[str], list[str], list[str]]:
        """Returns the names that are missing and those that are unknown, and sentences on shapes that do not fit."""
        expected = {weight.name for weight in self.table().values()}
        missing = sorted(expected - self.tensors.keys())
        unknown = sorted(self.tensors.keys() - expected - set(self.without_place()))
        return missing, unknown, self._wrong_shapes()

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Returns the shape of each tensor that it should have, but for those whose shapes other settings tell."""
        sizes = self.architecture
        spans = self.tensors.get(tensor_names.SBO_POSITIONS)  # whose own size counts
        places, width = spans.shape if spans is not None and spans.ndim == 2 else (0, 0)
        letters = {
            "V": sizes["vocabulary_size"],
            "D": sizes["hidden_dim"],
            "I": sizes["intermediate_dim"],
            "T": sizes["max_sequence_length"],
            "S": sizes["num_segments"],
            "L": len(self.head_settings.get("labels", ())) or 1,
            "N": places,
            "E": width,
            "2D+E": 2 * sizes["hidden_dim"] + width,
        }
        return {
            weight.name: tuple(int(letters.get(letter, letter)) for letter in weight.shape.split())
            for weight in self.table().values()
            if weight.shape
        }

    def _wrong_shapes(self) -> list[str]:
        shapes = self.shapes()
        return [
            f"{name} is {tuple(array.shape)}, not {shapes[name]}"
            for name, array in sorted(self.tensors.items())
            if name in shapes and tuple(array.shape) != shapes[name]
        ]

    def _untied(self) -> list[str]:
        """Returns the output matrices that are not the word embeddings."""
        words = self.tensors[tensor_names.WORD_EMBEDDINGS]
        known = [name for name in tensor_names.TIED if name in self.tensors]
        return [name for name in known if not np.array_equal(self.tensors[name], words)]

    def without_refused_head(self) -> "Checkpoint":
        """Returns the encoder alone, with a note, if the head beside it cannot be used; else the same."""
        if not self.refusal:
            return self
        tensors = {name: value for name, value in self.tensors.items() if name.startswith("bert.")}
        notes = [*self.notes, f"{self.refusal} The encoder alone is taken."]
        return dataclasses.replace(self, tensors=tensors, head_settings={}, notes=notes, refusal="")

    def check(self, source: str, allow_mismatch: bool = False) -> None:
        """Refuses tensors that are missing, unknown or of another shape, and heads that cannot be used.

        Args:
            source: str. Where it came from, for the sentence.
            allow_mismatch: bool. Whether missing and unknown ones and such heads are accepted; `normalised` leaves
                them out, with notes.

        Raises:
            InputError: with all names.
        """
        if not allow_mismatch:
            if self.refusal:
                raise InputError(f"{self.refusal} convert --allow_mismatch takes the encoder alone.")
            for name in self._untied():
                raise InputError(
                    f"{source} cannot be used whole: {name} is not the word embeddings. Expected: the tied matrix of "
                    "BERT. Received: one of its own; convert --allow_mismatch leaves that head out."
                )
        if self._has_two_biases():
            raise InputError(f"{source} has two biases of its masked-LM head, which differ. Expected: one.")
        missing, unknown, shapes = self.problems()
        parts = [f"{len(shapes)} tensors do not fit ({'; '.join(shapes)})"] if shapes else []
        if not allow_mismatch:
            parts += [f"{len(missing)} tensors are missing ({', '.join(missing)})"] if missing else []
            parts += [f"{len(unknown)} are unknown ({', '.join(unknown)})"] if unknown else []
        if parts:
            advice = "" if shapes else " convert --allow_mismatch leaves unknown ones out and begins missing ones anew."
            raise InputError(f"{source} is not a BERT or SpanBERT encoder as expected: {'; '.join(parts)}.{advice}")

    def _has_two_biases(self) -> bool:
        """Returns whether transformers' two names of the masked-LM head's bias have different values."""
        bias, other = (self.tensors.get(name) for name in (tensor_names.MLM_BIAS, tensor_names.MLM_BIAS_AGAIN))
        return bias is not None and other is not None and not np.array_equal(bias, other)

    def normalised(self, allow_mismatch: bool = False) -> "Checkpoint":
        """Returns a checkpoint in which each weight has the name that our tables have, for `check`.

        Args:
            allow_mismatch: bool. Whether heads that cannot be used are left out, with notes on them and on tensors
                that are missing or unknown.
        """
        tensors, notes = dict(self.tensors), list(self.notes)
        if allow_mismatch:
            notes += [self.refusal] if self.refusal else []
            for name in self._untied():
                head = name.removesuffix("decoder.weight")
                tensors = {key: value for key, value in tensors.items() if not key.startswith(head)}
                notes.append(f"{name} is not the word embeddings: its head is left out.")
        if tensor_names.MLM_BIAS_AGAIN in tensors:
            tensors.setdefault(tensor_names.MLM_BIAS, tensors[tensor_names.MLM_BIAS_AGAIN])
        whole = dataclasses.replace(self, tensors=tensors, notes=notes)
        if allow_mismatch:
            missing, unknown, _ = whole.problems()
            notes += [f"Missing, hence begun anew: {', '.join(missing)}."] if missing else []
            notes += [f"Unknown, hence left out: {', '.join(unknown)}."] if unknown else []
        return whole


def architecture_of(tensors: dict[str, np.ndarray], source: str, config: dict[str, Any] | None = None) -> dict:
    """Returns the arguments of `SpanBertEncoder` that tensors and Hugging Face's `config.json` tell.

    Args:
        tensors: under canonical names.
        source: str. For the sentences.
        config: dict or `None`. Without it heads are 64 numbers wide.

    Raises:
        InputError: there is no BERT in it, or `config` says something that our encoder does not compute.
    """
    config = config or {}
    check_keys(config, CONFIG, source)
    try:
        words = tensors[tensor_names.WORD_EMBEDDINGS]
        positions = tensors[tensor_names.POSITION_EMBEDDINGS]
        intermediate = tensors["bert.encoder.layer.0.intermediate.dense.bias"]
    except KeyError as error:
        raise InputError(
            f"{source} holds no BERT encoder: {error.args[0]} is missing. Received: {len(tensors)} tensors, e.g. "
            f"{', '.join(sorted(tensors)[:3]) or 'none'}."
        ) from None
    if words.ndim != 2 or positions.ndim != 2 or intermediate.ndim != 1:
        raise InputError(f"{source} holds no BERT encoder: its embeddings have {words.ndim} and {positions.ndim} axes.")
    layers = {int(match[1]) for match in map(tensor_names.LAYER.match, tensors) if match}
    segments = tensors.get("bert.embeddings.token_type_embeddings.weight")
    width = words.shape[1]
    numbers = {
        name: _number(config, name, default, source)
        for name, default in (
            ("num_hidden_layers", max(layers) + 1), ("num_attention_heads", max(1, width // HEAD_SIZE)),
            ("hidden_dropout_prob", 0.1), ("attention_probs_dropout_prob", 0.1),  # BertConfig's defaults
        )
    }  # fmt: skip
    if numbers["num_attention_heads"] < 1 or width % int(numbers["num_attention_heads"]):
        raise InputError(
            f"{source} cannot be used: {numbers['num_attention_heads']:g} attention heads do not divide its width, "
            f"{width}."
        )
    shapes = {
        "hidden_size": width,
        "intermediate_size": intermediate.shape[0],
        "max_position_embeddings": positions.shape[0],
        "type_vocab_size": 2 if segments is None else segments.shape[0],
        "vocab_size": words.shape[0],
    }
    for name, size in shapes.items():
        if config.get(name) not in (None, size):
            raise InputError(
                f"{source} cannot be used: its configuration says {name}={config[name]!r}, its tensors {size}. "
                "Expected: the configuration that belongs to these tensors."
            )
    return {
        "vocabulary_size": int(words.shape[0]),
        "num_layers": int(numbers["num_hidden_layers"]),
        "num_heads": int(numbers["num_attention_heads"]),
        "hidden_dim": int(width),
        "intermediate_dim": int(intermediate.shape[0]),
        "dropout": numbers["hidden_dropout_prob"],
        "attention_dropout": numbers["attention_probs_dropout_prob"],
        "max_sequence_length": int(positions.shape[0]),
        "num_segments": 2 if segments is None else int(segments.shape[0]),
    }


def _number(config: dict[str, Any], name: str, default: float, source: str) -> float:
    """Returns a number of the configuration; `null` is as good as nothing."""
    value = config.get(name)
    if value is None:
        return float(default)
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
        raise InputError(f"{source} cannot be used: its configuration says {name}={value!r}. Expected: a number.")
    return float(value)


def vocabulary_of_size(size: int) -> str:
    """Returns words for the vocabulary that belongs to so many pieces."""
    known = {CASED_SIZE: "bert-base-cased", UNCASED_SIZE: "bert-base-uncased"}
    if size in known:
        return f"the vocab.txt of {known[size]} ({size:,} pieces) belongs to it"
    return f"a vocab.txt of {size:,} pieces belongs to it"


def gelu_note(who: str, difference: str) -> str:
    """Returns the sentence on programs whose activation is not quite ours.

    Args:
        who: str. The program, with its verb.
        difference: str. How far hidden states may lie apart.
    """
    return (
        f"{who} the tanh approximation of GELU, this package the exact one, as transformers does: hidden states "
        f"differ by up to about {difference}."
    )
