"""What every task model promises of raw examples: `fit`, `evaluate` and `predict` make of them what their rows give."""

import keras
import numpy as np
import pytest

from tests.promises import model_cases
from tests.promises.model_cases import TASKS, E

BACKEND = keras.backend.backend()
ON_TENSORFLOW = pytest.mark.skipif(BACKEND != "tensorflow", reason="elsewhere the same pipeline feeds arrays")
pytestmark = pytest.mark.usefixtures("eagerly")
HALF = E // 2


@pytest.fixture(params=TASKS, scope="module")
def case(request):
    return TASKS[request.param]


def make(case, **settings):
    keras.utils.set_random_seed(3)
    return case.make(model_cases.make_encoder(num_layers=1), **settings)


@pytest.fixture(scope="module")
def still(case, randomize):
    """A model full of noise that no step changes."""
    model = make(case, preprocessor=case.make_preprocessor())
    randomize(model, seed=13, scale=0.4)
    model.compile(keras.optimizers.SGD(0.0))
    return model


@pytest.fixture
def model(case, still):
    still.preprocessor = case.make_preprocessor()  # one that counts its calls begins again
    return still


def loss_of(model, x, y=None, **settings):
    return model.evaluate(x, y, verbose=0, return_dict=True, **settings)["loss"]


def as_rows(model, x, y=None):
    """Returns raw examples as x and y of arrays."""
    found = model.preprocessor(x, y)
    return found if isinstance(found, tuple) else (found, None)


def array_of(values):
    return keras.ops.convert_to_numpy(values)


class Batches(keras.utils.PyDataset):
    """Two batches of raw examples."""

    def __init__(self, case, with_targets=True):
        super().__init__()
        parts = [case.part(0, HALF), case.part(HALF)]
        self.parts = [part if with_targets and part[1] is not None else part[0] for part in parts]

    def __len__(self):
        return len(self.parts)

    def __getitem__(self, number):
        return self.parts[number]


# --- the same as their rows


def test_raw_examples_train_a_model_that_was_not_compiled(case):
    model = make(case)
    before = {w.path: array_of(w).copy() for w in model.trainable_weights}
    model.fit(*case.part(0, 3), batch_size=3, verbose=0)
    rate = array_of(model.optimizer.learning_rate)
    assert isinstance(model.optimizer, keras.optimizers.Adam) and rate == pytest.approx(case.kind.default_learning_rate)
    assert any((array_of(w) != before[w.path]).any() for w in model.trainable_weights)
    model.optimizer.learning_rate = 0.03
    losses = model.fit(*case.part(0, 3), batch_size=3, epochs=8, verbose=0).history["loss"]
    assert len(losses) == 8 and losses[-1] < 0.97 * losses[0]


def test_evaluation_and_prediction_are_those_of_the_rows_in_order(case, model):
    rows = as_rows(model, *case.raw)
    batch_size = len(rows[0]["token_ids"])
    assert loss_of(model, *case.raw, batch_size=batch_size) == pytest.approx(
        loss_of(model, *rows, batch_size=batch_size), rel=1e-5
    )
    expected = model.predict(rows[0], verbose=0)
    for size in (None, 4):
        found = model.predict(case.raw[0], batch_size=size, verbose=0)
        assert list(found) == list(expected)
        for key in expected:
            np.testing.assert_allclose(found[key], expected[key], rtol=1e-5, atol=1e-4, err_msg=key)
    single = model.predict_on_batch(case.raw[0])
    assert [len(value) for value in single.values()] == [len(value) for value in expected.values()]


def test_validation_is_the_evaluation_of_those_examples(case, model):
    expected = loss_of(model, *case.part(8), batch_size=4)
    for given, settings in (
        (case.raw, {"validation_split": 0.2}),
        (case.part(0, 8), {"validation_data": case.part(8)}),
        (case.part(0, 8), {"validation_data": as_rows(model, *case.part(8)), "validation_batch_size": 4}),
    ):
        model.preprocessor = case.make_preprocessor()
        history = model.fit(*given, batch_size=4, verbose=0, **settings).history
        assert history["val_loss"] == pytest.approx([expected], rel=1e-5), settings.keys()


