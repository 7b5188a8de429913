"""Settings of pre-training, with their defaults, limits and contradictions."""

import dataclasses
import os

from spanbert_keras.arguments import MAX_PIECES, MAX_WIDTH
from spanbert_keras.data.annotations.annotator import ENTITIES
from spanbert_keras.data.pairs.segment_pairs import MIN_ROW_LENGTH
from spanbert_keras.errors import InputError
from spanbert_keras.preprocessing.masking.masking_settings import RULES
from spanbert_keras.preprocessing.masking.schemes import SCHEME_NAMES, SCHEMES
from spanbert_keras.pretraining.phases import Phase, parse_phases
from spanbert_keras.settings import setting
from spanbert_keras.training.distributed.distribution import KINDS
from spanbert_keras.training.run.run_settings import RunSettings


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(RunSettings):
    """Settings of one pre-training run."""

    # --- data
    corpus: str = setting(
        "Prepared folders or raw text, weighted a:0.7,b:0.3; or `embedded`.", path=True, changeable=True
    )
    cache_dir: str | None = setting(
        "Folder of prepared raw text and block indices. Default: <output_dir>/cache.",
        default=None,
        path=True,
        changeable=True,
    )
    verify_corpus: bool = setting(
        "Compares the checksums of all files of the corpus, also of unchanged ones.", default=False, changeable=True
    )
    vocabulary: str | None = setting(
        "Path of a vocab.txt in BERT's format, or of a preset folder. Raw text needs this or --train_vocabulary.",
        default=None,
        path=True,
    )
    train_vocabulary: int | None = setting(
        "Size in word pieces of a vocabulary that is trained on the raw text.",
        default=None,
        minimum=1,
        below=MAX_PIECES + 1,
    )
    lowercase: bool = setting("Whether raw text is lowercased and stripped of accents (uncased models).", default=False)
    heldout_share: float = setting(
        "Share of the raw documents kept for evaluation, 0 to 0.5; at least one document.", default=0.01
    )
    workers: int | None = setting(
        "Number of threads that prepare raw text. Default: all cores.", default=None, changeable=True, minimum=1
    )
    max_sequence_length: int = setting(
        "Length of a row in tokens, with [CLS] and [SEP].", default=512, minimum=3, below=MAX_WIDTH + 1
    )
    cut: str = setting(
        "Places at which a document may be cut into blocks: between words, or between lines.",
        default="word",
        choices=("word", "line"),
    )
    batch_tokens: int | None = setting("Tokens per step: rows x max_sequence_length.", default=None, minimum=1)
    batch_sequences: int | None = setting("Rows per step, instead of --batch_tokens.", default=None, minimum=1)
    phases: str | None = setting(
        "Parts of the run with their own row length, length:steps, e.g. 128:900000,512:100000. Default: one part.",
        default=None,
    )
    packing: str = setting(
        "Whether short blocks share a row; off: each has its own row, padded.", default="on", choices=("on", "off")
    )
    # --- segments (paper, sections 2 and 4.3; Devlin et al., 2019)
    segments: int = setting(
        "Segments of a sequence: 1, contiguous text; 2, pairs for next-sentence prediction.",
        default=1,
        minimum=1,
        below=3,
    )
    pair_units: str = setting(
        "Units that make up the segments of a pair: the lines of the text, or its sentences.",
        default="line",
        choices=("line", "sentence"),
    )
    pair_copies: int = setting("Number of different ways in which documents are cut into pairs.", default=1, minimum=1)
    short_sequence_rate: float = setting(
        "Share of the documents whose pairs have a random shorter length.", default=0.0, minimum=0, below=1
    )
    allow_skewed_pairs: bool = setting(
        "Whether to train although most second segments are random.", default=False, changeable=True
    )
    # --- masking (paper, section 3.1)
    scheme: str = setting(
        "Masking scheme: spans of words, whole words, single word pieces, or mentions that annotate has found.",
        default="span",
        choices=SCHEME_NAMES,
    )
    mention_rate: float = setting(
        "Share of the draws that are mentions, with --scheme=named_entity or noun_phrase; the others are words.",
        default=0.5,
        minimum=0,
    )
    entity_labels: tuple[str, ...] = setting(
        "Labels of the entities of --scheme=named_entity. Default: all but dates, numbers and amounts.", default=()
    )
    masking_rate: float = setting("Share of the tokens that is masked, above 0 and at most 1.", default=0.15)
    geometric_rate: float = setting("Parameter p of the span length distribution p(1-p)^(l-1).", default=0.2)
    max_span_length: int = setting("Maximum length of a drawn span, in words.", default=10, minimum=1, below=1001)
    masking_rule: str = setting(
        "Budget, random tokens and draws as in the paper, or as in Google's BERT (subword and whole_word only).",
        default="paper",
        choices=RULES,
    )
    max_predictions: int | None = setting(
        "Maximum number of masked tokens of a sequence, for --masking_rule=bert. Default: no limit.",
        default=None,
        minimum=1,
    )
    mask_copies: int = setting(
        "Number of different masks of a sequence, taken in turn by the epochs; 0: new masks in every epoch.",
        default=0,
        minimum=0,
    )
    # --- model
    architecture: str = setting("Sizes of the encoder.", default="base", choices=("tiny", "small", "base", "large"))
    num_layers: int | None = setting(
        "Number of encoder blocks. Default: the architecture's.", default=None, minimum=1, below=1001
    )
    hidden_dim: int | None = setting(
        "Width of the hidden states. Default: the architecture's.", default=None, minimum=1
    )
    num_heads: int | None = setting("Number of attention heads. Default: the architecture's.", default=None, minimum=1)
    intermediate_dim: int | None = setting(
        "Width of the feed-forward layers. Default: the architecture's.", default=None, minimum=1
    )
    dropout: float = setting("Dropout rate of the hidden states.", default=0.1, minimum=0, below=1)
    attention_dropout: float = setting("Dropout rate of the attention weights.", default=0.1, minimum=0, below=1)
    max_span_positions: int = setting(
        "Tokens of a span, from its first, that the span boundary head predicts.", default=15, minimum=1
    )
    position_dim: int = setting("Width of the span boundary head's position embeddings.", default=200, minimum=1)
    init_checkpoint: str | None = setting(
        "Checkpoint that gives the initial weights, sizes and vocabulary, in any format that convert reads.",
        default=None,
        path=True,
        changeable=True,
    )
    # --- objective (section 3.2)
    sbo_weight: float = setting("Weight of the span boundary objective.", default=1.0, minimum=0)
    nsp_weight: float | None = setting(
        "Weight of next-sentence prediction. Default: 1 with --segments=2, 0 with --segments=1.",
        default=None,
        minimum=0,
    )
    loss_normalization: str = setting(
        "Divisor of the summed losses: the number of MLM targets, or each objective's own number (released code).",
        default="targets",
        choices=("targets", "separate"),
    )
    # --- optimization (section 4.2)
    steps: int = setting("Number of updates of the whole run.", default=2_400_000, minimum=1)
    learning_rate: float = 1e-4
    warmup_steps: int = setting("Number of updates over which the learning rate rises.", default=10_000, minimum=0)
    head_warmup_steps: int = setting(
        "Number of first updates in which only the heads are trained.", default=0, minimum=0
    )
    decay: str = setting(
        "Linear decay of the learning rate to zero: from the end of the warm-up, or from step 0 (released code).",
        default="after_warmup",
        choices=("after_warmup", "from_start", "none"),
    )
    weight_decay: float = 0.1
    decay_all: bool = setting("Whether biases and layer norms are decayed too (released code).", default=False)
    beta_1: float = setting("Adam's decay rate of the first moment.", default=0.9, minimum=0, below=1)
    beta_2: float = setting("Adam's decay rate of the second moment.", default=0.999, minimum=0, below=1)
    epsilon: float = setting("Adam's epsilon.", default=1e-8, above=0)
    bias_correction: bool = setting(
        "Whether Adam corrects its moments for their start at zero; Google's BERT did not.", default=True
    )
    precision: str = setting(
        "Number format of the computation; weights stay float32.",
        default="float32",
        choices=("float32", "mixed_bfloat16", "mixed_float16"),
    )
    seed: int = setting("Seed of initial weights, data order, masks and dropout.", default=1, minimum=0, below=2**32)
    # --- devices and machines
    distribution: str = setting(
        "Devices that share each step: one, this machine's, or several machines' (from TF_CONFIG or Slurm).",
        default="none",
        choices=KINDS,
        changeable=True,
    )
    local_workers: int = setting(
        "Number of workers of --distribution=multi_worker that are started on this machine; 0: none.",
        default=0,
        minimum=0,
        below=65,
        changeable=True,
        formerly=("rehearse_workers",),
    )
    steps_per_call: int = setting(
        "Updates per call to the device. Signals are handled between calls.", default=1, minimum=1, changeable=True
    )
    deterministic: bool = setting(
        "Whether TensorFlow uses only operations that give the same bits in every run.", default=False, changeable=True
    )
    # --- what is seen and kept
    log_every: int = 50
    evaluate_every: int = setting(
        "Steps between held-out evaluations; 0: only at the end.", default=1000, minimum=0, changeable=True
    )
    eval_rows: int = setting("Number of held-out rows that are scored.", default=512, minimum=1, changeable=True)
    eval_schemes: tuple[str, ...] = setting(
        "Masking schemes under which held-out text is scored, one curve each.",
        default=("span",),
        changeable=True,
        choices=SCHEME_NAMES,
    )
    eval_segments: tuple[str, ...] = setting(
        "Numbers of segments in which held-out text is scored, one curve each: 1, 2. Default: as in training.",
        default=(),
        changeable=True,
        choices=("1", "2"),
    )
    checkpoint_every: int = setting("Steps between checkpoints.", default=1000, minimum=1, changeable=True)
    checkpoint_minutes: float = 30.0
    keep_checkpoints: int = setting(
        "Number of newest checkpoints that are kept, besides the best.", default=2, minimum=1, changeable=True
    )
    keep_every: int = setting(
        "Steps between checkpoints that are kept permanently; 0: none.", default=0, minimum=0, changeable=True
    )
    on_divergence: str = setting(
        "Reaction to a loss that is not finite, or to a spike: stop, or return to the last checkpoint "
        "and skip the batches since.",
        default="stop",
        choices=("stop", "rollback"),
        changeable=True,
    )
    spike_nats: float = setting(
        "Distance in nats above its running mean at which a loss is a spike; 0: no spikes.",
        default=0.0,
        minimum=0,
        changeable=True,
    )
    profile_steps: int = setting(
        "Number of steps recorded for TensorBoard's profiler; 0: none.", default=0, minimum=0, changeable=True
    )
    peak_tflops: float | None = setting(
        "Peak rate of one device in TFLOP/s, for model FLOPs utilization. Default: known for common GPUs.",
        default=None,
        minimum=0.001,
        changeable=True,
    )
    encoder_every: int = setting(
        "Steps between encoder.keras files for probing; 0: only at the end.", default=0, minimum=0, changeable=True
    )
    examples: int = setting("Number of held-out spans in the table at the end.", default=12, minimum=0, changeable=True)
    dry_run: bool = setting(
        "Whether only sizes, cost and the first batch's shapes are printed.", default=False, changeable=True
    )
    tokens_per_second: float | None = setting(
        "Tokens per second for the estimated days that --dry_run prints.",
        default=None,
        changeable=True,
        minimum=0,
        formerly=("pieces_per_second",),
    )

    def check(self) -> None:
        """Raises `InputError` if settings contradict each other."""
        self._check_batches()
        self._check_pairs()
        self._check_masks()
        if self.local_workers and self.distribution != "multi_worker":
            raise InputError(
                f"--local_workers={self.local_workers} needs --distribution=multi_worker. Received: "
                f"--distribution={self.distribution}."
            )
        if self.warmup_steps >= self.steps:
            raise InputError(f"--warmup_steps={self.warmup_steps} must be below --steps={self.steps}.")
        if not self.eval_schemes:
            raise InputError(f"--eval_schemes names no scheme. Expected: {', '.join(SCHEME_NAMES)}.")
        if os.path.exists(self.output_dir) and not os.path.isdir(self.output_dir):
            raise InputError(f"--output_dir={self.output_dir} is a file. Expected: a folder, new or of the same run.")

    def _check_batches(self) -> None:
        """Raises `InputError` if a step has no whole number of rows, or phases do not fit the run."""
        if (self.batch_tokens is None) == (self.batch_sequences is None):
            raise InputError("Give one of --batch_tokens and --batch_sequences: the size of a step.")
        phases = self.phase_list
        if self.phases is not None and sum(phase.steps for phase in phases) != self.steps:
            raise InputError(
                f"--phases={self.phases} must add up to --steps={self.steps}. Received: "
                f"{sum(phase.steps for phase in phases)} steps."
            )
        for length in dict.fromkeys(phase.row_length for phase in phases):
            self._check_rows(length)

    def _check_rows(self, length: int) -> None:
        """Raises `InputError` if rows of this length do not fit the positions or the step."""
        flag = f"--max_sequence_length={length}" if self.phases is None else f"the row length {length} of --phases"
        shortest = 3 if self.segments == 1 else MIN_ROW_LENGTH
        if not shortest <= length <= self.max_sequence_length:
            limits = "" if self.phases is None else f" and at most --max_sequence_length={self.max_sequence_length}"
            raise InputError(
                f"The {flag.removeprefix('the ')} must be at least {shortest}{limits}. Received: {length}."
            )
        if self.batch_tokens is not None and self.batch_tokens % length:
            nearest = max(1, round(self.batch_tokens / length)) * length
            raise InputError(
                f"--batch_tokens={self.batch_tokens} must be a multiple of {flag}; the nearest is {nearest}."
            )
        rows = self.rows_of(length)
        if rows > MAX_WIDTH:
            raise InputError(f"A step has {rows:,} rows of {length} tokens. Expected: at most {MAX_WIDTH:,} rows.")
        if rows < 1 or rows % self.accumulation_steps:
            raise InputError(
                f"A step has {rows} rows of {length} tokens, which must be a positive "
                f"multiple of --accumulation_steps={self.accumulation_steps}."
            )

    def _check_pairs(self) -> None:
        """Raises `InputError` if flags of pairs are given without pairs, or the reverse."""
        if self.segments == 2:
            if self.cut != "word":
                raise InputError(
                    f"--cut={self.cut} has no effect with --segments=2, whose pairs end with units. "
                    "Leave it out, or choose the units by --pair_units."
                )
            return
        given = {
            "nsp_weight": bool(self.nsp_weight),
            "pair_units": self.pair_units != "line" and "2" not in self.eval_segments,
            "pair_copies": self.pair_copies != 1,
            "short_sequence_rate": self.short_sequence_rate != 0,
        }
        for name in (name for name, is_given in given.items() if is_given):
            raise InputError(
                f"--{name}={getattr(self, name)} needs pairs. Expected: --segments=2, or no --{name}. "
                f"Received: --segments={self.segments}."
            )

    def _check_masks(self) -> None:
        """Raises `InputError` if the masking rule, or flags of mentions, do not fit the scheme."""
        read = {SCHEMES[scheme].annotation for scheme in (self.scheme, *self.eval_schemes)}
        if self.entity_labels and ENTITIES not in read:
            raise InputError(
                f"--entity_labels={','.join(self.entity_labels)} needs --scheme=named_entity. Received: "
                f"--scheme={self.scheme}."
            )
        if self.mention_rate != 0.5 and SCHEMES[self.scheme].annotation is None:
            raise InputError(
                f"--mention_rate={self.mention_rate:g} needs --scheme=named_entity or noun_phrase. Received: "
                f"--scheme={self.scheme}."
            )
        able = [name for name, scheme in SCHEMES.items() if scheme.choose_by_bert]
        if self.masking_rule == "bert" and self.scheme not in able:
            raise InputError(
                f"--masking_rule=bert needs --scheme={' or '.join(able)}. Received: --scheme={self.scheme}."
            )
        if self.max_predictions is not None and self.masking_rule != "bert":
            raise InputError(
                f"--max_predictions={self.max_predictions} needs --masking_rule=bert: by the paper's rule the number "
                f"of masked tokens follows from --masking_rate. Received: --masking_rule={self.masking_rule}."
            )

    @property
    def phase_list(self) -> tuple[Phase, ...]:
        """The parts of the run, each with its row length."""
        if self.phases is None:
            return (Phase(self.max_sequence_length, self.steps),)
        return parse_phases(self.phases)

    @property
    def longest_row(self) -> int:
        """Row length of the phase with the longest rows, at which held-out text is scored."""
        return max(phase.row_length for phase in self.phase_list)

    @property
    def next_sentence_weight(self) -> float:
        """Weight of next-sentence prediction, with its default."""
        if self.nsp_weight is None:
            return 1.0 if self.segments == 2 else 0.0
        return self.nsp_weight

    @property
    def next_sentence(self) -> bool:
        """Whether the model has a next-sentence head."""
        return self.next_sentence_weight > 0

    def rows_of(self, row_length: int) -> int:
        """Returns the number of rows per step if rows have this length."""
        if self.batch_sequences is not None:
            return self.batch_sequences
        return (self.batch_tokens or 0) // row_length

    @property
    def batch_rows(self) -> int:
        """Number of rows per step, at the longest rows."""
        return self.rows_of(self.longest_row)
