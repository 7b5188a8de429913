"""Constructors check every number before anything is allocated."""

import inspect
import math
import time

import keras
import numpy as np
import pytest

import spanbert_keras
from spanbert_keras.layers.classification_head import ClassificationHead
from spanbert_keras.layers.coreference.coarse_antecedents import CoarseAntecedents
from spanbert_keras.layers.coreference.feed_forward_score import FeedForwardScore
from spanbert_keras.layers.coreference.mention_scorer import MentionScorer
from spanbert_keras.layers.coreference.pair_scorer import PairScorer
from spanbert_keras.layers.coreference.span_vectors import SpanVectors
from spanbert_keras.layers.encoder_block import EncoderBlock
from spanbert_keras.layers.input_embedding import InputEmbedding
from spanbert_keras.layers.self_attention import SelfAttention
from spanbert_keras.layers.span_classification_head import SpanClassificationHead

VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[unused1]", "[unused2]", "a", "b"]
SIZES = {"vocabulary_size": 9, "num_layers": 1, "num_heads": 2, "hidden_dim": 8, "intermediate_dim": 16}
# Arguments that are numbers; every other argument of a constructor is named in OTHERS.
WHOLE = {
    *SIZES,
    "max_sequence_length",
    "num_segments",
    "num_outputs",
    "num_classes",
    "max_antecedents",
    "feature_dim",
    "max_span_width",
    "num_genres",
    "max_segment_distance",
    "max_span_positions",
    "position_dim",
    "antecedent_window",
    "segment_length",
    "window_length",
    "stride",
    "max_question_pieces",
    "max_answer_pieces",
    "row_length",
    "max_predictions",
    "max_span_length",
    "max_segments",
}
COUNTS = {"refinements", "seed"}  # may be 0
REAL = {
    "dropout",
    "attention_dropout",
    "top_span_ratio",
    "sbo_weight",
    "nsp_weight",
    "masking_rate",
    "geometric_rate",
    "mask_token_rate",
    "random_token_rate",
    "mention_rate",
    "threshold",
    "no_answer_threshold",
    "temperature",
}
OTHERS = {
    *(
        "self",
        "kwargs",
        "encoder",
        "embedding",
        "tokenizer",
        "dtype",
        "labels",
        "pooler",
        "takes_pairs",
        "problem_type",
    ),
    *("attention", "recompute"),
    *(
        "genres",
        "default_genre",
        "candidates",
        "language",
        "loss_normalization",
        "next_sentence",
        "input_order",
        "rule",
        "scheme",
    ),
    *("special_tokens_in_text", "subject_types", "object_types", "feature_mode", "markers", "unigram_counts", "pack"),
    *("answers", "first_answer", "nested"),
}
CLASSES = {
    SelfAttention: {"num_heads": 2},
    EncoderBlock: {"num_heads": 2, "intermediate_dim": 16},
    InputEmbedding: {"max_sequence_length": 8, "num_segments": 2},
    ClassificationHead: {"num_outputs": 2},
    SpanClassificationHead: {"num_classes": 3, "max_span_width": 2},
    CoarseAntecedents: {},
    FeedForwardScore: {},
    MentionScorer: {},
    PairScorer: {},
    SpanVectors: {},
    spanbert_keras.SpanBoundaryHead: {"embedding": "embedding"},
    spanbert_keras.SpanBertEncoder: SIZES,
    spanbert_keras.SpanMasker: {"tokenizer": "tokenizer"},
    spanbert_keras.SpanBertPretrainer: {"encoder": "encoder"},
    spanbert_keras.SpanBertQuestionAnswerer: {"encoder": "encoder"},
    spanbert_keras.SpanBertCoreferenceResolver: {"encoder": "encoder", "hidden_dim": 8},
    spanbert_keras.SpanBertTextClassifier: {"encoder": "encoder", "labels": ["a", "b"]},
    spanbert_keras.SpanBertRelationExtractor: {"encoder": "encoder", "labels": ["a", "b"], "markers": {}},
    spanbert_keras.SpanBertEntityRecognizer: {"encoder": "encoder", "labels": ["a", "b"]},
    spanbert_keras.SpanBertEntityRecognizerPreprocessor: {"tokenizer": "tokenizer"},
    spanbert_keras.SpanBertPretrainerPreprocessor: {"tokenizer": "tokenizer"},
    spanbert_keras.SpanBertQuestionAnswererPreprocessor: {"tokenizer": "tokenizer"},
    spanbert_keras.SpanBertCoreferencePreprocessor: {"tokenizer": "tokenizer"},
    spanbert_keras.SpanBertTextClassifierPreprocessor: {"tokenizer": "tokenizer"},
    spanbert_keras.SpanBertRelationExtractorPreprocessor: {"tokenizer": "tokenizer"},
}
ENDLESS = (math.nan, math.inf, -math.inf, 10**400)
NO_NUMBER = ("8", b"8", True, [8], np.array(8), iter("8"), {})
WRONG = {
    "whole": (-1, 0, 1.5, 10**10, *ENDLESS, *NO_NUMBER),
    "count": (-1, 1.5, *ENDLESS, *NO_NUMBER),
    "real": (*ENDLESS, *NO_NUMBER),
}


