"""Strings that are hard to cut into pieces: all scripts, piles of marks, joiners, spaces and controls."""

import random
import unicodedata

# Ends of stretches of code points: scripts, marks, symbols, private use, every plane.
SCRIPTS = [
    (0x00, 0x20),
    (0x20, 0x7F),
    (0x7F, 0x250),
    (0x300, 0x370),
    (0x370, 0x600),
    (0x600, 0x1000),
    (0x1000, 0x2000),
    (0x2000, 0x2C00),
    (0x2E80, 0x3100),
    (0x3000, 0xA000),
    (0xAC00, 0xD800),
    (0xE000, 0xF900),
    (0xF900, 0x10000),
    (0x10000, 0x12000),
    (0x1D000, 0x1D400),
    (0x1E000, 0x1F000),
    (0x1F000, 0x20000),
    (0x20000, 0x30000),
    (0x30000, 0xE0000),
    (0xE0000, 0xE0200),
    (0xF0000, 0x110000),
]
MARKS = [code for code in range(0x300, 0x20000) if unicodedata.combining(chr(code))]
ODD = [0x200D, 0x34F, 0x200B, 0xFFFD, 0xFEFF, 0x85, 0xA0, 0x3000, 0x2028, 0xFE0F]


def odd_strings(count, seed):
    """Returns strings that mix scripts of all planes, piles of marks, joiners, spaces and controls."""
    choose = random.Random(seed)
    texts = []
    for _ in range(count):
        codes = []
        for _ in range(choose.randint(0, 6)):
            codes += [choose.randrange(*choose.choice(SCRIPTS)) for _ in range(choose.randint(1, 5))]
            codes += choose.choices(MARKS, k=choose.choice([0, 0, 1, 5]))
            codes += choose.choices([*ODD, 0x20], k=choose.choice([0, 1]))
        texts.append("".join(map(chr, codes)))
    return texts


SPECIALS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
WORDS = [
    "Café",
    "Cafe",
    "café",
    "cafe",
    "日本語",
    "日",
    "本",
    "語",
    "foo",
    "##d",
    "co",
    "##vid",
    "-",
    "19",
    "[",
    "E1",
    "]",
]
WORDS += ["/", "ÀB", "àb", "ab", "x", "bar", "Straße", "straße", "naïve", "naive", "NAÏVE", "\u0301", "covid", "on"]
HAND = [
    "Café 日本語",
    "日本語",
    "[E1] foo [/E1] covid-19",
    "food foo foo, xfoo",
    "COVID-19 on Covid-19",
    " [E1]x[/E1] ",
]
HAND += ["bar bar", "NAÏVE naïve", "ÀB àb", "a\x00b\u200bc", "Straße", "", "x\u0301 x"]


def hard_texts():
    """Returns 300 texts: random ones, some that show a setting of the tokenizer, and mixtures."""
    odd = odd_strings(200, seed=11)
    mixed = [f"{a} {b}{a}" for a, b in zip(HAND * 10, odd, strict=False)]
    return [*HAND, *mixed, *odd][:300]


def pieces_of(texts):
    """Returns a vocabulary in which most characters of the texts are pieces, alone and continued."""
    letters = sorted({c for text in texts for c in text + text.lower() if c > " " and not c.isspace()})
    known = dict.fromkeys([*SPECIALS, *WORDS, *letters, *(f"##{letter}" for letter in letters)])
    return [piece for piece in known if "\n" not in piece and "\r" not in piece]
