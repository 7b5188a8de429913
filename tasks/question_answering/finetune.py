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
from tasks.question_answering import data, features, predictions
from tasks.shared.task import Task, fine_tune


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(FineTuningSettings):
    """Settings of one fine-tuning run."""

    # --- data
    train_file: tuple[str, ...] = setting(
        "SQuAD's JSON or MRQA's JSON lines, also .gz; several with commas.", path=True, changeable=True
    )
    dev_file: str = setting(
        "The same, to choose the best model (and the no-answer threshold) by.", path=True, changeable=True
    )
    test_file: str | None = setting(
        "Scored once at the end, by the chosen model.", default=None, path=True, changeable=True
    )
    halve_dev: bool = setting(
        "Cuts --dev_file into dev and test by a hash of the context, as MRQA has no test files.", default=False
    )
    dataset: str | None = setting("What the results table calls the data, e.g. NewsQA.", default=None, changeable=True)
    skip_bad_examples: bool = setting("Leaves bad questions out and counts them.", default=False, changeable=True)
    calibration_share: float | None = setting(
        "Fits the no-answer threshold on this share of dev's articles, and scores the rest of dev with it.",
        default=None,
        above=0,
        below=1,
    )
    answers: str = setting(
        "Target of a question with several answers: the first in SQuAD's file or the earliest by position in MRQA's, "
        "or the probability of all together.",
        default="one",
        choices=("one", "all"),
    )
    # --- model
    max_sequence_length: int = setting("Pieces of a window; at most what the encoder reads.", default=512, minimum=1)
    stride: int = setting("Passage pieces from one window's start to the next's.", default=128, minimum=1)
    max_question_pieces: int = setting("Longer questions are cut.", default=64, minimum=1)
    max_answer_pieces: int = setting("Longest answer.", default=30, minimum=1)
    input_order: str = setting(
        "Question first as the released code, or passage first as the paper's section 4.1.",
        default="question_first",
        choices=("question_first", "passage_first"),
    )


class QuestionAnswering(Task):
    """What question answering brings to `FineTuning`; see `FineTuningTask`.

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
            raise InputError("--halve_dev makes the test set out of dev. With --test_file give --nohalve_dev.")
        test = data.read(config.test_file, config.skip_bad_examples) if config.test_file else None
        every = [*read, dev, *([test] if test else [])]
        if len({one.format for one in every}) > 1:
            formats = ", ".join(one.format for one in every)
            raise InputError(f"Training, dev and test files must be of one format. Received: {formats}.")
        self.left_out = [sentence for one in every for sentence in one.bad]
        self.train = self._without_repetitions([one.examples for one in read])
        self.dev, self.test_examples = dev.examples, test.examples if test else []
        if config.halve_dev:
            self.dev, self.test_examples = data.halve(dev.examples)
        self.unanswerable = any(one.has_unanswerable for one in every)
        predictions.check_calibration(config.calibration_share, self.dev, self.unanswerable)
        self.select_by = "best_f1" if self.unanswerable else "f1"
        if not self.train or not self.dev:
            raise InputError(f"No questions are left: {len(self.train)} to train on, {len(self.dev)} for dev.")

    def sets(self) -> dict[str, list]:
        """Returns the questions."""
        return {"train": self.train, "dev": self.dev, "test": self.test_examples}

    def make_model(self):
        """Returns the model over the encoder; leaves out what it cannot read."""
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
                good, bad = features.readable(examples, model.windows, _file_of(config, name), config.skip_bad_examples)
                setattr(self, name, good)
                self.left_out += bad
        self._say_overlap()
        self.tell_left_out()
        return model

    def training_rows(self, model) -> features.Rows:
        """Returns the training rows."""
        rows = features.make_rows(
            self.train, model.windows, self.config.max_answer_pieces,
            "position" if self.train_format == "mrqa" else "file", self.config.answers == "all",
        )  # fmt: skip
        counted = {name: count for name, count in dataclasses.asdict(rows.counts).items() if count}
        logging.info("%d questions to train on, %d for dev; %s", len(self.train), len(self.dev), counted)
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
                fitted, rest = data.split_articles(self.dev, self.config.calibration_share)
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
        examples, _ = features.readable(self.test_examples, model.windows, path, config.skip_bad_examples)
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
                sentence = f"The question {example.id!r} is in {seen[example.id]} and again in {path}."
                if not self.config.skip_bad_examples:
                    raise InputError(f"{sentence} Leave such questions out with --skip_bad_examples.")
                self.left_out.append(sentence)
        return kept

    def _say_overlap(self) -> None:
        """Warns where a context is trained on and scored."""
        trained = {example.context for example in self.train}
        for name, examples in (("dev", self.dev), ("test", self.test_examples)):
            known = sum(example.context in trained for example in examples)
            if known:
                logging.warning("%d of %d %s questions are about contexts of training.", known, len(examples), name)


def _file_of(config: Config, name: str) -> str:
    """Returns the flag's value that a part of the data is from."""
    files = {"train": ",".join(config.train_file), "dev": config.dev_file}
    return files.get(name) or config.test_file or config.dev_file


def main(config: Config) -> None:
    """Fine-tunes, evaluates, and writes everything down."""
    fine_tune(config, QuestionAnswering)


if __name__ == "__main__":
    program.run(main, Config)
