"""Names that users and saved files rely on. Adding one means adding it here; renaming one breaks code or files."""

import ast
import json
import subprocess
import sys

import keras
import pytest

import spanbert_keras

PUBLIC = {
    "Answer",
    "Classification",
    "Document",
    "DocumentAnswer",
    "DocumentIndex",
    "Entity",
    "EntityPair",
    "MaskedLMHead",
    "Mention",
    "NextSentenceHead",
    "Relation",
    "ResolvedDocument",
    "SpanBertCoreferencePreprocessor",
    "SpanBertCoreferenceResolver",
    "SpanBertEncoder",
    "SpanBertEntityRecognizer",
    "SpanBertEntityRecognizerPreprocessor",
    "SpanBertPretrainer",
    "SpanBertPretrainerPreprocessor",
    "SpanBertQuestionAnswerer",
    "SpanBertQuestionAnswererPreprocessor",
    "SpanBertRelationExtractor",
    "SpanBertRelationExtractorPreprocessor",
    "SpanBertTextClassifier",
    "SpanBertTextClassifierPreprocessor",
    "SpanBertTokenizer",
    "SpanBoundaryHead",
    "SpanMasker",
    "WarmupLinearDecay",
    "draw_span_lengths",
    "fine_tune",
    "load_pretrained",
    "read_conll",
    "read_documents",
    "span_bert_loss",
    "span_length_probabilities",
    "write_conll",
}

# What a saved file may name; importing the package makes each of them known.
REGISTERED = {
    "AttentionMask",
    "ClassificationHead",
    "CoarseAntecedents",
    "EncoderBlock",
    "FeedForwardScore",
    "InputEmbedding",
    "MaskedLMHead",
    "MentionScorer",
    "NextSentenceHead",
    "PairScorer",
    "SelfAttention",
    "SpanBertCoreferencePreprocessor",
    "SpanBertCoreferenceResolver",
    "SpanBertEncoder",
    "SpanBertEntityRecognizer",
    "SpanBertEntityRecognizerPreprocessor",
    "SpanBertPretrainer",
    "SpanBertPretrainerPreprocessor",
    "SpanBertQuestionAnswerer",
    "SpanBertQuestionAnswererPreprocessor",
    "SpanBertRelationExtractor",
    "SpanBertRelationExtractorPreprocessor",
    "SpanBertTextClassifier",
    "SpanBertTextClassifierPreprocessor",
    "SpanBertTokenizer",
    "SpanBoundaryHead",
    "SpanClassificationHead",
    "SpanMasker",
    "SpanRefinement",
    "SpanVectors",
    "WarmupLinearDecay",
    "gelu",
}

ENCODER_SIZES = (
    "vocabulary_size",
    "num_layers",
    "num_heads",
    "hidden_dim",
    "intermediate_dim",
    "max_sequence_length",
    "num_segments",
)
ENCODER_INPUTS = {"token_ids", "segment_ids", "padding_mask"}
PRETRAINER_INPUTS = ENCODER_INPUTS | {"mask_positions", "left_positions", "right_positions", "span_offsets"}


@pytest.fixture(scope="module")
def encoder():
    sizes = dict(zip(ENCODER_SIZES, (29, 1, 2, 8, 24, 11, 3), strict=True))
    return spanbert_keras.SpanBertEncoder(**sizes)


def test_public_names_are_these():
    assert set(spanbert_keras.__all__) == PUBLIC
    assert [name for name in PUBLIC if not hasattr(spanbert_keras, name)] == []


def is_registered(node):
    decorators = getattr(node, "decorator_list", [])
    return any("register_keras_serializable" in ast.unparse(decorator) for decorator in decorators)


def test_importing_the_package_registers_these_names(root):
    code = "import json, keras, spanbert_keras; print(json.dumps(list(keras.saving.get_custom_objects())))"
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    prefix = "spanbert_keras>"
    known = [name for name in json.loads(done.stdout.splitlines()[-1]) if name.startswith(prefix)]
    assert {name.removeprefix(prefix) for name in known} == REGISTERED


def test_everything_that_the_library_registers_is_in_the_list(sources):
    library = {path: tree for path, tree in sources.items() if path.startswith("spanbert_keras/")}
    found = {
        f"{path}: {node.name}": node.name for path, tree in library.items() for node in tree.body if is_registered(node)
    }
    assert {where: name for where, name in found.items() if name not in REGISTERED} == {}


def test_a_registered_name_is_the_classs_own_name():
    for name in REGISTERED:
        assert keras.saving.get_registered_object(f"spanbert_keras>{name}").__name__ == name


def test_the_encoder_takes_keras_hubs_words_for_sizes(encoder):
    config = encoder.get_config()
    assert [config[name] for name in ENCODER_SIZES] == [29, 1, 2, 8, 24, 11, 3]


def test_the_encoder_has_three_inputs_and_one_output(encoder):
    assert {tensor.name for tensor in encoder.inputs} == ENCODER_INPUTS
    assert set(encoder.output) == {"sequence_output"}


def test_the_pretrainer_has_seven_inputs_and_two_outputs(encoder):
    pretrainer = spanbert_keras.SpanBertPretrainer(encoder)
    assert {tensor.name for tensor in pretrainer.inputs} == PRETRAINER_INPUTS
    assert set(pretrainer.output) == {"masked_lm", "span_boundary"}


def test_presets_have_these_names():
    from spanbert_keras.presets import ARCHITECTURES

    assert {"tiny", "small", "base", "large"} <= set(ARCHITECTURES)
