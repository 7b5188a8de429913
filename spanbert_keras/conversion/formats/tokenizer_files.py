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
NORMALIZATION = {  # key of tokenizer_config.json -> (key of the normalizer in tokenizer.json, argument of ours)
    "do_lower_case": ("lowercase", "lowercase"),
    "strip_accents": ("strip_accents", "strip_accents"),
    "tokenize_chinese_chars": ("handle_chinese_chars", "split_chinese_characters"),
}
TRANSFORMERS_DEFAULTS = {"do_lower_case": True, "strip_accents": None, "tokenize_chinese_chars": True}
NO_NORMALIZATION = {"lowercase": False, "strip_accents": False, "handle_chinese_chars": False, "clean_text": False}
FILE_ONLY_CLASSES = (
    "PreTrainedTokenizerFast",
    "TokenizersBackend",
)  # classes that take all settings from tokenizer.json
SPECIAL_PIECES = tuple(SPECIAL_TOKENS.values())
JSON_TYPE_NAMES: dict[type, str] = {dict: "a JSON object", list: "a JSON array"}
FLAGS = ("special", "lstrip", "rstrip", "single_word", "normalized")  # of an added token

Token = dict[str, Any]  # `content` and its flags, as in `SpanBertTokenizer(added_tokens=...)`
BERT_ROWS = (
    ["[CLS]0", "A0", "[SEP]0"],
    ["[CLS]0", "A0", "[SEP]0", "B1", "[SEP]1"],
)  # parts, each followed by its segment


@dataclasses.dataclass
class TokenizerFiles:
    """Vocabulary and settings of a folder's tokenizer.

    Attributes:
        vocabulary: list of str, every token at its id, or `None` without a vocabulary.
        lowercase: bool, or `None` if no file sets it.
        settings: dict. Further arguments of `SpanBertTokenizer` that differ from their defaults.
        notes: list of str. Sentences to show to the user.
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
        folder: folder with any of these files.

    Returns:
        `TokenizerFiles`.

    Raises:
        InputError: a file is damaged, two files disagree on the vocabulary, or the tokenizer splits text in a way that
            `SpanBertTokenizer` does not support.
    """
    folder = Path(folder)
    config = read_settings(folder / "tokenizer_config.json") or {}
    special_map = read_settings(folder / "special_tokens_map.json") or {}
    whole = read_settings(folder / "tokenizer.json")
    notes = _check_flat(config, TOKENIZER_CONFIG, folder / "tokenizer_config.json")
    notes += _check_flat(special_map, SPECIAL_TOKENS_MAP, folder / "special_tokens_map.json")
    if whole is not None:
        notes += _check_whole(whole, folder / "tokenizer.json")
    base = _base_vocabulary(folder, whole)
    if base is None:
        lowercase = _normalization(config, None, folder, notes)[0]
        return TokenizerFiles(None, lowercase, {}, notes)
    lowercase, settings = _normalization(config, whole, folder, notes)
    tokens = _added_tokens(folder, config, special_map, whole)
    specials = _special_tokens(special_map) | _special_tokens(config)
    vocabulary, added = _whole_vocabulary(folder, base, tokens, specials, notes)
    if added:
        settings["added_tokens"] = added
    return TokenizerFiles(vocabulary, lowercase, settings, notes)


def _check_flat(found: dict, table: dict, path: Path) -> list[str]:
    """Checks every key of a file except for custom special tokens, such as `entity_token`."""
    custom = {name for name, value in found.items() if name.endswith("_token") and isinstance(value, str | dict)}
    return check_keys(
        {name: value for name, value in found.items() if name in table or name not in custom}, table, str(path)
    )


def _check_whole(whole: dict, path: Path) -> list[str]:
    """Checks every key of a `tokenizer.json`, and its row template."""
    model = whole.get("model")
    for name in ("normalizer", "pre_tokenizer", "post_processor", "truncation", "padding"):
        _typed(whole.get(name), dict, f"{name} in {path}")
    if not isinstance(model, dict) or not isinstance(model.get("vocab"), dict):
        kind = model.get("type") if isinstance(model, dict) else model
        raise InputError(
            f"{path} is not a WordPiece tokenizer. Expected: a model with a vocabulary. Received: {kind!r}."
        )
    wrong = next((piece for piece, index in model["vocab"].items() if not isinstance(index, int)), None)
    if wrong is not None:
        raise InputError(f"model.vocab in {path} must hold ids. Received: {wrong!r}: {model['vocab'][wrong]!r}.")
    if whole.get("pre_tokenizer", "BERT's") is None:
        raise InputError(f"{path} has no word splitter (pre_tokenizer=None). Expected: BertPreTokenizer.")
    rows = _rows_of(whole.get("post_processor"), path)
    if rows is not None and rows != BERT_ROWS:
        raise InputError(
            f"{path} does not make BERT's rows (post_processor). Expected: [CLS] text [SEP], and for pairs "
            f"[CLS] text [SEP] text [SEP] with segments 0 and 1. Received: {rows}."
        )
    flat: dict[str, Any] = {}
    for name, value in whole.items():
        inner = isinstance(value, dict) and name not in ("post_processor", "decoder")
        flat |= {f"{name}.{key}": entry for key, entry in value.items()} if inner else {name: value}
    return check_keys(flat, TOKENIZER, str(path))


