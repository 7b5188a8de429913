"""Reads the files of a Hugging Face BERT tokenizer: vocabulary, normalization and added tokens."""

import dataclasses
import json
import os
import re
from pathlib import Path
from typing import Any

from spanbert_keras.conversion.foreign_keys import (
    SPECIAL_TOKENS,
    SPECIAL_TOKENS_MAP,
    TOKENIZER,
    TOKENIZER_CONFIG,
    check_keys,
    read_settings,
)
from spanbert_keras.errors import InputError
from spanbert_keras.models.encoder import SpanBertTokenizer

BRACKETED_PIECE = re.compile(r"\[.*\]")  # [CLS], [unused7]
NORMALIZATION = {  # key of tokenizer_config.json -> (key of tokenizer.json's normalizer, our argument)
    "do_lower_case": ("lowercase", "lowercase"),
    "strip_accents": ("strip_accents", "strip_accents"),
    "tokenize_chinese_chars": ("handle_chinese_chars", "split_chinese_characters"),
}
TRANSFORMERS_DEFAULTS = {"do_lower_case": True, "strip_accents": None, "tokenize_chinese_chars": True}
NO_NORMALIZATION = {"lowercase": False, "strip_accents": False, "handle_chinese_chars": False, "clean_text": False}
# Classes that take all settings from tokenizer.json.
FILE_ONLY_CLASSES = ("PreTrainedTokenizerFast", "TokenizersBackend")
SPECIAL_PIECES = tuple(SPECIAL_TOKENS.values())
JSON_TYPE_NAMES: dict[type, str] = {dict: "a JSON object", list: "a JSON array"}
TOKEN_FLAGS = ("special", "lstrip", "rstrip", "single_word", "normalized")  # of an added token

Token = dict[str, Any]  # `content` and its flags, as in `SpanBertTokenizer(added_tokens=...)`
# Rows of a text and of a pair: parts, each followed by its segment.
BERT_ROWS = (["[CLS]0", "A0", "[SEP]0"], ["[CLS]0", "A0", "[SEP]0", "B1", "[SEP]1"])


@dataclasses.dataclass
class TokenizerFiles:
    """Vocabulary and settings of a folder's tokenizer.

    Attributes:
        vocabulary: list of str: every token at its id. `None` without a vocabulary.
        lowercase: bool. `None` if no file sets it.
        settings: dict. Further arguments of `SpanBertTokenizer` that differ from their defaults.
        notes: list of str. Notes for the user.
    """

    vocabulary: list[str] | None = None
    lowercase: bool | None = None
    settings: dict[str, Any] = dataclasses.field(default_factory=dict)
    notes: list[str] = dataclasses.field(default_factory=list)


def read_tokenizer_files(folder: str | os.PathLike) -> TokenizerFiles:
    """Reads `vocab.txt`, `tokenizer.json`, `tokenizer_config.json`, `added_tokens.json`, `special_tokens_map.json`.

    Every key is supported, known to be harmless, reported in a note or rejected; see `foreign_keys`. If files disagree
    on normalization, `tokenizer_config.json` takes precedence, as in transformers.

    Args:
        folder: path of a folder with any of these files.

    Returns:
        `TokenizerFiles`.

    Raises:
        InputError: a file is damaged, two files disagree on the vocabulary, or the tokenizer splits text in a way that
            `SpanBertTokenizer` does not support.
    """
    folder = Path(folder)
    config = read_settings(folder / "tokenizer_config.json") or {}
    special_map = read_settings(folder / "special_tokens_map.json") or {}
    tokenizer_json = read_settings(folder / "tokenizer.json")
    notes = _check_flat_file(config, TOKENIZER_CONFIG, folder / "tokenizer_config.json")
    notes += _check_flat_file(special_map, SPECIAL_TOKENS_MAP, folder / "special_tokens_map.json")
    if tokenizer_json is not None:
        notes += _check_tokenizer_json(tokenizer_json, folder / "tokenizer.json")
    base = _base_vocabulary(folder, tokenizer_json)
    if base is None:
        lowercase = _normalization(config, None, folder, notes)[0]
        return TokenizerFiles(None, lowercase, {}, notes)
    lowercase, settings = _normalization(config, tokenizer_json, folder, notes)
    tokens = _added_tokens(folder, config, special_map, tokenizer_json)
    specials = _special_tokens(special_map) | _special_tokens(config)
    vocabulary, added = _vocabulary_with_added_tokens(folder, base, tokens, specials, notes)
    if added:
        settings["added_tokens"] = added
    return TokenizerFiles(vocabulary, lowercase, settings, notes)


