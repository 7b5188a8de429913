"""HTML pages from templates: whole files that load nothing."""

import html
import re
from collections.abc import Mapping
from pathlib import Path

HEAD = """\
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; base-uri 'none'; form-action 'none';
  style-src 'unsafe-inline'; script-src 'unsafe-inline'">
<title>{{title}}</title>"""
PLACEHOLDER = re.compile(r"\{\{(\w+)\}\}")


def fill_page(template: Path, title: str, parts: Mapping[str, str]) -> str:
    """Returns the HTML of a page.

    Args:
        template: path of an HTML file with placeholders: `{{head}}` for what every page has in its head, `{{title}}`,
            and a `{{name}}` for each of `parts`.
        title: heading of the page, as plain text.
        parts: dict from the name of a placeholder to its HTML, in which placeholders are ordinary text.
    """
    values = {**parts, "title": html.escape(title)}
    page = template.read_text(encoding="utf-8").replace("{{head}}", HEAD)
    return PLACEHOLDER.sub(lambda found: values[found[1]], page)  # one pass: a text may look like a placeholder