def _typed(value: Any, kind: type, what: str) -> Any:
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
    """Returns the rows of a text and of a pair that a post-processor makes, each part with its segment.

    `None`: without a post-processor transformers makes BERT's rows.
    """
    if processor is None:
        return None
    if processor.get("type") == "BertProcessing":
        cls, sep = (_typed(processor.get(name), list, f"{name} of post_processor in {path}") for name in ("cls", "sep"))
        cls, sep = f"{(cls or [None])[0]}0", (sep or [None])[0]
        return [cls, "A0", f"{sep}0"], [cls, "A0", f"{sep}0", "B1", f"{sep}1"]
    if processor.get("type") != "TemplateProcessing":
        return [str(processor.get("type"))], []

    def template(name: str) -> list[str]:
        what = f"{name} of post_processor in {path}"
        parts = [_typed(part, dict, what) for part in _typed(processor.get(name), list, what)]
        found = [_typed(part.get("Sequence") or part.get("SpecialToken"), dict, what) for part in parts]
        return [f"{part.get('id')}{part.get('type_id')}" for part in found]

    return template("single"), template("pair")


def _base_vocabulary(folder: Path, whole: dict | None) -> dict[str, int] | None:
    """Returns the ids of WordPiece's pieces, `None` without a vocabulary.

    Raises:
        InputError: `vocab.txt` and `tokenizer.json` give a piece different ids.
    """
    in_whole = None if whole is None else whole["model"]["vocab"]
    if not (folder / "vocab.txt").is_file():
        return in_whole
    lines = read_lines(folder / "vocab.txt")
    listed = {piece: index for index, piece in enumerate(lines)}
    if len(listed) < len(lines):
        SpanBertTokenizer(folder / "vocab.txt")  # raises, as it holds a piece twice
    if whole is None or in_whole is None or in_whole == listed:
        return listed
    added = [token for token in whole.get("added_tokens") or [] if isinstance(token, dict)]
    theirs = in_whole | {token.get("content"): token.get("id") for token in added}
    for piece, index in listed.items():
        if theirs.get(piece, index) != index or piece not in theirs:
            raise InputError(
                f"{folder / 'vocab.txt'} and {folder / 'tokenizer.json'} hold different vocabularies: {piece!r} has "
                f"the id {index} in the first and {theirs.get(piece, 'none')} in the second. Remove the wrong one."
            )
    return in_whole


def _normalization(
    config: dict, whole: dict | None, folder: Path, notes: list[str]
) -> tuple[bool | None, dict[str, Any]]:
    """Returns whether text is lowercased, and the other settings that differ from BERT's."""
    in_file: dict[str, Any] = {}
    if whole is not None and "normalizer" in whole:
        in_file = NO_NORMALIZATION if whole["normalizer"] is None else whole["normalizer"]
    file_only = bool(in_file) and config.get("tokenizer_class") in FILE_ONLY_CLASSES
    found: dict[str, Any] = {}
    for key, (inner, ours) in NORMALIZATION.items():
        stated = key in config and (config[key] is not None or key == "strip_accents") and not file_only
        value, other = (config[key], in_file.get(inner)) if stated else (in_file.get(inner), None)
        if not isinstance(value, bool | None):
            raise InputError(f"{folder / 'tokenizer_config.json'} says {key}={value!r}. Expected: true, false or null.")
        if stated and inner in in_file and other != value:
            notes.append(
                f"{folder}: tokenizer_config.json says {key}={value}, the normalizer of tokenizer.json {inner}={other}."
                " The first takes precedence, as in transformers."
            )
        elif inner in in_file and not stated and not file_only and value != TRANSFORMERS_DEFAULTS[key]:
            notes.append(
                f"{folder}: only tokenizer.json says {inner}={value}, which is used. transformers' BertTokenizer "
                f"reads {key} only from tokenizer_config.json, and its default is {TRANSFORMERS_DEFAULTS[key]}."
            )
        if value is not None:
            found[ours] = value
    if in_file.get("clean_text", True) is False:
        followed = file_only or "tokenizer_class" not in config
        found |= {"clean_text": False} if followed else {}
        if not file_only:
            notes.append(
                f"{folder}: tokenizer.json keeps control characters, transformers' BertTokenizer removes them. "
                f"They are {'kept' if followed else 'removed'}."
            )
    lowercase = found.pop("lowercase", None)
    if lowercase is None and config:
        notes.append(
            f"{folder}: no file sets do_lower_case, so lower-casing is inferred from the vocabulary. "
            "transformers would lowercase."
        )
    if found.get("split_chinese_characters"):
        del found["split_chinese_characters"]
    if found.get("strip_accents") == lowercase:
        found.pop("strip_accents", None)
    return lowercase, found