def _check_flat_file(found: dict, table: dict, path: Path) -> list[str]:
    """Checks every key of a file except custom special tokens, such as `entity_token`."""
    custom = {name for name, value in found.items() if name.endswith("_token") and isinstance(value, str | dict)}
    return check_keys(
        {name: value for name, value in found.items() if name in table or name not in custom}, table, str(path)
    )


def _check_tokenizer_json(tokenizer_json: dict, path: Path) -> list[str]:
    """Checks every key of a `tokenizer.json`, and its row template."""
    model = tokenizer_json.get("model")
    for name in ("normalizer", "pre_tokenizer", "post_processor", "truncation", "padding"):
        _as_type(tokenizer_json.get(name), dict, f"{name} in {path}")
    if not isinstance(model, dict) or not isinstance(model.get("vocab"), dict):
        kind = model.get("type") if isinstance(model, dict) else model
        raise InputError(
            f"{path} is not a WordPiece tokenizer. Expected: a model with a vocabulary. Received: {kind!r}."
        )
    wrong = next((piece for piece, index in model["vocab"].items() if not isinstance(index, int)), None)
    if wrong is not None:
        raise InputError(f"model.vocab in {path} must hold ids. Received: {wrong!r}: {model['vocab'][wrong]!r}.")
    if tokenizer_json.get("pre_tokenizer", "BERT's") is None:
        raise InputError(f"{path} has no word splitter (pre_tokenizer=None). Expected: BertPreTokenizer.")
    rows = _rows_of(tokenizer_json.get("post_processor"), path)
    if rows is not None and rows != BERT_ROWS:
        raise InputError(
            f"{path} does not build BERT's rows (post_processor). Expected: [CLS] text [SEP], and for pairs "
            f"[CLS] text [SEP] text [SEP] with segments 0 and 1. Received: {rows}."
        )
    flat: dict[str, Any] = {}
    for name, value in tokenizer_json.items():
        inner = isinstance(value, dict) and name not in ("post_processor", "decoder")
        flat |= {f"{name}.{key}": entry for key, entry in value.items()} if inner else {name: value}
    return check_keys(flat, TOKENIZER, str(path))


def _as_type(value: Any, kind: type, what: str) -> Any:
    """Returns a value of a JSON file; `null` becomes an empty object or list.

    Raises:
        InputError: it has another type.
    """
    if value is None:
        return kind()
    if not isinstance(value, kind) or isinstance(value, bool):
        raise InputError(f"{what} must be {JSON_TYPE_NAMES[kind]}. Received: {json.dumps(value)[:60]}.")
    return value


def _rows_of(processor: Any, path: Path) -> tuple[list[str], list[str]] | None:
    """Returns a post-processor's rows for a text and for a pair, each part with its segment.

    `None` without a post-processor: transformers then builds BERT's rows.
    """
    if processor is None:
        return None
    if processor.get("type") == "BertProcessing":
        cls, sep = (
            _as_type(processor.get(name), list, f"{name} of post_processor in {path}") for name in ("cls", "sep")
        )
        cls, sep = f"{(cls or [None])[0]}0", (sep or [None])[0]
        return [cls, "A0", f"{sep}0"], [cls, "A0", f"{sep}0", "B1", f"{sep}1"]
    if processor.get("type") != "TemplateProcessing":
        return [str(processor.get("type"))], []

    def template(name: str) -> list[str]:
        what = f"{name} of post_processor in {path}"
        parts = [_as_type(part, dict, what) for part in _as_type(processor.get(name), list, what)]
        found = [_as_type(part.get("Sequence") or part.get("SpecialToken"), dict, what) for part in parts]
        return [f"{part.get('id')}{part.get('type_id')}" for part in found]

    return template("single"), template("pair")


