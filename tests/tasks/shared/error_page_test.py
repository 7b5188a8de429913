"""Tests of what every page promises: it is one whole file, loads nothing, carries its data, and shows text as text."""

import os
import re

import numpy as np
import pytest

import tasks.coreference.page
import tasks.glue.data
import tasks.glue.page
import tasks.question_answering.page
import tasks.relation_extraction.data
import tasks.relation_extraction.page
from spanbert_keras import Document, EntityPair
from tasks.shared import error_page

HOSTILE = "</script><script>alert(1)</script><!-- & \u2028\u2029 {{data}} <img src=x onerror=alert(2)> <i>"
EMOJI = "Ev 😀😀 wrote 𝔘𝔫𝔦 in 1991. </script> {{data}}"


def test_offsets_in_utf16_are_those_of_the_encoder():
    for text in ("", "plain", "a😀b", EMOJI, "\ud83d lone 😀 \ude00", "😀" * 9):
        convert = error_page.utf16_converter(text)
        expected = [len(text[:i].encode("utf-16-le", "surrogatepass")) // 2 for i in range(len(text) + 1)]
        assert [convert(i) for i in range(len(text) + 1)] == expected


def test_numbers_that_json_lacks_become_null():
    numbers = [0.5, 2, float("nan"), float("inf"), float("-inf"), None]
    assert [error_page.finite(number) for number in numbers] == [0.5, 2.0, None, None, None, None]


@pytest.fixture
def task_page(tmp_path):
    """A task's style and script, in files."""
    (tmp_path / "task.css").write_text("h2 { color: {{title}}; }")
    (tmp_path / "task.js").write_text("const task = 1;  // {{data}}")
    return tmp_path / "task"


def test_style_script_and_data_are_each_put_in_once(task_page, tmp_path, embedded, texts_of):
    data = {"text": EMOJI + "{{script}}", "title": "{{style}}"}
    error_page.write_browsing_page(tmp_path / "page.html", "A {{data}} <b>", task_page, data)
    assert embedded(tmp_path / "page.html") == data
    texts = texts_of((tmp_path / "page.html").read_text(encoding="utf-8"))
    assert [text for _, text in texts["title"]] == ["A {{data}} <b>"]
    assert texts["style"][0][1].endswith("h2 { color: {{title}}; }")
    assert [text for _, text in texts["script"]][-1].endswith("const task = 1;  // {{data}}")
    assert len(texts["script"]) == 3


def test_data_that_json_lacks_leaves_the_old_page(task_page, tmp_path):
    (tmp_path / "page.html").write_text("old")
    with pytest.raises(ValueError, match="JSON"):
        error_page.write_browsing_page(tmp_path / "page.html", "Title", task_page, {"score": float("nan")})
    assert (tmp_path / "page.html").read_text() == "old"


# --- every task's page. A function of a path, a title and a text writes a page with the text in every place that a
# user's text can have, and returns the data that the page must carry.


def coreference_page(path, title, text):
    document = Document((text, "met", "Bob"), clusters=(((0, 1), (2, 3)),), name=text)
    given = [document], [[((0, 1),)]], {text: text}
    tasks.coreference.page.write_page(path, title, *given)
    return tasks.coreference.page.coreference_data(*given)


def classification_page(path, title, text):
    example = tasks.glue.data.Example(text, text, text, text)
    given = [example], [text], np.array([[1.0]]), [text], {text: text}
    tasks.glue.page.write_page(path, title, *given)
    return tasks.glue.page.text_data(*given)


def question_answering_page(path, title, text):
    row = tasks.question_answering.page.PageRow(
        id=text,
        question=text,
        context=text,
        article=text,
        gold=(text,),
        gold_spans=((0, 1),),
        predicted=text,
        start=0,
        end=1,
        score=1.0,
        no_answer_score=None,
        exact=True,
        f1=1.0,
        candidates=((text, 1.0),),
    )
    tasks.question_answering.page.write_page(path, title, [row], {text: text})
    return tasks.question_answering.page.question_answering_data([row], {text: text})


def relation_page(path, title, text):
    pair = EntityPair((text, "met", "Bob"), (0, 1), (2, 3), text, text)
    example = tasks.relation_extraction.data.Example(text, pair, text)
    given = [example], np.array([[1.0]]), [text], text, {text: text}
    tasks.relation_extraction.page.write_page(path, title, *given)
    return tasks.relation_extraction.page.relation_data(*given)


PAGES = (coreference_page, classification_page, question_answering_page, relation_page)


@pytest.fixture(params=PAGES)
def write_page(request):
    """Each task's function of a path, a title and a text."""
    return request.param


def test_a_page_declares_its_language_encoding_title_and_width(write_page, tmp_path, texts_of):
    write_page(tmp_path / "page.html", "Read & <b>see</b>", "Ann")
    document = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert document.startswith('<!doctype html>\n<html lang="en">')
    assert '<meta charset="utf-8">' in document and '<meta name="viewport"' in document
    elements = texts_of(document)
    assert [text for _, text in elements["title"] + elements["h1"]] == ["Read & <b>see</b>"] * 2


def test_a_page_loads_nothing_from_outside(write_page, tmp_path):
    write_page(tmp_path / "page.html", "Title", "Ann")
    document = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "default-src 'none'" in document
    assert not re.search(r"https?:|\bsrc=|\bhref=|@import|url\(", document)
    assert not re.search(r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(|new Function", document)


def test_hostile_text_does_not_break_out_of_its_place(write_page, tmp_path, embedded):
    data = write_page(tmp_path / "page.html", HOSTILE, HOSTILE)
    document = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert embedded(tmp_path / "page.html") == data and data["facts"] == [[HOSTILE, HOSTILE]]
    assert "alert(1)</script>" not in document and "<img" not in document
    write_page(tmp_path / "harmless.html", "Title", "Ann")
    harmless = (tmp_path / "harmless.html").read_text(encoding="utf-8")
    assert document.count("<script") == harmless.count("<script") == document.count("</script>") == 3
    script = document[document.index('id="data"') :].split(">", 1)[1].split("</script>")[0]
    assert not set("<>&\u2028\u2029") & set(script)


def test_a_browser_shows_hostile_text_as_text(write_page, tmp_path, browser, texts_of):
    write_page(tmp_path / "page.html", HOSTILE, HOSTILE)
    shown = texts_of(browser((tmp_path / "page.html").as_uri()))
    assert not {"i", "img"} & set(shown) and len(shown["script"]) == 3
    assert [text for _, text in shown["h1"]] == [HOSTILE] and HOSTILE in [text for _, text in shown["dt"]]


@pytest.mark.parametrize("write_page", [classification_page, question_answering_page])
def test_lone_surrogates_and_control_characters_are_written(write_page, tmp_path, embedded):
    odd = "\ud83d \x00\x1b \udfff"
    assert write_page(tmp_path / "page.html", odd, odd) == embedded(tmp_path / "page.html")


def test_missing_folders_are_made_and_a_second_page_replaces_the_first(write_page, tmp_path, embedded):
    path = tmp_path / "new" / "folder" / "page.html"
    write_page(path, "Title", "first")
    second = write_page(path, "Title", "second")
    assert embedded(path) == second and list(path.parent.iterdir()) == [path]


def test_a_failure_leaves_the_old_page(write_page, tmp_path, monkeypatch):
    path = tmp_path / "page.html"
    path.write_text("old")

    def fail(source, target):
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        write_page(path, "Title", "Ann")
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]
