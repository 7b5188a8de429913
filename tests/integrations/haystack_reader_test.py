"""The reader in Haystack pipelines: sockets, answers, "no answer", saved pipelines, and what is rejected."""

import inspect
import runpy
import sys

import pytest

import spanbert_keras
from spanbert_keras.errors import InputError

haystack = pytest.importorskip("haystack", reason="a component of Haystack's pipelines, extra `haystack`")

from haystack import Document, Pipeline  # noqa: E402
from haystack.components.retrievers.in_memory import InMemoryBM25Retriever  # noqa: E402
from haystack.document_stores.in_memory import InMemoryDocumentStore  # noqa: E402

from spanbert_keras.integrations.haystack_reader import SpanBertExtractiveReader  # noqa: E402

QUERY = "Ann lives in"
TEXTS = [
    "Ann lives in Rome . Bob left his hat in Oslo",
    "Bob met her in Paris . She left",
    "he lives in Oslo . Ann met Bob . She left her hat in Rome . he left Ann in Paris . Bob lives in Rome . She met",
]
# Haystack 2's `ExtractiveReader.run` and, since 3, `TransformersExtractiveReader.run`.
SOCKETS = {
    "query": str,
    "documents": list[Document],
    "top_k": int | None,
    "score_threshold": float | None,
    "max_seq_length": int | None,
    "stride": int | None,
    "max_batch_size": int | None,
    "answers_per_seq": int | None,
    "no_answer": bool | None,
    "overlap_threshold": float | None,
}


@pytest.fixture(scope="module")
def documents():
    return [Document(content=text) for text in TEXTS]


@pytest.fixture(scope="module")
def model(reader_path):
    return spanbert_keras.load_pretrained(reader_path)


@pytest.fixture(scope="module")
def component(reader_path):
    made = SpanBertExtractiveReader(reader_path)
    made.warm_up()
    return made


def places(answers):
    return [(a.data, a.document.content, a.document_offset.start, a.document_offset.end) for a in answers if a.document]


def test_sockets_are_those_of_haystacks_reader(component):
    inputs = component.__haystack_input__._sockets_dict
    assert {name: socket.type for name, socket in inputs.items()} == SOCKETS
    assert {name for name, socket in inputs.items() if socket.is_mandatory} == {"query", "documents"}
    outputs = component.__haystack_output__._sockets_dict
    assert {name: socket.type for name, socket in outputs.items()} == {"answers": list[haystack.ExtractedAnswer]}
    taken = set(inspect.signature(SpanBertExtractiveReader.__init__).parameters)
    assert taken == {"self", "model", *SOCKETS} - {"query", "documents"}


def test_answers_are_those_of_read_with_no_answer_in_its_place(component, model, documents):
    expected = model.read(QUERY, TEXTS, top_k=6)
    answers = component.run(query=QUERY, documents=documents, top_k=6, overlap_threshold=0.0)["answers"]
    assert places(answers) == [(a.text, TEXTS[a.document], a.start, a.end) for a in expected]
    scores = [a.score for a in answers]
    assert scores == sorted(scores, reverse=True) and {a.query for a in answers} == {QUERY}
    assert [a.score for a in answers if a.document] == pytest.approx([a.score for a in expected], rel=1e-4)
    assert all(a.document in documents for a in answers if a.document)
    [none] = [a for a in answers if a.document is None]
    assert (none.data, none.document_offset) == (None, None)
    model_none = []
    for reading in model.readings([QUERY] * 3, TEXTS):
        model_none.append(reading.candidates.probabilities(2.0)[1])
    assert none.score == pytest.approx(min(model_none), rel=1e-4)
    without = component.run(query=QUERY, documents=documents, top_k=6, overlap_threshold=0.0, no_answer=False)
    assert without["answers"] == [a for a in answers if a.document]


def test_a_pipeline_with_a_retriever_survives_yaml(reader_path, documents, model):
    store = InMemoryDocumentStore()
    store.write_documents(documents)
    pipeline = Pipeline()
    pipeline.add_component("retriever", InMemoryBM25Retriever(store, top_k=2))
    pipeline.add_component("reader", SpanBertExtractiveReader(str(reader_path), top_k=3, no_answer=False))
    pipeline.connect("retriever.documents", "reader.documents")
    given = {"retriever": {"query": "Ann in Oslo"}, "reader": {"query": QUERY}}
    answers = pipeline.run(given)["reader"]["answers"]
    read = InMemoryBM25Retriever(store, top_k=2).run(query="Ann in Oslo")["documents"]
    expected = model.read(QUERY, [document.content for document in read], top_k=3)
    assert [a.data for a in answers] == [a.text for a in expected] and len(answers) == 3
    text = pipeline.dumps()
    trusted = (
        {}
        if "allowed_modules" not in inspect.signature(Pipeline.loads).parameters
        else {"allowed_modules": ["spanbert_keras.integrations"]}
    )
    again = Pipeline.loads(text, **trusted)
    assert again.dumps() == text
    copied = again.get_component("reader")
    assert copied.to_dict() == pipeline.get_component("reader").to_dict()
    again = copied.run(query=QUERY, documents=read)["answers"]
    assert places(again) == places(answers) and [a.score for a in again] == pytest.approx([a.score for a in answers])


