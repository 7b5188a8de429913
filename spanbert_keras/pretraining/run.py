"""One pre-training run, from its settings to its files."""

import dataclasses
import functools
import itertools
from pathlib import Path

import keras
import numpy as np
from absl import logging

from spanbert_keras.conversion.formats.own_models import describe
from spanbert_keras.errors import InputError
from spanbert_keras.files.writing import input_error_if_unwritable, write_text
from spanbert_keras.kernels.attention import attention_facts, is_fused
from spanbert_keras.models.encoder import SpanBertEncoder
from spanbert_keras.models.pretrainer import SpanBertPretrainer
from spanbert_keras.pretraining import report
from spanbert_keras.pretraining.config import Config
from spanbert_keras.pretraining.data import PretrainingData
from spanbert_keras.pretraining.held_out import HeldOut
from spanbert_keras.pretraining.held_out_evaluator import HeldOutEvaluator
from spanbert_keras.pretraining.initial_checkpoint import InitialCheckpoint
from spanbert_keras.pretraining.monitor import PretrainingMonitor
from spanbert_keras.pretraining.objective import PretrainingObjective
from spanbert_keras.pretraining.span_examples import SpanExample
from spanbert_keras.settings import to_flags
from spanbert_keras.training.backend import device_name, has_accelerator, make_step
from spanbert_keras.training.cadence import Cadence
from spanbert_keras.training.loss_guard import LossGuard
from spanbert_keras.training.monitoring.flops import Performance, Shape, model_flops, peak_flops
from spanbert_keras.training.monitoring.memory import memory_bytes
from spanbert_keras.training.run import saving
from spanbert_keras.training.run.checkpoints import Checkpoints
from spanbert_keras.training.run.run_process import RunProcess
from spanbert_keras.training.run.run_record import RunRecord
from spanbert_keras.training.run.stop_signals import FINISHED
from spanbert_keras.training.steps.objective import StepSettings
from spanbert_keras.training.steps.optimizers import make_adamw
from spanbert_keras.training.steps.step import Step
from spanbert_keras.training.steps.warmup_linear_decay import WarmupLinearDecay
from spanbert_keras.training.trainer import Trainer
from spanbert_keras.training.trainer_events import Evaluation, TrainerEvents

BEST_BY = "masked_lm/loss_masked"  # held-out score, of the first scheme, by which the best checkpoint is chosen


@dataclasses.dataclass(frozen=True)
class PretrainingOutcome:
    """How the training of a run ended.

    Attributes:
        status: `"finished"`, `"interrupted"` or `"preempted"` (`Trainer.run`).
        steps: int. Updates made.
        scores: dict from the name of a held-out set to its scores by tag; empty unless finished.
        examples: list of `SpanExample` from the held-out text; empty unless finished.
    """

    status: str
    steps: int
    scores: dict[str, dict[str, float]] = dataclasses.field(default_factory=dict)
    examples: list[SpanExample] = dataclasses.field(default_factory=list)


