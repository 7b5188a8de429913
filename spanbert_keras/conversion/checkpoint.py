"""A checkpoint as every reader gives it."""

import dataclasses
from typing import Any

import numpy as np

from spanbert_keras.conversion import tensor_names
from spanbert_keras.conversion.foreign_keys import CONFIG, check_keys
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
            if any(theirs in self.tensors for theirs, _ in table().values()):
                found.append(name)
        return found

    @property
    def task(self) -> str | None:
        """The fine-tuned task of which it has weights, a kind of `to_model`, or `None`."""
        if "labels" in self.head_settings:
            return "relation_extractor" if "markers" in self.head_settings else "text_classifier"
        for name in ("question_answerer", "coreference_resolver"):
            if any(theirs in self.tensors for theirs, _ in tensor_names.TASK_HEADS[name]().values()):
                return name
        return None

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
            table |= tensor_names.TASK_HEADS[self.task]()
        if self.head_settings.get("pooler"):
            table |= tensor_names.pooler_table()
        return table

    def without_place(self) -> list[str]:
        """Returns the names of tensors that BERT has and our models do not: pooler, next sentence, copies."""
        ours = {theirs for theirs, _ in self.table().values()}
        return sorted(name for name in self.tensors.keys() - ours if tensor_names.WITHOUT_PLACE.fullmatch(name))

    def problems(self) -> tuple[list[str], list[str], list[str]]:
        """Returns the names that are missing and those that are unknown, and sentences on shapes that do not fit."""
        expected = {theirs for theirs, _ in self.table().values()}
        missing = sorted(expected - self.tensors.keys())
        unknown = sorted(self.tensors.keys() - expected - set(self.without_place()))
        return missing, unknown, self._wrong_shapes()

    @property
    def _classes(self) -> int:
        """How many outputs a classifier has."""
        return len(self.head_settings.get("labels", ())) or 1

    def _wrong_shapes(self) -> list[str]:
        sizes = self.architecture
        v, d, inner = sizes["vocabulary_size"], sizes["hidden_dim"], sizes["intermediate_dim"]
        table = self.tensors.get(tensor_names.SBO_POSITIONS)
        position_dim = table.shape[1] if table is not None and table.ndim == 2 else 0
        shapes = {
            tensor_names.WORD_EMBEDDINGS: (v, d),
            tensor_names.POSITION_EMBEDDINGS: (sizes["max_sequence_length"], d),
            "bert.embeddings.token_type_embeddings.weight": (sizes["num_segments"], d),
            tensor_names.MLM_BIAS: (v,),
            tensor_names.SBO_BIAS: (v,),
            "qa_outputs.weight": (2, d),
            "qa_outputs.bias": (2,),
            "classifier.weight": (self._classes, d),
            "classifier.bias": (self._classes,),
            tensor_names.SBO_POSITIONS: (len(table) if table is not None else 0, position_dim),
            "cls.pair_target_predictions.mlp_layer_norm.linear1.weight": (d, 2 * d + position_dim),
        }
        for name, array in self.tensors.items():
            if name.startswith(tensor_names.COREFERENCE):
                shapes[name] = tuple(array.shape)  # its settings say
            elif name.endswith(".intermediate.dense.weight"):
                shapes[name] = (inner, d)
            elif name.endswith(".intermediate.dense.bias"):
                shapes[name] = (inner,)
            elif tensor_names.LAYER.match(name) and name.endswith(".output.dense.weight") and ".attention." not in name:
                shapes[name] = (d, inner)
            else:
                shapes.setdefault(name, (d,) if array.ndim == 1 else (d, d))
        known = {theirs for theirs, _ in self.table().values()}
        return [
            f"{name} is {tuple(array.shape)}, not {shapes[name]}"
            for name, array in sorted(self.tensors.items())
            if name in known and tuple(array.shape) != shapes[name]
        ]

    def without_refused_head(self) -> "Checkpoint":
        """Returns the encoder alone, with a note, if the head beside it cannot be used; else the same."""
        if not self.refusal:
            return self
        tensors = {name: value for name, value in self.tensors.items() if name.startswith("bert.")}
        notes = [*self.notes, f"{self.refusal} The encoder alone is taken."]
        return dataclasses.replace(self, tensors=tensors, head_settings={}, notes=notes, refusal="")

    def check(self, source: str, allow_mismatch: bool = False) -> None:
        """Refuses tensors that are missing, unknown or of another shape.

        Args:
            source: str. Where it came from, for the sentence.
            allow_mismatch: bool. Whether missing and unknown ones are accepted, with a note.

        Raises:
            InputError: with all names.
        """
        if self.refusal:
            if not allow_mismatch:
                raise InputError(f"{self.refusal} convert --allow_mismatch takes the encoder alone.")
            self.notes.append(self.refusal)
        self._check_tied(source, allow_mismatch)
        self._merge_biases(source)
        missing, unknown, shapes = self.problems()
        parts = [f"{len(shapes)} tensors do not fit ({'; '.join(shapes)})"] if shapes else []
        if not allow_mismatch:
            parts += [f"{len(missing)} tensors are missing ({', '.join(missing)})"] if missing else []
            parts += [f"{len(unknown)} are unknown ({', '.join(unknown)})"] if unknown else []
        if parts:
            advice = "" if shapes else " convert --allow_mismatch leaves unknown ones out and begins missing ones anew."
            raise InputError(f"{source} is not a BERT or SpanBERT encoder as expected: {'; '.join(parts)}.{advice}")
        if missing:
            self.notes.append(f"Missing, hence begun anew: {', '.join(missing)}.")
        if unknown:
            self.notes.append(f"Unknown, hence left out: {', '.join(unknown)}.")

    def _check_tied(self, source: str, allow_mismatch: bool) -> None:
        """Refuses output matrices that are not the word embeddings, or leaves their heads out."""
        words = self.tensors[tensor_names.WORD_EMBEDDINGS]
        for name in tensor_names.TIED:
            if name not in self.tensors or np.array_equal(self.tensors[name], words):
                continue
            if not allow_mismatch:
                raise InputError(
                    f"{source} cannot be used whole: {name} is not the word embeddings. Expected: the tied matrix of "
                    "BERT. Received: one of its own; convert --allow_mismatch leaves that head out."
                )
            head = name.removesuffix("decoder.weight")
            self.tensors = {key: value for key, value in self.tensors.items() if not key.startswith(head)}
            self.notes.append(f"{name} is not the word embeddings: its head is left out.")

    def _merge_biases(self, source: str) -> None:
        """Gives the masked-LM head's bias the name that we know; transformers has it under two."""
        other = self.tensors.get("cls.predictions.decoder.bias")
        if other is None:
            return
        if not np.array_equal(self.tensors.setdefault(tensor_names.MLM_BIAS, other), other):
            raise InputError(f"{source} has two biases of its masked-LM head, which differ. Expected: one.")


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
