"""A checkpoint in the common form that every reader returns."""

import dataclasses
from typing import Any

import numpy as np

from spanbert_keras.conversion import hugging_face_names as names
from spanbert_keras.conversion.foreign_keys import CONFIG, check_keys
from spanbert_keras.conversion.tasks import TASKS, task_of
from spanbert_keras.errors import InputError

HEAD_SIZE = 64  # width of an attention head in all published sizes of BERT and SpanBERT
FLOATS = ("float32", "float16", "bfloat16", "float64")  # dtypes of weights
CASED_SIZE, UNCASED_SIZE = 28_996, 30_522


@dataclasses.dataclass
class Checkpoint:
    """Weights and settings, independent of the program that wrote them.

    Attributes:
        tensors: dict of arrays. Weights by Hugging Face's names, in its layout (products are `x W^T`) and in the
            source's dtype; the span-boundary head has the research code's names.
        architecture: dict. Arguments of `SpanBertEncoder`, without a tokenizer.
        vocabulary: list of str, or `None` if the source has no vocabulary.
        lowercase: bool or `None`. Whether text is lower-cased. `None`: inferred from the vocabulary.
        kind: str. Description of the source, for messages.
        head_settings: dict. Arguments of the pretrainer or of the task's model.
        notes: list of str. Sentences to show to the user.
        refusal: str. Why the head cannot be used, for the error of `check`; "" if it can.
        tokenizer_settings: dict. Further arguments of `SpanBertTokenizer`, where it differs from BERT's.
        source: str. Path or name that it was read from, for messages.
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
    source: str = "The checkpoint"

    @property
    def heads(self) -> list[str]:
        """The pre-training heads that it has weights of, among `masked_lm`, `span_boundary` and `next_sentence`."""
        return names.heads_in(self.tensors)

    @property
    def task(self) -> str | None:
        """The task that it was fine-tuned for (a kind of `to_model`), or `None`."""
        return task_of(self.head_settings)

    @property
    def model_kind(self) -> str:
        """The kind of `to_model` that has all its heads: its task, else a pretrainer or an encoder."""
        return self.task or ("pretrainer" if self.heads else "encoder")

    @property
    def all_heads(self) -> list[str]:
        """The pre-training heads and the head of a task."""
        return [*self.heads, *([self.task] if self.task else [])]

    def table(self) -> names.Table:
        """Returns the weights that our models need from it: those of the encoder and of its heads."""
        table = names.encoder_table(self.architecture["num_layers"])
        for name in self.heads:
            table |= names.HEADS[name]()
        if self.task is not None:
            table |= TASKS[self.task].head(self.head_settings)
        return table

    def without_place(self) -> list[str]:
        """Returns names of BERT tensors that its model lacks: tied copies, a pooler without next-sentence head."""
        ours = {weight.name for weight in self.table().values()}
        return sorted(name for name in self.tensors.keys() - ours if names.WITHOUT_PLACE.fullmatch(name))

    def problems(self) -> tuple[list[str], list[str], list[str]]:
        """Returns the missing names, the unknown names, and a sentence for each wrong shape."""
        expected = {weight.name for weight in self.table().values()}
        missing = sorted(expected - self.tensors.keys())
        unknown = sorted(self.tensors.keys() - expected - set(self.without_place()))
        return missing, unknown, self._shape_mismatches()

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Returns the expected shape of each tensor, except those whose shape depends on other settings."""
        sizes = self.architecture
        spans = self.tensors.get(names.SBO_POSITIONS)  # its own sizes are the expected ones
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

    def _shape_mismatches(self) -> list[str]:
        shapes = self.shapes()
        return [
            f"{name} has shape {tuple(array.shape)}, expected {shapes[name]}"
            for name, array in sorted(self.tensors.items())
            if name in shapes and tuple(array.shape) != shapes[name]
        ]

    def _untied_outputs(self) -> list[str]:
        """Returns the names of output matrices that differ from the word embeddings."""
        words = self.tensors[names.WORD_EMBEDDINGS]
        known = [name for name in names.TIED if name in self.tensors]
        return [name for name in known if not np.array_equal(self.tensors[name], words)]

    def without_refused_head(self) -> "Checkpoint":
        """Returns only the encoder, with a note, if the head cannot be used; otherwise the checkpoint itself."""
        if not self.refusal:
            return self
        tensors = {name: value for name, value in self.tensors.items() if name.startswith("bert.")}
        notes = [*self.notes, f"{self.refusal} Only the encoder is loaded."]
        return dataclasses.replace(self, tensors=tensors, head_settings={}, notes=notes, refusal="")

    def check(self, allow_mismatch: bool = False, allow_nonfinite: bool = False) -> None:
        """Raises if tensors are missing, unknown, of the wrong shape or type, not finite, or if a head is unusable.

        Args:
            allow_mismatch: bool. Whether missing tensors, unknown tensors and unusable heads are accepted;
                `normalised` handles them and adds notes.
            allow_nonfinite: bool. Whether weights may be infinite or not a number.

        Raises:
            InputError: the message lists all names.
        """
        if not allow_mismatch:
            if self.refusal:
                raise InputError(f"{self.refusal} convert --allow_mismatch loads only the encoder.")
            for name in self._untied_outputs():
                raise InputError(
                    f"{self.source} cannot be used as a whole: {name} differs from the word embeddings. Expected: tied "
                    "weights, as in BERT. Received: a separate matrix. convert --allow_mismatch drops that head."
                )
        if self._has_two_biases():
            raise InputError(f"{self.source} has two different biases for its masked-LM head. Expected: one.")
        missing, unknown, shapes = self.problems()
        parts = [f"{len(shapes)} tensors have wrong shapes ({'; '.join(shapes)})"] if shapes else []
        if not allow_mismatch:
            parts += [f"{len(missing)} tensors are missing ({', '.join(missing)})"] if missing else []
            parts += [f"{len(unknown)} are unknown ({', '.join(unknown)})"] if unknown else []
        if parts:
            advice = "" if shapes else " convert --allow_mismatch drops unknown tensors and initialises missing ones."
            raise InputError(f"{self.source} does not match a BERT or SpanBERT encoder: {'; '.join(parts)}.{advice}")
        self._check_values(allow_nonfinite)

    def _check_values(self, allow_nonfinite: bool) -> None:
        """Raises if weights are not real numbers, or not finite ones as float32."""
        ours = {weight.name: self.tensors.get(weight.name) for weight in self.table().values()}
        known = {name: array for name, array in sorted(ours.items()) if array is not None}
        others = [f"{name} ({array.dtype})" for name, array in known.items() if array.dtype.name not in FLOATS]
        if others:
            raise InputError(
                f"{self.source} cannot be used: its weights {_listed(others)} have another type. Expected: "
                f"{', '.join(FLOATS)}."
            )
        wrong = [] if allow_nonfinite else [name for name, array in known.items() if not _is_finite(array)]
        if wrong:
            raise InputError(
                f"{self.source} has weights that are infinite or not a number: {_listed(wrong)}. The file is damaged, "
                "or training diverged. convert --allow_nonfinite converts them as they are."
            )

    def _has_two_biases(self) -> bool:
        """Returns whether the masked-LM bias differs between its two names in transformers."""
        bias, other = (self.tensors.get(name) for name in (names.MLM_BIAS, names.MLM_BIAS_AGAIN))
        return bias is not None and other is not None and not np.array_equal(bias, other)

    def normalised(self, allow_mismatch: bool = False) -> "Checkpoint":
        """Returns a copy whose weights have the names of our tables, as `check` expects.

        Args:
            allow_mismatch: bool. Whether unusable heads are dropped, with notes on them and on missing or unknown
                tensors.
        """
        tensors, notes = dict(self.tensors), list(self.notes)
        if allow_mismatch:
            notes += [self.refusal] if self.refusal else []
            for name in self._untied_outputs():
                head = name.removesuffix("decoder.weight")
                tensors = {key: value for key, value in tensors.items() if not key.startswith(head)}
                notes.append(f"{name} differs from the word embeddings: its head is dropped.")
        if names.MLM_BIAS_AGAIN in tensors:
            tensors.setdefault(names.MLM_BIAS, tensors[names.MLM_BIAS_AGAIN])
        whole = dataclasses.replace(self, tensors=tensors, notes=notes)
        if allow_mismatch:
            missing, unknown, _ = whole.problems()
            notes += [f"Missing, so re-initialised: {', '.join(missing)}."] if missing else []
            notes += [f"Unknown, so dropped: {', '.join(unknown)}."] if unknown else []
        return whole


