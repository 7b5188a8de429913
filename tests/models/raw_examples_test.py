"""`fit`, `evaluate` and `predict` with raw examples, of a classifier of texts; every model: `task_contract_test`."""

import keras
import numpy as np
import pytest

from spanbert_keras import SpanBertTextClassifier
from spanbert_keras.errors import InputError

BACKEND = keras.backend.backend()
FAST = {"run_eagerly": BACKEND == "tensorflow"}
TEXTS = ["a b", "c d e f", "a bad cab", "head", "fab bead a", "had", "a a a", "ace cab"]
NAMES = ["x", "y", "x", "y", "y", "x", "x", "y"]
NUMBERS = [0, 1, 0, 1, 1, 0, 0, 1]


@pytest.fixture
def make(make_encoder, tokenizer):
    def make(labels=("x", "y"), **settings):
        keras.utils.set_random_seed(3)
        encoder = make_encoder(tokenizer=tokenizer, num_layers=1, dropout=0.0)
        return SpanBertTextClassifier(encoder, labels, dropout=0.0, **settings)

    return make


@pytest.fixture
def model(make):
    model = make()
    model.compile(keras.optimizers.SGD(0.1), metrics="auto", **FAST)
    return model


def rows_of(model, texts=TEXTS):
    return model.preprocessor(texts)


class Batches(keras.utils.PyDataset):
    """Batches of raw examples."""

    def __init__(self, *columns):
        super().__init__()
        self.columns = columns

    def __len__(self):
        return 2

    def __getitem__(self, number):
        part = tuple(column[4 * number : 4 * number + 4] for column in self.columns)
        return part if len(part) > 1 else part[0]


def test_evaluation_of_texts_is_that_of_their_rows(model):
    expected = model.evaluate(rows_of(model), np.array(NUMBERS), verbose=0)
    for labels in (NAMES, NUMBERS, np.array(NUMBERS), np.array(NAMES)):
        assert model.evaluate(TEXTS, labels, verbose=0) == pytest.approx(expected, rel=1e-5)
    assert model.evaluate(TEXTS, NAMES, verbose=0, batch_size=3) == pytest.approx(expected, rel=1e-5)
    assert model.evaluate(Batches(TEXTS, NAMES), verbose=0) == pytest.approx(expected, rel=1e-5)


def test_predictions_are_in_the_order_of_the_texts(model):
    expected = model.predict(rows_of(model), verbose=0)["logits"]
    batches = ((TEXTS[start : start + 4],) for start in (0, 4))
    for given in (TEXTS, np.array(TEXTS), Batches(TEXTS), batches):
        for size in (None, 3) if isinstance(given, list) else (None,):
            found = model.predict(given, batch_size=size, verbose=0)["logits"]
            np.testing.assert_allclose(found, expected, atol=1e-5)
    np.testing.assert_allclose(model.predict_on_batch(TEXTS)["logits"], expected, atol=1e-5)


def test_training_on_texts_is_training_on_their_rows(make):
    after = []
    for raw in (True, False):
        model = make()
        model.compile(keras.optimizers.SGD(0.5), **FAST)
        x, y = (TEXTS, NAMES) if raw else (rows_of(model), np.array(NUMBERS))
        history = model.fit(x, y, batch_size=8, epochs=2, verbose=0).history
        after.append([*history["loss"], *model.predict(TEXTS, verbose=0)["logits"].ravel()])
    np.testing.assert_allclose(*after, rtol=1e-4, atol=1e-5)


def test_a_model_trains_without_compile_and_reports_its_metric(make):
    history = make().fit(TEXTS, NAMES, validation_data=(TEXTS[:2], NAMES[:2]), verbose=0).history
    assert set(history) == {"loss", "accuracy", "val_loss", "val_accuracy"}
    several = make(["x", "y", "z"], problem_type="multi_label")
    history = several.fit(TEXTS, [["x", "z"], [], ["y"], ["x"], [], ["x"], ["y"], ["z"]], verbose=0).history
    assert set(history) == {"loss", "accuracy"}
    assert set(make(()).fit(TEXTS, np.arange(8.0), verbose=0).history) == {"loss", "root_mean_squared_error"}
    assert float(keras.ops.convert_to_numpy(several.optimizer.learning_rate)) == pytest.approx(2e-5)


