"""Settings of pre-training, and what they must not contradict."""

import dataclasses
import math
from pathlib import Path

from spanbert_keras.errors import InputError
from spanbert_keras.settings import Settings, setting
from spanbert_keras.training.distributed.distribution import KINDS

CHANGEABLE = (
    "output_dir", "cache_dir", "workers", "dry_run", "pieces_per_second", "compile", "log_every", "evaluate_every",
    "eval_rows", "eval_schemes", "checkpoint_every", "keep_checkpoints", "encoder_every", "examples", "corpus",
    "distribution", "replicas", "rehearse_workers", "accumulation_steps", "steps_per_call", "deterministic",
    "checkpoint_minutes", "keep_every", "preemption_exit_code", "on_divergence", "spike_nats", "profile_steps",
    "peak_tflops", "init_checkpoint",
)  # fmt: skip

# Lowest value allowed, and the one that is too high.
RANGES = {
    **dict.fromkeys(("log_every", "checkpoint_every", "eval_rows", "keep_checkpoints"), (1, math.inf)),
    **dict.fromkeys(("num_layers", "hidden_dim", "num_heads", "intermediate_dim", "position_dim"), (1, math.inf)),
    **dict.fromkeys(("evaluate_every", "encoder_every", "examples", "keep_every", "profile_steps"), (0, math.inf)),
    "head_warmup_steps": (0, math.inf),
    **dict.fromkeys(("checkpoint_minutes", "spike_nats"), (0, math.inf)),
    **dict.fromkeys(("replicas", "steps_per_call"), (1, math.inf)),
    "rehearse_workers": (0, 65),
    "peak_tflops": (1e-3, math.inf),
    "preemption_exit_code": (1, 256),
    **dict.fromkeys(("weight_decay", "clip_norm", "sbo_weight"), (0, math.inf)),
    **dict.fromkeys(("dropout", "attention_dropout", "beta_1", "beta_2"), (0, 1)),
    "seed": (0, 2**32),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """Settings of one pre-training run."""

    # --- data
    corpus: str = setting("Prepared folders or raw text, weighted a:0.7,b:0.3; or `embedded`.", path=True)
    output_dir: str = setting("Where the run lives: models, checkpoints, TensorBoard logs, run.json.", path=True)
    cache_dir: str | None = setting(
        "Where raw text is prepared to, and block indices kept. <output_dir>/cache.", default=None, path=True
    )
    vocabulary: str | None = setting(
        "vocab.txt in BERT's format, or a preset folder. Raw text needs this or --train_vocabulary.",
        default=None,
        path=True,
    )
    train_vocabulary: int | None = setting("Trains a vocabulary of so many pieces on the raw text.", default=None)
    lowercase: bool = setting("Lowercases raw text and strips accents (uncased models).", default=False)
    heldout_share: float = setting("Share of raw documents kept for evaluation, at least one.", default=0.01)
    workers: int | None = setting("Threads that prepare raw text. All cores by default.", default=None)
    max_sequence_length: int = setting("Pieces in a row, with [CLS] and [SEP].", default=512)
    cut: str = setting("Where a document is cut into blocks.", default="word", choices=("word", "line"))
    batch_tokens: int | None = setting("Pieces in a step: rows x max_sequence_length.", default=None)
    batch_sequences: int | None = setting("Rows in a step; instead of --batch_tokens.", default=None)
    # --- masking (paper, section 3.1)
    scheme: str = setting("What is masked.", default="span", choices=("span", "whole_word", "subword"))
    masking_rate: float = setting("Share of the pieces that is masked.", default=0.15)
    geometric_rate: float = setting("p of the span length law p(1-p)^(l-1).", default=0.2)
    max_span_length: int = setting("Longest span drawn, in words.", default=10)
    # --- model
    architecture: str = setting("Numbers of the encoder.", default="base", choices=("tiny", "small", "base", "large"))
    num_layers: int | None = setting("Overrides the architecture's number of blocks.", default=None)
    hidden_dim: int | None = setting("Overrides the architecture's width.", default=None)
    num_heads: int | None = setting("Overrides the architecture's number of attention heads.", default=None)
    intermediate_dim: int | None = setting("Overrides the architecture's feed-forward width.", default=None)
    dropout: float = setting("Probability of zeroing a hidden state.", default=0.1)
    attention_dropout: float = setting("Probability of zeroing an attention weight.", default=0.1)
    max_span_positions: int = setting("Rows of the span-boundary head's position table, in pieces.", default=15)
    position_dim: int = setting("Width of the span-boundary head's position vectors.", default=200)
    init_checkpoint: str | None = setting(
        "Checkpoint to begin with, of any form that convert reads: its weights, sizes and vocabulary.",
        default=None,
        path=True,
    )
    # --- objective (section 3.2)
    sbo_weight: float = setting("Weight of the span boundary objective.", default=1.0)
    loss_normalization: str = setting("Divide both sums by the MLM targets, or each by its own count as released.",
                                      default="targets", choices=("targets", "separate"))  # fmt: skip
    # --- optimization (section 4.2)
    steps: int = setting("Updates of the whole run.", default=2_400_000)
    learning_rate: float = setting("Peak learning rate.", default=1e-4)
    warmup_steps: int = setting("Updates over which the learning rate rises.", default=10_000)
    head_warmup_steps: int = setting("First updates in which the heads alone learn.", default=0)
    decay: str = setting("Linear decay to zero: from the end of the warm-up, or from step 0 as released.",
                         default="after_warmup", choices=("after_warmup", "from_start", "none"))  # fmt: skip
    weight_decay: float = setting("Decoupled weight decay, of all but biases and layer norms.", default=0.1)
    decay_all: bool = setting("Decays biases and layer norms too (released code).", default=False)
    beta_1: float = setting("Adam's decay of the first moment.", default=0.9)
    beta_2: float = setting("Adam's decay of the second moment.", default=0.999)
    epsilon: float = setting("Adam's epsilon.", default=1e-8)
    clip_norm: float = setting("Global gradient norm at most; 0 never clips.", default=1.0)
    accumulation_steps: int = setting("Parts in which a step's batch is computed one after the other.", default=1)
    precision: str = setting("Numbers of the computation; weights stay float32.", default="float32",
                             choices=("float32", "mixed_bfloat16", "mixed_float16"))  # fmt: skip
    compile: str = setting("XLA on TensorFlow, torch.compile on torch; auto: on accelerators.", default="auto",
                           choices=("auto", "on", "off"))  # fmt: skip
    seed: int = setting("Of weights, order, masks and dropout.", default=1)
    # --- devices and machines
    distribution: str = setting("Devices that share each step: one, this machine's, or those of several machines (told "
                                "by TF_CONFIG or Slurm).", default="none", choices=KINDS)  # fmt: skip
    replicas: int | None = setting(
        "Devices of this machine to use; all by default. Without a GPU: so many logical processors.", default=None
    )
    rehearse_workers: int = setting(
        "Starts so many workers of --distribution=multi_worker on this machine; 0: none.", default=0
    )
    steps_per_call: int = setting("Updates of one call to the device. A signal waits for the call.", default=1)
    deterministic: bool = setting("TensorFlow's operations give the same bits in every run.", default=False)
    # --- what is seen and kept
    log_every: int = setting("Steps between TensorBoard points.", default=50)
    evaluate_every: int = setting("Steps between held-out evaluations; 0: at the end alone.", default=1000)
    eval_rows: int = setting("Rows of held-out text that are scored.", default=512)
    eval_schemes: tuple[str, ...] = setting("Masking schemes that held-out text is scored under, each a curve.",
                                            default=("span",))  # fmt: skip
    checkpoint_every: int = setting("Steps between checkpoints.", default=1000)
    checkpoint_minutes: float = setting("Minutes after which one is written anyhow; 0: never.", default=30.0)
    keep_checkpoints: int = setting("Newest checkpoints kept, besides the best.", default=2)
    keep_every: int = setting("Checkpoints of steps that this divides are kept for good; 0: none.", default=0)
    preemption_exit_code: int = setting("Exit code after SIGTERM or SIGUSR1, when a checkpoint is written.", default=75)
    on_divergence: str = setting("After a loss that is not finite, or a spike: stop, or return to the last checkpoint "
                                 "and leave out the batches since.", default="stop",
                                 choices=("stop", "rollback"))  # fmt: skip
    spike_nats: float = setting("A loss so far above its running mean is a spike; 0: never.", default=0.0)
    profile_steps: int = setting("Records so many steps for TensorBoard's profiler; 0: none.", default=0)
    peak_tflops: float | None = setting(
        "Peak of one device in TFLOP/s, for model FLOPs utilization. Common GPUs are known.", default=None
    )
    encoder_every: int = setting("Steps between encoder.keras files for probing; 0: at the end alone.", default=0)
    examples: int = setting("Held-out spans in the table at the end.", default=12)
    dry_run: bool = setting("Prints sizes, cost and the first batch's shapes, and exits.", default=False)
    pieces_per_second: float | None = setting("Rate for the days that --dry_run prints.", default=None)


def check(config: Config) -> None:
    """Refuses settings that contradict each other.

    Raises:
        InputError: the flag, what was expected, what was received.
    """
    if (config.batch_tokens is None) == (config.batch_sequences is None):
        raise InputError("Give one of --batch_tokens and --batch_sequences: the size of a step.")
    if config.max_sequence_length < 3:
        raise InputError(
            f"--max_sequence_length={config.max_sequence_length} must be at least 3: [CLS], one piece and [SEP]."
        )
    if config.batch_tokens is not None and config.batch_tokens % config.max_sequence_length:
        raise InputError(
            f"--batch_tokens={config.batch_tokens} must be a multiple of --max_sequence_length="
            f"{config.max_sequence_length}; the nearest is "
            f"{max(1, round(config.batch_tokens / config.max_sequence_length)) * config.max_sequence_length}."
        )
    rows = batch_rows(config)
    if rows < 1 or config.accumulation_steps < 1 or rows % config.accumulation_steps:
        raise InputError(
            f"A step has {rows} rows of {config.max_sequence_length} pieces, which must be a positive multiple of "
            f"--accumulation_steps={config.accumulation_steps}."
        )
    if config.rehearse_workers and config.distribution != "multi_worker":
        raise InputError(
            f"--rehearse_workers={config.rehearse_workers} needs --distribution=multi_worker. Received: "
            f"--distribution={config.distribution}."
        )
    if not 0 <= config.warmup_steps < config.steps:
        raise InputError(f"--warmup_steps={config.warmup_steps} must be below --steps={config.steps}.")
    if not config.eval_schemes:
        raise InputError("--eval_schemes names no scheme. Expected: span, whole_word or subword.")
    for scheme in config.eval_schemes:
        if scheme not in ("span", "whole_word", "subword"):
            raise InputError(f"--eval_schemes: unknown scheme {scheme!r}. Expected: span, whole_word or subword.")
    _check_ranges(config)
    if Path(config.output_dir).exists() and not Path(config.output_dir).is_dir():
        raise InputError(f"--output_dir={config.output_dir} is a file. Expected: a folder, new or of the same run.")


def _check_ranges(config: Config) -> None:
    """Refuses numbers out of their range, by the flag's name."""
    for name, (low, high) in RANGES.items():
        value = getattr(config, name)
        if value is not None and not low <= value < high:
            limit = f"at least {low}" if high == math.inf else f"at least {low} and below {high}"
            raise InputError(f"--{name} must be {limit}. Received: {value}.")
    if not config.learning_rate > 0 or not config.epsilon > 0:
        raise InputError(
            f"--learning_rate and --epsilon must be positive. Received: {config.learning_rate} and {config.epsilon}."
        )


def batch_rows(config: Config) -> int:
    """Returns the rows of a step."""
    if config.batch_sequences is not None:
        return config.batch_sequences
    return (config.batch_tokens or 0) // config.max_sequence_length
