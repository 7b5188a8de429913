"""`from_preset` of the task models: presets of ours and of other checkpoints, new heads, keras-hub's own loaders."""

import keras
import keras_hub
import numpy as np
import pytest

import spanbert_keras
from spanbert_keras.errors import InputError
from tests.promises.model_cases import CASES, make_encoder, same


@pytest.fixture(params=CASES, scope="module")
def case(request):
    return CASES[request.param]


@pytest.fixture
def preset(case, randomize, tmp_path):
    """Folder of a preset of the task's model, and the model."""
    model = case.make(make_encoder(num_layers=1))
    randomize(model, seed=5, scale=0.4)
    model.save_to_preset(tmp_path / "preset")
    return tmp_path / "preset", model


@pytest.fixture(scope="module")
def encoder_preset(tmp_path_factory):
    folder = tmp_path_factory.mktemp("encoder") / "preset"
    make_encoder(num_layers=1).save_to_preset(folder)
    return folder


@pytest.fixture
def classifier(randomize, tmp_path):
    """Folder of a preset of a classifier with the labels x and y."""
    model = spanbert_keras.SpanBertTextClassifier(make_encoder(num_layers=1), ["x", "y"], pooler=True)
    randomize(model, seed=6, scale=0.4)
    model.save_to_preset(tmp_path / "classifier")
    return tmp_path / "classifier", model


def test_a_preset_says_what_its_model_said(case, preset):
    folder, model = preset
    said = case.ask(model)
    again = case.kind.from_preset(folder)
    assert type(again) is case.kind and again.conversion_notes == []
    same(case.ask(again), said)
    same(case.ask(spanbert_keras.load_pretrained(folder)), said)


def test_settings_and_precision_of_a_preset_may_be_replaced(case, preset):
    folder, model = preset
    again = case.kind.from_preset(folder, dtype="mixed_bfloat16", name="mine", trainable=False)
    assert again.dtype_policy.name == again.encoder.dtype_policy.name == "mixed_bfloat16"
    assert (again.name, again.trainable) == ("mine", False)
    random = case.kind.from_preset(folder, load_weights=False)
    assert {key: random.get_config()[key] for key in case.settings} == case.settings
    of_model, of_random = ([keras.ops.convert_to_numpy(w) for w in one.trainable_weights] for one in (model, random))
    assert [one.shape for one in of_model] == [one.shape for one in of_random]
    assert any((one != other).any() for one, other in zip(of_model, of_random, strict=True))


def test_a_preset_of_an_encoder_gets_a_new_head_with_a_note(case, encoder_preset):
    model = case.kind.from_preset(encoder_preset, **case.settings)
    assert {key: model.get_config()[key] for key in case.settings} == case.settings
    [note] = model.conversion_notes
    assert "random" in note and "head" in note
    case.ask(model)


def test_a_saved_file_is_a_preset_too(case, preset, tmp_path):
    _, model = preset
    model.save(tmp_path / "model.keras")
    again = case.kind.from_preset(tmp_path / "model.keras")
    same(case.ask(again), case.ask(model))


def test_a_preset_of_another_task_gives_its_encoder(case, classifier):
    if case.kind.__name__ == "SpanBertTextClassifier":
        pytest.skip("the same task: see the tests of labels")
    folder, other = classifier
    model = case.kind.from_preset(folder, **case.settings)
    for weight, of_other in zip(model.encoder.weights, other.encoder.weights, strict=True):
        np.testing.assert_array_equal(*map(keras.ops.convert_to_numpy, (weight, of_other)))


def test_other_labels_make_a_new_head(classifier):
    folder, model = classifier
    kind = spanbert_keras.SpanBertTextClassifier
    expected = model.classify("a bad cab").scores
    for given in ({}, {"labels": ["x", "y"]}, {"num_classes": 2}):
        assert kind.from_preset(folder, **given).labels == ("x", "y")
    assert kind.from_preset(folder).classify("a bad cab").scores == pytest.approx(expected)
    for given, labels in (({"labels": ["y", "x"]}, ("y", "x")), ({"num_classes": 3}, ("0", "1", "2"))):
        again = kind.from_preset(folder, **given)
        assert again.labels == labels and "new" in again.conversion_notes[0]
        of_encoder = zip(again.encoder.weights, model.encoder.weights, strict=True)
        assert all((keras.ops.convert_to_numpy(a) == keras.ops.convert_to_numpy(b)).all() for a, b in of_encoder)
    model.save(folder / "model.keras")
    assert kind.from_preset(folder / "model.keras", labels=["y", "x"]).labels == ("y", "x")


def test_keras_hub_finds_the_classifier(classifier, encoder_preset):
    folder, model = classifier
    kind = spanbert_keras.SpanBertTextClassifier
    found = keras_hub.models.TextClassifier.from_preset(str(folder))
    assert type(found) is kind
    assert found.classify("a bad cab").scores == pytest.approx(model.classify("a bad cab").scores)
    for source in (folder, encoder_preset):
        found = keras_hub.models.TextClassifier.from_preset(str(source), num_classes=3)
        assert type(found) is kind and found.labels == ("0", "1", "2")
        assert found.predict(["a bad cab"], verbose=0)["logits"].shape == (1, 3)
        preprocessor = keras_hub.models.TextClassifierPreprocessor.from_preset(str(source))
        assert type(preprocessor) is spanbert_keras.SpanBertTextClassifierPreprocessor
        assert preprocessor(["a bad cab"])["token_ids"].shape[0] == 1


