"""Answers a question from a text, or the questions of a file, with a saved model.

python -m spanbert_keras.answer --model=question_answerer.keras --question="Who wrote it?" --context_file=text.txt
python -m spanbert_keras.answer --model=question_answerer.keras --input=questions.jsonl --output=answers.jsonl
"""

import dataclasses
import itertools
import json
import sys
from pathlib import Path

from spanbert_keras import program
from spanbert_keras.answer_file import answer_file, read_questions
from spanbert_keras.model_flag import SAMPLE, load_task_model, precision_setting, print_precision_difference
from spanbert_keras.program import InputError, Settings, setting

CONTEXT_CHARACTERS = 60  # characters shown before and after an answer


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """Settings of one question, or of a file of them."""

    model: str = setting("A saved SpanBertQuestionAnswerer (.keras).", path=True)
    question: str | None = setting("The question.", default=None)
    context_file: str | None = setting(
        "File with the text, UTF-8 or UTF-16 with a byte order mark; `-` reads standard input.", default=None, path=True
    )
    context: str | None = setting("The text itself, in place of --context_file.", default=None)
    input: str | None = setting(
        'File of questions: JSON lines, each {"id", "question", "context"}, or SQuAD\'s JSON; UTF-8 or UTF-16 with a '
        "byte order mark, also gzipped.",
        default=None,
        path=True,
    )
    output: str | None = setting(
        "File of answers to --input: a JSON line per question with id, text, start, end, score, no_answer_score.",
        default=None,
        path=True,
    )
    min_score: float = setting("Answers with a lower score are left out.", default=0.0, minimum=0, maximum=1)
    n_best: int = setting("Number of answers shown, best first.", default=1, above=0)
    max_answer_pieces: int | None = setting(
        "Length of the longest answer, in word pieces. Default: the model's.", default=None, above=0
    )
    batch_size: int = setting("Number of windows computed at once.", default=32, above=0)
    precision: str = precision_setting()
    json: bool = setting("Prints a JSON line per answer: text, start, end, score, no_answer_score.", default=False)

    def check(self) -> None:
        pairs = (("question", "context_file"), ("question", "context"), ("input", "output"))
        names = ("question", "context_file", "context", "input", "output")
        given = [name for name in names if getattr(self, name) is not None]
        if tuple(given) not in pairs:
            received = ", ".join(f"--{name}" for name in given) or "none of them"
            raise InputError(
                f"Give --question and --context_file (or --context), or --input and --output. Received: {received}."
            )


def main(config: Config) -> None:
    """Prints the answers to one question, or writes those of a file of questions."""
    if config.input and config.output:
        if not Path(config.output).resolve().parent.is_dir():
            raise InputError(f"--output={config.output}: its folder does not exist. Create it first.")
        reader = load_task_model(config.model, "SpanBertQuestionAnswerer", config.precision)
        count = answer_file(
            reader,
            config.input,
            config.output,
            config.n_best,
            config.batch_size,
            config.max_answer_pieces,
            config.min_score,
        )
        if config.precision != "float32":
            sample = list(itertools.islice(read_questions(config.input), SAMPLE))
            _compare_precisions(config, reader, [one.question for one in sample], [one.context for one in sample])
        print(f"{count:,} questions: {config.output}")
        return
    context = _read_context(config.context_file or "") if config.context is None else config.context
    reader = load_task_model(config.model, "SpanBertQuestionAnswerer", config.precision)
    answers = reader.answer(
        config.question,
        context,
        n_best=config.n_best,
        batch_size=config.batch_size,
        max_answer_pieces=config.max_answer_pieces,
        min_score=config.min_score,
    )
    for answer in answers:
        if config.json:
            print(json.dumps(dataclasses.asdict(answer)))
        else:
            print(_formatted(answer, context))
    if not config.json:
        _compare_precisions(config, reader, [config.question or ""], [context])


def _compare_precisions(config: Config, reader, questions: list[str], contexts: list[str]) -> None:
    """Prints what `--precision` changes in the probabilities of these questions' answers."""

    def scores_of(model):
        return [answer.score for answer in model.answer(questions, contexts, batch_size=config.batch_size)]

    print_precision_difference(config.model, reader, config.precision, "probabilities of answers", scores_of)


def _read_context(path: str) -> str:
    """Returns the text of a file or of standard input."""
    try:
        return program.decode_text(sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes())
    except OSError as error:
        raise InputError(f"--context_file={path} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise InputError(f"--context_file={path} {error}") from error


def _formatted(answer, context: str) -> str:
    """Returns an answer with its probability and the text around it, on one line."""
    if answer.start is None:
        return f"{answer.score:.3f}  (no answer)"
    before = context[max(0, answer.start - CONTEXT_CHARACTERS) : answer.start]
    after = context[answer.end : answer.end + CONTEXT_CHARACTERS]
    around = " ".join(f"...{before}[{answer.text}]{after}...".split())
    return f"{answer.score:.3f}  {' '.join(answer.text.split())}  (characters {answer.start}-{answer.end}: {around})"


if __name__ == "__main__":
    program.run(main, Config)
