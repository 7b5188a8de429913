"""Tests of fine-tuning from Python: what is left in the model and in the folder, and runs that are stopped."""

import keras
import numpy as np
import pytest

from spanbert_keras import SpanBertEncoder, SpanBertQuestionAnswerer, SpanBertTextClassifier, fine_tune
from spanbert_keras.errors import InputError
from spanbert_keras.fine_tuning.fine_tune import FineTuned
from spanbert_keras.preprocessing.preprocessors.example_rows import ExampleRows
from tests.fine_tuning.conftest import DATA, LABELS, QUICK, STEPS, TEXTS, assert_equal_weights, record_of, weights_of
from tests.models import fit_oracle


class ArrayRows(ExampleRows):
    """Rows that are arrays already."""

    def __init__(self, x, targets, sample_weight=None):
        super().__init__(x["padding_mask"].sum(axis=1), sample_weight=sample_weight)
        self.input_keys, self.target_keys = tuple(x), tuple(targets)
        self.arrays = x | targets

    def batch(self, rows, length, epoch=0):
        return {key: values[rows] for key, values in self.arrays.items()}


# --- what it learns, leaves and writes


def test_the_best_weights_are_in_the_model_and_saved(whole):
    folder, found = whole
    assert isinstance(found, FineTuned) and found.steps == STEPS and found.path == folder / "text_classifier.keras"
    assert_equal_weights(weights_of(keras.saving.load_model(found.path)), weights_of(found.model))
    assert not (folder / "checkpoints").exists()
    record = record_of(folder)
    assert record["scores"] == {"dev": found.scores} and record["best_step"] == found.best_step
    assert record["select_by"] == "loss" and record["flags"]["epochs"] == 4


def test_scores_are_those_that_keras_computes(whole):
    found = whole[1]
    found.model.compile(metrics=["accuracy"])
    loss, accuracy = found.model.evaluate(TEXTS, LABELS, verbose=0)
    assert (loss, accuracy) == (pytest.approx(found.scores["loss"], rel=1e-4), pytest.approx(found.scores["accuracy"]))


def test_curves_are_written_and_a_terminal_shows_a_bar(make_classifier, tmp_path, read_events, terminal):
    stream = terminal()
    found = fine_tune(make_classifier(), DATA, DATA, tmp_path, log_every=5, **QUICK)
    assert f"{STEPS}/{STEPS}" in stream.getvalue()
    dev, train = read_events(tmp_path / "dev"), read_events(tmp_path / "train")
    assert list(dev["loss"]) == list(dev["accuracy"]) == [3, 6, 9, 12] and min(dev["loss"].values()) == pytest.approx(
        found.scores["loss"]
    )
    assert list(train["optimization/loss"]) == [5, 10, 12]


@pytest.mark.parametrize(
    ("settings", "labels"),
    [
        ({}, LABELS),
        ({"labels": ["joy", "fear"], "problem_type": "multi_label"}, [["joy"], ["fear", "joy"]] * 10),
        ({"labels": []}, [i % 2 - 0.5 for i in range(20)]),
    ],
    ids=["single_label", "multi_label", "regression"],
)
def test_every_kind_of_classifier_learns(make_classifier, tmp_path, settings, labels):
    model = make_classifier(**settings)
    model.compile()
    before = model.evaluate(TEXTS, labels, verbose=0)
    before = before[0] if isinstance(before, list) else before
    found = fine_tune(model, (TEXTS, labels), (TEXTS, labels), tmp_path, **(QUICK | {"epochs": 8}))
    assert found.scores["loss"] < 0.6 * before and found.scores.get("accuracy", 1.0) == 1.0
    assert list(found.scores) == (["loss"] if settings else ["loss", "accuracy"])


