"""One pre-training run, from its settings to its files."""

import hashlib
from pathlib import Path

import keras
import numpy as np
from absl import logging

from spanbert_keras.data.corpora import Corpora, open_corpora
from spanbert_keras.data.preparation import PreparationSettings, prepare_corpus, warnings_of
from spanbert_keras.data.seeds import run_seed
from spanbert_keras.errors import InputError
from spanbert_keras.models.encoder import SpanBertEncoder
from spanbert_keras.models.pretrainer import SpanBertPretrainer
from spanbert_keras.preprocessing.span_masker import SpanMasker
from spanbert_keras.training import outputs, report
from spanbert_keras.training.checkpoints import Checkpoints
from spanbert_keras.training.cost import Shape
from spanbert_keras.training.devices import configure_devices, has_accelerator, make_step
from spanbert_keras.training.evaluation import HeldOut, evaluate
from spanbert_keras.training.examples import as_markdown, span_examples
from spanbert_keras.training.monitor import Monitor
from spanbert_keras.training.objective import StepSettings
from spanbert_keras.training.optimizers import make_adamw
from spanbert_keras.training.piece_scores import unigram_losses
from spanbert_keras.training.run_record import RunRecord
from spanbert_keras.training.trainer import Schedule, Trainer
from spanbert_keras.training.warmup_linear_decay import WarmupLinearDecay


