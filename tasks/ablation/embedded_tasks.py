"""Writes three small data sets that are made of Python's documentation, to try an ablation without any download.

python -m tasks.ablation.embedded_tasks --output_dir=tasks

Questions ask for words that a sentence lacks; pairs of sentences follow each other or do not; mentions are repeated
words. Scores on them show that a program works, and little about language.
"""

import dataclasses
import json
import random
import re
from collections.abc import Iterator
from pathlib import Path

from spanbert_keras import program
from spanbert_keras.data.corpus import embedded_corpus
from spanbert_keras.files.writing import input_error_if_unwritable, write_text
from spanbert_keras.program import Settings, setting

SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[A-Z])")
WORD = re.compile(r"\w+|[^\w\s]")
PARAGRAPH_WORDS = range(20, 61)
SPLITS = ("train", "dev")
DEV_EVERY = 5  # every fifth document is for dev
FILES = ("questions.json", "pairs.tsv", "mentions.jsonl")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """Settings of the data sets."""

    output_dir: str = setting("Folder of the files.", path=True)
    train_examples: int = setting("Number of training questions, and of training pairs.", default=400, minimum=1)
    dev_examples: int = setting("Number of dev questions, and of dev pairs.", default=100, minimum=1)
    documents: int = setting(
        "Number of training documents with mentions; a fifth of it for dev.", default=20, minimum=5
    )


def main(config: Config) -> None:
    """Writes the files of both splits."""
    folder = Path(config.output_dir)
    of_split = split_documents()
    with input_error_if_unwritable(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for split, documents in zip(SPLITS, of_split, strict=True):
            count = config.train_examples if split == "train" else config.dev_examples
            kept = config.documents if split == "train" else -(-config.documents // DEV_EVERY)
            draw = random.Random(split)
            texts = (
                json.dumps({"version": "1.1", "data": list(questions(documents, count, draw))}),
                "".join("\t".join(row) + "\n" for row in pairs(documents, count, draw)),
                "".join(json.dumps(record) + "\n" for record in mentions(documents, kept)),
            )
            for name, text in zip(FILES, texts, strict=True):
                write_text(folder / f"{split}_{name}", text)


def split_documents() -> tuple[list[list[str]], list[list[str]]]:
    """Returns the paragraphs of each document for training and for dev; no document is in both."""
    documents = [
        [line for line in text.splitlines() if len(line.split()) in PARAGRAPH_WORDS]
        for text in embedded_corpus.documents()
    ]
    train = [one for number, one in enumerate(documents) if one and number % DEV_EVERY]
    return train, [one for one in documents[::DEV_EVERY] if one]


def questions(documents: list[list[str]], count: int, draw: random.Random) -> Iterator[dict]:
    """Yields articles in SQuAD's form, of one question each: a sentence of the paragraph without one to three words."""
    paragraphs = [(number, line) for number, lines in enumerate(documents) for line in lines]
    for place, (number, paragraph) in enumerate(draw.sample(paragraphs, min(count, len(paragraphs)))):
        sentence = draw.choice(SENTENCE.split(paragraph))
        words = list(re.finditer(r"\S+", sentence))
        length = min(draw.randint(1, 3), len(words))
        first = draw.randrange(len(words) - length + 1)
        begin, end = words[first].start(), words[first + length - 1].end()
        answer = {"text": sentence[begin:end], "answer_start": paragraph.index(sentence) + begin}
        asked = {"id": f"q{place}", "question": f"{sentence[:begin]}what{sentence[end:]}?", "answers": [answer]}
        yield {"title": f"document {number}", "paragraphs": [{"context": paragraph, "qas": [asked]}]}


def pairs(documents: list[list[str]], count: int, draw: random.Random) -> Iterator[tuple[str, ...]]:
    """Yields the rows of a table: a header, then two sentences and whether the second follows the first."""
    every = [
        sentences
        for lines in documents
        for line in lines
        if len(sentences := SENTENCE.split(line.replace("\t", " "))) > 1
    ]
    yield ("sentence1", "sentence2", "label")
    for number in range(count):
        sentences = draw.choice(every)
        first = draw.randrange(len(sentences) - 1)
        second = sentences[first + 1] if number % 2 else draw.choice(draw.choice(every))
        yield sentences[first], second, "next" if number % 2 else "other"


def mentions(documents: list[list[str]], count: int) -> Iterator[dict]:
    """Yields documents in the form of JSON lines in which the long words that occur several times are mentions."""
    longest = sorted(range(len(documents)), key=lambda number: (-len(documents[number]), number))[:count]
    for number in sorted(longest):
        tokens: list[str] = []
        sentences = []
        for paragraph in documents[number][:3]:
            for sentence in SENTENCE.split(paragraph):
                words = WORD.findall(sentence)
                sentences.append([len(tokens), len(tokens) + len(words)])
                tokens += words
        places: dict[str, list[list[int]]] = {}
        for place, token in enumerate(tokens):
            if len(token) > 5:
                places.setdefault(token.lower(), []).append([place, place + 1])
        clusters = [found for found in places.values() if len(found) > 1]
        yield {"name": f"document {number}", "tokens": tokens, "sentences": sentences, "clusters": clusters}


if __name__ == "__main__":
    program.run(main, Config)