def test_an_architecture_needs_a_tokenizer_and_no_weights(case):
    tokenizer = make_encoder(num_layers=1).tokenizer
    model = case.kind.from_preset("tiny", load_weights=False, tokenizer=tokenizer, **case.settings)
    assert model.encoder.num_layers == 2 and model.encoder.vocabulary_size == tokenizer.vocabulary_size()
    with pytest.raises(ValueError, match="names an architecture and has no weights"):
        case.kind.from_preset("tiny", tokenizer=tokenizer, **case.settings)


def test_a_classifier_needs_labels(encoder_preset):
    with pytest.raises(InputError, match="cannot become a text classifier.*For a new head give `labels`"):
        spanbert_keras.SpanBertTextClassifier.from_preset(encoder_preset)


def test_a_subclass_loads_as_itself(encoder_preset, classifier, tmp_path):
    @keras.saving.register_keras_serializable(package="test_presets")
    class Mine(spanbert_keras.SpanBertTextClassifier):
        pass

    folder, model = classifier
    expected = model.classify("a bad cab").scores
    assert type(Mine.from_preset(encoder_preset, num_classes=2)) is Mine
    mine = Mine.from_preset(folder)
    assert type(mine) is Mine and mine.classify("a bad cab").scores == pytest.approx(expected)
    mine.save_to_preset(tmp_path / "mine")
    for kind in (Mine, spanbert_keras.SpanBertTextClassifier):
        again = kind.from_preset(tmp_path / "mine")
        assert type(again) is Mine and again.classify("a bad cab").scores == pytest.approx(expected)


def test_settings_of_the_preprocessor_are_kept(tmp_path):
    preprocessor = spanbert_keras.SpanBertQuestionAnswererPreprocessor(answers="all")
    reader = spanbert_keras.SpanBertQuestionAnswerer(make_encoder(num_layers=1), preprocessor=preprocessor)
    reader.save(tmp_path / "reader.keras")
    reader.save_to_preset(tmp_path / "preset")
    for found in (
        keras.saving.load_model(tmp_path / "reader.keras"),
        spanbert_keras.SpanBertQuestionAnswerer.from_preset(tmp_path / "reader.keras"),
        spanbert_keras.SpanBertQuestionAnswerer.from_preset(tmp_path / "preset"),
        spanbert_keras.load_pretrained(tmp_path / "preset"),
    ):
        assert found.preprocessor.own_settings == {"answers": "all"}
    alone = spanbert_keras.SpanBertQuestionAnswererPreprocessor.from_preset(str(tmp_path / "preset"))
    assert alone.settings["window_length"] == 24 and alone.settings["answers"] == "all"


def test_arguments_of_loading_apply_to_presets_of_ours_too(classifier):
    kind = spanbert_keras.SpanBertTextClassifier
    assert kind.from_preset(classifier[0], max_sequence_length=16).encoder.max_sequence_length == 16
    with pytest.raises(InputError):
        kind.from_preset(classifier[0], vocabulary_file="missing.txt")


def test_a_preset_may_be_loaded_without_its_next_sentence_head(randomize, tmp_path):
    case = CASES["SpanBertPretrainer_with_pairs"]
    model = case.make(make_encoder(num_layers=1))
    randomize(model, seed=5, scale=0.4)
    model.save_to_preset(tmp_path / "preset")
    model.save(tmp_path / "model.keras")
    for source in (tmp_path / "preset", tmp_path / "model.keras"):
        again = spanbert_keras.SpanBertPretrainer.from_preset(source, next_sentence=False)
        assert not again.next_sentence and set(again.output) == {"masked_lm", "span_boundary"}
        assert again.conversion_notes == ["The source's next-sentence head (cls.seq_relationship) is left out."]
        same(case.ask(again), case.ask(model))


def test_a_preset_may_get_a_new_next_sentence_head(randomize, tmp_path):
    model = CASES["SpanBertPretrainer"].make(make_encoder(num_layers=1))
    randomize(model, seed=5, scale=0.4)
    model.save_to_preset(tmp_path / "preset")
    again = spanbert_keras.SpanBertPretrainer.from_preset(tmp_path / "preset", next_sentence=True, nsp_weight=0.5)
    assert again.next_sentence and again.nsp_weight == 0.5 and again.sbo_weight == model.sbo_weight == 0.5
    assert again.conversion_notes == [
        "The source has no next-sentence head, so its weights are random: train the model."
    ]


@pytest.mark.parametrize("pooler", [False, True])
@pytest.mark.parametrize("known", [False, True])
def test_a_new_pooler_starts_from_that_of_a_next_sentence_head(randomize, tmp_path, known, pooler):
    settings = {"max_span_positions": 3, "position_dim": 4, "next_sentence": known}
    source = spanbert_keras.SpanBertPretrainer(make_encoder(num_layers=1), **settings)
    randomize(source, seed=5, scale=0.4)
    source.save(tmp_path / "pretrainer.keras")
    model = spanbert_keras.SpanBertTextClassifier.from_preset(
        tmp_path / "pretrainer.keras", labels=["x", "y"], pooler=pooler
    )
    note = "Its pooler starts from the source's (bert.pooler.dense)."
    assert (note in model.conversion_notes) == (known and pooler)
    if known and pooler:
        pairs = zip(model.head.pooler_dense.weights, source.next_sentence_head.pooler_dense.weights, strict=True)
        assert all((keras.ops.convert_to_numpy(a) == keras.ops.convert_to_numpy(b)).all() for a, b in pairs)
    elif pooler:
        assert not keras.ops.convert_to_numpy(model.head.pooler_dense.bias).any()