class PretrainingRun:
    """One run of `pretrain`: its text and model at construction, then `train`, then `finish`.

    Args:
        config: `Config`.
        process: `RunProcess`, entered.

    Raises:
        InputError: something that the user gave cannot be used.
    """

    def __init__(self, config: Config, process: RunProcess):
        self.config = config
        self.flags = to_flags(config)  # as given: an initial checkpoint changes sizes of `config`
        self.process = process
        self.distribution = process.distribution
        self.folder = Path(config.output_dir)
        self.record = RunRecord(self.folder)
        self._check_rows()
        keras.utils.set_random_seed(config.seed)
        keras.mixed_precision.set_dtype_policy(config.precision)
        self.initial = InitialCheckpoint(config) if config.init_checkpoint else None
        if self.initial is not None:
            self.config = config = self.initial.config
        self.data = PretrainingData(config, None if self.distribution.is_chief else process.watch.wait_for)
        if self.initial is not None:
            self.initial.check_tokenizer(self.data.tokenizer)
        with self.distribution.scope():
            if self.initial is None:
                self.model = self._make_model()
            else:
                self.model = self.initial.make_model(config.next_sentence_weight)
        self.model.encoder.set_attention(config.attention)
        self.model.encoder.set_recompute(config.recompute)
        self.held_out = self._held_out_sets()

    def _check_rows(self) -> None:
        """Raises if the rows of a step cannot be divided evenly."""
        config, replicas = self.config, self.distribution.replicas
        parts = replicas * config.accumulation_steps
        for phase in config.phase_list:
            rows = config.rows_of(phase.row_length)
            if rows % parts:
                raise InputError(
                    f"A step has {rows} rows of {phase.row_length} tokens, which must be a positive multiple of "
                    f"{parts}: {replicas} replicas times --accumulation_steps={config.accumulation_steps}."
                )

    def _make_model(self) -> SpanBertPretrainer:
        config, tokenizer = self.config, self.data.tokenizer
        overrides = {
            name: getattr(config, name)
            for name in ("num_layers", "hidden_dim", "num_heads", "intermediate_dim")
            if getattr(config, name) is not None
        }
        if "hidden_dim" in overrides:
            overrides.setdefault("intermediate_dim", 4 * overrides["hidden_dim"])
        try:
            encoder = SpanBertEncoder.from_preset(
                config.architecture,
                load_weights=False,
                vocabulary_size=tokenizer.vocabulary_size(),
                max_sequence_length=config.max_sequence_length,
                dropout=config.dropout,
                attention_dropout=config.attention_dropout,
                tokenizer=tokenizer,
                **overrides,
            )
            return SpanBertPretrainer(
                encoder,
                max_span_positions=config.max_span_positions,
                position_dim=config.position_dim,
                sbo_weight=config.sbo_weight,
                loss_normalization=config.loss_normalization,
                next_sentence=config.next_sentence,
                nsp_weight=config.next_sentence_weight if config.next_sentence else 1.0,
            )
        except ValueError as error:
            raise InputError(f"The model cannot be built from these flags: {error}") from error

    def _shape(self, phase: int) -> Shape:
        """Returns the sizes that the cost of a step of a phase depends on."""
        config, encoder, stream = self.config, self.model.encoder, self.data.streams[phase]
        return Shape(
            vocabulary_size=encoder.vocabulary_size,
            num_layers=encoder.num_layers,
            num_heads=encoder.num_heads,
            hidden_dim=encoder.hidden_dim,
            intermediate_dim=encoder.intermediate_dim,
            sequence_length=stream.row_length,
            predictions=stream.max_predictions,
            batch_rows=stream.batch_rows,
            position_dim=config.position_dim,
            pairs=stream.max_pairs if config.next_sentence else 0,
        )

    def _memory(self, phase: int) -> dict[str, float]:
        """Returns an estimate of the memory of one device in a step of a phase."""
        config, shape = self.config, self._shape(phase)
        return memory_bytes(
            dataclasses.replace(shape, batch_rows=-(-shape.batch_rows // self.distribution.replicas)),
            self.model.count_params(),
            config.precision,
            config.accumulation_steps,
            backend=keras.backend.backend(),
            keeps_weights=not is_fused(config.attention, self.model.encoder.compute_dtype, True),
            recompute=config.recompute,
            on_processor=not has_accelerator(),
        )

    def print_cost(self) -> None:
        """Prints what the run would cost: arithmetic, memory, text, time; a table for each phase."""
        config = self.config
        in_encoder = self.model.encoder.count_params()
        for number, (phase, stream) in enumerate(zip(config.phase_list, self.data.streams, strict=True)):
            plans = [source.stream.plan for source in stream.sources]
            rows = sum(plan.rows for plan in plans)
            report.print_cost(
                self._shape(number),
                {"encoder": in_encoder, "heads": self.model.count_params() - in_encoder},
                stream.batch(0),
                steps=phase.steps,
                rows_per_epoch=rows,
                padding_share=sum(plan.rows * plan.padding_share for plan in plans) / rows,
                memory=self._memory(number),
                tokens_per_second=config.tokens_per_second,
                span_boundary=config.sbo_weight != 0,
            )

    # --- training

    def train(self, callbacks=()) -> PretrainingOutcome:
        """Trains to the end or until a signal; continues where such a run stopped.

        Args:
            callbacks: sequence of Keras callbacks.

        Raises:
            InputError: the folder holds another run, the workers disagree, or the loss diverged.
        """
        config = self.config
        checkpoints = Checkpoints(self.folder / "checkpoints", config.keep_checkpoints, config.keep_every)
        if self.distribution.is_chief:
            checkpoints.clean()
            self._start_record(checkpoints)
        self._check_workers()
        rate = WarmupLinearDecay(config.learning_rate, config.warmup_steps, config.steps, config.decay)
        with self.distribution.scope():
            step = make_step(self.model, self._make_optimizer(rate), self._step_settings(), self.distribution)
        monitor = self._make_monitor(rate)
        checkpoints.on_written = monitor.on_checkpoint
        evaluator = HeldOutEvaluator(step, self.held_out, self.data, monitor, config.examples)
        trainer = self._make_trainer(step, checkpoints, callbacks, evaluator)
        start = trainer.restore()
        monitor.resume_at(start)
        if start:
            logging.info("Continuing after step %d of %d.", start, config.steps)
        with monitor:
            status = trainer.run(start)
            if status != FINISHED:
                return PretrainingOutcome(status, trainer.done)
            scores, examples = evaluator.evaluate(trainer.done, boundaries=True)
        return PretrainingOutcome(status, trainer.done, scores, examples)

    def _start_record(self, checkpoints: Checkpoints) -> None:
        """Writes the record, or checks that the one in the folder is of the same run."""
        facts = self.data.facts()
        # Without a checkpoint there is nothing to lose: a first attempt may be corrected in its own folder.
        changeable = self.config.changeable() if checkpoints.steps() else (*self.flags, *facts)
        self.record.begin(self.flags, facts, changeable, self.config.upgrade)
        # With these, `convert` makes a model of any checkpoint.
        encoder = self.model.encoder
        layer = encoder.blocks[0].attention
        length = self.data.streams[0].row_length
        attention = attention_facts(self.config.attention, encoder.compute_dtype, layer.dropout, length, layer.head_dim)
        self.record.update(model=describe(self.model), attention=attention)
        logging.info("Attention: %s.", ", ".join(f"{name} {value}" for name, value in attention.items()))
        if self.config.recompute != "none":
            logging.info("Computed again for the gradient: %s.", self.config.recompute)
        path = self.folder / "vocab.txt"
        with input_error_if_unwritable(path):
            write_text(path, "".join(f"{piece}\n" for piece in self.data.tokenizer.get_vocabulary()))

    def _check_workers(self) -> None:
        """Raises if the workers disagree on flags or text: they would deadlock."""
        paths = ("output_dir", "cache_dir", "corpus", "vocabulary", "workers")
        flags = {name: value for name, value in self.flags.items() if name not in paths}
        if not self.distribution.agrees(repr((sorted(flags.items()), sorted(self.data.facts().items())))):
            raise InputError(
                "The workers differ in their flags or in their text. Expected: the same command and the same shards "
                f"on every machine. Worker {self.distribution.worker} has corpus {self.data.corpora.fingerprint}."
            )

    def _make_optimizer(self, rate):
        config = self.config
        return make_adamw(
            self.model.trainable_variables,
            rate,
            weight_decay=config.weight_decay,
            beta_1=config.beta_1,
            beta_2=config.beta_2,
            epsilon=config.epsilon,
            decay_all=config.decay_all,
            bias_correction=config.bias_correction,
            frozen=self.model.encoder.trainable_variables,
            frozen_steps=config.head_warmup_steps,
        )

    def _step_settings(self) -> StepSettings:
        config = self.config
        return StepSettings(
            objective=PretrainingObjective(config.sbo_weight, config.loss_normalization, config.next_sentence_weight),
            clip_norm=config.clip_norm,
            accumulation_steps=config.accumulation_steps,
            compile=has_accelerator() if config.compile == "auto" else config.compile == "on",
            scale_loss=config.precision == "mixed_float16",
            static_shapes=config.phases is not None,  # each phase has its own shapes
        )

    def _make_trainer(self, step: Step, checkpoints: Checkpoints, callbacks, evaluator: HeldOutEvaluator) -> Trainer:
        config = self.config
        cadence = Cadence(
            total_steps=config.steps,
            steps_per_call=config.steps_per_call,
            log_every=config.log_every,
            evaluate_every=config.evaluate_every,
            checkpoint_every=config.checkpoint_every,
            checkpoint_minutes=config.checkpoint_minutes,
            encoder_every=config.encoder_every,
            profile_steps=config.profile_steps if self.distribution.is_chief else 0,
            on_divergence=config.on_divergence,
            phase_ends=tuple(itertools.accumulate(phase.steps for phase in config.phase_list))[:-1],
            advice="lower --learning_rate, raise --warmup_steps or use --precision=float32; --on_divergence=rollback "
            "skips such batches",
        )

        def on_evaluate(step: int) -> Evaluation:
            scores, _ = evaluator.evaluate(step)
            return Evaluation(next(iter(scores.values())).get(BEST_BY))

        events = TrainerEvents(
            on_log=evaluator.monitor.on_log,
            on_step=evaluator.monitor.on_step,
            on_rollback=evaluator.monitor.on_rollback,
            on_evaluate=on_evaluate,
            on_encoder=self._save_encoder,
        )
        return Trainer(
            step,
            self.data.train,
            cadence,
            checkpoints,
            self.data.seed,
            self.process.signals,
            LossGuard(config.spike_nats, config.precision == "mixed_float16"),
            callbacks,
            events,
            profile_folder=self.folder / "profile",
        )

    def _make_monitor(self, rate) -> PretrainingMonitor:
        return PretrainingMonitor(
            self.folder,
            self.config.steps,
            rate,
            self.data.tokenizer.mask_token_id,
            self.data.unigram,
            self._performance(),
            self.distribution,
            span_boundary=self.config.sbo_weight > 0,
        )

    def _performance(self) -> Performance:
        """Returns the rates to show; the peak is that of the flag, or of the device if it is a known one."""
        config = self.config
        flops = functools.partial(model_flops, self._shape(0), span_boundary=config.sbo_weight != 0)
        peak = 1e12 * config.peak_tflops if config.peak_tflops else peak_flops(device_name(), config.precision)
        return Performance(flops, self.distribution.replicas, peak)

    def _held_out_sets(self) -> list[HeldOut]:
        """Returns one held-out set per scheme: rows spread evenly over the split, the same for every step size.

        Sets with another number of segments than in training have it in their name, as `span_1seq`.
        """
        config, sets = self.config, []
        segments = [int(number) for number in config.eval_segments] or [config.segments]
        part = config.batch_rows // config.accumulation_steps // self.distribution.num_workers  # as much as in training
        for number, scheme in itertools.product(segments, config.eval_schemes):
            name = scheme if number == config.segments else f"{scheme}_{number}seq"
            stream = self.data.held_out_stream(scheme, number)
            total = sum(source.stream.plan.rows for source in stream.sources)
            rows = np.linspace(0, total - 1, min(total, config.eval_rows)).astype(np.int64)
            sets.append(HeldOut(name, stream, rows, part, add_pairs=config.next_sentence and number == 1))
        return sets

    def _save_encoder(self, step: int) -> None:
        """Writes `encoder.keras`, so that other programs can try it during training."""
        if not self.distribution.is_chief:
            return
        try:
            saving.save_model(self.model.encoder, self.folder / "encoder.keras")
        except InputError as error:  # e.g. a full disk: the next time may succeed
            logging.error("%s Training continues.", error)

    # --- the end

    def finish(self, outcome: PretrainingOutcome) -> None:
        """Saves the models, completes the record, and prints scores and examples.

        Args:
            outcome: `PretrainingOutcome`. What `train` returned, finished.
        """
        if self.distribution.is_chief:
            saving.save_model(self.model, self.folder / "pretrainer.keras")
            saving.save_model(self.model.encoder, self.folder / "encoder.keras")
            saving.save_preset(self.model.encoder, self.folder / "encoder_preset")
            self.record.update(scores=outcome.scores, finished_steps=outcome.steps)
            report.print_scores(outcome.scores)
            report.print_examples(outcome.examples)
            logging.info("Saved pretrainer.keras, encoder.keras and encoder_preset/ in %s.", self.folder)
        self.process.leave_together()
