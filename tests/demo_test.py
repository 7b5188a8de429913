"""The program: its flags, and its page in a headless browser."""

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import types
import urllib.parse

import keras
import pytest

import spanbert_keras
from spanbert_keras import SpanBertEncoder, SpanBertPretrainer, SpanBertQuestionAnswerer, demo, model_flag, program
from spanbert_keras.program import InputError
from tests.chromium import SECONDS, Chromium, chromium_program

CONTEXT = "w5 w6 <script>document.title = 'w7'</script> w8 & w9\nw10 <b>w11</b> w12."
SEEN = "[...document.querySelectorAll('%s')].filter(one => one.offsetParent)"
RESULT = SEEN % ".sb" + "[0]"
PANEL = """<div class="sb"><ul class="sb-chains"><li data-chain="0">a</li><li data-chain="1">b</li></ul>
<mark data-chain="0" id="a" tabindex="0">a</mark> <mark data-chain="1" id="b" tabindex="0">b</mark></div>"""


def field(label):
    """JavaScript of the visible text field with a label."""
    return SEEN % "label" + f".find(one => one.textContent.includes('{label}'))?.querySelector('textarea, input')"


def button(text):
    """JavaScript of the visible button with a text."""
    return SEEN % "button" + f".find(one => one.textContent.trim() === '{text}')"


@pytest.fixture(scope="module")
def paths(toy_tokenizer, tmp_path_factory):
    """Paths of a saved reader and a saved pretrainer."""
    keras.utils.set_random_seed(1)
    folder = tmp_path_factory.mktemp("demo")
    found = []
    for name, kind in (("reader", SpanBertQuestionAnswerer), ("pretrainer", SpanBertPretrainer)):
        encoder = SpanBertEncoder(64, 1, 2, 8, 12, max_sequence_length=64, tokenizer=toy_tokenizer)
        found.append(folder / f"{name}.keras")
        model = kind(encoder)
        for weight in model.trainable_variables:  # heads without training are not loaded
            weight.assign(weight * 1.5 + 0.01)
        model.save(found[-1])
    return found


@pytest.fixture
def page(root, paths, tmp_path):
    """The running program, the address that it prints, and the file of what it logs."""
    if chromium_program() is None:
        pytest.skip("no chromium or google-chrome on this machine to show the page")
    command = [sys.executable, "-m", "spanbert_keras.demo", *(f"--model={path}" for path in paths), "--port=0"]
    log, environment = tmp_path / "log.txt", os.environ | {"PYTHONPATH": str(root)}
    with (
        log.open("wb") as errors,
        subprocess.Popen(
            command, cwd=root, env=environment, stdout=subprocess.PIPE, stderr=errors, text=True
        ) as process,
    ):
        try:
            ready, _, _ = select.select([process.stdout], [], [], SECONDS)
            line = process.stdout.readline() if ready else ""
            assert line.endswith("/ shows 2 models. Ctrl-C ends it.\n"), log.read_text(errors="replace")[-4000:]
            yield process, line.split()[0], log
        finally:
            process.kill()


@pytest.fixture
def browser(page, tmp_path):
    """A browser that shows the page."""
    with contextlib.closing(Chromium(chromium_program(), tmp_path / "profile")) as opened:
        opened.open(page[1])
        opened.wait_for(button("Answer"))
        yield opened


def test_a_person_types_clicks_and_reads_and_ctrl_c_ends_it_while_a_browser_looks(page, browser, paths):
    process, address, log = page
    ask_the_reader(browser, paths[0])
    browser.click(SEEN % "[role=tab]" + "[1]")
    browser.type(field("Text"), "w3 [w4 w5] w6")
    browser.click(button("Predict"))
    assert browser.wait_for(f"{RESULT}?.querySelectorAll('.sb-mask').length") == 2
    # Pointing at a mention shows its chain.
    browser.read(f"document.body.insertAdjacentHTML('afterbegin', {json.dumps(PANEL)})")
    browser.click("document.querySelector('#b')")
    shown = "[...document.querySelectorAll('.chosen .on')].map(one => one.textContent).join()"
    assert browser.wait_for(f"{shown} === 'b,b'")
    hosts = {urllib.parse.urlsplit(one).netloc for one in browser.addresses if not one.startswith(("data:", "blob:"))}
    assert hosts == {urllib.parse.urlsplit(address).netloc} and len(browser.addresses) > 10
    assert browser.problems == []
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=SECONDS)
    errors = log.read_text(errors="replace")
    assert (process.returncode, out) == (0, "Stopped.\n"), errors
    assert "Traceback" not in errors


