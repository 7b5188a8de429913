"""Writes the HTML page that all tasks share: rows with filters, search, order, and texts with marks."""

import bisect
import html
import json
import math
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from spanbert_keras.files.writing import write_atomically

SHELL = Path(__file__).with_name("error_page.html")
PLACEHOLDER = re.compile(r"\{\{(title|style|script|data)\}\}")
# Code points that are two UTF-16 units.
ASTRAL = re.compile("[\U00010000-\U0010ffff]")
# Characters that could end the script element or, in old browsers, a string; JSON decodes their escapes.
ESCAPES = {ord(character): f"\\u{ord(character):04x}" for character in "<>&\u2028\u2029"}


def write_browsing_page(path: str | os.PathLike, title: str, task_page: Path, data: Any) -> None:
    """Writes one self-contained HTML file; it needs no network and no other file.

    If writing fails, the old file at `path` stays. Markup in any text is shown as text.

    Args:
        path: path of the file; missing folders are created.
        title: heading of the page.
        task_page: path without ending of the task's `.css` and `.js`; the script calls `browse` of `error_page.html`
            with what `JSON.parse(byId("data").textContent)` gives.
        data: a JSON value, without NaN or infinity.
    """
    # JSON is written in ASCII, so that it can hold lone surrogates. A single pass leaves placeholders in texts alone.
    embedded = json.dumps(data, allow_nan=False, separators=(",", ":")).translate(ESCAPES)
    values = {"title": html.escape(title), "data": embedded}
    for name, ending in (("style", ".css"), ("script", ".js")):
        values[name] = task_page.with_suffix(ending).read_text(encoding="utf-8")
    page = PLACEHOLDER.sub(lambda found: values[found[1]], SHELL.read_text(encoding="utf-8"))
    content = page.encode("utf-8", errors="xmlcharrefreplace")
    write_atomically(path, lambda temporary: temporary.write_bytes(content))


def finite(value: float | None) -> float | None:
    """Returns a float, or `None` for infinities and NaN, which JSON lacks."""
    return float(value) if value is not None and math.isfinite(value) else None


def utf16_converter(text: str) -> Callable[[int], int]:
    """Returns the function from an offset in code points of `text` to the same place in UTF-16 units.

    Example:

    ```python
    utf16_converter("a😀b")(2)  # 3
    ```
    """
    wide = [found.start() for found in ASTRAL.finditer(text)]
    return lambda offset: offset + bisect.bisect_left(wide, offset)
