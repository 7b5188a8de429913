"""Reproducible training of a WordPiece vocabulary, on the `tokenizers` library."""

import collections
from collections.abc import Iterable, Iterator

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

from spanbert_keras.arguments import MAX_PIECES, whole_number
from spanbert_keras.errors import InputError
from spanbert_keras.preprocessing.wordpiece import LONE_SURROGATES, SPECIAL_PIECES

MAX_ALPHABET = 1000  # characters; the library's default
MAX_UNUSED = 99  # BERT's cased vocabulary: [PAD], [unused1] ... [unused99], [UNK], [CLS], [SEP], [MASK]
MAX_DISTINCT_TOKENS = 2_000_000  # keeps the count of words below some 300 MB for input of any size
MAX_TRAINING_CHARACTERS = 500_000_000  # above it, counts are scaled down, so that time is bounded
CHARACTERS_PER_STRING = 1_000


def train_wordpiece(texts: Iterable[str], vocabulary_size: int, lowercase: bool = False) -> list[str]:
    """Trains a WordPiece vocabulary with BERT's layout.

    [PAD] has id 0, then [unused1] ... (one piece in a hundred, at most 99), [UNK], [CLS], [SEP], [MASK], the single
    characters, and the merged pieces. The library alone numbers its pieces in the order of a randomly seeded hash
    table, which also decides between equally good merges; here the alphabet is counted first and given to it, so that
    equal texts give equal vocabularies.

    Args:
        texts: iterable of str, read once.
        vocabulary_size: int. Number of pieces; fewer are returned if the texts have too few that occur twice.
        lowercase: bool. The `lowercase` of the tokenizer that will use the vocabulary. Defaults to `False`.

    Returns:
        list of str; the index is the id.

    Raises:
        InputError: the texts have no words, or `vocabulary_size` is too small for the single characters.
    """
    vocabulary_size = whole_number("vocabulary_size", vocabulary_size, maximum=MAX_PIECES)
    words = count_words(texts, lowercase)
    if not words:
        raise InputError("A vocabulary cannot be trained: the input holds no words. Expected: text. Received: none.")
    unused = min(MAX_UNUSED, vocabulary_size // 100)
    pad, *others = SPECIAL_PIECES
    reserved = [pad, *(f"[unused{i + 1}]" for i in range(unused)), *others]
    alphabet = character_pieces(words)
    if len(reserved) + len(alphabet) >= vocabulary_size:
        raise InputError(
            f"A vocabulary of {vocabulary_size} pieces is too small for this text. Expected: more than "
            f"{len(reserved)} reserved and {len(alphabet)} single-character pieces. Received: {vocabulary_size}."
        )
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    trainer = trainers.WordPieceTrainer(
        vocab_size=vocabulary_size,
        min_frequency=2,
        special_tokens=[*reserved, *alphabet],  # first and in this order: their ids are fixed
        limit_alphabet=MAX_ALPHABET,
        initial_alphabet=[piece for piece in alphabet if len(piece) == 1],
        show_progress=False,
    )
    tokenizer.train_from_iterator(_repeated(words), trainer)
    ids = tokenizer.get_vocab()
    return sorted(ids, key=ids.__getitem__)


def count_words(texts: Iterable[str], lowercase: bool) -> dict[str, int]:
    """Returns how often each word (BERT's split: whitespace, punctuation, CJK characters) occurs, in sorted order.

    When distinct strings exceed `MAX_DISTINCT_TOKENS`, the rarest are dropped, first those seen once.
    """
    normalizer = normalizers.BertNormalizer(lowercase=lowercase)
    tokens: collections.Counter[str] = collections.Counter()
    for text in texts:
        tokens.update(normalizer.normalize_str(LONE_SURROGATES.sub("\ufffd", text)).split())
        if len(tokens) > MAX_DISTINCT_TOKENS:
            tokens = _without_rarest(tokens, MAX_DISTINCT_TOKENS // 2)
    splitter = pre_tokenizers.BertPreTokenizer()
    words: collections.Counter[str] = collections.Counter()
    for token, count in tokens.items():
        for word, _ in splitter.pre_tokenize_str(token):
            words[word] += count
    return dict(sorted(words.items()))


def _without_rarest(tokens: collections.Counter[str], limit: int) -> collections.Counter[str]:
    """Returns the tokens seen more than once, or twice, ... : the lowest bound that leaves at most `limit`."""
    floor = 0
    while len(tokens) > limit:
        floor += 1
        tokens = collections.Counter({token: count for token, count in tokens.items() if count > floor})
    return tokens


def character_pieces(words: dict[str, int]) -> list[str]:
    """Returns "c" for characters that begin words and "##c" for those that continue them, both in code point order.

    Only the `MAX_ALPHABET` most frequent characters count; among equally frequent ones the lower code point wins.
    """
    counts: collections.Counter[str] = collections.Counter()
    for word, count in words.items():
        for character in word:
            counts[character] += count
    kept = {c for c, _ in sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:MAX_ALPHABET]}
    starts = sorted({word[0] for word in words} & kept)
    return starts + [f"##{c}" for c in sorted(set().union(*(word[1:] for word in words)) & kept)]


def _repeated(words: dict[str, int]) -> Iterator[str]:
    """Yields strings in which each word stands as often as it was counted: the library takes no counts."""
    total = sum((len(word) + 1) * count for word, count in words.items())
    scale = 1 + total // MAX_TRAINING_CHARACTERS
    for word, count in words.items():
        left = -(-count // scale)
        step = max(1, CHARACTERS_PER_STRING // (len(word) + 1))
        while left > 0:
            yield f"{word} " * min(step, left)
            left -= step
