"""Fixtures that several tasks share: a tiny encoder, a reader of HTML and a browser."""

import html.parser
import json
import shutil
import subprocess

import pytest

from spanbert_keras import program

PIECES = ["[PAD]", *(f"[unused{i}]" for i in range(1, 13)), "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


@pytest.fixture(scope="module", autouse=True)
def _plain_graphs(plain_graphs):
    """Runs the graphs of all tests here unoptimized."""


@pytest.fixture(scope="session")
def encoder_path(tmp_path_factory):
    """Path of a saved encoder of 32 positions, with pieces for markers and for the words w0 to w39."""
    import keras

    from spanbert_keras import SpanBertEncoder, SpanBertTokenizer

    keras.utils.set_random_seed(1)
    tokenizer = SpanBertTokenizer([*PIECES, *(f"w{i}" for i in range(40)), "PERSON", "ORGANIZATION", "CITY", "DATE"])
    size = tokenizer.vocabulary_size()
    encoder = SpanBertEncoder(size, 1, 2, 16, 32, max_sequence_length=32, tokenizer=tokenizer)
    path = tmp_path_factory.mktemp("encoder") / "encoder.keras"
    encoder.save(path)
    return path


class Elements(html.parser.HTMLParser):
    """Collects what a document's tags hold: `texts["script"]` is a list of (attributes, text)."""

    def __init__(self, document):
        super().__init__()
        self.texts, self.open = {}, []
        self.feed(document)

    def handle_starttag(self, tag, attributes):
        self.open.append([tag, dict(attributes), ""])

    def handle_data(self, data):
        for element in self.open:
            element[2] += data

    def handle_endtag(self, tag):
        while self.open:
            name, attributes, text = self.open.pop()
            self.texts.setdefault(name, []).append((attributes, text))
            if name == tag:
                break


@pytest.fixture(scope="session")
def texts_of():
    """Function from a document to a dict from tags to lists of (attributes, text)."""
    return lambda document: Elements(document).texts


@pytest.fixture(scope="session")
def embedded(texts_of):
    """Function from a page's path to the data that it carries."""

    def read(path):
        scripts = texts_of(path.read_text(encoding="utf-8"))["script"]
        return json.loads(next(text for attributes, text in scripts if attributes.get("id") == "data"))

    return read


@pytest.fixture
def browser(tmp_path):
    """Function from an address to the document after a browser has run its scripts."""
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if program is None:
        pytest.skip("no chromium or google-chrome on this machine to show the page")

    def show(address):
        options = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}"]
        command = [program, *options, "--virtual-time-budget=2000", "--dump-dom", address]
        return subprocess.run(command, capture_output=True, timeout=120, check=False).stdout.decode("utf-8", "replace")

    if "</html>" not in show("about:blank"):
        pytest.skip(f"the browser {program} does not start here")
    return show


@pytest.fixture
def run_classification(encoder_path, tmp_path):
    """Function of a classifiers' fine-tuning program and flags that runs it and returns its output directory."""

    def run(finetune, *flags, name="run"):
        folder = tmp_path / name
        always = ["--epochs=1", "--batch_size=4", "--max_sequence_length=24", "--evaluations_per_epoch=1"]
        arguments = [f"--encoder={encoder_path}", f"--output_dir={folder}", *always, *flags]
        finetune.main(program.parse(finetune.Config, arguments))
        return folder

    return run