def test_settings_reach_the_reader(component, documents):
    run = lambda **settings: component.run(query=QUERY, documents=documents, **settings)["answers"]  # noqa: E731
    answers = run(no_answer=False)
    assert len(answers) > 3
    least = (answers[1].score + answers[2].score) / 2
    assert run(no_answer=False, score_threshold=least) == answers[:2]
    assert all(a.score >= least for a in run(score_threshold=least))
    apart, nested = (run(no_answer=False, top_k=99, overlap_threshold=overlap) for overlap in (0.0, 1.0))
    assert len(apart) < len(nested)
    alone, together = ([a.score for a in run(max_batch_size=size)] for size in (1, None))
    assert alone == pytest.approx(together, rel=1e-4)
    few = run(no_answer=False, answers_per_seq=1, overlap_threshold=1.0)
    assert 3 < len(few) <= 6  # windows: one or two of each document, the third has more


@pytest.mark.parametrize("length, shared, begins", [(16, 4, [0, 6, 12, 18]), (24, 0, [0, 18]), (None, 17, None)])
def test_windows_share_as_many_pieces_as_haystacks_stride(component, length, shared, begins, monkeypatch):
    """The third text in windows of 16 pieces, 10 of them passage: each begins 6 after the one before."""
    seen = []
    windows = type(component._model.windows)
    split = windows.split
    monkeypatch.setattr(windows, "split", lambda self, *given: seen.append(split(self, *given)) or seen[-1])
    component.run(query=QUERY, documents=[Document(content=TEXTS[2])], max_seq_length=length, stride=shared)
    [found] = seen
    total, room = len(TEXTS[2].split()), (length or 24) - 6
    assert [w.begin for w in found] == list(range(0, max(1, total - shared), room - shared))
    assert begins is None or [w.begin for w in found][: len(begins)] == begins
    assert max(len(w) for w in found) == (length or 24)


def test_documents_without_text_or_pages_are_taken(component):
    paged = Document(content="Ann left . \f Bob met her \f in Oslo", meta={"page_number": 4})
    answers = component.run(query=QUERY, documents=[Document(content=None), paged], no_answer=False)["answers"]
    assert answers and all(a.document is paged for a in answers)
    assert [a.meta["answer_page_number"] for a in answers] == [
        4 + paged.content[: a.document_offset.start].count("\f") for a in answers
    ]
    assert len({a.meta["answer_page_number"] for a in answers}) > 1
    assert component.run(query=QUERY, documents=[]) == component.run(query=QUERY, documents=[Document()])
    assert component.run(query=QUERY, documents=[]) == {"answers": []}


def test_a_reader_that_finds_no_answer_returns_only_that(reader_path, documents):
    component = SpanBertExtractiveReader(reader_path)
    component.warm_up()
    component._model.no_answer_threshold = -1e9
    [none] = component.run(query=QUERY, documents=documents)["answers"]
    assert none.data is None and 0 < none.score < 1
    assert component.run(query=QUERY, documents=documents, no_answer=False) == {"answers": []}


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"top_k": 0}, "top_k=0"),
        ({"score_threshold": 1.5}, "score_threshold=1.5"),
        ({"overlap_threshold": -1}, "overlap_threshold=-1"),
        ({"max_batch_size": 0}, "max_batch_size=0"),
        ({"answers_per_seq": 0}, "answers_per_seq=0"),
        ({"max_seq_length": 25}, "`max_seq_length` must be a whole number from 5 to 24. Received: max_seq_length=25"),
        ({"stride": 18}, "`stride` must be a whole number from 0 to 17. Received: stride=18"),
        ({"query": ""}, "Question 0 has no words"),
        ({"documents": [Document(content="a"), "text"]}, r"`documents\[1\]` must be a Haystack `Document`. Received"),
    ],
)
def test_bad_settings_are_named(component, documents, settings, message):
    with pytest.raises(InputError, match=message):
        component.run(**{"query": QUERY, "documents": documents} | settings)


@pytest.mark.parametrize("source", ["", None, 3])
def test_a_model_must_be_a_source(source):
    with pytest.raises(InputError, match="`model` must be the path of a SpanBertQuestionAnswerer"):
        SpanBertExtractiveReader(source)


def test_a_model_of_another_class_is_named(extractor_path):
    with pytest.raises(
        InputError, match="^The component SpanBertExtractiveReader has the wrong model. Expected: a SpanBertQ"
    ):
        SpanBertExtractiveReader(extractor_path).warm_up()


def test_without_haystack_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "haystack", None)
    with pytest.raises(ImportError, match=r'^[^.]+\. Install it with `pip install "spanbert-keras\[haystack\]"`\.$'):
        runpy.run_path(inspect.getsourcefile(SpanBertExtractiveReader))
