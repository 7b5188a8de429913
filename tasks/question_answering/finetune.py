"""Fine-tunes an encoder for question answering: SQuAD 1.1, SQuAD 2.0 and MRQA's sets.

python -m tasks.question_answering.finetune --flagfile=configs/squad_v2.flags --encoder=encoder.keras \\
    --train_file=train-v2.0.json --dev_file=dev-v2.0.json --output_dir=runs/squad
"""

import dataclasses
from pathlib import Path
from typing import Any

from absl import logging

import spanbert_keras
from spanbert_keras import program
from spanbert_keras.fine_tuning.settings import FineTuningSettings
from spanbert_keras.program import InputError, setting
from tasks.question_answering import data, predictions, splits
from tasks.question_answering.readable_examples import readable
from tasks.shared.task import Task, fine_tune


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(FineTuningSettings):
    """Settings of one fine-tuning run."""

    # --- data
    train_file: tuple[str, ...] = setting(
        "Training files: SQuAD's JSON or MRQA's JSON lines, also .gz; several with commas.", path=True, changeable=True
    )
    dev_file: str = setting(
        "Dev file, by which the best model (and the no-answer threshold) is chosen.", path=True, changeable=True
    )
    test_file: str | None = setting(
        "Test file, scored once at the end by the chosen model.", default=None, path=True, changeable=True
    )
    halve_dev: bool = setting(
        "Splits --dev_file into dev and test by a hash of the context, since MRQA has no test files.", default=False
    )
    dataset: str | None = setting("Name of the data in the results table, e.g. NewsQA.", default=None, changeable=True)
    skip_bad_examples: bool = setting("Skips and reports bad questions.", default=False, changeable=True)
    calibration_share: float | None = setting(
        "Share of dev's articles on which the no-answer threshold is fitted; the rest of dev is scored with it.",
        default=None,
        above=0,
        below=1,
    )
    answers: str = setting(
        "Target of a question with several answers: one (SQuAD: the first in the file, MRQA: the earliest in the "
        "context), or the total probability of all.",
        default="one",
        choices=("one", "all"),
    )
    # --- model
    max_sequence_length: int = setting("Tokens per window; at most the encoder's maximum.", default=512, minimum=1)
    stride: int = setting("Passage tokens from one window's start to the next.", default=128, minimum=1)
    max_question_pieces: int = setting(
        "Maximum length of a question, in word pieces; longer questions are truncated.", default=64, minimum=1
    )
    max_answer_pieces: int = setting("Length of the longest answer, in word pieces.", default=30, minimum=1)
    input_order: str = setting(
        "Order of the parts: question first as in the released code, or passage first as in the paper's section 4.1.",
        default="question_first",
        choices=("question_first", "passage_first"),
    )