def test_datasets_and_generators_may_yield_raw_examples(case, model):
    parts = [case.part(0, HALF), case.part(HALF)]
    counts = [len(as_rows(model, *part)[0]["token_ids"]) for part in parts]
    expected = np.average([loss_of(model, *part, batch_size=99) for part in parts], weights=counts)
    if case.method == "fill_spans":  # the preprocessor masks others at each call
        assert np.isfinite(loss_of(model, Batches(case)))
    else:
        assert loss_of(model, Batches(case)) == pytest.approx(expected, rel=1e-4)
    for made in (Batches(case), (batch for batch in [*Batches(case).parts] * 2)):
        history = model.fit(made, epochs=2, steps_per_epoch=2, verbose=0).history
        assert len(history["loss"]) == 2 and np.isfinite(history["loss"]).all()
    expected = model.predict(case.raw[0], verbose=0)
    for made in (Batches(case, False), (batch for batch in Batches(case, False).parts)):
        found = model.predict(made, verbose=0)
        assert [len(value) for value in found.values()] == [len(value) for value in expected.values()]


@ON_TENSORFLOW
def test_datasets_of_tensorflow_may_hold_raw_examples(case, model):
    import tensorflow as tf

    if case.method in ("resolve", "extract", "recognize"):
        pytest.skip("examples that are not tensors")
    x, y = case.raw
    if y is not None:
        y = np.array([["x" in labels, "y" in labels] for labels in y], "float32")
    dataset = tf.data.Dataset.from_tensor_slices(x if y is None else (x, y)).batch(HALF)
    expected = loss_of(model, Batches(case))
    model.preprocessor = case.make_preprocessor()
    assert loss_of(model, dataset) == pytest.approx(expected, rel=1e-4 if case.method != "fill_spans" else 1e-1)
    history = model.fit(dataset, validation_data=dataset, verbose=0).history
    assert np.isfinite(history["loss"] + history["val_loss"]).all()


# --- weights


def test_weights_of_examples_scale_their_losses(case, model):
    whole, first = loss_of(model, *case.raw, batch_size=99), loss_of(model, *case.part(0, HALF), batch_size=99)
    on_first, on_last = np.repeat([2.0, 0.0], HALF), np.repeat([0.0, 2.0], HALF)
    parts = [loss_of(model, *case.raw, sample_weight=given, batch_size=99) for given in (on_first, on_last)]
    assert sum(parts) == pytest.approx(2 * whole, rel=1e-4) and min(parts) > 0
    if case.method != "fill_spans":  # whose loss is a mean over masked pieces
        counts = [len(as_rows(model, *part)[0]["token_ids"]) for part in (case.part(0, HALF), case.raw)]
        assert parts[0] == pytest.approx(2 * first * counts[0] / counts[1], rel=1e-4)
    with pytest.raises(ValueError, match=r"`sample_weight` must have one number for each example|Received: \(3,\)"):
        model.evaluate(*case.raw, sample_weight=np.ones(3), verbose=0)


def test_class_weights_weight_classes_or_are_rejected_by_a_sentence(case, model):
    if not model.takes_class_weights:
        with pytest.raises(ValueError, match="`class_weight` weights rows by their class.*Expected: `sample_weight`"):
            model.fit(*case.raw, class_weight={0: 1.0, 1: 3.0}, verbose=0)
        return
    numbers = [model.labels.index(label) for label in case.raw[1]]
    rows = as_rows(model, *case.raw)
    losses = []
    weights = np.array([1.0, 3.0])[numbers]
    for data, given in (
        (case.raw, {"class_weight": {0: 1.0, 1: 3.0}}),
        (case.raw, {"sample_weight": weights}),
        (rows, {"class_weight": {0: 1.0, 1: 3.0}}),
        (case.raw, {}),
    ):
        again = make(case)
        again.compile(keras.optimizers.SGD(0.0))
        losses += again.fit(*data, shuffle=False, verbose=0, batch_size=E, **given).history["loss"]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    assert losses[0] == pytest.approx(losses[2], rel=0.1) and losses[3] != pytest.approx(losses[0], rel=0.1)


