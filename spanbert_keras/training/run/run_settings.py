"""Settings that pre-training and fine-tuning share."""

import dataclasses

from spanbert_keras.settings import Settings, setting


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunSettings(Settings):
    """Settings of every training run; a program adds its own fields.

    Users must give `output_dir` alone: pre-training and fine-tuning set the defaults that are missing here.
    """

    output_dir: str = setting(
        "Folder of the run: models, checkpoints, TensorBoard logs, run.json.", path=True, changeable=True
    )
    # --- optimization
    learning_rate: float = setting("Peak learning rate.", above=0)
    weight_decay: float = setting("Decoupled weight decay of all weights but biases and layer norms.", minimum=0)
    clip_norm: float = setting("Maximum global norm of the gradients; 0: no clipping.", default=1.0, minimum=0)
    accumulation_steps: int = setting(
        "Number of parts in which a step's batch is computed, one after the other.",
        default=1,
        minimum=1,
        changeable=True,
    )
    compile: str = setting(
        "Use of XLA (TensorFlow) or torch.compile (torch); auto: on accelerators.",
        default="auto",
        choices=("auto", "on", "off"),
        changeable=True,
    )
    attention: str = setting(
        "reference keeps the attention weights of all layers for the gradient; fused computes them again; auto: fused, "
        "but for float16.",
        default="auto",
        choices=("auto", "reference", "fused"),
        changeable=True,
    )
    recompute: str = setting(
        "What is computed again for the gradient, to save memory: blocks keeps only the input of each block; attention "
        "computes only what precedes attention's output projection again; none keeps all.",
        default="none",
        choices=("none", "attention", "blocks"),
        changeable=True,
    )
    replicas: int | None = setting(
        "Number of this machine's devices to use, or of logical CPU devices without a GPU. Default: all GPUs.",
        default=None,
        minimum=1,
        changeable=True,
    )
    # --- what is kept and shown
    log_every: int = setting("Steps between TensorBoard points.", minimum=1, changeable=True)
    checkpoint_minutes: float = setting(
        "Minutes since the last checkpoint after which another is written; 0: never.", minimum=0, changeable=True
    )
    preemption_exit_code: int = setting(
        "Exit code after SIGTERM or SIGUSR1, once a checkpoint is written.",
        default=75,
        minimum=1,
        below=256,
        changeable=True,
    )
