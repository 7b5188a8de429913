"""Changes the lengths and the vocabulary of a checkpoint."""

import dataclasses

import numpy as np

from spanbert_keras.conversion.checkpoint import CASED_SIZE, UNCASED_SIZE, Checkpoint, vocabulary_of_size
from spanbert_keras.conversion.formats.own_models import make_tokenizer
from spanbert_keras.conversion.hugging_face_names import (
    MLM_BIAS,
    MLM_BIAS_AGAIN,
    POSITION_EMBEDDINGS,
    SBO_BIAS,
    TIED,
    WORD_EMBEDDINGS,
)
from spanbert_keras.conversion.tasks import row_lengths
from spanbert_keras.errors import InputError

UNUSED = "[unused"
MOST_POSITIONS = 1 << 17  # a table of half a gigabyte for a large model
MOST_PADDING = 127  # rows that some programs add to make the table's size a multiple of up to 128
GIVE = "give it as --vocab_file (of pretrain: --vocabulary)"


def resize_positions(checkpoint: Checkpoint, length: int) -> Checkpoint:
    """Returns a checkpoint with another number of positions.

    A shorter table keeps the first rows. A longer one repeats the rows from the second on (the first is that of [CLS]):
    neighbours stay neighbours, and training has a starting point. If a task's model reads rows as long as the table,
    its row length changes too.

    Args:
        checkpoint: checkpoint with a table of positions.
        length: int. New number of positions: tokens, [CLS] and [SEP] included.

    Raises:
        InputError: the length is below 1 or above `MOST_POSITIONS`.
    """
    old = checkpoint.architecture["max_sequence_length"]
    if not 1 <= length <= max(old, MOST_POSITIONS):
        raise InputError(f"A model can have 1 to {MOST_POSITIONS:,} positions. Received: max_sequence_length={length}.")
    if length == old:
        return checkpoint
    table = checkpoint.tensors[POSITION_EMBEDDINGS]
    if length < old:
        rows, note = table[:length], f"Positions: the first {length} of {old} rows are kept."
    else:
        repeated = np.concatenate([table, *[table[1:]] * -(-(length - old) // max(1, old - 1))])
        rows = repeated[:length]
        note = f"Positions: extended from {old} to {length} rows by repeating them; train before using more than {old}."
    whole = [name for name in row_lengths() if checkpoint.head_settings.get(name) == old]
    note += f" The longest row now has {length} tokens." if whole else ""
    return dataclasses.replace(
        checkpoint,
        tensors=checkpoint.tensors | {POSITION_EMBEDDINGS: rows},
        architecture=checkpoint.architecture | {"max_sequence_length": length},
        head_settings=checkpoint.head_settings | dict.fromkeys(whole, length),
        notes=[*checkpoint.notes, note],
    )


def resize_segments(checkpoint: Checkpoint, length: int) -> Checkpoint:
    """Returns a coreference resolver's checkpoint with another segment length.

    Args:
        checkpoint: checkpoint of a coreference resolver.
        length: int. New segment length: tokens, [CLS] and [SEP] included.

    Raises:
        InputError: the checkpoint is not of a coreference resolver, or the encoder has fewer positions.
    """
    if checkpoint.task != "coreference_resolver":
        raise InputError("--segment_length is for a coreference resolver. Received: a source of another kind.")
    positions = checkpoint.architecture["max_sequence_length"]
    if not 3 <= length <= positions:
        raise InputError(
            f"--segment_length must be at least 3 and at most the encoder's {positions} positions. Received: {length}."
        )
    settings = checkpoint.head_settings | {"segment_length": length}
    note = f"Segments: {length} word pieces."
    return dataclasses.replace(checkpoint, head_settings=settings, notes=[*checkpoint.notes, note])


def fit_vocabulary(checkpoint: Checkpoint) -> Checkpoint:
    """Returns a checkpoint whose vocabulary has a word piece for each row of the embeddings.

    Some programs pad the table; the rows at its end are then called [unusedN].

    Raises:
        InputError: the vocabulary is missing, or does not fit the embeddings.
    """
    size = checkpoint.architecture["vocabulary_size"]
    if not checkpoint.vocabulary:
        raise InputError(f"{checkpoint.source} has no vocabulary: {vocabulary_of_size(size)}; {GIVE}.")
    pieces = list(checkpoint.vocabulary)
    if len(pieces) > size:
        raise InputError(
            f"The vocabulary of {checkpoint.source} has {len(pieces)} pieces, its embeddings {size} rows: "
            f"{vocabulary_of_size(size)}; {GIVE}."
        )
    if len(pieces) == size:
        return checkpoint
    if size - len(pieces) > MOST_PADDING or size in (CASED_SIZE, UNCASED_SIZE):
        raise InputError(
            f"The vocabulary of {checkpoint.source} has only {len(pieces)} pieces, its embeddings {size} rows: "
            f"{vocabulary_of_size(size)}; {GIVE}."
        )
    taken, numbers = set(pieces), (f"{UNUSED}{i}]" for i in range(2 * size))
    free = [name for name in numbers if name not in taken][: size - len(pieces)]
    note = f"The embeddings have {len(free)} more rows than the vocabulary has pieces; these are called [unusedN]."
    return dataclasses.replace(checkpoint, vocabulary=pieces + free, notes=[*checkpoint.notes, note])


def add_pieces(checkpoint: Checkpoint, pieces: list[str]) -> Checkpoint:
    """Returns a checkpoint with more word pieces: first in place of [unusedN], then at the end.

    The old vocabulary splits each new piece into known ones. A new row of the embeddings is the mean of their rows; a
    new entry of each vocabulary bias is the mean of their entries.

    Args:
        checkpoint: checkpoint whose vocabulary fits its embeddings.
        pieces: list of str in WordPiece notation: the prefix `##` marks the continuation of a word. Known pieces are
            left out and counted in a note.

    Raises:
        InputError: a piece is empty or contains a space, or no piece is new.
    """
    vocabulary = list(checkpoint.vocabulary or [])
    for piece in pieces:
        if not piece.removeprefix("##") or any(character.isspace() for character in piece):
            raise InputError(f"A piece must be text without spaces, with the optional prefix ##. Received: {piece!r}.")
    known = set(vocabulary)
    new = [piece for piece in dict.fromkeys(pieces) if piece not in known]
    if not new:
        raise InputError(f"None of the {len(pieces)} pieces to add is new: the vocabulary already has them all.")
    tokenizer = make_tokenizer(checkpoint)
    parts = [_parts(piece, tokenizer) for piece in new]
    unknown = sum(tokenizer.unk_token_id in ids for ids in parts)
    unused = [i for i, piece in enumerate(vocabulary) if piece.startswith(UNUSED)][: len(new)]
    places = unused + list(range(len(vocabulary), len(vocabulary) + len(new) - len(unused)))
    size = len(vocabulary) + len(new) - len(unused)
    tensors = dict(checkpoint.tensors)
    for name in (WORD_EMBEDDINGS, MLM_BIAS, SBO_BIAS, MLM_BIAS_AGAIN, *TIED):
        if name in tensors:
            tensors[name] = _grown(tensors[name], size, places, parts)
    vocabulary += [""] * (size - len(vocabulary))
    for place, piece in zip(places, new, strict=True):
        vocabulary[place] = piece
    note = f"{len(new)} pieces added: {len(unused)} in place of [unusedN], {len(new) - len(unused)} at the end"
    note += f"; {len(pieces) - len(new)} were already known" if len(new) < len(pieces) else ""
    note += f"; {unknown} have a part that the old vocabulary lacks" if unknown else ""
    grown = dataclasses.replace(
        checkpoint,
        tensors=tensors,
        vocabulary=vocabulary,
        architecture=checkpoint.architecture | {"vocabulary_size": size},
        notes=[*checkpoint.notes, note + "."],
    )
    lost = _unreachable(grown, new)
    if lost:
        grown.notes.append(
            f"The tokenizer never produces these pieces, since it splits or lower-cases text first: {', '.join(lost)}."
        )
    return grown


def _parts(piece: str, tokenizer) -> list[int]:
    """Returns the ids of a piece's text in the old vocabulary, longest match first as in WordPiece."""
    if not piece.startswith("##"):
        return tokenizer.tokenize(piece) or [tokenizer.unk_token_id]
    known, rest, ids = tokenizer.wordpiece.ids, piece[2:], []
    while rest:
        length = next((n for n in range(len(rest), 0, -1) if f"##{rest[:n]}" in known), 0)
        if not length:
            return [tokenizer.unk_token_id]
        ids.append(known[f"##{rest[:length]}"])
        rest = rest[length:]
    return ids


def _unreachable(checkpoint: Checkpoint, pieces: list[str]) -> list[str]:
    """Returns the pieces that the tokenizer never produces."""
    tokenizer = make_tokenizer(checkpoint)
    plain = [piece for piece in pieces if not piece.startswith("##")]
    return [piece for piece in plain if tokenizer.tokenize(piece) != [tokenizer.token_to_id(piece)]]


def _grown(table: np.ndarray, size: int, places: list[int], parts: list[list[int]]) -> np.ndarray:
    """Returns a table of `size` rows whose new rows are means of old rows."""
    grown = np.zeros((size, *table.shape[1:]), table.dtype)
    grown[: len(table)] = table
    for place, ids in zip(places, parts, strict=True):
        grown[place] = table[ids].astype(np.float32).mean(0).astype(table.dtype)
    return grown
