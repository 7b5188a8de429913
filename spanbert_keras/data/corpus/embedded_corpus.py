"""The English prose that every CPython includes: a corpus that needs no download and no licence.

One document per topic of the language reference (`pydoc_data.topics`) and one per module of the standard library (its
docstrings). Sources are parsed with `ast`; nothing is imported, nothing is executed. About 2.3 MB; it differs a little
between Python versions.
"""

import ast
import functools
import os
import pathlib
import re
import sysconfig
import warnings
from collections.abc import Iterable, Iterator

SKIPPED_FOLDERS = {"test", "tests", "idle_test", "site-packages", "dist-packages", "turtledemo", "_bundled"}
RULE = re.compile(r"[=\-~^*+#\"'_ ]+")  # an underline of a title
MARKUP = re.compile(r"``|\*\*|:[a-z]+:(?=`)|(?<=\w)::(?=$|\s)")
MIN_WORDS = 5  # a module whose docstrings have fewer words is left out


@functools.cache
def documents(folder: str | None = None) -> tuple[str, ...]:
    """Returns the documents in a fixed order: topics by name, then modules by path. Parsed once (some seconds).

    Args:
        folder: path of a standard library. Defaults to the running interpreter's.

    Returns:
        tuple of str. One paragraph per line.
    """
    root = pathlib.Path(folder or sysconfig.get_paths()["stdlib"])
    texts = [[topic] for topic in _topics(root / "pydoc_data" / "topics.py")]
    texts += [_docstrings(path) for path in _modules(root)]
    return tuple(document for parts in texts for document in _document(parts))


def size() -> int:
    """Returns the number of characters of all documents of the running interpreter."""
    return sum(map(len, documents()))


def _document(texts: Iterable[str]) -> Iterator[str]:
    """Yields one document from texts, or nothing if they have too few words."""
    paragraphs = [paragraph for text in texts for paragraph in prose(text)]
    document = "\n".join(paragraphs)
    if len(document.split()) >= MIN_WORDS:
        yield document


def _topics(path: pathlib.Path) -> list[str]:
    """Returns the texts of the language reference, sorted by topic."""
    if not path.is_file():
        return []
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Dict):
            topics = ast.literal_eval(node)
            return [topics[name] for name in sorted(topics)]
    return []


def _modules(root: pathlib.Path) -> list[pathlib.Path]:
    """Returns the library's source files, sorted; tests and installed packages are left out."""
    found = []
    for folder, below, names in os.walk(root):
        below[:] = sorted(set(below) - SKIPPED_FOLDERS)
        found += [pathlib.Path(folder, name) for name in names if name.endswith(".py") and name != "topics.py"]
    return sorted(found, key=lambda path: path.relative_to(root).as_posix())


def _docstrings(path: pathlib.Path) -> list[str]:
    """Returns the docstrings of a module and of all its classes and functions, in the order of the source."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # old escapes in the library's own sources
            tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError):  # samples of broken source, which some versions include
        return []
    return [text for node in _owners(tree) if (text := ast.get_docstring(node))]


def _owners(node: ast.AST) -> Iterator[ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef]:
    """Yields the nodes that may have a docstring, in the order of the source; expressions are not visited."""
    if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        yield node
    for name in ("body", "handlers", "orelse", "finalbody"):
        children = getattr(node, name, None)
        for child in children if isinstance(children, list) else ():
            yield from _owners(child)


def prose(text: str) -> list[str]:
    """Returns the paragraphs of a text, each unwrapped to one line, without markup, rules, code sessions and tables.

    Args:
        text: str. A docstring or a topic, in plain reStructuredText.

    Returns:
        list of str without line breaks.
    """
    paragraphs = []
    for block in re.split(r"\n[ \t]*\n", text.expandtabs()):
        lines = [line.strip() for line in block.split("\n")]
        lines = [line for line in lines if line and not RULE.fullmatch(line)]
        if not lines or lines[0].startswith((">>>", "+--", "| ")):
            continue
        prompt = next((i for i, line in enumerate(lines) if line.startswith(">>>")), len(lines))
        paragraph = MARKUP.sub("", " ".join(lines[:prompt])).strip()
        if paragraph:
            paragraphs.append(re.sub(r" {2,}", " ", paragraph))
    return paragraphs
