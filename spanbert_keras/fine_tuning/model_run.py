"""A run that trains a model of the caller's."""

import keras
import numpy as np

from spanbert_keras.fine_tuning.run import FineTuningRun
from spanbert_keras.training.run.stop_signals import FINISHED, INTERRUPT


def train_model(run: FineTuningRun, model) -> dict:
    """Trains a model, unless the run is finished, leaves the best weights in it, and returns the run's record.

    If training does not finish, the model gets back the weights that it had before. So the same call starts as the
    first one did if there is no checkpoint yet.

    Args:
        run: `FineTuningRun` of this model.
        model: the model.

    Raises:
        InputError: see `FineTuningRun.run`.
        KeyboardInterrupt, SystemExit: Ctrl-C, or another signal, came; there is a checkpoint.
    """
    if run.finished() is not None:
        run.check_same()
        model.load_weights(run.model_path)
        return run.finished() or {}
    before = [(variable, np.array(keras.ops.convert_to_numpy(variable.value))) for variable in model.variables]
    outcome = None
    try:
        outcome = run.run()
    finally:
        if outcome != FINISHED:
            for variable, value in before:
                variable.assign(value)
    if outcome != FINISHED:
        raise KeyboardInterrupt if outcome == INTERRUPT else SystemExit(run.process.signals.exit_code(outcome))
    return run.finished() or {}
