"""For mkdocs: adds the pages beside `docs/` and the tutorials to the site, and points links at the site's pages."""

import posixpath
import re
from pathlib import Path

from mkdocs.structure.files import File

PAGES = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
}
LINK = re.compile(r"(\]\()(?!\w+:)([^)\s#]+)([^)\s]*\))")
FENCE = re.compile(r"(^```.*?^```)", re.DOTALL | re.MULTILINE)
CELL = re.compile(r"^# %%(.*)\n", re.MULTILINE)


def tutorial_page(source: str) -> str:
    """Returns a script in the percent format as a page: its Markdown cells as they are, its code in fences."""
    kinds_and_texts = CELL.split(source)[1:]
    parts = []
    for kind, text in zip(kinds_and_texts[::2], kinds_and_texts[1::2], strict=True):
        if "[markdown]" in kind:
            parts.append(re.sub(r"^# ?", "", text.strip(), flags=re.MULTILINE))
        else:
            parts.append(f"```python\n{text.strip()}\n```")
    return "\n\n".join(parts) + "\n"


def place(target: str, page: str) -> str:
    """Returns the path in the repository to which a link of a page leads; "" for a place outside of it."""
    folder = "" if page in PAGES.values() else (Path("docs") / page).parent.as_posix()
    path = posixpath.normpath(posixpath.join(folder, target))
    return "" if path.startswith("..") else path


def site_path(target: str, page: str, known) -> str:
    """Returns where a link leads on the site, relative to the folder of the page.

    Args:
        target: str. Without its anchor, relative to the page's place in the repository.
        page: str. The page's path on the site.
        known: container of str. The paths of the site.
    """
    path = place(target, page)
    path = PAGES.get(path, path.removeprefix("docs/"))
    if path.startswith("tutorials/") and path.endswith(".py"):
        path = path.removesuffix(".py") + ".md"
    return posixpath.relpath(path, posixpath.dirname(page) or ".") if path in known else target


def on_files(files, config):
    """Adds pages of the root, tutorials, and the sources that pages link to."""
    root = Path(config.config_file_path).parent
    for name, page in PAGES.items():
        files.append(File.generated(config, page, content=(root / name).read_text(encoding="utf-8")))
    for file in [file for file in files if file.src_uri.startswith("tutorials/") and file.src_uri.endswith(".py")]:
        files.remove(file)
        page = file.src_uri.removesuffix(".py") + ".md"
        files.append(File.generated(config, page, content=tutorial_page(file.content_string)))
    linked = {
        place(match[2], file.src_uri)
        for file in files.documentation_pages()
        for match in LINK.finditer(FENCE.sub("", file.content_string))
    }
    for path in sorted(linked):
        if not path.startswith("docs/") and not path.endswith(".md") and (root / path).is_file():
            files.append(File.generated(config, path, abs_src_path=str(root / path)))
    return files


def on_page_markdown(markdown, page, config, files):
    """Points the links of a page at the site."""
    known = set(files.src_uris)

    def site(match):
        return f"{match[1]}{site_path(match[2], page.file.src_uri, known)}{match[3]}"

    parts = FENCE.split(markdown)  # code in fences has every second place
    return "".join(part if number % 2 else LINK.sub(site, part) for number, part in enumerate(parts))