class PretrainingRun:
    """Everything that `pretrain` does with its settings.

    Args:
        config: `pretrain.Config`.
        flags: every setting as plain JSON values, for the record.
        rows: int. Rows of a step.
        changeable: settings that may differ when a run continues.

    Raises:
        InputError: something that the user gave cannot be used.
    """

    def __init__(self, config, flags: dict, rows: int, changeable: tuple[str, ...]):
        self.config = config
        self.flags = flags
        self.rows = rows
        self.changeable = changeable
        self.folder = Path(config.output_dir)
        self.seed = run_seed(config.seed)
        configure_devices()
        keras.utils.set_random_seed(config.seed)
        keras.mixed_precision.set_dtype_policy(config.precision)
        cache = Path(config.cache_dir) if config.cache_dir else self.folder / "cache"
        self._vocabulary: str | None = None
        self.corpora: Corpora = open_corpora(
            config.corpus, cache / "blocks", lambda path: self._prepare(path, cache / "shards")
        )
        if self._vocabulary is None and (config.train_vocabulary or config.lowercase):
            logging.warning("--train_vocabulary and --lowercase are for raw text; a prepared corpus brings its own.")
        self.tokenizer = self.corpora.tokenizer
        self._check_vocabulary()
        self.unigram = unigram_losses(self.corpora.unigram_counts)
        self.stream = self._stream("train", config.scheme)
        for split in ("train", "heldout"):
            left_out = self.corpora.left_out_pieces(split, config.max_sequence_length, config.cut)
            if left_out:
                logging.warning("%d pieces (%s) are in no block: words longer than a row.", left_out, split)
        self.model = self._model()

    def _prepare(self, path: str, cache: Path) -> str:
        """Prepares raw text into the cache, or finds it there, and returns the folder of its shards."""
        config = self.config
        choices = {
            name: getattr(config, name) for name in ("vocabulary", "train_vocabulary", "lowercase", "heldout_share")
        }
        if self._vocabulary is not None:  # of the first raw corpus: all corpora of a run share one
            choices |= {"vocabulary": self._vocabulary, "train_vocabulary": None}
        mark = hashlib.sha256(repr((path, sorted(choices.items()))).encode()).hexdigest()[:12]
        folder = cache / f"{Path(path).name.split('.')[0] or 'text'}-{mark}"
        if not (folder / "manifest.json").is_file():
            logging.info("Preparing %s into %s.", path, folder)
        settings = PreparationSettings(input=(path,), output_dir=str(folder), workers=config.workers, **choices)
        try:
            manifest = prepare_corpus(settings)
        except InputError as error:
            raise InputError(
                f"--corpus={path} cannot be prepared into {folder} (--cache_dir is its parent). {error}"
            ) from error
        for sentence in warnings_of(manifest):
            logging.warning("%s: %s", path, sentence)
        self._vocabulary = str(folder / "vocab.txt")
        return str(folder)

    def _check_vocabulary(self) -> None:
        """Refuses prepared corpora of another vocabulary than --vocabulary."""
        if self.config.vocabulary is None:
            return
        given = type(self.tokenizer)(self.config.vocabulary, lowercase=self.tokenizer.lowercase)
        if given.fingerprint() != self.tokenizer.fingerprint():
            raise InputError(
                f"--vocabulary={self.config.vocabulary} ({given.vocabulary_size()} pieces) is not the vocabulary that "
                f"{self.corpora.shards[0].directory} was prepared with ({self.tokenizer.vocabulary_size()} pieces). "
                "Leave the flag out, or prepare the corpus with it."
            )

    def _stream(self, split: str, scheme: str):
        """Returns a split's batches. Held-out masks follow the paper, so that runs of other settings compare."""
        config = self.config
        law = {name: getattr(config, name) for name in ("masking_rate", "geometric_rate", "max_span_length")}
        try:
            masker = SpanMasker(
                tokenizer=self.tokenizer,
                scheme=scheme,
                max_span_positions=config.max_span_positions,
                unigram_counts=self.corpora.unigram_counts,
                **(law if split == "train" else {}),
            )
        except ValueError as error:
            raise InputError(f"The masks cannot be drawn with these flags: {error}") from error
        return self.corpora.stream(split, masker, config.max_sequence_length, config.cut, self.rows, self.seed)

    def _model(self) -> SpanBertPretrainer:
        config = self.config
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
                vocabulary_size=self.tokenizer.vocabulary_size(),
                max_sequence_length=config.max_sequence_length,
                dropout=config.dropout,
                attention_dropout=config.attention_dropout,
                tokenizer=self.tokenizer,
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

    def print_cost(self) -> None:
        """Prints what the run would cost."""
        config, encoder = self.config, self.model.encoder
        shape = Shape(
            vocabulary_size=encoder.vocabulary_size,
            num_layers=encoder.num_layers,
            num_heads=encoder.num_heads,
            hidden_dim=encoder.hidden_dim,
            intermediate_dim=encoder.intermediate_dim,
            sequence_length=config.max_sequence_length,
            predictions=self.stream.max_predictions,
            batch_rows=self.rows,
            position_dim=config.position_dim,
        )
        in_encoder = encoder.count_params()
        plans = [source.stream.plan for source in self.stream.sources]
        rows = sum(plan.rows for plan in plans)
        report.print_cost(
            shape,
            {"encoder": in_encoder, "heads": self.model.count_params() - in_encoder},
            self.stream.batch(0),
            steps=config.steps,
            rows_per_epoch=rows,
            padding_share=sum(plan.rows * plan.padding_share for plan in plans) / rows,
            precision=config.precision,
            accumulation_steps=config.accumulation_steps,
            pieces_per_second=config.pieces_per_second,
            span_boundary=config.sbo_weight != 0,
        )

    def train(self) -> bool:
        """Trains to the end, or until interrupted; says which. Continues where a run of these flags stopped."""
        config = self.config
        self.record = RunRecord(self.folder)
        facts = {
            "corpus_fingerprint": self.corpora.fingerprint,
            "corpus_weights": self.corpora.shares,
            "vocabulary_fingerprint": self.tokenizer.fingerprint(),
        }
        checkpoints = Checkpoints(self.folder / "checkpoints", config.keep_checkpoints)
        # Without a checkpoint nothing was learnt yet, and a first attempt may be mended in its own folder.
        self.record.begin(self.flags, facts, self.changeable if checkpoints.steps() else (*self.flags, *facts))
        rate = WarmupLinearDecay(config.learning_rate, config.warmup_steps, config.steps, config.decay)
        optimizer = make_adamw(
            self.model.trainable_variables,
            rate,
            weight_decay=config.weight_decay,
            beta_1=config.beta_1,
            beta_2=config.beta_2,
            epsilon=config.epsilon,
            decay_all=config.decay_all,
        )
        settings = StepSettings(
            sbo_weight=config.sbo_weight,
            loss_normalization=config.loss_normalization,
            clip_norm=config.clip_norm,
            accumulation_steps=config.accumulation_steps,
            compile=has_accelerator() if config.compile == "auto" else config.compile == "on",
            scale_loss=config.precision == "mixed_float16",
        )
        self.step = make_step(self.model, optimizer, settings)
        self.held_out = self._held_out()
        trainer = Trainer(
            self.step,
            self.stream,
            Schedule(
                total_steps=config.steps,
                log_every=config.log_every,
                evaluate_every=config.evaluate_every,
                checkpoint_every=config.checkpoint_every,
                encoder_every=config.encoder_every,
            ),
            checkpoints,
            self.seed,
        )
        start = trainer.restore()
        if start:
            logging.info("Continuing after step %d of %d.", start, config.steps)
        self.monitor = Monitor(self.folder, config.steps, start, rate, self.tokenizer.mask_token_id, self.unigram)
        with self.monitor:
            trainer.on_log = self.monitor.on_log
            trainer.on_step = self.monitor.on_step
            trainer.on_evaluate = self.evaluate
            trainer.on_encoder = lambda step: outputs.save_model(self.model.encoder, self.folder / "encoder.keras")
            finished = trainer.run(start)
            if finished:
                self.summaries = self.evaluate(config.steps, boundaries=True)
        return finished

    def _held_out(self) -> list[HeldOut]:
        """Returns the held-out sets, one a scheme: rows spread over the split, whatever the size of a step."""
        sets, part = [], self.rows // self.config.accumulation_steps  # no more at once than training has
        for scheme in self.config.eval_schemes:
            stream = self._stream("heldout", scheme)
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
                self.step, held_out, self.tokenizer.mask_token_id, self.unigram, boundaries
            )
            self.monitor.on_scores(name, step, summaries[held_out.name])
        found = self._examples()
        writer = self.monitor.writer(f"heldout_{self.held_out[0].name}")
        writer.text("predicted_spans", as_markdown(found), step)
        writer.flush()
        return summaries

    def _examples(self):
        """Returns held-out spans with both heads' words, from as few batches as it takes."""
        found, wanted = [], self.config.examples
        for batch in self.held_out[0].batches():
            found += span_examples(self.model, batch, self.tokenizer, wanted - len(found))
            if len(found) >= wanted:
                break
        return found

    def finish(self) -> None:
        """Saves the models, completes the record, and prints scores and examples."""
        outputs.save_model(self.model, self.folder / "pretrainer.keras")
        outputs.save_model(self.model.encoder, self.folder / "encoder.keras")
        outputs.save_preset(self.model.encoder, self.folder / "encoder_preset")
        self.record.update(scores=self.summaries, finished_steps=self.config.steps)
        report.print_scores(self.summaries)
        report.print_examples(self._examples())
        logging.info("Saved pretrainer.keras, encoder.keras and encoder_preset/ in %s.", self.folder)
