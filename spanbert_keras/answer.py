"""Answers a question from a text, or the questions of a file, with a saved model.

python -m spanbert_keras.answer --model=question_answerer.keras --question="Who wrote it?" --context_file=text.txt
python -m spanbert_keras.answer --model=question_answerer.keras --input=questions.jsonl --output=answers.jsonl
"""

import dataclasses
import json
import sys
from pathlib import Path

from spanbert_keras import program
from spanbert_keras.answer_file import answer_file
from spanbert_keras.model_flag import load_task_model
from spanbert_keras.program import InputError, Settings, setting

AROUND = 60  # characters shown before and after an answer


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """Settings of one question, or of a file of them."""

    model: str = setting("A saved SpanBertQuestionAnswerer (.keras).", path=True)
    question: str | None = setting("The question.", default=None)
    context_file: str | None = setting(
        "The text, UTF-8 or UTF-16 with a byte order mark; `-` reads standard input.", default=None, path=True
    )
    input: str | None = setting(
        'Many questions instead: JSON lines, {"id", "question", "context"} on each, or SQuAD\'s JSON; UTF-8 or UTF-16 '
        "with a byte order mark, also gzipped.",
        default=None,
        path=True,
    )
    output: str | None = setting(
        "Written for --input: a JSON line per question with id, text, start, end, score, no_answer_score.",
        default=None,
        path=True,
    )
    n_best: int = setting("Answers shown, best first.", default=1)
    max_answer_pieces: int | None = setting("Longest answer. The model's by default.", default=None)
    batch_size: int = setting("Windows computed at once.", default=32)
    json: bool = setting("Prints a JSON line an answer: text, start, end, score, no_answer_score.", default=False)


def main(config: Config) -> None:
    """Prints the answers."""
    _check(config)
    if config.input and config.output:
        reader = load_task_model(config.model, "SpanBertQuestionAnswerer")
        count = answer_file(
            reader, config.input, config.output, config.n_best, config.batch_size, config.max_answer_pieces
        )
        print(f"{count:,} questions: {config.output}")
        return
    context = _context(config.context_file or "")
    reader = load_task_model(config.model, "SpanBertQuestionAnswerer")
    answers = reader.answer(
        config.question,
        context,
        n_best=config.n_best,
        batch_size=config.batch_size,
        max_answer_pieces=config.max_answer_pieces,
    )
    for answer in answers:
        if config.json:
            print(json.dumps(dataclasses.asdict(answer)))
        else:
            print(_line(answer, context))


def _check(config: Config) -> None:
    """Raises unless there is one question with its text, or a file of questions with its output."""
    pairs = (("question", "context_file"), ("input", "output"))
    given = [name for pair in pairs for name in pair if getattr(config, name) is not None]
    if tuple(given) not in pairs:
        received = ", ".join(f"--{name}" for name in given) or "none of them"
        raise InputError(f"Give --question and --context_file, or --input and --output. Received: {received}.")
    numbers = ("n_best", "batch_size", "max_answer_pieces")
    for name in numbers if config.input else ():
        if getattr(config, name) is not None and getattr(config, name) < 1:
            raise InputError(f"--{name} must be positive. Received: {getattr(config, name)}.")
    if config.output and not Path(config.output).resolve().parent.is_dir():
        raise InputError(f"--output={config.output}: its folder is not there. Make it first.")


def _context(path: str) -> str:
    """Returns the text of a file or of standard input."""
    try:
        return program.decode_text(sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes())
    except OSError as error:
        raise InputError(f"--context_file={path} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise InputError(f"--context_file={path} {error}") from error


def _line(answer, context: str) -> str:
    """Returns an answer with its probability and what stands around it, on one line."""
    if answer.start is None:
        return f"{answer.score:.3f}  (no answer)"
    before = context[max(0, answer.start - AROUND) : answer.start]
    after = context[answer.end : answer.end + AROUND]
    around = " ".join(f"...{before}[{answer.text}]{after}...".split())
    return f"{answer.score:.3f}  {' '.join(answer.text.split())}  (characters {answer.start}-{answer.end}: {around})"


if __name__ == "__main__":
    program.run(main, Config)
