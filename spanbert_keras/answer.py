"""Answers a question from a text with a saved model.

python -m spanbert_keras.answer --model=question_answerer.keras --question="Who wrote it?" --context_file=text.txt
"""

import dataclasses
import json
import sys
from pathlib import Path

from spanbert_keras import program
from spanbert_keras.program import InputError, Settings, setting

AROUND = 60  # characters shown before and after an answer


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """Settings of one question."""

    model: str = setting("A saved SpanBertQuestionAnswerer (.keras).", path=True)
    question: str = setting("The question.")
    context_file: str = setting(
        "The text, UTF-8 or UTF-16 with a byte order mark; `-` reads standard input.", path=True
    )
    n_best: int = setting("Answers shown, best first.", default=1)
    max_answer_pieces: int | None = setting("Longest answer. The model's by default.", default=None)
    batch_size: int = setting("Windows computed at once.", default=32)
    json: bool = setting("Prints a JSON line an answer: text, start, end, score, no_answer_score.", default=False)


def main(config: Config) -> None:
    """Prints the answers."""
    context = _context(config.context_file)
    reader = program.load_task_model(config.model, "SpanBertQuestionAnswerer")
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