def test_the_last_examples_may_be_kept_for_validation(model):
    history = model.fit(TEXTS, NAMES, validation_split=0.25, shuffle=False, verbose=0).history
    expected = model.evaluate(TEXTS[6:], NAMES[6:], verbose=0)
    assert [history["val_loss"][0], history["val_accuracy"][0]] == pytest.approx(expected, rel=1e-5)


def test_weights_of_examples_and_of_classes_scale_the_loss(model):
    weights = np.array([1, 2, 0, 1, 0, 3, 1, 0.5], "float32")
    raw, arrays = (
        model.evaluate(x, y, sample_weight=weights, verbose=0)[0]
        for x, y in ((TEXTS, NAMES), (rows_of(model), np.array(NUMBERS)))
    )
    assert raw == pytest.approx(arrays, rel=1e-5)
    assert raw != pytest.approx(model.evaluate(TEXTS, NAMES, verbose=0)[0], rel=1e-2)
    first = {"epochs": 1, "batch_size": 8, "verbose": 0}
    losses = []
    for given in ({"class_weight": {0: 1.0, 1: 3.0}}, {"sample_weight": np.array([1.0, 3.0])[NUMBERS]}):
        model.optimizer.learning_rate = 0.0
        losses.append(model.fit(TEXTS, NAMES, **given, **first).history["loss"][0])
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    with pytest.raises(ValueError, match="takes `class_weight` or `sample_weight`"):
        model.fit(TEXTS, NAMES, class_weight={0: 1.0}, sample_weight=weights)


def test_class_weights_may_name_the_classes(model):
    model.optimizer.learning_rate = 0.0
    given = {"batch_size": 8, "verbose": 0}
    losses = [
        model.fit(TEXTS, NAMES, class_weight=weights, **given).history["loss"][0]
        for weights in ({0: 1.0, 1: 3.0}, {"x": 1.0, "y": 3.0})
    ]
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)
    for wrong in ({"z": 1.0}, {7: 2.0}):
        with pytest.raises(ValueError, match="classes that the model does not have"):
            model.fit(TEXTS, NAMES, class_weight=wrong)


def test_labels_and_weights_beside_a_dataset_are_rejected(model):
    for given in ({"y": NAMES}, {"sample_weight": np.ones(8)}, {"validation_split": 0.5}):
        with pytest.raises(ValueError, match="yields labels and weights itself"):
            model.fit(Batches(TEXTS, NAMES), **given)
    with pytest.raises(ValueError, match="yields labels and weights itself"):
        model.fit((text for text in TEXTS), NAMES)


def test_without_shuffling_rows_are_read_in_order(model):
    seen = []
    compute = model.preprocessor.rows

    class Rows:
        def __call__(self, *args):
            rows = compute(*args)
            batch = rows.batch
            rows.batch = lambda numbers, *rest: seen.append(numbers.tolist()) or batch(numbers, *rest)
            return rows

    model.preprocessor.rows = Rows()
    model.fit(TEXTS, NAMES, batch_size=3, shuffle=False, verbose=0)
    assert seen[-3:] == [[0, 1, 2], [3, 4, 5], [6, 7]]


@pytest.mark.parametrize("x, y, message", [([], [], "Received: none"), (TEXTS, None, "as `y` or among the examples")])
def test_training_needs_examples_with_labels(model, x, y, message):
    with pytest.raises(InputError, match=message):
        model.fit(x, y)


@pytest.mark.parametrize("size", [0, -3, 2.5, True])
def test_a_batch_has_rows(model, size):
    with pytest.raises(ValueError, match="`batch_size` must be a whole number of at least 1"):
        model.fit(TEXTS, NAMES, batch_size=size)


def test_models_do_not_share_a_preprocessor(make):
    from spanbert_keras import SpanBertTextClassifierPreprocessor

    given = SpanBertTextClassifierPreprocessor(row_length=32)
    first, second = make(["x", "y"], preprocessor=given), make(["y", "x"], preprocessor=given)
    for model, expected in ((first, [0, 1]), (second, [1, 0]), (first, [0, 1])):
        assert model.preprocessor(TEXTS[:2], ["x", "y"])[1].tolist() == expected


