"""The page's parts as Gradio has them, its colours in light and dark, and what happens without Gradio."""

import colorsys
import re
import sys

import pytest

from spanbert_keras.demo_page.page import import_gradio, make_blocks, page_settings
from spanbert_keras.demo_page.tab import Field, Tab
from spanbert_keras.errors import InputError

FIELDS = [
    Field(kind="line", label="Line", example="a", info="Hint."),
    Field(kind="text", label="Text", example="b"),
    Field(kind="choice", label="Choice", example="y", value="x", choices=("x", "y")),
    Field(kind="number", label="Number", example=0.5, value=0.0, choices=(0.0, 1.0, 0.25)),
    Field(kind="switch", label="Switch", example=True, value=False),
]
READABLE = 4.5  # contrast of text, WCAG 2 level AA
PAGES = {"": (1.0, 1.0, 1.0), ".dark ": (0.06, 0.06, 0.07)}  # backgrounds of Gradio's default theme


def luminance(colour):
    parts = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in colour]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), parts, strict=True))


def contrast(one, other):
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def variables(css, before):
    """Returns the colours and numbers that a style sheet declares for results, after `before`."""
    block = re.search(rf"^{re.escape(before)}\.sb {{(.*?)}}", css, re.MULTILINE | re.DOTALL)[1]
    found = dict(re.findall(r"--(\w+): (#\w{6}|\d+%);", block))
    colours = {
        key: tuple(int(value[i : i + 2], 16) / 255 for i in (1, 3, 5)) for key, value in found.items() if "#" in value
    }
    return colours, {key: int(value[:-1]) / 100 for key, value in found.items() if "%" in value}


@pytest.fixture(scope="module")
def settings():
    return page_settings()


def test_every_field_is_a_component_with_its_label():
    tab = Tab(title="T", about="Does.", button="Do", fields=FIELDS, show=str)
    config = make_blocks([("One", tab), ("Two", tab)]).get_config_file()
    components = [(one["type"], one["props"].get("label") or one["props"].get("value")) for one in config["components"]]
    fields = [kind for kind, label in components if label in [field.label for field in FIELDS]]
    assert fields == ["textbox", "textbox", "dropdown", "slider", "checkbox"] * 2
    assert [label for kind, label in components if kind == "tabitem"] == ["One", "Two"]
    assert [label for kind, label in components if kind == "button"] == ["Fill in an example", "Do"] * 2
    assert config["analytics_enabled"] is False and len(config["dependencies"]) == 4


def test_no_style_names_another_machine(settings):
    text = settings["css"] + settings["head"] + str([font.stylesheet() for font in settings["theme"]._font])
    assert "http" not in text and "@import" not in text and "url(" not in text


def test_settings_are_those_of_gradio(settings):
    import inspect

    assert set(settings) <= set(inspect.signature(import_gradio().mount_gradio_app).parameters)


@pytest.mark.parametrize("before", PAGES)
def test_text_can_be_read_on_every_colour_of_a_chain(settings, before):
    colours, numbers = variables(settings["css"], before)
    for hue in range(360):
        for saturation in (0.65, 0.75):
            background = colorsys.hls_to_rgb(hue / 360, numbers["light"], saturation)
            assert contrast(colours["ink"], background) >= READABLE, hue
    for name in ("ink", "faint", "wrong"):
        assert contrast(colours[name], PAGES[before]) >= READABLE, name
    for name in ("mask", "edge"):
        assert contrast(colours["ink"], colours[name]) >= READABLE, name


def test_without_gradio_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "gradio", None)
    with pytest.raises(InputError, match=r'needs Gradio: `pip install "spanbert-keras\[demo\]"`'):
        make_blocks([])
