"""A tab answers with HTML, and a user's mistake is a sentence on the page."""

import sys

import pytest
from absl import logging

from spanbert_keras.demo_page.tab import Field, Tab, written
from spanbert_keras.errors import InputError


def tab(show):
    fields = [Field(kind="line", label="A", example="x"), Field(kind="switch", label="B", example=True, value=False)]
    return Tab(title="T", about="Does.", button="Do", fields=fields, show=show)


def raising(error):
    def show(*values):
        raise error

    return tab(show)


def test_the_example_has_a_value_for_each_field():
    assert tab(None).example == ("x", True)
    assert tab(lambda first, second: f"{first} {second}").answer(*tab(None).example) == "x True"


@pytest.mark.parametrize("error", [InputError("The <b> is empty."), ImportError("Install <b>.")])
def test_a_mistake_is_one_escaped_sentence(error, read_result):
    page = raising(error).answer("x", True)
    assert read_result(page)["sb-error"] == [str(error)] and "<b>" not in page


@pytest.mark.parametrize(
    "error, shown", [(ValueError("<b>\nlong"), "ValueError: <b>"), (ZeroDivisionError(), "ZeroDivisionError")]
)
def test_a_defect_is_one_sentence_on_the_page_and_logged_in_full(error, shown, read_result, monkeypatch):
    logged = []
    monkeypatch.setattr(logging, "exception", lambda *_: logged.append(sys.exc_info()[1]))
    [sentence] = read_result(raising(error).answer("x", True))["sb-error"]
    assert sentence == f"The model failed with an error that the demo's terminal shows in full: {shown}"
    assert logged == [error]


@pytest.mark.parametrize("value", [None, "", " \n\t\u3000"])
def test_an_empty_field_is_named(value):
    with pytest.raises(InputError, match=r"^The question is empty\. Write one, or fill in the example\.$"):
        written(value, "question")


def test_a_field_keeps_its_white_space():
    assert written("  a\n", "text") == "  a\n"
