"""One pre-training run, from its settings to its files."""

from pathlib import Path

import keras
import numpy as np
from absl import logging

from spanbert_keras.errors import InputError
from spanbert_keras.models.encoder import SpanBertEncoder
from spanbert_keras.models.pretrainer import SpanBertPretrainer
from spanbert_keras.pretraining import report
from spanbert_keras.pretraining.config import Config
from spanbert_keras.pretraining.data import PretrainingData
from spanbert_keras.pretraining.held_out import HeldOut, evaluate
from spanbert_keras.pretraining.initial_checkpoint import InitialCheckpoint
from spanbert_keras.pretraining.monitor import PretrainingMonitor
from spanbert_keras.pretraining.objective import PretrainingObjective
from spanbert_keras.pretraining.span_examples import as_markdown, span_examples
from spanbert_keras.settings import to_flags
from spanbert_keras.training.backend import device_name, has_accelerator, make_step
from spanbert_keras.training.loss_guard import LossGuard
from spanbert_keras.training.monitoring.flops import Performance, Shape, peak_flops, step_flops
from spanbert_keras.training.run import saving
from spanbert_keras.training.run.checkpoints import Checkpoints
from spanbert_keras.training.run.run_process import RunProcess
from spanbert_keras.training.run.run_record import RunRecord
from spanbert_keras.training.steps.objective import StepSettings
from spanbert_keras.training.steps.optimizers import make_adamw
from spanbert_keras.training.steps.warmup_linear_decay import WarmupLinearDecay
from spanbert_keras.training.trainer import FINISHED, Cadence, Trainer

BEST_BY = "masked_lm/loss_masked"  # held-out score, of the first scheme, that the best checkpoint is chosen by


