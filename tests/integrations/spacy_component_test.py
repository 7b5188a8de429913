"""Components in pipelines: found without an import, saved, copied, and what is rejected."""

import json
import subprocess
import sys

import pytest

from spanbert_keras.errors import InputError
from tests.integrations.conftest import TEXT

spacy = pytest.importorskip("spacy", reason="components of spaCy's pipelines, extra `linguistic`")

PROCESS = """
import json, sys
import spacy
nlp = spacy.blank("en")
nlp.add_pipe("spanbert_coref", config={"model": sys.argv[1], "singletons": True})
doc = nlp(sys.argv[2])
print(json.dumps([[(span.start_char, span.end_char) for span in chain] for chain in doc._.coref_clusters]))
nlp.to_disk(sys.argv[3])
"""


@pytest.fixture
def pipeline(resolver_path):
    nlp = spacy.blank("en")
    nlp.add_pipe("spanbert_coref", config={"model": str(resolver_path), "singletons": True})
    return nlp


def places(doc):
    return [[(span.start_char, span.end_char) for span in chain] for chain in doc._.coref_clusters]


def test_spacy_finds_the_components_without_an_import_of_the_package(resolver_path, resolver, tmp_path):
    """In a new process: through the entry points of the installed package; the saved pipeline has its own model."""
    arguments = [str(resolver_path), TEXT, str(tmp_path / "saved")]
    done = subprocess.run([sys.executable, "-c", PROCESS, *arguments], capture_output=True, text=True)
    expected = [[[m.start, m.end] for m in chain] for chain in resolver.resolve(TEXT, singletons=True).clusters]
    assert done.stdout, done.stderr[-500:]
    assert json.loads(done.stdout) == expected != []
    config = (tmp_path / "saved" / "config.cfg").read_text()
    (tmp_path / "saved" / "config.cfg").write_text(config.replace(str(resolver_path), "/nowhere.keras"))
    loaded = spacy.load(tmp_path / "saved")
    assert [[list(place) for place in chain] for chain in places(loaded(TEXT))] == expected


def test_a_pipeline_survives_bytes_and_documents_keep_what_was_found(pipeline):
    expected = places(pipeline(TEXT))
    copied = spacy.blank("en")
    copied.add_pipe("spanbert_coref", config={"singletons": True})
    copied.from_bytes(pipeline.to_bytes())
    doc = copied(TEXT)
    assert places(doc) == expected
    again = spacy.tokens.Doc(copied.vocab).from_bytes(doc.to_bytes())
    assert places(again) == expected and again._.resolved_text == doc._.resolved_text


@pytest.mark.parametrize("batch_size", [1, 3, 100])
def test_a_stream_is_annotated_in_batches_in_its_order(pipeline, batch_size, monkeypatch):
    texts = [TEXT, "Ann left.", "", " \n ", "Bob met Ann. he left.", TEXT]
    alone = [places(pipeline(text)) for text in texts]
    sizes = []
    annotate = type(pipeline.get_pipe("spanbert_coref")).annotate
    monkeypatch.setattr(
        type(pipeline.get_pipe("spanbert_coref")),
        "annotate",
        lambda self, docs: sizes.append(len(docs)) or annotate(self, docs),
    )
    docs = list(pipeline.pipe(texts, batch_size=batch_size))
    assert [doc.text for doc in docs] == texts and [places(doc) for doc in docs] == alone
    assert max(sizes) == min(batch_size, 6) and sum(sizes) == 6


def test_a_stream_costs_the_models_calls_that_resolve_makes(pipeline, monkeypatch):
    """The cause of its rate, which docs/spacy.md states: documents are computed together, in full groups."""
    component = pipeline.get_pipe("spanbert_coref")
    links, groups = component.task_model.links, []
    monkeypatch.setattr(
        component.task_model, "links", lambda cuts, *others: groups.append(len(cuts)) or links(cuts, *others)
    )
    texts = ["Ann met Bob.", "She left her hat."] * 75
    component.task_model.resolve(texts)
    expected, groups = groups, []
    assert len(expected) == 3 and sum(expected) == 150
    monkeypatch.setattr(
        component.task_model, "links", lambda cuts, *others: groups.append(len(cuts)) or links(cuts, *others)
    )
    assert len(list(pipeline.pipe(texts))) == 150 and groups == expected


@pytest.mark.parametrize(
    "config, message",
    [
        ({}, r"The component 'spanbert_coref' has no model. Expected: the path of a SpanBertCoreferenceResolver"),
        ({"model": "/nowhere.keras"}, "nowhere"),
    ],
)
def test_a_missing_model_is_named_when_it_is_needed(config, message):
    nlp = spacy.blank("en")
    nlp.add_pipe("spanbert_coref", config=config)
    with pytest.raises(InputError, match=message):
        nlp(TEXT)


def test_spacys_own_checks_do_not_load_the_model():
    """`add_pipe` asks for the attributes of trainable components, in another order in each process."""
    component = spacy.blank("en").add_pipe("spanbert_coref", config={"model": "/nowhere.keras"})
    for protocol in (spacy.ty.ListenedToComponent, spacy.ty.TrainableComponent):
        names = set(dir(protocol)) | set(protocol.__annotations__)
        assert [name for name in names if not name.startswith("_") and hasattr(component, name)] == []


def test_a_model_of_another_class_is_named(extractor_path):
    nlp = spacy.blank("en")
    nlp.add_pipe("spanbert_coref", config={"model": str(extractor_path)})
    with pytest.raises(
        InputError, match="wrong model. Expected: a SpanBertCoreferenceResolver. Received: a SpanBertRel"
    ):
        nlp(TEXT)