def _added_tokens(folder: Path, config: dict, special_map: dict, whole: dict | None) -> dict[int, Token]:
    """Returns the added tokens by id, as listed in the files; later files override earlier ones."""
    specials = {*SPECIAL_PIECES, *_special_tokens(special_map), *_special_tokens(config)}
    found: dict[int, Token] = {}
    for content, index in (read_settings(folder / "added_tokens.json") or {}).items():
        entry = {"content": content, "special": content in specials}
        found[_id(index, content, folder / "added_tokens.json")] = _token(entry, folder)
    path = folder / "tokenizer.json"
    for entry in _typed((whole or {}).get("added_tokens"), list, f"added_tokens in {path}"):
        _typed(entry, dict, f"added_tokens in {path}: each")
        found[_id(entry.get("id"), entry.get("content"), path)] = _token(entry, folder)
    path = folder / "tokenizer_config.json"
    what = f"added_tokens_decoder in {path}"
    for index, entry in _typed(config.get("added_tokens_decoder"), dict, what).items():
        _typed(entry, dict, f"{what}: each token")
        number = int(index) if index.isascii() and index.isdigit() else index
        found[_id(number, entry.get("content"), path)] = _token(entry, folder)
    return found


def _id(value: Any, content: Any, path: Path) -> int:
    """Returns the id of an added token; raises `InputError` for anything but a whole number."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise InputError(f"{path}: the added token {content!r} needs an id, a whole number. Received: {value!r}.")
    return value


def _token(entry: dict[str, Any], folder: Path | str) -> Token:
    """Returns the content and all flags of a token.

    Raises:
        InputError: it has no text, or a flag that is not a boolean.
    """
    flags = {name: entry.get(name) or False for name in FLAGS}
    if entry.get("normalized") is None:
        flags["normalized"] = not flags["special"]
    content = entry.get("content")
    if not isinstance(content, str) or not content.strip() or not all(isinstance(x, bool) for x in flags.values()):
        raise InputError(
            f"{folder} has an added token that cannot be used. Expected: text and flags. Received: {entry}."
        )
    return {"content": content} | flags


def _special_tokens(settings: dict) -> dict[str, Token]:
    """Returns a file's special tokens other than BERT's five, by their text."""
    values: list[Any] = []
    for name in ("additional_special_tokens", "extra_special_tokens", "model_specific_special_tokens"):
        value = settings.get(name) or []
        values += value.values() if isinstance(value, dict) else _typed(value, list, f"{name} of the tokenizer's files")
    wrong = [value for value in values if not isinstance(value, str | dict)]
    if wrong:
        raise InputError(f"Special tokens in the tokenizer's files must be text. Received: {json.dumps(wrong[0])}.")
    values += [value for name, value in settings.items() if name.endswith("_token") and isinstance(value, str | dict)]
    entries = [{"content": value} if isinstance(value, str) else value for value in values]
    return {
        entry["content"]: _token(entry | {"special": True}, "The folder")
        for entry in entries
        if entry.get("content") not in (None, "", *SPECIAL_PIECES)
    }


def _whole_vocabulary(
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
        raise InputError(f"{folder} does not number its {len(ids)} pieces from 0 without a gap.")
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
        if content in SPECIAL_PIECES:  # matched only if texts may hold special tokens; most have no relevant flag
            token |= {"special": True}
            if not any(token[name] for name in FLAGS if name != "special"):
                continue
        added.append(token)
    return [places[index] for index in range(len(places))], added


def read_lines(path: str | os.PathLike) -> list[str]:
    """Returns the pieces of a `vocab.txt`, one per line.

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
