"""SpanBERT for Keras 3: span masking, the span boundary objective, and models that load with `load_model`.

Importing this package registers every savable class, so that `keras.saving.load_model` knows them. Only the programs do
so after they have read their flags.
"""

from typing import TYPE_CHECKING

from spanbert_keras.program_start import import_context, reads_flags

if TYPE_CHECKING or not reads_flags():
    with import_context():
        from spanbert_keras.conversion.loading import load_pretrained
        from spanbert_keras.data.documents.conll import read_conll, write_conll
        from spanbert_keras.data.documents.read_documents import read_documents
        from spanbert_keras.decoding.resolved_document import ResolvedDocument
        from spanbert_keras.decoding.results import (
            Answer,
            Classification,
            DocumentAnswer,
            Entity,
            Mention,
            Relation,
        )
        from spanbert_keras.fine_tuning.fine_tune import fine_tune
        from spanbert_keras.layers.masked_lm_head import MaskedLMHead
        from spanbert_keras.layers.next_sentence_head import NextSentenceHead
        from spanbert_keras.layers.span_boundary_head import SpanBoundaryHead
        from spanbert_keras.losses.span_bert_loss import span_bert_loss
        from spanbert_keras.models.coreference_resolver import SpanBertCoreferenceResolver
        from spanbert_keras.models.encoder import SpanBertEncoder
        from spanbert_keras.models.entity_recognizer import SpanBertEntityRecognizer
        from spanbert_keras.models.pretrainer import SpanBertPretrainer
        from spanbert_keras.models.question_answerer import SpanBertQuestionAnswerer
        from spanbert_keras.models.relation_extractor import SpanBertRelationExtractor
        from spanbert_keras.models.text_classifier import SpanBertTextClassifier
        from spanbert_keras.preprocessing.document import Document
        from spanbert_keras.preprocessing.document_index import DocumentIndex
        from spanbert_keras.preprocessing.entity_rows import EntityPair
        from spanbert_keras.preprocessing.masking.span_lengths import draw_span_lengths, span_length_probabilities
        from spanbert_keras.preprocessing.masking.span_masker import SpanMasker
        from spanbert_keras.preprocessing.preprocessors.coreference_preprocessor import SpanBertCoreferencePreprocessor
        from spanbert_keras.preprocessing.preprocessors.entity_recognizer_preprocessor import (
            SpanBertEntityRecognizerPreprocessor,
        )
        from spanbert_keras.preprocessing.preprocessors.pretrainer_preprocessor import SpanBertPretrainerPreprocessor
        from spanbert_keras.preprocessing.preprocessors.question_answerer_preprocessor import (
            SpanBertQuestionAnswererPreprocessor,
        )
        from spanbert_keras.preprocessing.preprocessors.relation_extractor_preprocessor import (
            SpanBertRelationExtractorPreprocessor,
        )
        from spanbert_keras.preprocessing.preprocessors.text_classifier_preprocessor import (
            SpanBertTextClassifierPreprocessor,
        )
        from spanbert_keras.preprocessing.tokenizer import SpanBertTokenizer
        from spanbert_keras.training.steps.warmup_linear_decay import WarmupLinearDecay

__version__ = "0.2.0"

__all__ = [
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
]
