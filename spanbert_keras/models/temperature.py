"""The temperature of a model's probabilities: logits are divided by it before the softmax."""

from typing import Any

from spanbert_keras.arguments import real_number

LOWEST, HIGHEST = 0.01, 100.0


def checked_temperature(temperature: Any) -> float:
    """Returns a temperature as a float; `InputError` if it is not a number from 0.01 to 100.

    Reference: Guo et al., 2017, section 4.2.
    """
    return real_number("temperature", temperature, LOWEST, HIGHEST)


def given_temperature(temperature: float) -> dict[str, float]:
    """Returns a temperature as an entry of a model's config; none if it is 1, so that files stay as they were."""
    checked = checked_temperature(temperature)
    return {} if checked == 1.0 else {"temperature": checked}
