"""Tests of the settings that classifiers share: the paper's defaults, and numbers out of their range."""

import pytest

from spanbert_keras import program
from spanbert_keras.program import InputError
from tasks.shared.classification_settings import ClassificationSettings

REQUIRED = {"encoder": "e.keras", "output_dir": "runs/x"}


def test_defaults_are_those_of_the_papers_appendix():
    settings = ClassificationSettings(**REQUIRED)
    assert (settings.epochs, settings.max_sequence_length, settings.pooler) == (10.0, 128, False)
    assert (settings.class_weights, settings.label_smoothing, settings.classifier_dropout) == ("none", 0.0, 0.1)


@pytest.mark.parametrize("name", ["label_smoothing", "classifier_dropout"])
@pytest.mark.parametrize("value", [-0.1, 1.0, float("nan")])
def test_shares_are_below_one(name, value):
    with pytest.raises(InputError, match=f"--{name} must be at least 0 and below 1. Received: {value}"):
        ClassificationSettings(**REQUIRED, **{name: value})
    assert getattr(ClassificationSettings(**REQUIRED, **{name: 0.999}), name) == 0.999


def test_class_weights_have_two_values(capsys):
    flags = [f"--{name}={value}" for name, value in REQUIRED.items()]
    parsed = program.parse(ClassificationSettings, [*flags, "--class_weights=balanced"])
    assert parsed.class_weights == "balanced"
    with pytest.raises(Exception, match="class_weights"):
        program.parse(ClassificationSettings, [*flags, "--class_weights=sqrt"])
