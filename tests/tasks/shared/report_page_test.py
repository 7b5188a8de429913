"""Tests of the Markdown and HTML pages of tables."""

import html.parser

from tasks.shared.report_page import html_page, markdown_page
from tasks.shared.task_report import ResultTable

TABLES = [
    ResultTable("One", ["", "A"], {"paper & co": ["1.0"]}, {"<b>m</b>": ["2.0 ± 0.1"], "n": ["-"]}, ["x < y", "z"]),
    ResultTable("Two", ["", "B", "C"], {}, {"{{lead}}": ["a < <i>b</i>", "88.0/84.0"]}),
]


class Reader(html.parser.HTMLParser):
    """Collects (tags around it with their classes, text) of every text, and checks that tags close in order."""

    def __init__(self, text):
        super().__init__()
        self.open, self.texts = [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        if tag != "meta":
            self.open.append((tag, dict(attrs).get("class")))

    def handle_endtag(self, tag):
        assert self.open.pop()[0] == tag

    def handle_data(self, data):
        if data.strip() and self.open[-1][0] != "style":
            self.texts.append((list(self.open), data.strip()))


def test_a_markdown_page_has_every_table_under_its_title_with_its_notes():
    assert markdown_page("Title", "Lead.", TABLES).split("\n\n") == [
        "# Title",
        "Lead.",
        "## One",
        TABLES[0].markdown(),
        "x < y; z.",
        "## Two",
        TABLES[1].markdown(),
    ]


def test_an_html_page_shows_texts_as_they_are_and_marks_our_rows():
    reader = Reader(html_page("A & B", "Lead <p>.", TABLES))
    texts = [text for _, text in reader.texts]
    assert texts == [
        *("A & B", "A & B", "Lead <p>."),
        *("One", "A", "paper & co", "1.0", "<b>m</b>", "2.0 ± 0.1", "x < y", "z"),
        *("Two", "B", "C", "{{lead}}", "a < <i>b</i>", "88.0/84.0"),
    ]
    rows = {text: dict(tags)["tr"] for tags, text in reader.texts if ("tbody", None) in tags}
    assert rows["1.0"] == "paper" and rows["2.0 ± 0.1"] == rows["a < <i>b</i>"] == "ours"
    cells = {text: dict(tags).get("td") for tags, text in reader.texts}
    assert (cells["2.0 ± 0.1"], cells["88.0/84.0"], cells["a < <i>b</i>"]) == ("figure", "figure", "text")


def test_an_html_page_loads_nothing():
    page = html_page("T", "L", TABLES)
    assert "default-src 'none'" in page and "<script" not in page and "http:" not in page and "https:" not in page
