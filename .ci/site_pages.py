"""For mkdocs: adds the pages beside `docs/` to the site, and points links at the pages of the site."""

import re
from pathlib import Path

from mkdocs.structure.files import File

PAGES = {"README.md": "index.md", "CHANGELOG.md": "changelog.md", "CONTRIBUTING.md": "contributing.md"}
PAGES |= {"SECURITY.md": "security.md"}
SOURCES = re.compile(r"\.\./((?:spanbert_keras|tasks|configs|benchmarks|tests)/.*|LICENSE|CITATION.cff)")
LINK = re.compile(r"(\]\()([^)\s#]+)([^)\s]*\))")


def site_link(target: str, known) -> str:
    """Returns a link of `docs/` on the site.

    Args:
        target: str. Without its anchor, relative to `docs/`.
        known: container of str. The files of the site.
    """
    name = target.removeprefix("../")
    if name in PAGES:
        return PAGES[name]
    return name.removeprefix("docs/") if name.removeprefix("docs/") in known else target


def on_files(files, config):
    """Adds the root's pages, and the sources that pages link to."""
    root = Path(config.config_file_path).parent
    for name, page in PAGES.items():
        # A link of a page at the root reads like one of `docs/` with `../` before it.
        text = LINK.sub(
            lambda m: m[0] if "://" in m[2] else f"{m[1]}../{m[2]}{m[3]}", (root / name).read_text(encoding="utf-8")
        )
        files.append(File.generated(config, page, content=text))
    linked = {m[2] for file in files.documentation_pages() for m in LINK.finditer(file.content_string)}
    for target in sorted(linked):
        if match := SOURCES.fullmatch(target):
            files.append(File.generated(config, f"source/{match[1]}.txt", abs_src_path=str(root / match[1])))
    return files


def on_page_markdown(markdown, page, config, files):
    """Points links at the site's own pages and files."""
    known = set(files.src_uris)

    def site(match):
        source = SOURCES.fullmatch(match[2])
        target = f"source/{source[1]}.txt" if source else site_link(match[2], known)
        return f"{match[1]}{target}{match[3]}"

    return LINK.sub(site, markdown)
