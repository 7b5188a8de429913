"""The rows of the examples that `fine_tune` is given."""

import keras

from spanbert_keras.errors import InputError, shown
from spanbert_keras.preprocessing.preprocessors.example_rows import ExampleRows
from spanbert_keras.preprocessing.preprocessors.task_preprocessor import TaskPreprocessor


def given_rows(model, examples, name: str) -> ExampleRows | None:
    """Returns the rows of training or validation examples; `None` for no validation.

    Args:
        model: the task model.
        examples: raw examples in memory, x, (x, y) or (x, y, sample_weight), or `ExampleRows`; `None` for none.
        name: `"train"` or `"validation"`.

    Raises:
        InputError: there are none to train with, or they have no targets.
        ValueError: the model cannot read raw examples.
    """
    if examples is None and name == "validation":
        return None
    rows = examples
    if not isinstance(examples, ExampleRows):
        if not isinstance(model.preprocessor, TaskPreprocessor):
            raise ValueError(
                f"Raw examples need a preprocessor, and this `{type(model).__name__}` has "
                f'{shown(model.preprocessor)}. Set `model.preprocessor = "auto"`, or give `ExampleRows`.'
            )
        parts = examples if isinstance(examples, tuple) else (examples,)
        if hasattr(parts[0], "element_spec") or isinstance(parts[0], keras.utils.PyDataset):
            raise InputError(
                f"`{name}` must be examples in memory, as lists, arrays or columns. "
                f"Received: `{type(parts[0]).__name__}`. `model.fit` takes datasets."
            )
        model.is_raw(parts[0])  # raises for a model that takes batches alone
        rows = model.preprocessor.rows(*keras.utils.unpack_x_y_sample_weight(parts))
    if not len(rows):
        raise InputError(f"`{name}` must have at least one example. Received: none.")
    if not rows.target_keys:
        raise InputError(f"`{name}` must say what the model should predict. Expected: (x, y). Received: only x.")
    return rows
