"""Models on several devices: how many share a batch, and what Keras' `fit` gets wrong there."""

import keras

CLIPPING = ("clipnorm", "clipvalue", "global_clipnorm")


def devices_of_a_batch(model) -> int:
    """Returns how many devices share each batch: TensorFlow's replicas, or JAX's devices along the batch."""
    backend = keras.backend.backend()
    if backend == "tensorflow":
        return model.distribute_strategy.num_replicas_in_sync
    distribution = keras.distribution.distribution() if backend == "jax" else None
    if distribution is None:
        return 1
    mesh = distribution.device_mesh
    return int(mesh.shape[mesh.axis_names.index(distribution.batch_dim_name)])


def check_replicas(model) -> None:
    """Raises `ValueError` if Keras' `fit` fails, or computes something else, on the replicas of a TensorFlow strategy.

    The mistakes are those of Keras 3.15, found by comparing a step on one, two and four replicas.
    """
    if keras.backend.backend() != "tensorflow" or model.distribute_strategy.num_replicas_in_sync == 1:
        return
    strategy, optimizer = model.distribute_strategy, model.optimizer
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    clipping = [name for name in CLIPPING if getattr(inner, name, None) is not None]
    problem = None
    if "MultiWorker" in type(strategy).__name__:
        problem = "does not train on several workers"
    elif clipping:
        problem = f"clips the gradient of each replica before they are summed ({clipping[0]}), so steps are too long"
    elif inner is not optimizer:
        problem = "looks for overflow on the first replica alone, so float16 may lose all weights"
    elif getattr(inner, "gradient_accumulation_steps", None):
        problem = "fails with gradient_accumulation_steps"
    elif model.steps_per_execution > 1:
        problem = f"fails with steps_per_execution={model.steps_per_execution}"
    elif model.jit_compile:
        problem = "fails with jit_compile=True"
    if problem:
        raise ValueError(
            f"Keras' `fit` {problem}, on the {strategy.num_replicas_in_sync} replicas of {type(strategy).__name__}. "
            f"Expected: training without it, or by this package's own loop, which does it right: {_program(model)}."
        )


def _program(model) -> str:
    if "mask_ids" in model.target_keys:
        return "python -m spanbert_keras.pretrain --distribution=mirrored"
    return 'spanbert_keras.fine_tune(..., distribution="mirrored")'
