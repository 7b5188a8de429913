"""BERT's normalization of text as tables over all code points, computed with the `tokenizers` library."""

import dataclasses
import functools

import numpy as np
from tokenizers import normalizers, pre_tokenizers

CODE_POINTS = 0x110000
PAGE_SIZE = 256  # code points; most pages are equal, and equal pages are stored once
SURROGATES = range(0xD800, 0xE000)  # do not occur in text
ORDINARY, SEPARATE, SPACE = range(3)
BLOCKER = "\0"  # a removed accent that keeps its neighbours in their order; cleaned text holds no other NUL
HIGHEST_MARK = "\u0345"  # the mark of Unicode's highest combining class, 240


@dataclasses.dataclass(frozen=True)
class PagedTable:
    """One small integer for each code point: `entries[256 pages[c // 256] + c % 256]`, both int32 and flat."""

    pages: np.ndarray
    entries: np.ndarray

    @classmethod
    def of(cls, dense: np.ndarray) -> "PagedTable":
        """Returns the table of an integer array `(0x110000,)`."""
        distinct: dict[bytes, int] = {}
        pages = [distinct.setdefault(page.tobytes(), len(distinct)) for page in dense.reshape(-1, PAGE_SIZE)]
        entries = np.frombuffer(b"".join(distinct), dense.dtype)
        return cls(np.array(pages, np.int32), entries.astype(np.int32))


@dataclasses.dataclass(frozen=True)
class NormalizationTables:
    """BERT's normalization of each code point, before words are split into pieces.

    All tables are computed with the `tokenizers` library, which our tokenizer uses, so that both follow the same
    version of Unicode. A code point's replacement depends only on itself, with one exception: if accents are stripped,
    the remaining marks are put in canonical order, for which there are `ranks`.

    Attributes:
        replacements: by original code point. 0: unchanged; k > 0: replaced by `values[splits[k - 1]:splits[k]]`.
        values: int32 `(N,)`. Code points, and 0 for a removed accent that no mark may move across.
        splits: int32 `(K + 1,)`.
        kinds: by replaced code point: `ORDINARY`, `SEPARATE` (a separate word) or `SPACE` (between words).
        ranks: by replaced code point. 0: a mark may not move across it; else its rank among marks, by Unicode's
            canonical combining class. `None` if accents are kept.
    """

    replacements: PagedTable
    values: np.ndarray
    splits: np.ndarray
    kinds: PagedTable
    ranks: PagedTable | None

    @classmethod
    @functools.cache
    def read(
        cls, lowercase: bool, strip_accents: bool | None = None, split_chinese_characters: bool = True
    ) -> "NormalizationTables":
        """Returns the tables of a tokenizer. The first call takes a few seconds.

        Args:
            lowercase: bool. Whether text is lowercased (uncased models).
            strip_accents: bool or `None`. Whether accents are removed; `None`: same as `lowercase`.
            split_chinese_characters: bool. Whether every CJK character is a word.
        """
        if strip_accents is None:
            return cls.read(lowercase, lowercase, split_chinese_characters)
        normalized = _normalized(lowercase, strip_accents, split_chinese_characters)
        kinds = _kinds().copy()
        ranks = _ranks() if strip_accents else None
        if ranks is not None:
            # Accents are removed after reordering, so a removed accent of rank 0 must still block it.
            for code, (text, with_accents) in enumerate(zip(normalized, _normalized(False, False, True), strict=True)):
                if with_accents and not text and not ranks[ord(normalizers.NFD().normalize_str(with_accents)[0])]:
                    normalized[code] = BLOCKER
        sequences: dict[str, int] = {}
        replacements = np.zeros(CODE_POINTS, np.int32)
        for code, (character, text) in enumerate(zip(_characters(), normalized, strict=True)):
            if text == character:
                continue
            if text == f" {character} " and character:  # a Chinese character
                kinds[code] = SEPARATE
            else:
                replacements[code] = 1 + sequences.setdefault(text, len(sequences))
        splits = np.cumsum([0, *map(len, sequences)]).astype(np.int32)
        values = np.array([ord(character) for text in sequences for character in text], np.int32)
        rank_table = None if ranks is None else PagedTable.of(ranks)
        return cls(PagedTable.of(replacements), values, splits, PagedTable.of(kinds), rank_table)


def _characters() -> list[str]:
    """Returns the character of each code point, an empty text for surrogates."""
    return ["" if code in SURROGATES else chr(code) for code in range(CODE_POINTS)]


def _normalized(lowercase: bool, strip_accents: bool, split_chinese_characters: bool) -> list[str]:
    """Returns BERT's normalization of each character.

    Many characters are normalized in one call: "|" stays as it is, and nothing moves across it or joins it.
    """
    normalizer = normalizers.BertNormalizer(
        lowercase=lowercase, strip_accents=strip_accents, handle_chinese_chars=split_chinese_characters
    )
    characters = _characters()
    characters[ord("|")] = ""
    normalized = normalizer.normalize_str("|".join(characters)).split("|")
    normalized[ord("|")] = "|"
    return normalized


@functools.cache
def _kinds() -> np.ndarray:
    """Returns uint8 `(0x110000,)`: how BERT's splitter treats each character after an "a"."""
    split = pre_tokenizers.BertPreTokenizer().pre_tokenize_str
    kinds = np.full(CODE_POINTS, SPACE, np.uint8)
    for start in range(0, CODE_POINTS, PAGE_SIZE):
        if start in SURROGATES:
            continue
        characters = map(chr, range(start, start + PAGE_SIZE))
        places = np.full(2 * PAGE_SIZE, SPACE, np.uint8)
        for word, (first, end) in split("".join(f"a{character}" for character in characters)):
            places[first:end] = SEPARATE if len(word) == 1 else ORDINARY
        kinds[start : start + PAGE_SIZE] = places[1::2]  # character k is at 2 k + 1
    return kinds


@functools.cache
def _ranks() -> np.ndarray:
    """Returns uint8 `(0x110000,)`: 0 for code points that no mark moves across, else 1, 2, ... by combining class.

    Marks of one class keep their order when a text is put in canonical order. So sorting all marks, once from the
    first to the last and once from the last to the first, shows each class as a run that the other result reverses.
    """
    order = normalizers.NFD().normalize_str
    codes = (code for code in range(0x80, CODE_POINTS) if code not in SURROGATES)
    after_highest = order("".join(f"|{HIGHEST_MARK}{chr(code)}" for code in codes)).split("|")[1:]
    moved = {text[0] for text in after_highest if len(text) == 2 and text[1] == HIGHEST_MARK}
    marks = sorted(moved | {HIGHEST_MARK})
    forward = order("a" + "".join(marks))[1:]
    backward = order("a" + "".join(reversed(marks)))[1:]
    ranks = np.zeros(CODE_POINTS, np.uint8)
    start = rank = 0
    while start < len(forward):
        end = backward.index(forward[start]) + 1
        rank += 1
        for mark in forward[start:end]:
            ranks[ord(mark)] = rank
        start = end
    return ranks
