"""Settings of pre-training, and what they must not contradict."""

import dataclasses
from pathlib import Path

from spanbert_keras.errors import InputError
from spanbert_keras.preprocessing.masking.schemes import SCHEME_NAMES as SCHEMES
from spanbert_keras.settings import Settings, setting
from spanbert_keras.training.distributed.distribution import KINDS


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """Settings of one pre-training run."""

    # --- data
    corpus: str = setting(
        "Prepared folders or raw text, weighted a:0.7,b:0.3; or `embedded`.", path=True, changeable=True
    )
    output_dir: str = setting(
        "Where the run lives: models, checkpoints, TensorBoard logs, run.json.", path=True, changeable=True
    )
    cache_dir: str | None = setting(
        "Where raw text is prepared to, and block indices kept. <output_dir>/cache.",
        default=None,
        path=True,
        changeable=True,
    )
    vocabulary: str | None = setting(
        "vocab.txt in BERT's format, or a preset folder. Raw text needs this or --train_vocabulary.",
        default=None,
        path=True,
    )
    train_vocabulary: int | None = setting("Trains a vocabulary of so many pieces on the raw text.", default=None)
    lowercase: bool = setting("Lowercases raw text and strips accents (uncased models).", default=False)
    heldout_share: float = setting("Share of raw documents kept for evaluation, at least one.", default=0.01)
    workers: int | None = setting(
        "Threads that prepare raw text. All cores by default.", default=None, changeable=True, minimum=1
    )
    max_sequence_length: int = setting("Pieces in a row, with [CLS] and [SEP].", default=512, minimum=3)
    cut: str = setting("Where a document is cut into blocks.", default="word", choices=("word", "line"))
    batch_tokens: int | None = setting("Pieces in a step: rows x max_sequence_length.", default=None, minimum=1)
    batch_sequences: int | None = setting("Rows in a step; instead of --batch_tokens.", default=None, minimum=0)
    # --- masking (paper, section 3.1)
    scheme: str = setting("What is masked.", default="span", choices=SCHEMES)
    masking_rate: float = setting("Share of the pieces that is masked.", default=0.15)
    geometric_rate: float = setting("p of the span length law p(1-p)^(l-1).", default=0.2)
    max_span_length: int = setting("Longest span drawn, in words.", default=10)
    # --- model
    architecture: str = setting("Numbers of the encoder.", default="base", choices=("tiny", "small", "base", "large"))
    num_layers: int | None = setting("Overrides the architecture's number of blocks.", default=None, minimum=1)
    hidden_dim: int | None = setting("Overrides the architecture's width.", default=None, minimum=1)
    num_heads: int | None = setting("Overrides the architecture's number of attention heads.", default=None, minimum=1)
    intermediate_dim: int | None = setting("Overrides the architecture's feed-forward width.", default=None, minimum=1)
    dropout: float = setting("Probability of zeroing a hidden state.", default=0.1, minimum=0, below=1)
    attention_dropout: float = setting("Probability of zeroing an attention weight.", default=0.1, minimum=0, below=1)
    max_span_positions: int = setting(
        "Rows of the span-boundary head's position table, in pieces.", default=15, minimum=1
    )
    position_dim: int = setting("Width of the span-boundary head's position vectors.", default=200, minimum=1)
    init_checkpoint: str | None = setting(
        "Checkpoint to begin with, of any form that convert reads: its weights, sizes and vocabulary.",
        default=None,
        path=True,
        changeable=True,
    )
    # --- objective (section 3.2)
    sbo_weight: float = setting("Weight of the span boundary objective.", default=1.0, minimum=0)
    loss_normalization: str = setting(
        "Divide both sums by the MLM targets, or each by its own count as released.",
        default="targets",
        choices=("targets", "separate"),
    )
    # --- optimization (section 4.2)
    steps: int = setting("Updates of the whole run.", default=2_400_000, minimum=1)
    learning_rate: float = setting("Peak learning rate.", default=1e-4, above=0)
    warmup_steps: int = setting("Updates over which the learning rate rises.", default=10_000, minimum=0)
    head_warmup_steps: int = setting("First updates in which the heads alone learn.", default=0, minimum=0)
    decay: str = setting(
        "Linear decay to zero: from the end of the warm-up, or from step 0 as released.",
        default="after_warmup",
        choices=("after_warmup", "from_start", "none"),
    )
    weight_decay: float = setting("Decoupled weight decay, of all but biases and layer norms.", default=0.1, minimum=0)
    decay_all: bool = setting("Decays biases and layer norms too (released code).", default=False)
    beta_1: float = setting("Adam's decay of the first moment.", default=0.9, minimum=0, below=1)
    beta_2: float = setting("Adam's decay of the second moment.", default=0.999, minimum=0, below=1)
    epsilon: float = setting("Adam's epsilon.", default=1e-8, above=0)
    clip_norm: float = setting("Global gradient norm at most; 0 never clips.", default=1.0, minimum=0)
    accumulation_steps: int = setting(
        "Parts in which a step's batch is computed one after the other.", default=1, changeable=True, minimum=1
    )
    precision: str = setting(
        "Numbers of the computation; weights stay float32.",
        default="float32",
        choices=("float32", "mixed_bfloat16", "mixed_float16"),
    )
    compile: str = setting(
        "XLA on TensorFlow, torch.compile on torch; auto: on accelerators.",
        default="auto",
        choices=("auto", "on", "off"),
        changeable=True,
    )
    seed: int = setting("Of weights, order, masks and dropout.", default=1, minimum=0, below=2**32)
    # --- devices and machines
    distribution: str = setting(
        "Devices that share each step: one, this machine's, or those of several machines (told by TF_CONFIG or Slurm).",
        default="none",
        choices=KINDS,
        changeable=True,
    )
    replicas: int | None = setting(
        "Devices of this machine to use; all by default. Without a GPU: so many logical processors.",
        default=None,
        minimum=1,
        changeable=True,
    )
    local_workers: int = setting(
        "Starts so many workers of --distribution=multi_worker on this machine; 0: none.",
        default=0,
        minimum=0,
        below=65,
        changeable=True,
        formerly=("rehearse_workers",),
    )
    steps_per_call: int = setting(
        "Updates of one call to the device. A signal waits for the call.", default=1, minimum=1, changeable=True
    )
    deterministic: bool = setting(
        "TensorFlow's operations give the same bits in every run.", default=False, changeable=True
    )
    # --- what is seen and kept
    log_every: int = setting("Steps between TensorBoard points.", default=50, minimum=1, changeable=True)
    evaluate_every: int = setting(
        "Steps between held-out evaluations; 0: at the end alone.", default=1000, minimum=0, changeable=True
    )
    eval_rows: int = setting("Rows of held-out text that are scored.", default=512, minimum=1, changeable=True)
    eval_schemes: tuple[str, ...] = setting(
        "Masking schemes that held-out text is scored under, each a curve.",
        default=("span",),
        changeable=True,
        choices=SCHEMES,
    )
    checkpoint_every: int = setting("Steps between checkpoints.", default=1000, minimum=1, changeable=True)
    checkpoint_minutes: float = setting(
        "Minutes after which one is written anyhow; 0: never.", default=30.0, minimum=0, changeable=True
    )
    keep_checkpoints: int = setting("Newest checkpoints kept, besides the best.", default=2, minimum=1, changeable=True)
    keep_every: int = setting(
        "Checkpoints of steps that this divides are kept for good; 0: none.", default=0, minimum=0, changeable=True
    )
    preemption_exit_code: int = setting(
        "Exit code after SIGTERM or SIGUSR1, when a checkpoint is written.",
        default=75,
        minimum=1,
        below=256,
        changeable=True,
    )
    on_divergence: str = setting(
        "After a loss that is not finite, or a spike: stop, or return to the last checkpoint "
        "and leave out the batches since.",
        default="stop",
        choices=("stop", "rollback"),
        changeable=True,
    )
    spike_nats: float = setting(
        "A loss so far above its running mean is a spike; 0: never.", default=0.0, minimum=0, changeable=True
    )
    profile_steps: int = setting(
        "Records so many steps for TensorBoard's profiler; 0: none.", default=0, minimum=0, changeable=True
    )
    peak_tflops: float | None = setting(
        "Peak of one device in TFLOP/s, for model FLOPs utilization. Common GPUs are known.",
        default=None,
        minimum=0.001,
        changeable=True,
    )
    encoder_every: int = setting(
        "Steps between encoder.keras files for probing; 0: at the end alone.", default=0, minimum=0, changeable=True
    )
    examples: int = setting("Held-out spans in the table at the end.", default=12, minimum=0, changeable=True)
    dry_run: bool = setting(
        "Prints sizes, cost and the first batch's shapes, and exits.", default=False, changeable=True
    )
    tokens_per_second: float | None = setting(
        "Rate for the days that --dry_run prints.",
        default=None,
        changeable=True,
        above=0,
        formerly=("pieces_per_second",),
    )

    def check(self) -> None:
        """Raises `InputError` if settings contradict each other."""
        if (self.batch_tokens is None) == (self.batch_sequences is None):
            raise InputError("Give one of --batch_tokens and --batch_sequences: the size of a step.")
        if self.batch_tokens is not None and self.batch_tokens % self.max_sequence_length:
            nearest = max(1, round(self.batch_tokens / self.max_sequence_length)) * self.max_sequence_length
            raise InputError(
                f"--batch_tokens={self.batch_tokens} must be a multiple of --max_sequence_length="
                f"{self.max_sequence_length}; the nearest is {nearest}."
            )
        if self.batch_rows < 1 or self.batch_rows % self.accumulation_steps:
            raise InputError(
                f"A step has {self.batch_rows} rows of {self.max_sequence_length} pieces, which must be a positive "
                f"multiple of --accumulation_steps={self.accumulation_steps}."
            )
        if self.local_workers and self.distribution != "multi_worker":
            raise InputError(
                f"--local_workers={self.local_workers} needs --distribution=multi_worker. Received: "
                f"--distribution={self.distribution}."
            )
        if self.warmup_steps >= self.steps:
            raise InputError(f"--warmup_steps={self.warmup_steps} must be below --steps={self.steps}.")
        if not self.eval_schemes:
            raise InputError(f"--eval_schemes names no scheme. Expected: {', '.join(SCHEMES)}.")
        if Path(self.output_dir).exists() and not Path(self.output_dir).is_dir():
            raise InputError(f"--output_dir={self.output_dir} is a file. Expected: a folder, new or of the same run.")

    @property
    def batch_rows(self) -> int:
        """Rows of a step."""
        if self.batch_sequences is not None:
            return self.batch_sequences
        return (self.batch_tokens or 0) // self.max_sequence_length