def test_a_question_answerer_learns_from_raw_examples(make_encoder, tmp_path):
    reader = SpanBertQuestionAnswerer(make_encoder(dropout=0.0), stride=4, max_question_pieces=6)
    contexts = [f"w1 w2 w{3 + i} w20 w21" for i in range(12)]
    examples = {
        "question": ["w20 w1"] * 12,
        "context": contexts,
        "answer_text": [f"w{3 + i}" for i in range(12)],
        "answer_start": [6] * 12,
    }
    reader.compile()
    before = reader.evaluate(examples, verbose=0)
    found = fine_tune(reader, examples, examples, tmp_path, **QUICK)
    assert found.path.name == "question_answerer.keras" and found.scores["loss"] < before / 2
    assert reader.answer("w20 w1", contexts[4]).text == "w7"


@pytest.mark.parametrize("task", fit_oracle.TASKS)
def test_every_model_learns_from_rows_that_are_given_and_scores_as_plain_keras_does(task, tmp_path):
    """Two batches, the second one filled up: the loss is that of the eight rows."""
    case = fit_oracle.make_case(task)
    model, weights = case.ours, np.float32([1, 2, 0.5, 1, 0, 1, 3, 1])
    rows = ArrayRows(case.x, case.targets, weights)

    def loss_now():
        model.compile()
        values = model.evaluate(case.x, case.targets, sample_weight=weights, batch_size=8, verbose=0)
        return values[0] if isinstance(values, list) else values

    before = loss_now()
    found = fine_tune(model, rows, rows, tmp_path, epochs=6, batch_size=5, learning_rate=0.01)
    assert found.scores["loss"] == pytest.approx(loss_now(), rel=1e-5) and found.scores["loss"] < before
    assert found.steps == 12


@pytest.mark.parametrize("task", ["pretrainer", "pairs"])
def test_empty_rows_have_no_targets_of_a_pretrainer(tmp_path, read_events, task):
    """A batch of 16 has the eight rows, and eight that only fill it up."""
    case = fit_oracle.make_case(task)
    case.ours.compile()
    expected = case.ours.evaluate(case.x, case.targets, batch_size=8, verbose=0, return_dict=True)["loss"]
    rows = ArrayRows(case.x, case.targets)
    fine_tune(case.ours, rows, output_dir=tmp_path, epochs=1, batch_size=16, log_every=1)
    assert float(read_events(tmp_path / "train")["optimization/loss"][1]) == pytest.approx(expected, rel=1e-5)


def test_texts_are_rejected_for_a_pretrainer_with_a_next_sentence_head(tmp_path):
    with pytest.raises(ValueError, match="has a next-sentence head, whose pairs of segments its preprocessor does not"):
        fine_tune(fit_oracle.make_case("pairs").ours, ["a b c d", "e f g"], output_dir=tmp_path)


def test_without_validation_the_last_model_is_kept(make_classifier, tmp_path):
    found = fine_tune(make_classifier(), DATA, output_dir=tmp_path, epochs=1, **QUICK)
    assert found.scores == {} and found.best_step == found.steps == 3
    assert_equal_weights(weights_of(keras.saving.load_model(found.path)), weights_of(found.model))


# --- the best model


def scripted(values, seen=None):
    """Returns an `evaluate` whose scores are `values`, then the last one; `seen` gets the weights of each call."""
    calls = iter(values)
    last = values[-1]
    seen = [] if seen is None else seen

    def evaluate(model):
        seen.append(weights_of(model))
        return {"f1": next(calls, last), "exact": 0.0}

    return evaluate


def test_the_best_weights_by_the_first_score_are_left_in_the_model(make_classifier, tmp_path, eagerly):
    seen = []
    model = make_classifier()
    found = fine_tune(model, DATA, output_dir=tmp_path, evaluate=scripted([1, 9, 2, 3, 7], seen), **QUICK)
    assert found.best_step == 6 and found.steps == STEPS and found.model is model
    assert_equal_weights(seen[1], weights_of(model))
    assert_equal_weights(seen[1], weights_of(keras.saving.load_model(found.path)))
    assert not all(np.array_equal(a, b) for a, b in zip(seen[1], seen[3], strict=True))