def _base_vocabulary(folder: Path, tokenizer_json: dict | None) -> dict[str, int] | None:
    """Returns the ids of the word pieces, `None` without a vocabulary.

    Raises:
        InputError: `vocab.txt` and `tokenizer.json` give a piece different ids, or one of them lacks a piece.
    """
    in_json = None if tokenizer_json is None else tokenizer_json["model"]["vocab"]
    if not (folder / "vocab.txt").is_file():
        return in_json
    lines = read_lines(folder / "vocab.txt")
    listed = {piece: index for index, piece in enumerate(lines)}
    if len(listed) < len(lines):
        SpanBertTokenizer(folder / "vocab.txt")  # raises with the duplicate piece
    if tokenizer_json is None or in_json is None or in_json == listed:
        return listed
    added = [token for token in tokenizer_json.get("added_tokens") or [] if isinstance(token, dict)]
    of_added = {token.get("content"): token.get("id") for token in added}
    theirs = in_json | of_added
    for piece, index in listed.items():
        if theirs.get(piece, index) != index or piece not in theirs:
            raise InputError(
                f"{folder / 'vocab.txt'} and {folder / 'tokenizer.json'} hold different vocabularies: {piece!r} has "
                f"the id {index} in the first and {theirs.get(piece, 'none')} in the second. Remove the wrong file."
            )
    missing = [piece for piece in in_json if piece not in listed and piece not in of_added]
    if missing:
        raise InputError(
            f"{folder / 'vocab.txt'} and {folder / 'tokenizer.json'} hold different vocabularies: {len(missing):,} "
            f"pieces of the second are not in the first, such as {missing[0]!r}. Remove the wrong file."
        )
    return in_json


def _normalization(
    config: dict, tokenizer_json: dict | None, folder: Path, notes: list[str]
) -> tuple[bool | None, dict[str, Any]]:
    """Returns whether text is lowercased, and the other settings that differ from BERT's."""
    in_file: dict[str, Any] = {}
    if tokenizer_json is not None and "normalizer" in tokenizer_json:
        in_file = NO_NORMALIZATION if tokenizer_json["normalizer"] is None else tokenizer_json["normalizer"]
    file_only = bool(in_file) and config.get("tokenizer_class") in FILE_ONLY_CLASSES
    found: dict[str, Any] = {}
    for key, (inner, ours) in NORMALIZATION.items():
        # `null` means "not set", except for strip_accents, where it means "as lower-casing".
        stated = key in config and (config[key] is not None or key == "strip_accents") and not file_only
        value, other = (config[key], in_file.get(inner)) if stated else (in_file.get(inner), None)
        if not isinstance(value, bool | None):
            where = f"tokenizer_config.json sets {key}" if stated else f"tokenizer.json sets normalizer.{inner}"
            raise InputError(f"{folder / where}={value!r}. Expected: true, false or null.")
        if stated and inner in in_file and other != value:
            notes.append(
                f"{folder}: tokenizer_config.json sets {key}={value}, the normalizer of tokenizer.json {inner}={other}."
                " The first takes precedence, as in transformers."
            )
        elif inner in in_file and not stated and not file_only and value != TRANSFORMERS_DEFAULTS[key]:
            notes.append(
                f"{folder}: only tokenizer.json sets {inner}={value}, which is used. transformers' BertTokenizer "
                f"reads {key} only from tokenizer_config.json, and its default is {TRANSFORMERS_DEFAULTS[key]}."
            )
        if value is not None:
            found[ours] = value
    if in_file.get("clean_text", True) is False:
        # BertTokenizer and the like, if stated, always clean text in transformers. Otherwise the file is followed.
        followed = file_only or "tokenizer_class" not in config
        found |= {"clean_text": False} if followed else {}
        if not file_only:
            notes.append(
                f"{folder}: tokenizer.json keeps control characters, transformers' BertTokenizer removes them. "
                f"Here they are {'kept' if followed else 'removed'}."
            )
    lowercase = found.pop("lowercase", None)
    if lowercase is None and config:
        notes.append(
            f"{folder}: no file sets do_lower_case, so lower-casing is inferred from the vocabulary. "
            "transformers would lowercase."
        )
    # Keep only what differs from the defaults of `SpanBertTokenizer`.
    if found.get("split_chinese_characters"):
        del found["split_chinese_characters"]
    if found.get("strip_accents") == lowercase:
        found.pop("strip_accents", None)
    return lowercase, found


def _added_tokens(folder: Path, config: dict, special_map: dict, tokenizer_json: dict | None) -> dict[int, Token]:
    """Returns the added tokens of all files, by id. Later files override earlier ones."""
    specials = {*SPECIAL_PIECES, *_special_tokens(special_map), *_special_tokens(config)}
    found: dict[int, Token] = {}
    for content, index in (read_settings(folder / "added_tokens.json") or {}).items():
        entry = {"content": content, "special": content in specials}
        found[_checked_id(index, content, folder / "added_tokens.json")] = _checked_token(entry, folder)
    path = folder / "tokenizer.json"
    for entry in _as_type((tokenizer_json or {}).get("added_tokens"), list, f"added_tokens in {path}"):
        _as_type(entry, dict, f"added_tokens in {path}: each")
        found[_checked_id(entry.get("id"), entry.get("content"), path)] = _checked_token(entry, folder)
    path = folder / "tokenizer_config.json"
    what = f"added_tokens_decoder in {path}"
    for index, entry in _as_type(config.get("added_tokens_decoder"), dict, what).items():
        _as_type(entry, dict, f"{what}: each token")
        number = int(index) if index.isascii() and index.isdigit() else index
        found[_checked_id(number, entry.get("content"), path)] = _checked_token(entry, folder)
    return found


