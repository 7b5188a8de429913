"""Natural English: phrases that read as translated are absent from code, messages, documentation and test names."""

import ast
import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
ROOMS = ("spanbert_keras", "tasks", "benchmarks", "configs", "docs", "tests", ".ci", ".")
SUFFIXES = {".py", ".md", ".flags", ".html", ".js", ".css", ".sh", ".yaml", ""}
UNITS = (
    "step|row|piece|token|line|file|folder|task|program|backend|shard|layer|document|epoch|batch|head|second|key|word|"
    "day|class|call|replica|worker|device|run|machine|dataset|position|sentence|text|set|side|room|seed"
)
COUNTED = (
    "one|two|pieces|tokens|rows|steps|seeds|files|lines|numbers|values|examples|times|minutes|seconds|bytes|updates|"
    "FLOPs?|words|classes|targets|layers"
)
# What to avoid, by what to write instead. Each pattern is searched for in single lines.
PATTERNS = {
    "is not a valid X; not an X": (
        r"(?<!\b[Tt]here )\b(?:is|are|was|were|be) (?:no|none)\b"
        r"(?! (?:longer|more|less|other|better|worse|need|one|such)\b)"
        r"|\bthat (?:is|are) none\b"
    ),
    "after": r"\bbehind\b(?! a (?:proxy|flag|firewall)\b)",
    "N; that many; that long": r"\bso (?:many|much|long|old|far above)\b(?! as\b)(?!.{0,30}\bthat\b)",
    "again; re-initialised": r"\banew\b",
    "returns whether; is reported": (
        r"\b(?:[Tt]ells?|[Ss]ays?) (?:whether|if)\b|\b(?:is|are|was|were|be|being) (?:told|said)\b|\btold apart\b"
    ),
    "raises if; rejects": r"\b[Rr]efus(?:es|ing)\b|\b(?:is|are|was|were|be|been) refused\b",
    "your own; custom": r"\bone'?s own\b",
    "per": rf"\b(?:{COUNTED}) an? (?:{UNITS})\b(?! of\b)|\ba {UNITS.split('|')[0]} an? (?:{UNITS})\b",
    "a noun phrase": (
        r"setting\(\s*\"(?:Of |The same\b|Before |After )"
        r"|^\s+\w+: (?:float|int|bool|str)(?: or `None`)?\. (?:Of|Before) "
    ),
    "a plain, current word": (
        r"\blearnt by heart\b|\b[Mm]end(?:ed|s)?\b|\bhence\b|\bfor ever\b|\bin vain\b|\b[Pp]erhaps\b|\b[Nn]obody\b"
        r"|\b[Ss]omebody\b|\banyhow\b"
    ),
    "continue": r"\b(?:go|goes|went|gone|going) on\b(?! (?:a|an|the|each|one|every|to|top)\b)",
    "as in X": r"\bas (?:the )?[\w' ]{1,30} ha(?:s|ve|d) it\b",
    "if any": r"\bwhere there (?:is|are) (?:such|none)\b|\bif there (?:is|are) such\b|\bwhen there are such\b",
}
COMPILED = {instead: re.compile(pattern) for instead, pattern in PATTERNS.items()}
# Parts of lines that match and are right as they are.
ALLOWED: tuple[str, ...] = ()


def findings(line):
    """Returns what to write instead of the phrases that a line contains."""
    if any(part in line for part in ALLOWED):
        return []
    return [instead for instead, pattern in COMPILED.items() if pattern.search(line)]


def lines_of_test(text):
    """Yields (line number, text) of the names of tests, with spaces, and of the docstrings of a test file."""
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            yield node.lineno, node.name.replace("_", " ")
        if isinstance(node, ast.Module | ast.FunctionDef | ast.ClassDef) and ast.get_docstring(node):
            yield from enumerate(ast.get_docstring(node, clean=False).splitlines(), node.body[0].lineno)


def files_of(room):
    """Returns the text files of a room; of the root those that lie in it directly."""
    found = (ROOT / room).glob("*") if room == "." else (ROOT / room).rglob("*")
    files = (path for path in found if path.is_file() and path.suffix in SUFFIXES and "__pycache__" not in path.parts)
    return sorted(path for path in files if path.name not in ("LICENSE", ".git", ".gitignore"))


@pytest.mark.parametrize("room", ROOMS)
def test_the_language_is_natural(room):
    found = []
    for path in files_of(room):
        text = path.read_text(encoding="utf-8")
        lines = lines_of_test(text) if room == "tests" else enumerate(text.splitlines(), 1)
        if room == "tests" and path.suffix != ".py":
            continue
        for number, line in lines:
            for instead in findings(line):
                found.append(f"{path.relative_to(ROOT)}:{number}: write: {instead} | {line.strip()[:120]}")
    assert found == [], f"{len(found)} lines"


def test_every_allowed_line_is_still_there():
    texts = [
        path.read_text(encoding="utf-8") for room in ROOMS for path in files_of(room) if path.name != "language_test.py"
    ]
    assert [part for part in ALLOWED if not any(part in text for text in texts)] == []


@pytest.mark.parametrize(
    "line, instead",
    [
        ("The file is no JSON.", "is not a valid X; not an X"),
        ("labels that are no names", "is not a valid X; not an X"),
        ("InputError: the file is none.", "is not a valid X; not an X"),
        ("what stands behind the word", "after"),
        ("Runs with so many seeds.", "N; that many; that long"),
        ("Begins the heads anew.", "again; re-initialised"),
        ("Says whether a run is over.", "returns whether; is reported"),
        ("how many there are is told", "returns whether; is reported"),
        ("Refuses a batch that does not divide.", "raises if; rejects"),
        ("test a typo is refused by name", "raises if; rejects"),
        ("texts of one's own", "your own; custom"),
        ("labels, one a row", "per"),
        ("tokens a second", "per"),
        ('    dropout: float = setting("Of hidden states.", default=0.1)', "a noun phrase"),
        ("    dropout: float. Before the linear layer.", "a noun phrase"),
        ("a converted encoder perhaps", "a plain, current word"),
        ("Mend this and try again.", "a plain, current word"),
        ("The run goes on after it.", "continue"),
        ("any pieces as the released code has it", "as in X"),
        ("skipped updates when there are such", "if any"),
    ],
)
def test_the_check_finds_unnatural_phrases(line, instead):
    assert instead in findings(line)


@pytest.mark.parametrize(
    "line",
    [
        "There is no config.json in the folder.",
        "It is no longer needed.",
        "So many files exist that listing them takes long.",
        "as long as so many as three remain",
        "A step runs on one GPU; the other ops go on the CPU.",
        "The server refused the connection.",
        "Returns whether the run is over.",
        "The log says which heads were initialised.",
        "one row per line",
        "Probability of dropping a hidden state.",
        "The paper has its own recipe.",
        "    steps: int. Number of updates, after warm-up.",
    ],
)
def test_the_check_accepts_natural_phrases(line):
    assert findings(line) == []