# --- epochs and shapes


@pytest.fixture
def batches(case, model, monkeypatch):
    """List of (epoch, rows, inputs) of every batch that is made."""
    seen, make_rows = [], model.preprocessor.rows

    def rows_of(*given):
        rows = make_rows(*given)
        batch = rows.batch
        monkeypatch.setattr(
            rows,
            "batch",
            lambda places, length, epoch=0: (
                seen.append((epoch, list(places), batch(places, length, epoch))) or seen[-1][2]
            ),
        )
        return rows

    monkeypatch.setattr(model.preprocessor, "rows", rows_of)
    return seen


def test_every_epoch_has_another_order_and_other_masks(case, model, batches):
    model.fit(*case.raw, epochs=3, batch_size=4, verbose=0)
    orders = {}
    for epoch, places, _ in batches:
        orders.setdefault(epoch, []).append(places)
    orders = {epoch: order for epoch, order in orders.items() if epoch < 3}
    if BACKEND == "tensorflow":  # which looks at the first batch, to know its form
        orders[0] = orders[0][1:]
    everything = sorted(sum(orders[1], []))
    assert set(orders) == {0, 1, 2} and everything == list(range(len(everything))) and len(everything) >= E
    for order in orders.values():
        assert sorted(sum(order, [])) == everything
    assert len({str(order) for order in orders.values()}) == 3
    if case.method == "fill_spans":
        masks = {epoch: {} for epoch in orders}
        for epoch, places, batch in batches:
            if epoch in masks:
                masks[epoch] |= {place: str(row) for place, row in zip(places, batch["mask_positions"], strict=True)}
        assert len({str(sorted(one.items())) for one in masks.values()}) == 3


def test_without_shuffling_the_order_stays_and_evaluation_repeats_itself(case, model, batches):
    model.fit(*case.raw, epochs=2, batch_size=4, shuffle=False, verbose=0)
    orders = [[places for number, places, _ in batches if number == epoch] for epoch in (0, 1)]
    assert orders[0][-len(orders[1]) :] == orders[1]
    assert loss_of(model, *case.raw) == loss_of(model, *case.raw)


def test_raw_examples_reach_the_model_in_few_shapes(case, monkeypatch):
    model, seen = make(case), set()
    call = model.call
    monkeypatch.setattr(model, "call", lambda x, **given: seen.add(tuple(x["token_ids"].shape)) or call(x, **given))
    model.compile(keras.optimizers.SGD(0.0))
    model.fit(*case.raw, epochs=2, batch_size=1, verbose=0)
    lengths, sizes = {length for _, length in seen}, {size for size, _ in seen}
    assert 1 <= len(lengths) <= 4 and len(seen) <= 5 and len(sizes) <= 2
    if case.method in ("classify", "extract", "answer"):
        assert len(lengths) > 1


# --- arrays


def test_without_a_preprocessor_a_model_takes_arrays_alone(case):
    model = make(case, preprocessor=None)
    rows = as_rows(make(case), *case.raw)
    for method in (model.fit, model.evaluate):
        with pytest.raises(ValueError, match='has no preprocessor.*Set `model.preprocessor = "auto"`|takes a dict of'):
            method(*case.raw, verbose=0)
    assert np.isfinite(model.fit(*rows, verbose=0).history["loss"][0])
    model.preprocessor = "auto"
    assert model.is_raw(case.raw[0]) and not model.is_raw(rows[0])


def test_a_model_shows_what_it_is(case, model, capsys):
    import keras_hub

    assert isinstance(model, keras_hub.models.Task) and isinstance(model, keras.Model)
    assert model.backbone is model.encoder and isinstance(model.preprocessor, case.kind.preprocessor_cls)
    assert model.preprocessor.tokenizer is model.tokenizer is model.encoder.tokenizer
    model.summary()
    shown = capsys.readouterr().out
    assert "SpanBertTokenizer" in shown and model.encoder.name in shown