@pytest.mark.parametrize("wrong", [5, "none"])
def test_a_preprocessor_is_checked(make, wrong):
    from spanbert_keras import SpanBertQuestionAnswererPreprocessor

    for given in (wrong, SpanBertQuestionAnswererPreprocessor()):
        with pytest.raises(ValueError, match="must be a `SpanBertTextClassifierPreprocessor`, a function"):
            make(preprocessor=given)


def test_a_preprocessor_that_works_alone_has_the_models_settings(make):
    model = make()
    alone = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(model.preprocessor))
    assert alone.settings == model.preprocessor.settings
    assert "preprocessor" not in model.get_config()


def test_unknown_arguments_are_rejected(make):
    with pytest.raises(TypeError, match="unknown argument.*nonsense"):
        make(nonsense=1)


def test_class_weights_need_classes(make):
    with pytest.raises(ValueError, match="`class_weight` weights rows by their class"):
        make(()).fit(TEXTS, np.arange(8.0), class_weight={0: 1.0})


def test_single_batches_of_texts(model):
    expected = model.test_on_batch(rows_of(model), np.array(NUMBERS))
    assert model.test_on_batch(TEXTS, NAMES) == pytest.approx(expected, rel=1e-5)
    assert model.train_on_batch(TEXTS, NAMES)[0] == pytest.approx(expected[0], rel=1e-5)
    assert model.test_on_batch(TEXTS, NAMES)[0] < expected[0]


def test_without_a_preprocessor_the_model_takes_arrays_only(make):
    model = make(preprocessor=None)
    with pytest.raises(ValueError, match="takes a dict of inputs"):
        model.predict(np.ones((2, 3)), verbose=0)
    model = make(preprocessor=None)  # on JAX, Keras empties a model whose `predict` fails
    with pytest.raises(ValueError, match="has no preprocessor.*Received: list"):
        model.predict(TEXTS, verbose=0)
    rows = rows_of(make())
    assert model.predict(rows, verbose=0)["logits"].shape == (8, 2)
    assert type(model).from_config(model.get_config()).preprocessor is None


def test_any_function_may_be_the_preprocessor(make):
    model = make()
    expected = model.predict(TEXTS, verbose=0)["logits"]
    ours = model.preprocessor
    model.preprocessor = lambda x: ours(x)
    np.testing.assert_allclose(model.predict(TEXTS, verbose=0)["logits"], expected, atol=1e-5)
    model.compile("sgd", **FAST)
    model.fit(TEXTS, np.array(NUMBERS), epochs=1, verbose=0)


def test_a_setting_of_the_preprocessor_must_not_differ_from_the_models(make):
    from spanbert_keras import SpanBertTextClassifierPreprocessor

    model = make(preprocessor=SpanBertTextClassifierPreprocessor(row_length=32))
    assert model.preprocessor.settings["row_length"] == 32 and model.preprocessor.tokenizer is model.tokenizer
    other = make(preprocessor=SpanBertTextClassifierPreprocessor(row_length=9))
    with pytest.raises(ValueError, match="Expected: row_length=32, as in the model. Received: row_length=9"):
        other.fit(TEXTS, NAMES)


@pytest.mark.parametrize("x, y", [([1, 2], None), ({"text": ["a"]}, None), (["a", "b"], ["x"]), (["a", None], None)])
def test_what_are_not_texts_is_rejected(model, x, y):
    with pytest.raises(InputError):
        model.evaluate(x, y, verbose=0)


@pytest.mark.skipif(BACKEND != "tensorflow", reason="on other backends the same pipeline feeds arrays")
def test_datasets_of_tensorflow_may_hold_texts(model):
    import tensorflow as tf

    dataset = tf.data.Dataset.from_tensor_slices((TEXTS, NAMES)).batch(3)
    expected = model.evaluate(TEXTS, NAMES, verbose=0)
    assert model.evaluate(dataset, verbose=0) == pytest.approx(expected, rel=1e-5)
    np.testing.assert_allclose(
        model.predict(dataset.map(lambda x, y: x), verbose=0)["logits"],
        model.predict(TEXTS, verbose=0)["logits"],
        atol=1e-5,
    )
    assert set(model.fit(dataset, validation_data=dataset, verbose=0).history) == {
        "loss",
        "accuracy",
        "val_loss",
        "val_accuracy",
    }
    weighted = tf.data.Dataset.from_tensor_slices((TEXTS, NUMBERS, [1.0] * 8)).batch(8)
    model.fit(weighted, verbose=0)