def test_select_by_names_a_score_and_the_lowest_loss_is_the_best(make_classifier, tmp_path, read_events, eagerly):
    evaluate = scripted([1, 9, 2, 3, 7])
    found = fine_tune(make_classifier(), DATA, DATA, tmp_path, evaluate=evaluate, select_by="loss", **QUICK)
    assert list(found.scores) == ["loss", "accuracy", "f1", "exact"] and record_of(tmp_path)["select_by"] == "loss"
    losses = read_events(tmp_path / "dev")["loss"]
    assert found.best_step == min(losses, key=losses.get) != max(losses, key=losses.get)
    with pytest.raises(InputError, match="`select_by` must be the name of a score. Expected: one of loss, accuracy"):
        fine_tune(make_classifier(), DATA, DATA, tmp_path / "other", select_by="f2", **QUICK)


def test_patience_ends_training(make_classifier, tmp_path, eagerly):
    evaluate = scripted([1, 9, 2, 3, 7])
    found = fine_tune(make_classifier(), DATA, output_dir=tmp_path, evaluate=evaluate, patience=1, **QUICK)
    assert (found.best_step, found.steps) == (6, 9)


# --- the model that was given


def test_nothing_but_the_weights_of_a_given_model_changes(make_classifier, tmp_path, eagerly):
    model = make_classifier()
    optimizer = keras.optimizers.SGD(0.1)
    model.compile(optimizer=optimizer, metrics=["accuracy"])
    config, policy, other = model.get_config(), keras.mixed_precision.dtype_policy(), keras.layers.Dense(1)
    first = fine_tune(model, DATA, DATA, tmp_path / "a", epochs=1, **QUICK)
    assert model.get_config() == config and keras.mixed_precision.dtype_policy() is policy
    assert model.optimizer is optimizer and keras.layers.Dense(1).name != other.name  # the session was not cleared
    assert model.classify("w1 w2").label in ("no", "yes")
    model.fit(TEXTS, LABELS, epochs=1, verbose=0)
    model.save(tmp_path / "own.keras")
    assert_equal_weights(weights_of(keras.saving.load_model(tmp_path / "own.keras")), weights_of(model))
    again = fine_tune(model, DATA, DATA, tmp_path / "b", epochs=1, **QUICK)
    assert again.scores["loss"] < first.scores["loss"]


def test_frozen_layers_stay_as_they_are(make_classifier, tmp_path, eagerly):
    model = make_classifier()
    model.encoder.trainable = False
    before, head = weights_of(model.encoder), weights_of(model.head)
    fine_tune(model, DATA, output_dir=tmp_path, epochs=1, **QUICK)
    assert_equal_weights(before, weights_of(model.encoder))
    assert any((a != b).any() for a, b in zip(head, weights_of(model.head), strict=True))


def test_arguments_choose_what_is_kept_for_the_gradient(make_classifier, whole, tmp_path):
    found = fine_tune(make_classifier(), DATA, DATA, tmp_path, attention="reference", recompute="attention", **QUICK)
    blocks = found.model.encoder.blocks
    assert {(block.recompute, block.attention.attention) for block in blocks} == {("attention", "reference")}


def test_the_models_own_precision_is_used(toy_tokenizer, tmp_path, read_events):
    encoder = SpanBertEncoder(64, 1, 2, 16, 24, max_sequence_length=24, tokenizer=toy_tokenizer, dtype="mixed_float16")
    model = SpanBertTextClassifier(encoder, labels=["no", "yes"])
    fine_tune(model, DATA, output_dir=tmp_path, epochs=1, log_every=1, **QUICK)
    assert min(read_events(tmp_path / "train")["optimization/loss_scale"].values()) > 1
    assert keras.mixed_precision.dtype_policy().name == "float32"


# --- seeds, weights and learning rates


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(make_classifier, whole, tmp_path):
    """The second model of a process has other automatic names than the first."""
    same = fine_tune(make_classifier(), DATA, DATA, tmp_path / "same", **QUICK)
    assert_equal_weights(weights_of(same.model), weights_of(whole[1].model))
    other = fine_tune(make_classifier(), DATA, DATA, tmp_path / "other", seed=7, **QUICK)
    assert any((a != b).any() for a, b in zip(weights_of(other.model), weights_of(whole[1].model), strict=True))


