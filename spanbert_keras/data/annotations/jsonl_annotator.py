"""Mentions that a user gives in a file of JSON lines."""

import hashlib
import json
import pathlib
import re
from collections.abc import Sequence
from typing import Any

from spanbert_keras.data.annotations.annotator import ANNOTATIONS, Mention
from spanbert_keras.data.shards.annotation_format import MAX_LABELS
from spanbert_keras.errors import InputError
from spanbert_keras.files.file_entries import file_entry

EXPECTED = 'Expected: {"text": "...", "entities": [[start, end, "LABEL"], ...], "noun_phrases": [[start, end], ...]}'
LINE = re.compile(r"(?:[^\r\n]|\r(?!\n))+")  # as `split_lines` of text_readers


class JsonlAnnotator:
    """Looks mentions up in a file.

    A line of the file is `{"text": ..., "entities": [[start, end, label], ...], "noun_phrases": [[start, end], ...]}`:
    the text of a document, or of one or some of its lines, and half-open ranges of its characters; a label may be left
    out. Each line of a text is looked up by itself. Of two equal lines the first counts.

    Args:
        path: path of the file.
        names: sequence of str. Annotations to make.

    Raises:
        InputError: the file cannot be read, has a line of another form or a range outside of its text, none of the
            annotations that are asked for, or more than 63 labels.

    Example:

    ```python
    import json

    from spanbert_keras.data.annotations.jsonl_annotator import JsonlAnnotator

    with open("mentions.jsonl", "w") as file:
        file.write(json.dumps({"text": "Ann met Bob.", "entities": [[0, 3, "PERSON"], [8, 11, "PERSON"]]}))
    JsonlAnnotator("mentions.jsonl", ("entities",)).annotate(["Ann met Bob."])
    ```
    """

    def __init__(self, path: str, names: Sequence[str]):
        self._names = tuple(names)
        self._lines: dict[int, dict[str, list[Mention]]] = {}
        self._read(pathlib.Path(path))
        self.description = f"jsonl {pathlib.Path(path).name}"
        self.settings: dict[str, Any] = {"sha256": file_entry(path)["sha256"]}
        self.labels = {}
        for name in self._names:
            given = [mention.label for mentions in self._lines.values() for mention in mentions[name]]
            if not given:
                raise InputError(f"--annotator=jsonl:{path} holds no mention under {name!r}. {EXPECTED}.")
            self.labels[name] = sorted(set(given) - {""})
            if len(self.labels[name]) > MAX_LABELS:
                raise InputError(
                    f"--annotator=jsonl:{path} has too many labels under {name!r}. Expected: at most {MAX_LABELS}. "
                    f"Received: {len(self.labels[name]):,}. Merge some, or leave labels out."
                )

    def annotate(self, texts: Sequence[str]) -> list[dict[str, list[Mention]] | None]:
        """Returns the mentions of each line, or `None` if the file does not have it."""
        return [self._lines.get(_key(text)) for text in texts]

    def _read(self, path: pathlib.Path) -> None:
        """Reads the file."""
        try:
            with open(path, encoding="utf-8-sig") as file:
                for number, line in enumerate(file, start=1):
                    if line.strip():
                        self._add(line, f"{path}, line {number}")
        except OSError as error:
            raise InputError(f"--annotator=jsonl:{path} cannot be read: {error.strerror}.") from error
        except UnicodeDecodeError as error:
            raise InputError(f"--annotator=jsonl:{path} is not UTF-8 text: {error}.") from error

    def _add(self, line: str, where: str) -> None:
        """Adds the mentions of one record, line by line of its text."""
        try:
            row = json.loads(line)
            text = row["text"] if "text" in row else None
            if not isinstance(text, str):
                raise ValueError("no text under 'text'")
            given = {name: sorted(_mentions(row.get(name) or [], text)) for name in ANNOTATIONS}
        except (ValueError, TypeError, AttributeError, RecursionError) as error:
            raise InputError(f"{where}: {error}. {EXPECTED}. Received: {line.strip()[:80]!r}.") from error
        for match in LINE.finditer(text):
            start, end = match.span()
            self._lines.setdefault(
                _key(match[0]),
                {
                    name: [
                        Mention(max(m.start, start) - start, min(m.end, end) - start, m.label)
                        for m in given[name]
                        if m.start < end and m.end > start
                    ]
                    for name in self._names
                },
            )


def _mentions(ranges: Any, text: str) -> list[Mention]:
    """Returns checked ranges of a text as mentions."""
    found = []
    if not isinstance(ranges, list):
        raise ValueError(f"{ranges} is not a list of [start, end] or [start, end, label]")
    for one in ranges:
        start, end, label = (*one, "", "", "")[:3] if isinstance(one, list) else (None, None, None)
        fits = isinstance(start, int) and isinstance(end, int) and isinstance(label, str) and 0 <= start < end
        if not fits or end > len(text) or len(one) > 3:
            raise ValueError(f"{one} is not [start, end] or [start, end, label] in a text of {len(text)} characters")
        found.append(Mention(start, end, label))
    return found


def _key(line: str) -> int:
    """Returns a 64-bit hash of a line."""
    return int.from_bytes(hashlib.blake2b(line.encode("utf-8", "replace"), digest_size=8).digest(), "little")
