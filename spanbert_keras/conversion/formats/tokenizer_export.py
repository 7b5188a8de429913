"""Writes a tokenizer as files for transformers and the `tokenizers` library."""

import json
from pathlib import Path
from typing import Any

from spanbert_keras.errors import InputError
from spanbert_keras.models.encoder import SpanBertTokenizer


def write_tokenizer_files(tokenizer: SpanBertTokenizer, folder: Path, max_sequence_length: int) -> None:
    """Writes `vocab.txt`, `tokenizer.json` and `tokenizer_config.json`.

    Args:
        tokenizer: `SpanBertTokenizer` with a vocabulary.
        folder: path of an existing folder to write to.
        max_sequence_length: int. Longest row, in tokens.

    Raises:
        InputError: an added token's id is among those of the word pieces, which these files cannot represent.
    """
    pieces = tokenizer.get_vocabulary()
    tokens = tokenizer.added_tokens
    outside = {token["content"] for token in tokens if not token["word_piece"]}
    last = max(map(pieces.index, outside), default=len(pieces) - 1)
    if all(piece.startswith("[unused") for piece in pieces[last + 1 :]):
        pieces = pieces[: last + 1]  # the reader gives these names to rows beyond the vocabulary
        tokenizer = SpanBertTokenizer(pieces, lowercase=tokenizer.lowercase, **tokenizer.text_settings)
    base = pieces[: len(pieces) - len(outside)]
    inside = sorted(outside.intersection(base))
    if inside:
        raise InputError(
            f"A Hugging Face folder cannot represent this tokenizer: {inside[0]!r} has the id "
            f"{pieces.index(inside[0])}. Expected: added tokens after all {len(base)} word pieces."
        )
    text = "".join(f"{piece}\n" for piece in base)
    (folder / "vocab.txt").write_text(text, encoding="utf-8", newline="\n")
    (folder / "tokenizer.json").write_text(tokenizer.wordpiece.to_json(), encoding="utf-8", newline="\n")
    # Only tokenizer.json can state that text is not cleaned. This class takes all settings from it.
    name = "BertTokenizer" if tokenizer.clean_text else "PreTrainedTokenizerFast"
    settings: dict[str, Any] = {
        "tokenizer_class": name,
        "do_lower_case": tokenizer.lowercase,
        "strip_accents": tokenizer.strip_accents,
        "tokenize_chinese_chars": tokenizer.split_chinese_characters,
        "model_max_length": max_sequence_length,
    }
    settings |= {f"{piece.strip('[]').lower()}_token": piece for piece in tokenizer.special_tokens[:5]}
    if tokens:
        settings["added_tokens_decoder"] = {
            str(tokenizer.token_to_id(token["content"])): {
                name: value for name, value in token.items() if name != "word_piece"
            }
            for token in tokens
        }
        settings["additional_special_tokens"] = tokenizer.special_tokens[5:]
    path = folder / "tokenizer_config.json"
    path.write_text(json.dumps(settings, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