def test_a_function_makes_the_model_after_the_seed_is_set(toy_tokenizer, tmp_path, eagerly):
    def make():
        encoder = SpanBertEncoder(64, 1, 2, 16, 24, max_sequence_length=24, tokenizer=toy_tokenizer)
        return SpanBertTextClassifier(encoder, labels=["no", "yes"])

    runs = [fine_tune(make, DATA, output_dir=tmp_path / name, epochs=1, **QUICK) for name in "ab"]
    assert_equal_weights(*(weights_of(run.model) for run in runs))
    assert runs[0].model is not runs[1].model


def test_rows_of_weight_0_are_not_learned_from(make_classifier, tmp_path, eagerly):
    weights = np.float32([i % 3 != 0 for i in range(20)])
    wrong = [label if weight else "no" for label, weight in zip(LABELS, weights, strict=True)]
    found = [
        fine_tune(make_classifier(), (TEXTS, labels, weights), output_dir=tmp_path / name, epochs=1, **QUICK).model
        for name, labels in (("right", LABELS), ("wrong", wrong))
    ]
    for a, b in zip(weights_of(found[0]), weights_of(found[1]), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_the_logged_loss_is_the_weighted_sum_divided_by_the_rows(make_classifier, tmp_path, read_events):
    model, weights = make_classifier(dropout=0.0), np.linspace(0, 3, 20).astype("float32")
    model = SpanBertTextClassifier(model.encoder, labels=["no", "yes"], dropout=0.0)
    logits = np.stack([np.log(list(one.scores.values())) for one in model.classify(TEXTS)])
    losses = -logits[np.arange(20), [("no", "yes").index(label) for label in LABELS]]
    data = (TEXTS, LABELS, weights)
    fine_tune(model, data, output_dir=tmp_path, epochs=1, batch_size=20, log_every=1)
    logged = read_events(tmp_path / "train")["optimization/loss"][1]
    assert float(logged) == pytest.approx((losses * weights).sum() / 20, rel=1e-4)


def test_the_task_learning_rate_is_that_of_all_layers_but_the_encoder(make_classifier, tmp_path, eagerly):
    model = make_classifier()
    before = weights_of(model.encoder), weights_of(model.head)
    settings = QUICK | {"learning_rate": 1e-12, "epochs": 1}
    fine_tune(model, DATA, output_dir=tmp_path, task_learning_rate=0.1, **settings)
    moved = [
        max(np.abs(a - b).max() for a, b in zip(old, weights_of(layer), strict=True) if a.dtype == np.float32)
        for old, layer in zip(before, (model.encoder, model.head), strict=True)
    ]
    assert moved[0] < 1e-6 < 0.05 < moved[1]


# --- what cannot be used


def test_arguments_that_cannot_be_used_are_named_as_in_python(make_classifier, tmp_path, eagerly):
    model = make_classifier()

    def error(**settings):
        with pytest.raises(InputError) as found:
            fine_tune(model, DATA, output_dir=tmp_path, **settings)
        return str(found.value)

    assert error(learning_rate=-1.0) == "learning_rate must be positive. Received: -1.0."
    assert error(batch_size=0) == "batch_size must be at least 1. Received: 0."
    assert "batch_size=6 must be a multiple of 4" in error(batch_size=6, accumulation_steps=4)
    assert "`patience` and `select_by` need scores" in error(patience=2)
    assert "Expected: a function that makes the model" in error(distribution="mirrored")


def test_a_loss_that_is_not_finite_is_an_error_and_the_model_is_as_before(make_classifier, tmp_path, eagerly):
    model = make_classifier(labels=[])
    before = weights_of(model)
    with pytest.raises(InputError, match="lower learning_rate or raise warmup_ratio"):
        fine_tune(model, (TEXTS, [3e38] * 20), output_dir=tmp_path, **QUICK)
    assert_equal_weights(before, weights_of(model))
