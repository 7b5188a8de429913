"""A small model of every class, with settings, a batch, texts and raw examples; used by the files of the contract,
`round_trip_test.py`, `saved_models_test.py`, `earlier_models_test.py`. B 2, T 7, M 2, E 10 raw examples."""

import dataclasses
from collections.abc import Callable

import keras
import numpy as np
import pytest

import spanbert_keras
from spanbert_keras.preprocessing.entity_rows import BOUNDARIES

B, T, M, D, E = 2, 7, 2, 8, 10
LETTERS = "abcdefgh"
UNUSED = [f"[unused{number}]" for number in range(1, 5)]
SPECIALS = ["[PAD]", *UNUSED, "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
PIECES = [*SPECIALS, *LETTERS, *("##" + letter for letter in LETTERS)]


def make_encoder(policy=None, vocabulary=PIECES, num_layers=2):
    """Returns a small encoder with an uncased tokenizer; `vocabulary=None`: it has no tokenizer."""
    return spanbert_keras.SpanBertEncoder(
        vocabulary_size=len(PIECES),
        num_layers=num_layers,
        num_heads=2,
        hidden_dim=D,
        intermediate_dim=12,
        dropout=0.1,
        max_sequence_length=24,
        tokenizer=vocabulary and spanbert_keras.SpanBertTokenizer(vocabulary, lowercase=True),
        dtype=policy,
    )


def rows(segments=True) -> dict:
    rng = np.random.default_rng(1)
    batch = {"token_ids": rng.integers(len(SPECIALS), len(PIECES), (B, T)), "padding_mask": np.ones((B, T))}
    batch["padding_mask"][1, 4:] = 0
    batch |= {"segment_ids": np.zeros((B, T))} if segments else {}
    return {key: value.astype("int32") for key, value in batch.items()}


@dataclasses.dataclass(frozen=True)
class TaskCase:
    """A task model.

    Attributes:
        kind: its class.
        settings: what its constructor takes beside the encoder, nothing at its default.
        batch: inputs and targets of a training step.
        method: name of the method that takes texts.
        decision: function from what it says of a text to what it decided, without scores.
        texts: list of tuples, the arguments for one text each; the method takes all at once if each argument is a list.
        raw: x and y of E raw examples of different lengths.
        shorthands: arguments of the constructor that only make one of the `settings`.
    """

    kind: type
    settings: dict
    batch: dict
    method: str
    decision: Callable
    texts: list[tuple]
    raw: tuple
    shorthands: tuple[str, ...] = ()

    def make(self, encoder=None, **others) -> keras.Model:
        return self.kind(encoder or make_encoder(), **self.settings, **others)

    def make_preprocessor(self):
        """Returns a preprocessor whose rows are those of one example each, so that examples have weights."""
        settings = {"pack": False} if self.method == "fill_spans" else {}
        return self.kind.preprocessor_cls(**settings)

    def part(self, start, stop=None) -> tuple:
        """Returns x and y of some of the raw examples."""

        def cut(column):
            if isinstance(column, dict):
                return {key: value[start:stop] for key, value in column.items()}
            return None if column is None else column[start:stop]

        return tuple(cut(column) for column in self.raw)

    def ask(self, model, *texts, **settings):
        """Returns what a model says of each of the texts, of all by default, as plain values."""
        columns = map(list, zip(*(texts or self.texts), strict=True))
        return plain(getattr(model, self.method)(*columns, **settings))

    def ask_one(self, model, text, **settings):
        """Returns what a model says of one text, given alone."""
        return plain(getattr(model, self.method)(*text, **settings))

    def decisions(self, said) -> list:
        """Returns the different decisions among what a model says of several texts."""
        decided = [self.decision(one) for one in said]
        return [one for place, one in enumerate(decided) if one not in decided[:place]]


def raw_words(count, seed=0) -> list[str]:
    """Returns random words of one or two letters."""
    rng = np.random.default_rng([count, seed])
    return ["".join(rng.choice([*LETTERS], rng.integers(1, 3))) for _ in range(count)]


COUNTS = (3, 5, 9, 4, 12, 2, 6, 15, 7, 2)  # words of the raw examples


def plain(value):
    """Returns results as values that JSON can hold."""
    if isinstance(value, str) and hasattr(value, "spans"):
        return [str(value), plain(value.spans)]
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    if isinstance(value, dict) or dataclasses.is_dataclass(value):
        return {key: plain(one) for key, one in (value if isinstance(value, dict) else vars(value)).items()}
    return value


def outputs_of(model, batch: dict) -> dict:
    """Returns what a model computes; compiled on JAX, where a resolver takes long operation by operation."""

    def compute(inputs):
        return model(inputs, training=False)

    if keras.backend.backend() == "jax":
        import jax

        compute = jax.jit(compute)
    return compute({key: keras.ops.convert_to_tensor(value) for key, value in batch.items()})


def as_arrays(outputs: dict) -> dict:
    return {key: keras.ops.convert_to_numpy(keras.ops.cast(x, "float32")) for key, x in outputs.items()}


def same(found, expected, atol: float = 1e-5) -> None:
    """Asserts that plain results agree: text and places exactly, numbers as far as float32 goes."""
    if isinstance(expected, dict):
        assert list(found) == list(expected)
        found, expected = list(found.values()), list(expected.values())
    if isinstance(expected, list):
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            same(one, other, atol)
    else:
        assert found == (pytest.approx(expected, abs=atol) if isinstance(expected, float) else expected)


def _pretrainer() -> TaskCase:
    kind = spanbert_keras.SpanBertPretrainer
    places = {key: np.ones((B, M), "int32") for key in kind.input_keys[3:]}
    weights = dict.fromkeys(("mask_weights", "span_weights"), np.ones((B, M), "float32"))
    return TaskCase(
        kind,
        {"max_span_positions": 3, "position_dim": 4, "sbo_weight": 0.5, "loss_normalization": "separate"},
        rows() | places | weights | {"mask_ids": np.full((B, M), 10, "int32")},
        "fill_spans",
        lambda one: one[0],
        [("a [MASK] [MASK] Bad cab [MASK]",), ("[MASK]",), ("caf\u00e9 head [MASK] .",)],
        ([" ".join(raw_words(count)) for count in COUNTS], None),
        shorthands=("next_sentence", "nsp_weight"),  # see the next case
    )


def _pretrainer_with_pairs() -> TaskCase:
    """The pretrainer with a next-sentence head, which takes batches alone: its raw examples are rejected."""
    plain = _pretrainer()
    pairs = {"pair_positions": [[0, 3], [0, 0]], "next_sentence_labels": [[0, 1], [1, 0]]}
    batch = plain.batch | {key: np.array(value, "int32") for key, value in pairs.items()}
    return dataclasses.replace(
        plain,
        settings=plain.settings | {"next_sentence": True, "nsp_weight": 0.5},
        batch=batch | {"pair_weights": np.array([[1, 1], [1, 0]], "float32")},
        shorthands=(),
    )


def _question_answerer() -> TaskCase:
    lengths = {"window_length": 20, "stride": 3, "max_question_pieces": 4, "max_answer_pieces": 3}
    others = {"input_order": "passage_first", "no_answer_threshold": -1.4, "special_tokens_in_text": True}
    others |= {"temperature": 1.5}
    starts, ends = np.array([[1], [2]], "int32"), np.array([[3], [2]], "int32")
    targets = {"start_positions": starts, "end_positions": ends, "answer_weights": np.ones((B, 1), "float32")}
    contexts = [" ".join(raw_words(count)) for count in COUNTS]
    found = ["" if place % 3 == 0 else context.split()[-1] for place, context in enumerate(contexts)]
    raw = {
        "question": ["a b"] * E,
        "context": contexts,
        "answer_start": [context.rindex(text) if text else 0 for context, text in zip(contexts, found, strict=True)],
        "answer_text": found,
    }
    long = "caf\u00e9 [SEP] bad .\tbead fab a b c d"
    return TaskCase(
        spanbert_keras.SpanBertQuestionAnswerer,
        lengths | others,
        rows() | targets,
        "answer",
        lambda one: one["text"] == "",
        [
            ("a B", "bad cab Head had a bad cab"),
            ("a B", "bad Cab"),
            ("c", "a e"),
            ("had head", long),
            ("c", "bead fab Bad head"),
        ],
        (raw, None),
    )


def _text_classifier() -> TaskCase:
    settings = {"labels": ["x", "y"], "row_length": 20, "pooler": True, "dropout": 0.2, "takes_pairs": True}
    return TaskCase(
        spanbert_keras.SpanBertTextClassifier,
        settings | {"problem_type": "multi_label", "threshold": 0.4, "temperature": 1.5},
        rows() | {"label_targets": np.eye(2, dtype="float32")},
        "classify",
        lambda one: one["labels"],
        [(("Bad cab", "a head had a caf\u00e9"),), (("a b", "c"),), (("fab", "bead ."),)],
        (
            [(" ".join(raw_words(count)), " ".join(raw_words(count // 2, 1))) for count in COUNTS],
            [["x"], ["y"], [], ["x", "y"], ["y"]] * 2,
        ),
    )


def _relation_extractor() -> TaskCase:
    markers = dict(zip(BOUNDARIES, UNUSED[::-1], strict=True))
    settings = {"labels": ["x", "y"], "feature_mode": "text", "markers": markers, "row_length": 20}
    return TaskCase(
        spanbert_keras.SpanBertRelationExtractor,
        settings | {"pooler": True, "dropout": 0.2, "temperature": 1.5},
        rows() | {"label_targets": np.eye(2, dtype="float32")},
        "extract",
        lambda one: one["label"],
        [
            ("a Bad cab had a head in a fab caf\u00e9".split(), (1, 3), (5, 6)),
            ("a b".split(), (1, 2), (0, 1)),
            ("a bead".split(), (0, 1), (1, 2)),
        ],
        (
            [{"tokens": raw_words(count), "subject": (0, 1), "object": (count - 1, count)} for count in COUNTS],
            ["x", "y", "y", "x", "y"] * 2,
        ),
        shorthands=("subject_types", "object_types"),
    )


def _coreference_resolver() -> TaskCase:
    spans = {"segment_length": T, "max_span_width": 2, "top_span_ratio": 0.5, "candidates": "pieces"}
    pairs = {"max_antecedents": 2, "antecedent_window": 5, "refinements": 2, "max_segment_distance": 2}
    layers = {"feature_dim": 4, "hidden_dim": 6, "dropout": 0.2}
    given, numbers = rows(segments=False), np.zeros((B, T), "int32")
    mask = given["padding_mask"]
    batch = {
        "piece_places": np.arange(T, dtype="int32") * mask,
        "start_groups": mask - 1,
        "end_groups": (mask - 1) * 2,
        "speakers": numbers,
        "segment_numbers": numbers,
        "genres": numbers[:, :1],
        "span_limits": np.full((B, 1), 3, "int32"),
        "span_clusters": np.ones((B, T, 2), "int32"),
    }
    words = [tuple(np.random.default_rng(count).choice([*LETTERS, "Ab", "\u00e9"], count)) for count in (3, 12, 25)]
    return TaskCase(
        spanbert_keras.SpanBertCoreferenceResolver,
        spans | pairs | layers | {"genres": ["x", "y"], "default_genre": "y", "language": "de"},
        given | batch,
        "resolve",
        lambda one: len(one["token_clusters"]),
        [(spanbert_keras.Document(tuple(map(str, one)), genre="x" * (len(one) == 12)),) for one in words],
        (
            [
                spanbert_keras.Document(tuple(raw_words(count)), clusters=(((0, 1), (count - 1, count)),))
                for count in COUNTS
            ],
            None,
        ),
    )


def _entity_recognizer() -> TaskCase:
    widths = {"max_span_width": 2, "nested": False, "row_length": 20}
    numbers = np.arange(T, dtype="int32") * rows()["padding_mask"]
    labels = np.zeros((B, T, 2), "int32")
    labels[:, 1:3, 1] = 1
    weights = np.ones((B, T, 2), "float32") * rows()["padding_mask"][..., None]
    texts = [" ".join(raw_words(count)) for count in COUNTS]
    last = [text.rindex(" ") + 1 for text in texts]
    return TaskCase(
        spanbert_keras.SpanBertEntityRecognizer,
        widths | {"labels": ["x", "y"], "hidden_dim": 6, "dropout": 0.2, "temperature": 1.5},
        rows() | {"word_starts": numbers, "word_ends": numbers, "span_labels": labels, "span_weights": weights},
        "recognize",
        lambda one: [entity["label"] for entity in one],
        [
            ("Bad cab, a head had a caf\u00e9 in a fab bead. A bee had a cab .",),
            ("a b",),
            ("fab\tbead. caf\u00e9",),
            ("Bad cab a head had a .",),
        ],
        (texts, [[(start, len(text), "xy"[start % 2])] for text, start in zip(texts, last, strict=True)]),
    )


TASKS = {
    case.kind.__name__: case
    for case in (
        _pretrainer(),
        _question_answerer(),
        _text_classifier(),
        _relation_extractor(),
        _coreference_resolver(),
        _entity_recognizer(),
    )
}
CASES = TASKS | {"SpanBertPretrainer_with_pairs": _pretrainer_with_pairs()}  # for what needs no raw examples
