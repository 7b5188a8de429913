"""Sentences whose names are entities, one inside another."""

import itertools

import pytest

from spanbert_keras import SpanBertEncoder, SpanBertTokenizer

NAMES, PLACES = ("ann", "bob", "eve"), ("oslo", "rome", "bonn")
WORDS = [*NAMES, *PLACES, "met", "the", "king", "of", "in", "."]
PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]


@pytest.fixture(scope="session")
def entity_encoder(tmp_path_factory):
    """Path of a small encoder that knows the words."""
    path = tmp_path_factory.mktemp("encoder") / "encoder.keras"
    tokenizer = SpanBertTokenizer(PIECES)
    SpanBertEncoder(
        len(PIECES), 1, 2, 16, 32, max_sequence_length=32, dropout=0.0, attention_dropout=0.0, tokenizer=tokenizer
    ).save(path)
    return path


@pytest.fixture(scope="session")
def entity_file(tmp_path_factory):
    """Function that writes a file of stacked columns, or with one level of flat ones, and returns its path."""

    def write(name="train.tsv", nested=True, count=9):
        lines = []
        pairs = itertools.islice(itertools.cycle(itertools.product(NAMES, PLACES)), count)
        for number, (person, place) in enumerate(pairs):
            if number % 3 == 0:
                lines.append(f"# document {name} {number}")
            king = ["B-PER", "I-PER", "I-PER", "I-PER"] if nested else ["O"] * 4
            inner = ["O", "O", "O", "B-LOC"]
            rows = [(person, "B-PER", "O"), ("met", "O", "O")]
            rows += list(zip(("the", "king", "of", place), king, inner, strict=True))
            rows += [(".", "O", "O")]
            lines += ["\t".join((token, *(tags if nested else [max(tags)]))) for token, *tags in rows]
            if not nested:
                lines[-2] = f"{place}\tB-LOC"
                lines[-7:-5] = [f"{person}\tB-PER", "met\tO"]
            lines.append("")
        path = tmp_path_factory.mktemp("entities") / name
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return path

    return write