def _checked_id(value: Any, content: Any, path: Path) -> int:
    """Returns the id of an added token. Raises `InputError` unless it is a whole number."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise InputError(f"{path}: the added token {content!r} needs an id, a whole number. Received: {value!r}.")
    return value


def _checked_token(entry: dict[str, Any], folder: Path | str) -> Token:
    """Returns a token's content and all its flags.

    Raises:
        InputError: it has no text, or a flag is not a boolean.
    """
    flags = {name: entry.get(name) or False for name in TOKEN_FLAGS}
    if entry.get("normalized") is None:
        flags["normalized"] = not flags["special"]
    content = entry.get("content")
    if not isinstance(content, str) or not content.strip() or not all(isinstance(x, bool) for x in flags.values()):
        raise InputError(
            f"{folder} has an added token that cannot be used. Expected: text and flags. Received: {entry}."
        )
    return {"content": content} | flags


def _special_tokens(settings: dict) -> dict[str, Token]:
    """Returns a file's special tokens besides BERT's five, by their text."""
    values: list[Any] = []
    for name in ("additional_special_tokens", "extra_special_tokens", "model_specific_special_tokens"):
        value = settings.get(name) or []
        values += (
            value.values() if isinstance(value, dict) else _as_type(value, list, f"{name} of the tokenizer's files")
        )
    wrong = [value for value in values if not isinstance(value, str | dict)]
    if wrong:
        raise InputError(f"Special tokens in the tokenizer's files must be strings. Received: {json.dumps(wrong[0])}.")
    values += [value for name, value in settings.items() if name.endswith("_token") and isinstance(value, str | dict)]
    entries = [{"content": value} if isinstance(value, str) else value for value in values]
    return {
        entry["content"]: _checked_token(entry | {"special": True}, "The folder")
        for entry in entries
        if entry.get("content") not in (None, "", *SPECIAL_PIECES)
    }


def _vocabulary_with_added_tokens(
    folder: Path, base: dict[str, int], tokens: dict[int, Token], specials: dict[str, Token], notes: list[str]
) -> tuple[list[str], list[Token]]:
    """Returns every token at its id, and the added tokens that change how text is split.

    Raises:
        InputError: ids have a gap, or a token has two ids.
    """
    ids = dict(base)
    for index, token in tokens.items():
        content = token["content"]
        if ids.setdefault(content, index) != index:
            raise InputError(
                f"{folder} gives the token {content!r} two ids: {ids[content]} in its vocabulary and {index} among the "
                "added tokens. Expected: one."
            )
    places = {index: piece for piece, index in ids.items()}
    if len(places) != len(ids) or sorted(places) != list(range(len(places))):
        raise InputError(f"{folder} does not number its {len(ids)} tokens from 0 without a gap.")
    absent = [content for content in specials if content not in ids]
    if absent:
        notes.append(
            f"{folder} names special tokens without an id, which are treated as ordinary text: {', '.join(absent)}."
        )
    named = {content: token for content, token in specials.items() if content in ids}
    named |= {token["content"]: token for token in tokens.values()}
    added = []
    for content in sorted(named, key=lambda content: ids[content]):
        token = named[content] | {"word_piece": content in base}
        if content in SPECIAL_PIECES:  # matched only if texts may hold special tokens; most set no other flag
            token |= {"special": True}
            if not any(token[name] for name in TOKEN_FLAGS if name != "special"):
                continue
        added.append(token)
    return [places[index] for index in range(len(places))], added


def read_lines(path: str | os.PathLike) -> list[str]:
    """Returns the word pieces of a `vocab.txt`, one per line.

    Raises:
        InputError: the file is missing or is not UTF-8.
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"The vocabulary {path} cannot be read: {error}.") from error
    return [line.rstrip("\r") for line in text.removesuffix("\n").split("\n")]


def looks_lowercased(vocabulary: list[str]) -> bool:
    """Returns whether no ordinary piece has a capital letter, as in the vocabulary of an uncased model."""
    return not any(piece != piece.lower() for piece in vocabulary if not BRACKETED_PIECE.fullmatch(piece))
