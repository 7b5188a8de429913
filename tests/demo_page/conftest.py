"""Fixtures of the tabs: results as a person reads them."""

import html.parser

import pytest

VOID = {"br", "hr", "img", "input"}


class Result(html.parser.HTMLParser):
    """Reads the HTML of a result strictly: its texts by class of their element, notes apart."""

    def __init__(self, document):
        super().__init__()
        self.open, self.texts = [], {}
        self.feed(document)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        assert tag not in VOID
        attributes = dict(attributes)
        texts = [self.texts.setdefault(name, []) for name in [*(attributes.get("class") or "").split(), tag]]
        for one in texts:
            one.append("")
        self.open.append((tag, [(one, len(one) - 1) for one in texts]))

    def handle_endtag(self, tag):
        opened, _ = self.open.pop()
        assert opened == tag

    def handle_data(self, data):
        is_note = any(tag == "sub" for tag, _ in self.open)
        for tag, places in self.open:
            for texts, place in places:
                if not is_note or tag == "sub":
                    texts[place] += data


@pytest.fixture(scope="session")
def read_result():
    """Function from the HTML of a result to a dict from tags and classes to the texts of their elements."""
    return lambda document: Result(document).texts
