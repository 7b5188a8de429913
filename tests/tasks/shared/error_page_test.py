"""Tests of the page that all tasks share: offsets, numbers, and what is put where."""

import pytest

from tasks.shared import error_page

EMOJI = "Ev 😀😀 wrote 𝔘𝔫𝔦 in 1991. </script> {{data}}"


def test_offsets_in_utf16_are_those_of_the_encoder():
    for text in ("", "plain", "a😀b", EMOJI, "\ud83d lone 😀 \ude00", "😀" * 9):
        convert = error_page.utf16_converter(text)
        expected = [len(text[:i].encode("utf-16-le", "surrogatepass")) // 2 for i in range(len(text) + 1)]
        assert [convert(i) for i in range(len(text) + 1)] == expected


def test_numbers_that_json_lacks_are_none():
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