def _is_finite(array: np.ndarray) -> bool:
    """Returns whether all values are finite as float32."""
    if not array.size:
        return True
    exponent = {"float16": 0x7C00, "bfloat16": 0x7F80}.get(array.dtype.name)
    if exponent is not None:  # NumPy compares numbers of these types one at a time
        return not ((array.view(np.uint16) & exponent) == exponent).any()
    with np.errstate(over="ignore", invalid="ignore"):
        return bool(np.isfinite([np.float32(array.min()), np.float32(array.max())]).all())


def _listed(found: list[str]) -> str:
    """Returns up to five names, each cut to 200 characters, and the number of the others."""
    more = f" and {len(found) - 5} more" if len(found) > 5 else ""
    return ", ".join(name[:200] for name in found[:5]) + more


def architecture_of(tensors: dict[str, np.ndarray], source: str, config: dict[str, Any] | None = None) -> dict:
    """Infers the arguments of `SpanBertEncoder` from tensors and Hugging Face's `config.json`.

    Args:
        tensors: dict of arrays by canonical names.
        source: str. Where they were read from, for error messages.
        config: dict or `None`. Contents of `config.json`. `None`: attention heads of width 64.

    Returns:
        dict. Keyword arguments, without a tokenizer.

    Raises:
        InputError: the tensors are not of a BERT encoder, or `config` has a value that our encoder does not support.
    """
    config = config or {}
    check_keys(config, CONFIG, source)
    try:
        words = tensors[names.WORD_EMBEDDINGS]
        positions = tensors[names.POSITION_EMBEDDINGS]
        intermediate = tensors["bert.encoder.layer.0.intermediate.dense.bias"]
    except KeyError as error:
        raise InputError(
            f"{source} does not contain a BERT encoder: {error.args[0]} is missing. Received: {len(tensors)} tensors, "
            f"e.g. {', '.join(sorted(tensors)[:3]) or 'none'}."
        ) from None
    if words.ndim != 2 or positions.ndim != 2 or intermediate.ndim != 1:
        raise InputError(
            f"{source} does not contain a BERT encoder: its embeddings have {words.ndim} and {positions.ndim} axes, "
            f"and the first intermediate bias has {intermediate.ndim}. Expected: 2, 2 and 1."
        )
    layers = {int(match[1]) for match in map(names.LAYER.match, tensors) if match}
    if max(layers) >= len(tensors):
        raise InputError(
            f"{source} does not contain a BERT encoder: it has a layer {str(max(layers))[:40]}, but {len(tensors)} "
            "tensors. Expected: layers numbered from 0."
        )
    segments = tensors.get("bert.embeddings.token_type_embeddings.weight")
    width = words.shape[1]
    num_layers = _count(config, "num_hidden_layers", max(layers) + 1, len(tensors), "number of tensors", source)
    num_heads = _count(config, "num_attention_heads", max(1, width // HEAD_SIZE), width, "width", source)
    if width % num_heads:
        raise InputError(f"{source} cannot be used: {num_heads} attention heads do not divide its width, {width}.")
    sizes = {
        "hidden_size": width,
        "intermediate_size": intermediate.shape[0],
        "max_position_embeddings": positions.shape[0],
        "type_vocab_size": 2 if segments is None else segments.shape[0],
        "vocab_size": words.shape[0],
    }
    _check_sizes(config, sizes, source)
    return {
        "vocabulary_size": int(words.shape[0]),
        "num_layers": num_layers,
        "num_heads": num_heads,
        "hidden_dim": int(width),
        "intermediate_dim": int(intermediate.shape[0]),
        "dropout": _rate(config, "hidden_dropout_prob", source),
        "attention_dropout": _rate(config, "attention_probs_dropout_prob", source),
        "max_sequence_length": int(positions.shape[0]),
        "num_segments": 2 if segments is None else int(segments.shape[0]),
    }


def _check_sizes(config: dict[str, Any], sizes: dict[str, int], source: str) -> None:
    """Raises if the configuration contradicts the sizes of the tensors."""
    for name, size in sizes.items():
        if config.get(name) not in (None, size):
            raise InputError(
                f"{source} cannot be used: its configuration says {name}={repr(config[name])[:40]}, its tensors "
                f"{size}. "
                "Expected: the configuration that belongs to these tensors."
            )


def _count(config: dict[str, Any], name: str, default: int, most: int, of_what: str, source: str) -> int:
    """Returns a size of the configuration, or the default if it is absent or `null`."""
    value = config.get(name)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
        raise InputError(
            f"{source} cannot be used: its configuration says {name}={repr(value)[:40]}. Expected: a number from "
            f"1 to {most}, its {of_what}."
        )
    return value


def _rate(config: dict[str, Any], name: str, source: str) -> float:
    """Returns a dropout rate of the configuration, or BERT's if it is absent or `null`."""
    value = config.get(name)
    if value is None:
        return 0.1  # BertConfig's default
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1:
        raise InputError(
            f"{source} cannot be used: its configuration says {name}={repr(value)[:40]}. Expected: a number from 0 to "
            "below 1."
        )
    return float(value)


def vocabulary_of_size(size: int) -> str:
    """Returns a phrase that names the vocabulary of this size, for messages."""
    known = {CASED_SIZE: "bert-base-cased", UNCASED_SIZE: "bert-base-uncased"}
    if size in known:
        return f"the vocab.txt of {known[size]} ({size:,} pieces) belongs to it"
    return f"a vocab.txt of {size:,} pieces belongs to it"


def gelu_note(who: str, difference: str) -> str:
    """Returns a note on programs that approximate GELU.

    Args:
        who: str. The program and a verb, e.g. "keras-hub computes".
        difference: str. Largest expected difference between hidden states.
    """
    return (
        f"{who} the tanh approximation of GELU; this package computes the exact function, like transformers. Hidden "
        f"states differ by up to about {difference}."
    )
