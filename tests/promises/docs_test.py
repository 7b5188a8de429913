"""README and docs/: links, pictures, paths, commands and flags exist, and README stays short."""

import dataclasses
import importlib
import re
import shlex

import pytest

import spanbert_keras

MAX_README_BYTES = 7_168
MAX_CELL = 80  # characters of a cell in docs/results.md; the rest belongs in a note
PAGES = (
    "training_from_python",
    "pretraining",
    "ablations",
    "distributed",
    "fault_tolerance",
    "monitoring",
    "performance",
    "conversion",
    "deployment",
    "configuration_keys",
    "question_answering",
    "coreference",
    "relation_extraction",
    "text_classification",
    "named_entities",
    "span_vectors",
    "spacy",
    "haystack",
    "demo",
    "results",
    "architecture",
    "extending",
    "migrating",
    "troubleshooting",
)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)
FENCE = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)
COMMAND = re.compile(r"python -m ((?:spanbert_keras|tasks|benchmarks)\.[\w.]+)(.*)")
FLAG = re.compile(r"(?<![\w-])--(\w+)(?![\w-])")  # no flag of ours has a dash
CODE = re.compile(r"`([^`\n]+)`")
OUR_PATH = re.compile(r"(?:\.\./)?((?:spanbert_keras|tasks|configs|benchmarks|tests|docs)/[\w./-]+)")
NOT_OURS = {"flagfile", "help", "version", "slow", "logdir"}  # of every program, of pytest and TensorBoard
NOT_OURS |= {"lr", "schemes"}  # of the research code


def anchors(text):
    """Returns the anchors that GitHub makes of a page's headings, and those that the page has itself."""
    headings = HEADING.findall(FENCE.sub("", text))
    return set(re.findall(r'<a id="([^"]+)">', text)) | {
        re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in headings
    }


def broken_links(path, text):
    """Returns the relative links of a page that lead nowhere."""
    broken = []
    for link in LINK.findall(FENCE.sub("", text)):
        target, _, anchor = link.partition("#")
        if target.startswith(("http://", "https://")):
            continue
        file = path if not target else path.parent / target
        if not file.exists() or (anchor and anchor not in anchors(file.read_text(encoding="utf-8"))):
            broken.append(link)
    return broken


def unmatched_notes(section):
    """Returns the numbers [n] in a section's table without a note `n. ...` below it, and the notes without a number."""
    rows = "\n".join(line for line in section.splitlines() if line.startswith("|"))
    return sorted(set(re.findall(r"\[(\d+)\]", rows)) ^ set(re.findall(r"^(\d+)\. ", section, re.MULTILINE)))


def flags_of(module):
    """Returns the names of a program's flags."""
    return {field.name for field in dataclasses.fields(importlib.import_module(module).Config)}


def programs(root):
    """Returns the modules of the library, of the tasks and of the benchmarks that are run with `python -m`."""
    patterns = ("spanbert_keras/*.py", "tasks/*.py", "tasks/*/*.py", "benchmarks/*.py")
    paths = sorted(path for pattern in patterns for path in root.glob(pattern))
    found = [path for path in paths if "program.run(" in path.read_text(encoding="utf-8")]
    return [".".join(path.relative_to(root).with_suffix("").parts) for path in found]


def unknown_flags(arguments, known):
    """Returns the flags of a text that are not known; `--noflag` is `--flag`."""
    named = set(FLAG.findall(arguments)) - NOT_OURS
    return sorted(name for name in named if not known & {name, name.removeprefix("no")})


@pytest.fixture(scope="module")
def pages(root):
    """Dict from the path of every page to its text."""
    paths = [*root.glob("*.md"), *root.glob("docs/*.md"), *root.glob("tasks/*.md")]
    return {path: path.read_text(encoding="utf-8") for path in sorted(paths)}


@pytest.mark.parametrize("page", PAGES)
def test_every_topic_has_its_page(root, page):
    assert (root / "docs" / f"{page}.md").is_file()


def test_readme_is_short(root):
    assert len((root / "README.md").read_bytes()) <= MAX_README_BYTES


def test_every_page_can_be_reached_from_readme(root, pages):
    todo, reached = [root / "README.md"], set()
    while todo:
        path = todo.pop()
        if path in pages and path not in reached:
            reached.add(path)
            todo += [(path.parent / link.partition("#")[0]).resolve() for link in LINK.findall(pages[path])]
    assert {path for path in pages if path.parent.name == "docs"} - reached == set()


def test_every_public_name_is_on_one_page_of_the_api(root):
    text = "".join(path.read_text(encoding="utf-8") for path in sorted(root.glob("docs/api/*.md")))
    named = re.findall(r"^::: spanbert_keras\.(\w+)$", text, re.MULTILINE)
    assert sorted(named) == sorted(spanbert_keras.__all__)


def test_every_page_is_on_the_site(root):
    navigation = (root / "mkdocs.yml").read_text(encoding="utf-8")
    pages = [path.relative_to(root / "docs").as_posix() for path in sorted(root.glob("docs/**/*.md"))]
    pages += [f"tutorials/{path.stem}.md" for path in sorted(root.glob("docs/tutorials/*.py"))]
    assert len(pages) > 20
    assert [page for page in pages if navigation.count(f": {page}\n") != 1] == []


