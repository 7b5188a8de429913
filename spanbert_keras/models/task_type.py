"""The type of the task models: it keeps functional ones functional, and the others as they are."""

import keras
import keras_hub

PipelineModel = keras_hub.models.Task.__bases__[0]
_scalar = keras.Input(())
_of_functional = type(keras.Model(_scalar, _scalar)).__mro__
_of_model = keras.Model.__mro__
# What Keras puts between a functional model's class and `keras.Model`.
FUNCTIONAL_BASES = tuple(base for base in _of_functional if base not in _of_model)


class TaskType(type):
    """The type of `TaskModel`: a class is functional if it says `functional = True`, else it has a `call` of its own.

    Keras makes a class functional by replacing `keras.Model` among its bases, and keras-hub's tasks share the base that
    is replaced: each model that is made switches all of them. With this type the switch has no effect on ours.
    """

    def mro(cls):
        found = [base for base in super().mro() if base not in FUNCTIONAL_BASES]
        is_functional = next((vars(base)["functional"] for base in found if "functional" in vars(base)), False)
        if is_functional:
            place = found.index(keras.Model)
            found[place:place] = FUNCTIONAL_BASES
        return found