def kind_of(name):
    return "whole" if name in WHOLE else "count" if name in COUNTS else "real" if name in REAL else None


def numbers_of(kind):
    return [name for name in inspect.signature(kind.__init__).parameters if kind_of(name)]


@pytest.fixture(scope="module")
def parts():
    tokenizer = spanbert_keras.SpanBertTokenizer(VOCABULARY)
    encoder = spanbert_keras.SpanBertEncoder(**SIZES, max_sequence_length=32, tokenizer=tokenizer)
    return {"tokenizer": tokenizer, "encoder": encoder, "embedding": keras.layers.ReversibleEmbedding(9, 8)}


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_every_argument_is_known(kind):
    names = set(inspect.signature(kind.__init__).parameters)
    assert names - WHOLE - COUNTS - REAL - OTHERS == set()


@pytest.mark.parametrize(
    "kind, name",
    [(kind, name) for kind in CLASSES for name in numbers_of(kind)],
    ids=lambda part: part if isinstance(part, str) else part.__name__,
)
def test_a_wrong_number_is_one_short_sentence_at_once(parts, kind, name):
    given = {key: parts.get(value, value) if isinstance(value, str) else value for key, value in CLASSES[kind].items()}
    for value in WRONG[kind_of(name)]:
        began = time.monotonic()
        with pytest.raises(ValueError, match=name if name != "geometric_rate" else "`(p|geometric_rate)`") as error:
            kind(**given | {name: value})
        sentence = str(error.value)
        assert len(sentence) < 400 and "\n" not in sentence, sentence
        assert time.monotonic() - began < 2, value


@pytest.mark.parametrize(
    "changes",
    [
        {"num_layers": 1001},
        {"num_heads": 3},
        {"num_heads": 16},
        {"vocabulary_size": 10**7, "hidden_dim": 2**20},
        {"max_sequence_length": 2**20 + 1},
    ],
)
def test_an_encoder_of_impossible_sizes_is_rejected_before_it_is_made(changes):
    with pytest.raises(ValueError, match="`num_layers`|`num_heads`|parameters|`max_sequence_length`"):
        spanbert_keras.SpanBertEncoder(**SIZES | changes)


def test_numpy_numbers_are_accepted_and_saved_as_plain_ones():
    sizes = {name: np.int64(value) for name, value in SIZES.items()}
    config = spanbert_keras.SpanBertEncoder(**sizes, dropout=np.float32(0.5)).get_config()
    assert all(type(config[name]) is int for name in SIZES) and type(config["dropout"]) is float