class QuestionAnswering(Task):
    """Question answering as a `FineTuningTask`.

    Args:
        config: `Config`.
    """

    model_name = "question_answerer"

    def __init__(self, config: Config):
        super().__init__(config)
        read = [data.read(path, config.skip_bad_examples) for path in config.train_file]
        self.train_format = read[0].format
        dev = data.read(config.dev_file, config.skip_bad_examples)
        if config.halve_dev and config.test_file:
            raise InputError("--halve_dev makes the test set from dev. With --test_file, give --nohalve_dev.")
        test = data.read(config.test_file, config.skip_bad_examples) if config.test_file else None
        every = [*read, dev, *([test] if test else [])]
        if len({one.format for one in every}) > 1:
            formats = ", ".join(one.format for one in every)
            raise InputError(f"Training, dev and test files must have the same format. Received: {formats}.")
        self.left_out = [sentence for one in every for sentence in one.bad]
        self.train = self._without_repetitions([one.examples for one in read])
        self.dev, self.test_examples = dev.examples, test.examples if test else []
        if config.halve_dev:
            self.dev, self.test_examples = splits.halve(dev.examples)
        self.unanswerable = any(one.has_unanswerable for one in every)
        predictions.check_calibration(config.calibration_share, self.dev, self.unanswerable)
        self.select_by = "best_f1" if self.unanswerable else "f1"
        if not self.train or not self.dev:
            raise InputError(
                f"Training and dev need questions. Received: {len(self.train)} for training, {len(self.dev)} for dev."
            )

    def sets(self) -> dict[str, list]:
        """Returns the questions."""
        return {"train": self.train, "dev": self.dev, "test": self.test_examples}

    def make_model(self):
        """Returns the model on the encoder; leaves out examples that it cannot read."""
        config = self.config
        encoder, window_length = self.load_encoder("max_sequence_length")
        model = self.build(
            spanbert_keras.SpanBertQuestionAnswerer,
            encoder,
            input_order=config.input_order,
            window_length=window_length,
            stride=config.stride,
            max_question_pieces=config.max_question_pieces,
            max_answer_pieces=config.max_answer_pieces,
            special_tokens_in_text=self.train_format == "mrqa",
        )
        for name in ("train", "dev", "test_examples"):
            examples = getattr(self, name)
            if examples:
                good, bad = readable(examples, model.windows, _file_of(config, name), config.skip_bad_examples)
                setattr(self, name, good)
                self.left_out += bad
        self._warn_of_overlap()
        self.log_left_out()
        return model

    def training_rows(self, model):
        """Returns the training rows."""
        first = "position" if self.train_format == "mrqa" else "file"
        model.preprocessor = model.preprocessor_cls(answers=self.config.answers, first_answer=first)
        columns = ([getattr(one, name) for one in self.train] for name in ("question", "context", "spans"))
        rows = model.preprocessor.rows_of(*columns)
        counted = {name: count for name, count in dataclasses.asdict(rows.counts).items() if count}
        logging.info("%d training questions, %d dev questions; %s", len(self.train), len(self.dev), counted)
        return rows

    def evaluate(self, model, predict, rows: int) -> dict[str, float]:
        """Returns the scores on dev."""
        found = predictions.predict(model, self.dev, predict, rows)
        return predictions.dev_scores(self.dev, found, self.unanswerable)

    def finish(self, model, folder: Path, predict, rows: int) -> dict[str, Any]:
        """Sets the no-answer threshold, writes dev's predictions, and returns dev's scores."""
        found = predictions.predict(model, self.dev, predict, rows)
        scores = predictions.dev_scores(self.dev, found, self.unanswerable)
        if self.unanswerable:
            model.no_answer_threshold = predictions.fitted_threshold(self.dev, found)
            if self.config.calibration_share is not None:
                fitted, rest = splits.split_articles(self.dev, self.config.calibration_share)
                model.no_answer_threshold = predictions.fitted_threshold(fitted, found)
                of_rest = predictions.scores_at(rest, found, model.no_answer_threshold)
                scores |= {f"calibrated_{key}": of_rest[key] for key in ("exact", "f1", "total")}
        predictions.write(folder / "dev", found, model.no_answer_threshold)
        if self.config.halve_dev:
            for name, examples in (("dev", self.dev), ("test", self.test_examples)):
                ids = "".join(f"{example.id}\n" for example in examples)
                (folder / f"{name}_ids.txt").write_text(ids, encoding="utf-8")
        return scores

    def test(self, model, folder: Path) -> dict[str, Any]:
        """Returns the scores on test with the model's own threshold; {} without a test set."""
        if not self.test_examples:
            return {}
        config = self.config
        path = _file_of(config, "test_examples")
        examples, _ = readable(self.test_examples, model.windows, path, config.skip_bad_examples)
        found = predictions.predict(model, examples)
        predictions.write(folder / "test", found, model.no_answer_threshold)
        if model.no_answer_threshold is not None:
            return predictions.scores_at(examples, found, model.no_answer_threshold)
        return predictions.dev_scores(examples, found, False)

    def _without_repetitions(self, parts: list) -> list:
        """Returns the examples of the training files, which must not share an id."""
        seen: dict[str, str] = {}
        kept = []
        for path, examples in zip(self.config.train_file, parts, strict=True):
            for example in examples:
                if example.id not in seen:
                    seen[example.id] = path
                    kept.append(example)
                    continue
                sentence = f"The question {example.id!r} is in both {seen[example.id]} and {path}."
                if not self.config.skip_bad_examples:
                    raise InputError(f"{sentence} Leave bad examples out with --skip_bad_examples.")
                self.left_out.append(sentence)
        return kept

    def _warn_of_overlap(self) -> None:
        """Logs a warning if dev or test have contexts of the training data."""
        trained = {example.context for example in self.train}
        for name, examples in (("dev", self.dev), ("test", self.test_examples)):
            known = sum(example.context in trained for example in examples)
            if known:
                logging.warning(
                    "%d of %d %s questions have a context of the training data.", known, len(examples), name
                )


def _file_of(config: Config, name: str) -> str:
    """Returns the path of the file, or files, of a part of the data."""
    files = {"train": ",".join(config.train_file), "dev": config.dev_file}
    return files.get(name) or config.test_file or config.dev_file


def main(config: Config) -> None:
    """Fine-tunes, evaluates, and writes the results."""
    fine_tune(config, QuestionAnswering)


if __name__ == "__main__":
    program.run(main, Config)
