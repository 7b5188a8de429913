"""Models of components: the right class, or a sentence."""

import pytest

from spanbert_keras import SpanBertQuestionAnswerer
from spanbert_keras.errors import InputError
from spanbert_keras.integrations.component_model import load_component_model


def test_a_model_of_the_class_is_loaded_and_another_is_named(reader_path):
    model = load_component_model("The component 'x'", str(reader_path), "SpanBertQuestionAnswerer")
    assert isinstance(model, SpanBertQuestionAnswerer) and model.temperature == 2.0
    message = "^The component 'x' has the wrong model. Expected: a SpanBertTextClassifier. Received: a SpanBertQuestion"
    with pytest.raises(InputError, match=message):
        load_component_model("The component 'x'", str(reader_path), "SpanBertTextClassifier")
