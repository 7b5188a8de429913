"""The vocabulary beside a checkpoint, and whether it is lower-cased."""

import json
import os
import re
from pathlib import Path

from spanbert_keras.errors import InputError

BRACKETED = re.compile(r"\[.*\]")  # [CLS], [unused7]


def read_tokenizer_files(folder: str | os.PathLike) -> tuple[list[str] | None, bool | None]:
    """Returns the pieces and whether text is lower-cased, as Hugging Face's files of a BERT tokenizer tell.

    Args:
        folder: with `vocab.txt` or `tokenizer.json`, and perhaps `tokenizer_config.json`.

    Returns:
        (list of str or `None`, bool or `None`): what no file tells is `None`.

    Raises:
        InputError: a file is damaged, or the tokenizer is another than WordPiece.
    """
    folder = Path(folder)
    config = read_settings(folder / "tokenizer_config.json") or {}
    lowercase = config.get("do_lower_case")
    if not isinstance(lowercase, bool | None) or lowercase and config.get("strip_accents") is False:
        raise InputError(
            f"{folder / 'tokenizer_config.json'} says do_lower_case={lowercase!r} and strip_accents="
            f"{config.get('strip_accents')!r}. Expected: do_lower_case true or false, and accents stripped with it."
        )
    if (folder / "vocab.txt").is_file():
        return read_lines(folder / "vocab.txt"), lowercase
    whole = read_settings(folder / "tokenizer.json")
    if whole is None:
        return None, lowercase
    model = whole.get("model") or {}
    if not isinstance(model.get("vocab"), dict) or model.get("type", "WordPiece") != "WordPiece":
        raise InputError(f"{folder / 'tokenizer.json'} is no WordPiece tokenizer. Received: {model.get('type')!r}.")
    if lowercase is None:
        lowercase = (whole.get("normalizer") or {}).get("lowercase")
    added = whole.get("added_tokens") or []
    ids = model["vocab"] | {entry["content"]: entry["id"] for entry in added}
    places = {place: piece for piece, place in ids.items()}
    if len(places) != len(ids) or sorted(places) != list(range(len(places))):
        raise InputError(f"{folder / 'tokenizer.json'} does not number its {len(ids)} pieces from 0 without a gap.")
    return [places[place] for place in range(len(places))], lowercase


def read_settings(path: Path) -> dict | None:
    """Returns a JSON file's object, `None` where there is no such file.

    Raises:
        InputError: it is no JSON object.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise InputError(f"{path} is not JSON: {error}.") from error
    if not isinstance(found, dict):
        raise InputError(f"{path} must be a JSON object. Received: {type(found).__name__}.")
    return found


def read_lines(path: str | os.PathLike) -> list[str]:
    """Returns the pieces of a `vocab.txt`, one a line.

    Raises:
        InputError: there is no such file, or it is not UTF-8.
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"The vocabulary {path} cannot be read: {error}.") from error
    return [line.rstrip("\r") for line in text.removesuffix("\n").split("\n")]


def looks_lowercased(vocabulary: list[str]) -> bool:
    """Says whether no ordinary piece has a capital letter: the vocabulary of an uncased model."""
    return not any(piece != piece.lower() for piece in vocabulary if not BRACKETED.fullmatch(piece))
