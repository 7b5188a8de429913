"""The model of a component of another library's pipeline."""

import spanbert_keras
from spanbert_keras.errors import InputError


def load_component_model(name: str, source: str, model_class: str):
    """Returns the model that a component needs.

    Args:
        name: str. The component as the message names it, e.g. `"The component 'spanbert_coref'"`.
        source: str. What `load_pretrained` reads.
        model_class: str. Name of the public class that the model must have.

    Raises:
        InputError: it cannot be read, or it is of another class.
    """
    model = spanbert_keras.load_pretrained(source)
    if not isinstance(model, getattr(spanbert_keras, model_class)):
        raise InputError(
            f"{name} has the wrong model. Expected: a {model_class}. Received: a {type(model).__name__} in {source}."
        )
    return model
