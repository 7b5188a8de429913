"""Inputs by name: extra entries are ignored, a missing one is named, in every way that Keras calls a model."""

import keras
import numpy as np
import pytest

from spanbert_keras.errors import InputError
from spanbert_keras.models.named_inputs import NamedInputs


class Difference(NamedInputs, keras.Model):
    """Returns 3 x second - first; swapped or shifted inputs give other numbers."""

    input_keys = ("second", "first")

    def __init__(self, **kwargs):
        inputs = self.symbolic_inputs()
        first, second = (keras.ops.cast(inputs[key], "float32") for key in ("first", "second"))
        super().__init__(inputs=inputs, outputs={"difference": 3.0 * second - first}, **kwargs)


FIRST, SECOND = np.array([[1, 2, 3], [4, 5, 6]], "int32"), np.array([[7, 5, 9], [8, 8, 1]], "int32")
EXPECTED = 3.0 * SECOND - FIRST
EXTRA = {"a": SECOND, "g": FIRST + 50, "z": FIRST, "text": np.zeros((2, 9), "float32")}


@pytest.mark.parametrize("extra", [{}, EXTRA], ids=["exact", "extra"])
@pytest.mark.parametrize("reverse", [False, True])
def test_order_and_extra_entries_do_not_matter(extra, reverse):
    items = list(({"first": FIRST, "second": SECOND} | extra).items())
    given = dict(reversed(items) if reverse else items)
    model = Difference()
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(model(given)["difference"]), EXPECTED)
    np.testing.assert_array_equal(model.predict(given, verbose=0)["difference"], EXPECTED)
    outputs, _ = model.stateless_call([], [], given)
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(outputs["difference"]), EXPECTED)


def test_an_extra_symbolic_input_is_ignored_too():
    inputs = {key: keras.Input((3,), dtype="int32", name=key) for key in ("a", "first", "second")}
    outer = keras.Model(inputs, Difference()(inputs))
    given = {"a": FIRST + 9, "first": FIRST, "second": SECOND}
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(outer(given)["difference"]), EXPECTED)


@pytest.mark.parametrize("call", [lambda m, x: m(x), lambda m, x: m.stateless_call([], [], x)])
def test_a_missing_entry_is_named(call):
    with pytest.raises(ValueError, match=r"Missing: \['second'\]. Received: \['first', 'seconds'\]"):
        call(Difference(), {"first": FIRST, "seconds": SECOND})


def test_anything_but_a_dict_is_rejected():
    with pytest.raises(ValueError, match=r"takes a dict of inputs with the keys \['second', 'first'\]. Received: list"):
        Difference()([FIRST, SECOND])


def test_symbolic_inputs_are_int32_of_any_length_and_sorted():
    inputs = Difference().symbolic_inputs()
    assert list(inputs) == ["first", "second"]
    assert {(x.shape, x.dtype) for x in inputs.values()} == {((None, None), "int32")}


def test_the_error_of_an_export_names_the_backend_that_supports_it(tmp_path, monkeypatch):
    def fail(self, filepath, format="tf_saved_model", *args, **kwargs):
        raise TypeError("incompatible shapes")

    monkeypatch.setattr(keras.Model, "export", fail)
    for backend, kind, sentence in (
        (
            "jax",
            InputError,
            "`Difference` cannot be exported on this backend. Expected: KERAS_BACKEND=tensorflow;.*'onnx'",
        ),
        ("torch", InputError, "Received: format='onnx' with KERAS_BACKEND=torch .incompatible shapes"),
        ("tensorflow", TypeError, "^incompatible shapes$"),
    ):
        monkeypatch.setattr(keras.backend, "backend", lambda name=backend: name)
        with pytest.raises(kind, match=sentence):
            Difference().export(tmp_path / "x", format="onnx")
