"""Entities of a saved recognizer as mentions: the same places, lines without words, and other models."""

import shutil

import pytest

from spanbert_keras import SpanBertEncoder, SpanBertEntityRecognizer, SpanBertTokenizer
from spanbert_keras.data.annotations.open_annotator import open_annotator
from spanbert_keras.errors import InputError

PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "Ann", "met", "Bob", "."]


@pytest.fixture(scope="module")
def files(tmp_path_factory, randomize):
    """A recognizer full of noise, its path, and that of an encoder."""
    folder = tmp_path_factory.mktemp("models")
    tokenizer = SpanBertTokenizer(PIECES)
    encoder = SpanBertEncoder(len(PIECES), 1, 2, 8, 12, max_sequence_length=16, tokenizer=tokenizer)
    model = SpanBertEntityRecognizer(encoder, ["PER", "LOC"], max_span_width=2, hidden_dim=8)
    randomize(model, scale=0.5)
    model.save(folder / "m.keras")
    encoder.save(folder / "e.keras")
    return model, folder / "m.keras", folder / "e.keras"


def test_mentions_are_the_recognized_entities(files):
    model, path, _ = files
    annotator = open_annotator(f"model:{path}", ("entities",))
    assert annotator.labels == {"entities": ["LOC", "PER"]} and len(annotator.settings["sha256"]) == 64
    lines = ["Ann met Bob.", "", "\u200b", "Bob"]
    expected = [[(one.start, one.end, one.label) for one in model.recognize(line)] for line in (lines[0], lines[3])]
    found = [[tuple(mention) for mention in one["entities"]] for one in annotator.annotate(lines)]
    assert found == [expected[0], [], [], expected[1]] and expected[0]


def test_the_folder_of_a_run_is_its_model(files, tmp_path):
    _, path, _ = files
    shutil.copy(path, tmp_path / "entity_recognizer.keras")
    one, other = (open_annotator(f"model:{place}", ("entities",)) for place in (tmp_path, path))
    assert one.settings == other.settings and one.description == "model entity_recognizer.keras"
    assert one.annotate(["Ann met Bob."]) == other.annotate(["Ann met Bob."])


def test_other_models_and_annotations_are_one_sentence(files, tmp_path):
    _, path, encoder = files
    with pytest.raises(InputError, match="Expected: --annotations=entities. Received: noun_phrases"):
        open_annotator(f"model:{path}", ("noun_phrases",))
    with pytest.raises(InputError, match="must be a SpanBertEntityRecognizer.*Received: SpanBertEncoder"):
        open_annotator(f"model:{encoder}", ("entities",))
    (tmp_path / "x.keras").write_bytes(b"no zip")
    with pytest.raises(InputError, match="x.keras cannot be loaded. Expected: a .keras file"):
        open_annotator(f"model:{tmp_path / 'x.keras'}", ("entities",))
    for name, missing in (("missing.keras", "missing.keras"), ("", "entity_recognizer.keras")):
        with pytest.raises(InputError, match=f"{missing} is missing. Expected: a .keras file.*or the folder"):
            open_annotator(f"model:{tmp_path / name}", ("entities",))
