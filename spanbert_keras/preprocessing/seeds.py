"""One seed, many purposes: every random number of a run is a function of the run's seed and of what it is for."""

import numpy as np

from spanbert_keras.preprocessing.philox import fold

# First number folded into a run's seed; numbers are never reused, since runs on disk depend on them.
ROW_ORDER, BLOCK_ORDER, MASKS, MIX_ORDER, DROPOUT, CORPUS, MIXTURE, HELD_OUT = range(1, 9)
EXAMPLE_ORDER, BATCH_ORDER, PAIRS, PHASE = range(9, 13)


def run_seed(seed: int) -> np.ndarray:
    """Returns the two 32-bit words that stand for `--seed`: uint32 `(2,)`."""
    return fold((0, 0), seed)


def dropout_seeds(seed, step: int, replica: int, accumulation_steps: int, layers: int) -> np.ndarray:
    """Returns the seed of every dropout layer in one step, a pure function of the arguments.

    Args:
        seed: two integers of 32 bits, the run's.
        step: int. Updates made before.
        replica: int. Which replica: each drops other units.
        accumulation_steps: int. Parts of the step.
        layers: int. Dropout layers.

    Returns:
        uint32 `(accumulation_steps, layers, 2)`, below 2**31 so that every backend's seed type holds them.
    """
    parts = np.arange(accumulation_steps)[:, None]
    return fold(seed, DROPOUT, step, replica, parts, np.arange(layers)[None, :]) >> np.uint32(1)