def test_messages_of_the_troubleshooting_page_are_ours(root):
    """Parts of a message, with ... between them, stand in one file."""
    page = (root / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
    messages = [one for row in re.findall(r"^\| (`.*?) \|", page, re.MULTILINE) for one in row.split("`, `")]
    files = [path for room in ("spanbert_keras", "tasks") for path in root.glob(f"{room}/**/*.py")]
    sources = [path.read_text(encoding="utf-8") for path in files]
    parts = [message.strip("`").split("` ... `") for message in messages]
    assert len(parts) > 20
    assert [part for part in parts if not any(all(one in source for one in part) for source in sources)] == []


def test_links_and_pictures_resolve(root, pages):
    broken = {path.relative_to(root).as_posix(): broken_links(path, text) for path, text in pages.items()}
    assert {page: links for page, links in broken.items() if links} == {}


def test_cells_of_results_are_short(root):
    text = (root / "docs" / "results.md").read_text(encoding="utf-8")
    cells = [cell.strip() for line in text.splitlines() if line.startswith("|") for cell in line.split("|")]
    assert len(cells) > 200
    assert [cell for cell in cells if len(cell) > MAX_CELL] == []


@pytest.mark.parametrize("page", ["results", "conversion", "deployment"])
def test_every_note_belongs_to_its_table(root, page):
    text = (root / "docs" / f"{page}.md").read_text(encoding="utf-8")
    sections = re.split(r"^##+ ", text, flags=re.MULTILINE)
    found = {section.splitlines()[0]: unmatched_notes(section) for section in sections[1:]}
    assert {title: numbers for title, numbers in found.items() if numbers} == {}


def test_named_paths_exist(root, pages):
    """Paths in `code`; not those with placeholders, and not in the changelog, which also names earlier ones."""
    missing = [
        f"{page.name}: {path}"
        for page, text in pages.items()
        if page.name != "CHANGELOG.md"
        for code in CODE.findall(FENCE.sub("", text))
        for path in OUR_PATH.findall(code)
        if not re.search(r"[*<]|tests/a/b_test", code) and not (root / path.rstrip(".")).exists()
    ]
    assert missing == []


def test_commands_have_only_flags_that_their_programs_know(root, pages):
    known = programs(root)
    assert len(known) > 10
    wrong = [
        f"{page.name}: {module} {unknown}"
        for page, text in pages.items()
        for module, arguments in COMMAND.findall(text)
        if module in known
        for unknown in [unknown_flags(arguments.split("`")[0], flags_of(module))]
        if unknown
    ]
    assert wrong == []


def test_every_command_names_a_program(pages):
    named = {module for text in pages.values() for module, _ in COMMAND.findall(text)}
    assert [module for module in sorted(named) if not hasattr(importlib.import_module(module), "main")] == []


def test_every_flag_in_the_text_belongs_to_a_program(root, pages):
    known = set().union(*map(flags_of, programs(root)))
    # Benchmarks that are run as scripts have flags of their own.
    known |= {
        field
        for path in root.glob("benchmarks/*.py")
        for field in re.findall(r"^    (\w+): ", path.read_text("utf-8"), re.M)
    }
    wrong = {
        page.name: unknown_flags(" ".join(CODE.findall(text)), known)
        for page, text in pages.items()
        if page.parent.name == "docs" or page.name == "README.md"
    }
    assert {page: names for page, names in wrong.items() if names} == {}


def test_shell_commands_can_be_parsed(pages):
    lines = [line for text in pages.values() for line in text.splitlines() if line.startswith("    python ")]
    assert len(lines) > 15
    for line in lines:
        shlex.split(line)


@pytest.mark.parametrize(
    "text, broken",
    [
        ("# A title\n[x](#a-title)", []),
        ("# A title\n[x](#a-tile)", ["#a-tile"]),
        ("![x](nowhere.png)", ["nowhere.png"]),
        ("[x](https://example.org/nowhere)", []),
        ("[x](page.md)", []),
        ("[x](page.md#wide--open)", []),
        ("[x](page.md#open)", ["page.md#open"]),
        ('| <a id="row"></a>x |\n[x](#row)', []),
        ("```\n[x](nowhere)\n```", []),
    ],
)
def test_the_link_check_itself_tells_right_from_wrong(tmp_path, text, broken):
    (tmp_path / "page.md").write_text("## Wide & open\n", encoding="utf-8")
    page = tmp_path / "page_2.md"
    page.write_text(text, encoding="utf-8")
    assert broken_links(page, text) == broken


@pytest.mark.parametrize(
    "section, unmatched",
    [
        ("T\n| a [1] | b |\n\n1. A note.", []),
        ("T\n| a [2] | b |\n\n1. A note.", ["1", "2"]),
        ("T\n| a | b |\n\n1. A note.", ["1"]),
    ],
)
def test_the_note_check_itself_tells_right_from_wrong(section, unmatched):
    assert unmatched_notes(section) == unmatched


@pytest.mark.parametrize(
    "arguments, unknown",
    [
        ("--output_dir=x --input y", []),
        ("--output_folder=x", ["output_folder"]),
        ("--nolowercase --flagfile=x", []),
        ("a-dash--of-words", []),
    ],
)
def test_the_flag_check_itself_tells_right_from_wrong(arguments, unknown):
    assert unknown_flags(arguments, {"output_dir", "input", "lowercase"}) == unknown
