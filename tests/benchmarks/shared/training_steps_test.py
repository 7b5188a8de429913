"""Tests of the bare training steps: every shape is compiled beforehand, and a step trains."""

import keras
import numpy as np
import pytest

import spanbert_keras
from benchmarks.shared.training_steps import TrainingSteps

TEXTS = ["The object is a string .", "A list .", "The value of a method must be a list of names .", "A class ."] * 2


@pytest.mark.slow
def test_steps_train_on_the_rows_of_every_length(bert_folder):
    keras.utils.set_random_seed(0)
    encoder = spanbert_keras.load_pretrained(bert_folder, "encoder")
    model = spanbert_keras.SpanBertTextClassifier(encoder, labels=("short", "long"), row_length=24, dropout=0.0)
    places = [int(len(text) > 10) for text in TEXTS]
    rows = model.preprocessor.rows(TEXTS, places)
    steps = TrainingSteps(model, rows, batch_size=4, learning_rate=1e-2)
    steps.warm_up()
    steps.train(0, 40)
    assert [model.labels.index(found.label) for found in model.classify(TEXTS)] == places
    assert np.isfinite(model.head.get_weights()[0]).all()