class PretrainingRun:
    """Everything that `pretrain` does with its settings.

    Args:
        config: `Config`.
        process: `RunProcess`, entered.

    Raises:
        InputError: something that the user gave cannot be used.
    """

    def __init__(self, config: Config, process: RunProcess):
        self.config = config
        self.flags = to_flags(config)  # as given; an initial checkpoint changes sizes of `config`
        self.rows = config.batch_rows
        self.process = process
        self.distribution = process.distribution
        self.folder = Path(config.output_dir)
        self._check_rows()
        keras.utils.set_random_seed(config.seed)
        keras.mixed_precision.set_dtype_policy(config.precision)
        self.initial = InitialCheckpoint(config) if config.init_checkpoint else None
        if self.initial is not None:
            self.config = config = self.initial.config
        self.data = PretrainingData(config, self.rows, None if self.distribution.is_chief else process.watch.wait_for)
        if self.initial is not None:
            self.initial.check_tokenizer(self.data.tokenizer)
        with self.distribution.scope():
            self.model = self._model() if self.initial is None else self.initial.make_model()

    def _check_rows(self) -> None:
        """Refuses a batch that does not divide."""
        parts = self.distribution.replicas * self.config.accumulation_steps
        if self.rows % parts:
            raise InputError(
                f"A step has {self.rows} rows of {self.config.max_sequence_length} pieces, which must be a positive "
                f"multiple of {parts}: {self.distribution.replicas} replicas times --accumulation_steps="
                f"{self.config.accumulation_steps}."
            )

    def _model(self) -> SpanBertPretrainer:
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
            )
        except ValueError as error:
            raise InputError(f"The model cannot be built from these flags: {error}") from error

    def _shape(self) -> Shape:
        """Returns the sizes that cost depends on."""
        config, encoder = self.config, self.model.encoder
        return Shape(
            vocabulary_size=encoder.vocabulary_size,
            num_layers=encoder.num_layers,
            num_heads=encoder.num_heads,
            hidden_dim=encoder.hidden_dim,
            intermediate_dim=encoder.intermediate_dim,
            sequence_length=config.max_sequence_length,
            predictions=self.data.train.max_predictions,
            batch_rows=self.rows,
            position_dim=config.position_dim,
        )

    def print_cost(self) -> None:
        """Prints what the run would cost."""
        config = self.config
        in_encoder = self.model.encoder.count_params()
        plans = [source.stream.plan for source in self.data.train.sources]
        rows = sum(plan.rows for plan in plans)
        report.print_cost(
            self._shape(),
            {"encoder": in_encoder, "heads": self.model.count_params() - in_encoder},
            self.data.train.batch(0),
            steps=config.steps,
            rows_per_epoch=rows,
            padding_share=sum(plan.rows * plan.padding_share for plan in plans) / rows,
            precision=config.precision,
            accumulation_steps=config.accumulation_steps,
            tokens_per_second=config.tokens_per_second,
            span_boundary=config.sbo_weight != 0,
        )

    def train(self, callbacks=()) -> str:
        """Trains to the end or until a signal, and says which (`Trainer.run`); continues where such a run stopped.

        Args:
            callbacks: Keras callbacks.
        """
        config = self.config
        self.record = RunRecord(self.folder)
        checkpoints = Checkpoints(self.folder / "checkpoints", config.keep_checkpoints, config.keep_every)
        if self.distribution.is_chief:
            checkpoints.clean()
            facts = self.data.facts()
            # Without a checkpoint nothing was learnt yet, and a first attempt may be mended in its own folder.
            changeable = config.changeable() if checkpoints.steps() else (*self.flags, *facts)
            self.record.begin(self.flags, facts, changeable, config.former_names())
        self._check_workers()
        rate = WarmupLinearDecay(config.learning_rate, config.warmup_steps, config.steps, config.decay)
        with self.distribution.scope():
            self.step = make_step(self.model, self._optimizer(rate), self._step_settings(), self.distribution)
        self.held_out = self._held_out()
        trainer = self._trainer(checkpoints, callbacks)
        start = trainer.restore()
        if start:
            logging.info("Continuing after step %d of %d.", start, config.steps)
        self.monitor = PretrainingMonitor(
            self.folder, config.steps, start, rate, self.data.tokenizer.mask_token_id, self.data.unigram,
            self._performance(), self.distribution,
        )  # fmt: skip
        with self.monitor:
            trainer.on_log = self.monitor.on_log
            trainer.on_step = self.monitor.on_step
            trainer.on_rollback = self.monitor.on_rollback
            checkpoints.on_written = self.monitor.on_checkpoint
            trainer.on_evaluate = lambda step: self.evaluate(step)[self.config.eval_schemes[0]].get(BEST_BY)
            trainer.on_encoder = self._save_encoder
            outcome = trainer.run(start)
            self.done = trainer.done
            if outcome == FINISHED:
                self.summaries = self.evaluate(self.done, boundaries=True)
        return outcome

    def _check_workers(self) -> None:
        """Refuses workers that would not do the same: they would wait for each other for ever."""
        paths = ("output_dir", "cache_dir", "corpus", "vocabulary", "workers")
        flags = {name: value for name, value in self.flags.items() if name not in paths}
        if not self.distribution.agrees(repr((sorted(flags.items()), sorted(self.data.facts().items())))):
            raise InputError(
                "The workers differ in their flags or in their text. Expected: the same command, and the same shards, "
                f"on every machine. Worker {self.distribution.worker} has corpus {self.data.corpora.fingerprint}."
            )

    def _optimizer(self, rate):
        config = self.config
        return make_adamw(
            self.model.trainable_variables,
            rate,
            weight_decay=config.weight_decay,
            beta_1=config.beta_1,
            beta_2=config.beta_2,
            epsilon=config.epsilon,
            decay_all=config.decay_all,
            frozen=self.model.encoder.trainable_variables,
            frozen_steps=config.head_warmup_steps,
        )

    def _step_settings(self) -> StepSettings:
        config = self.config
        return StepSettings(
            objective=PretrainingObjective(config.sbo_weight, config.loss_normalization),
            clip_norm=config.clip_norm,
            accumulation_steps=config.accumulation_steps,
            compile=has_accelerator() if config.compile == "auto" else config.compile == "on",
            scale_loss=config.precision == "mixed_float16",
        )

    def _trainer(self, checkpoints: Checkpoints, callbacks) -> Trainer:
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
            advice="lower --learning_rate, raise --warmup_steps or use --precision=float32; --on_divergence=rollback "
            "skips such batches",
        )
        guard = LossGuard(config.spike_nats, config.precision == "mixed_float16")
        trainer = Trainer(
            self.step, self.data.train, cadence, checkpoints, self.data.seed, self.process.signals, guard, callbacks
        )
        trainer.profile_folder = self.folder / "profile"
        return trainer

    def _performance(self) -> Performance:
        """Returns the rates to show; the peak is the flag's, or that of a device that is known."""
        config, shape = self.config, self._shape()
        pieces = shape.batch_rows * shape.sequence_length
        peak = 1e12 * config.peak_tflops if config.peak_tflops else peak_flops(device_name(), config.precision)
        return Performance(step_flops(shape, config.sbo_weight != 0) / pieces, self.distribution.replicas, peak)

    def _held_out(self) -> list[HeldOut]:
        """Returns the held-out sets, one a scheme: rows spread over the split, whatever the size of a step."""
        sets = []
        part = self.rows // self.config.accumulation_steps // self.distribution.num_workers  # no more than in training
        for scheme in self.config.eval_schemes:
            stream = self.data.stream("heldout", scheme)
            total = sum(source.stream.plan.rows for source in stream.sources)
            count = min(total, self.config.eval_rows)
            sets.append(HeldOut(scheme, stream, np.linspace(0, total - 1, count).astype(np.int64), part))
        return sets

    def evaluate(self, step: int, boundaries: bool = False) -> dict[str, dict[str, float]]:
        """Scores every held-out set, writes the scores and the text panel, and returns the scores by set."""
        summaries = {}
        for held_out in self.held_out:
            name = f"heldout_{held_out.name}"
            summaries[held_out.name] = evaluate(
                self.step, held_out, self.data.tokenizer.mask_token_id, self.data.unigram, boundaries
            )
            self.monitor.on_scores(name, step, summaries[held_out.name])
        found = self._examples()
        if self.distribution.is_chief:
            writer = self.monitor.writer(f"heldout_{self.held_out[0].name}")
            writer.text("predicted_spans", as_markdown(found), step)
            writer.flush()
        return summaries

    def _examples(self):
        """Returns held-out spans with both heads' words, from as few batches as the chief takes for them."""
        found, wanted, distribution = [], self.config.examples, self.distribution
        for batch in self.held_out[0].batches(distribution.worker, distribution.num_workers):
            results = self.step.to_numpy(self.step.evaluate(batch))
            found += span_examples(results, batch, self.data.tokenizer, wanted - len(found))
            if distribution.sum(np.array([float(len(found) * distribution.is_chief)]))[0] >= wanted:
                break
        return found

    def _save_encoder(self, step: int) -> None:
        """Writes `encoder.keras`, for probing from outside."""
        if not self.distribution.is_chief:
            return
        try:
            saving.save_model(self.model.encoder, self.folder / "encoder.keras")
        except InputError as error:  # a full disk, perhaps for now
            logging.error("%s Training goes on.", error)

    def finish(self) -> None:
        """Saves the models, completes the record, and prints scores and examples."""
        examples = self._examples()
        if self.distribution.is_chief:
            saving.save_model(self.model, self.folder / "pretrainer.keras")
            saving.save_model(self.model.encoder, self.folder / "encoder.keras")
            saving.save_preset(self.model.encoder, self.folder / "encoder_preset")
            self.record.update(scores=self.summaries, finished_steps=self.done)
            report.print_scores(self.summaries)
            report.print_examples(examples)
            logging.info("Saved pretrainer.keras, encoder.keras and encoder_preset/ in %s.", self.folder)
        self.distribution.sum(np.zeros(1))  # workers leave together: one that is gone early looks lost