def ask_the_reader(browser, path):
    """Asks the tab of a saved reader without and with a question, and fills in its example."""
    browser.click(button("Answer"))  # an empty question: a sentence on the page
    assert browser.wait_for(f"{RESULT}?.textContent").startswith("The question is empty.")
    browser.type(field("Question"), "w3 w4")
    browser.type(field("Context"), CONTEXT)
    browser.click(button("Answer"))
    browser.wait_for(f"{RESULT}?.querySelector('.sb-text')")
    reader = spanbert_keras.load_pretrained(path)
    expected = reader.answer("w3 w4", CONTEXT, n_best=3)
    assert browser.read(f"{RESULT}.querySelector('.sb-text').textContent") == CONTEXT
    assert browser.read(f"{RESULT}.querySelector('mark').textContent") == expected[0].text
    strong = browser.read(f"[...{RESULT}.querySelectorAll('td strong')].map(one => one.textContent)")
    assert strong == [one.text for one in expected]
    assert (
        browser.read("document.title") == "spanbert_keras" and browser.read(f"{RESULT}.querySelector('script')") is None
    )
    browser.click(button("Fill in an example"))
    assert browser.wait_for(f"{field('Question')}.value.endsWith('?') && {field('Context')}.value.length > 100")


def test_without_a_model_a_command_that_makes_one_is_named():
    with pytest.raises(InputError, match=r"^--model is missing.*runs/tiny/pretrainer.keras.*python -m \S+pretrain"):
        program.parse(demo.Config, [])


def test_the_flag_is_given_once_for_each_model():
    config = program.parse(demo.Config, ["--model=a,b.keras", "--model=c.keras"])
    assert config.model == ("a,b.keras", "c.keras")
    assert program.parse(demo.Config, program.to_arguments(config)) == config


@pytest.mark.parametrize("port", ["-1", "65536"])
def test_a_port_is_a_port(port):
    with pytest.raises(InputError, match="--port must be at least 0 and at most 65535"):
        program.parse(demo.Config, ["--model=a", f"--port={port}"])


def test_a_port_in_use_is_found_before_a_model_is_loaded():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(InputError, match=f"--port={port} is in use"):
            demo.main(demo.Config(model=("nowhere.keras",), port=port))


def test_a_list_of_models_is_a_mistake():
    with pytest.raises(InputError, match="--model=a.keras,b.keras is not there. Give --model once for each model"):
        demo.main(demo.Config(model=("a.keras,b.keras",)))


def test_a_model_without_a_tokenizer_is_found_before_the_next_one_is_loaded(monkeypatch):
    loaded = []

    def load(path, kinds):
        loaded.append(path)
        return types.SimpleNamespace(tokenizer=None)

    monkeypatch.setattr(model_flag, "load_model_of", load)
    with pytest.raises(InputError, match="--model=a.keras has no tokenizer, so it cannot read text. Save it with one"):
        demo.main(demo.Config(model=("a.keras", "b.keras"), port=0))
    assert loaded == ["a.keras"]


def test_an_encoder_has_no_tab(toy_tokenizer, tmp_path):
    SpanBertEncoder(64, 1, 2, 8, 12, max_sequence_length=24, tokenizer=toy_tokenizer).save(tmp_path / "encoder.keras")
    with pytest.raises(InputError, match="holds a SpanBertEncoder. Expected: a model of SpanBertQuestionAnswerer, "):
        demo.main(demo.Config(model=(str(tmp_path / "encoder.keras"),), port=0))
