"""The page as a Gradio application."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from spanbert_keras.demo_page.tab import Field, Tab
from spanbert_keras.errors import InputError

TITLE = "spanbert_keras"
FONTS = ("Segoe UI", "Roboto", "Helvetica Neue", "Noto Sans", "sans-serif")  # of the system: nothing is fetched
MONOSPACE = ("Consolas", "Menlo", "DejaVu Sans Mono", "monospace")


def import_gradio():
    """Returns the module `gradio`.

    Raises:
        InputError: it is not installed.
    """
    try:
        import gradio
    except ModuleNotFoundError as error:
        raise InputError('The demo needs Gradio: `pip install "spanbert-keras[demo]"`.') from error
    return gradio


def make_blocks(tabs: Sequence[tuple[str, Tab]]):
    """Returns the `gradio.Blocks` of the page.

    Args:
        tabs: sequence of (title, `Tab`).
    """
    gradio = import_gradio()
    with gradio.Blocks(title=TITLE, analytics_enabled=False) as blocks:
        with gradio.Tabs():
            for title, tab in tabs:
                with gradio.Tab(title):
                    _fill_tab(gradio, tab)
    return blocks


def page_settings() -> dict[str, Any]:
    """Returns the arguments with which Gradio serves the page: looks, and nothing that leaves this machine."""
    gradio = import_gradio()
    folder = Path(__file__).parent
    theme = gradio.themes.Default(
        primary_hue="indigo",
        font=[gradio.themes.Font(name) for name in FONTS],
        font_mono=[gradio.themes.Font(name) for name in MONOSPACE],
    ).set(  # more contrast
        block_info_text_color="*neutral_600",
        block_info_text_color_dark="*neutral_300",
        body_text_color_subdued="*neutral_600",
        body_text_color_subdued_dark="*neutral_300",
    )
    return {
        "theme": theme,
        "css": (folder / "page.css").read_text(encoding="utf-8"),
        "head": f"<script>{(folder / 'page.js').read_text(encoding='utf-8')}</script>",
        "footer_links": [],
        "run_history": False,  # would keep what a user wrote
        "show_error": False,
        "ssr_mode": False,
        "pwa": False,
        "mcp_server": False,
        "enable_monitoring": False,
    }


def _fill_tab(gradio, tab: Tab) -> None:
    """Puts the fields, the buttons and the place of the result into the tab that is open."""
    gradio.Markdown(tab.about)
    inputs = [_component(gradio, field) for field in tab.fields]
    with gradio.Row():
        example = gradio.Button("Fill in an example", variant="secondary")
        ask = gradio.Button(tab.button, variant="primary")
    result = gradio.HTML(padding=False)
    lines = [one for one, field in zip(inputs, tab.fields, strict=True) if field.kind == "line"]
    gradio.on(
        [ask.click, *(line.submit for line in lines)], tab.answer, inputs, result, api_visibility="private", queue=True
    )
    example.click(lambda: tab.example if len(inputs) > 1 else tab.example[0], None, inputs, api_visibility="private")


def _component(gradio, field: Field):
    """Returns the Gradio component of a field."""
    common = {"label": field.label, "value": field.value, "info": field.info or None}
    if field.kind == "number":
        minimum, maximum, step = field.choices
        return gradio.Slider(minimum, maximum, step=step, **common)
    if field.kind == "choice":
        return gradio.Dropdown(list(field.choices), **common)
    if field.kind == "switch":
        return gradio.Checkbox(**common)
    return gradio.Textbox(lines=1 if field.kind == "line" else 4, max_lines=1 if field.kind == "line" else 20, **common)
