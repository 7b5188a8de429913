"""Tests of HTML pages from templates: a common head, and placeholders that are filled once."""

import pytest

from spanbert_keras.files.html_page import fill_page


@pytest.fixture
def template(tmp_path):
    (tmp_path / "page.html").write_text("<head>\n{{head}}\n</head><h1>{{title}}</h1><p>{{a}} {{b}} {{a}}", "utf-8")
    return tmp_path / "page.html"


def test_a_page_has_its_parts_and_the_common_head(template):
    page = fill_page(template, "Ä", {"a": "<i>1</i>", "b": "2"})
    head, body = page.split("\n</head>")
    assert body == "<h1>Ä</h1><p><i>1</i> 2 <i>1</i>"
    assert head.startswith('<head>\n<meta charset="utf-8">') and head.endswith("<title>Ä</title>")
    assert "Content-Security-Policy\" content=\"default-src 'none';" in head


def test_markup_in_the_title_is_text(template):
    assert fill_page(template, "<b> & </title>", {"a": "", "b": ""}).count("&lt;b&gt; &amp; &lt;/title&gt;") == 2


@pytest.mark.parametrize("text", ["{{head}}", "{{title}}", "{{a}}", "{{b}}", "{{c}}", "\\1"])
def test_placeholders_in_texts_are_text(template, text):
    page = fill_page(template, text, {"a": text, "b": "2"})
    assert page.endswith(f"<title>{text}</title>\n</head><h1>{text}</h1><p>{text} 2 {text}")


def test_a_placeholder_without_a_part_is_an_error(template):
    with pytest.raises(KeyError, match="b"):
        fill_page(template, "", {"a": ""})
