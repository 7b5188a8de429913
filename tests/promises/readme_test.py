"""The Python snippets of README and docs/ run as written, each on its own, on small models."""

import ast
import builtins
import re
import string

import keras
import pytest

import spanbert_keras
from spanbert_keras.conversion import destinations
from spanbert_keras.conversion.formats.own_models import from_model
from spanbert_keras.conversion.sources import open_source
from spanbert_keras.preprocessing.masking import schemes

FENCE = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)
PIECES = ["[PAD]", *(f"[unused{i}]" for i in range(1, 9)), "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
LETTERS = string.ascii_letters + string.digits + ".,?!'"
SLOW = ("pretrain(", "prepare(", "pydoc_data.topics", "resolver.fit(")  # snippets that train for a while
SLOW += ("reviews.tflite", "tf.saved_model.load")  # what they open takes a while to export
EXPORTS = {  # what snippets open, made when one needs it: model and format
    "reviews.onnx": ("reviews.keras", "onnx"),
    "reviews.tflite": ("reviews.keras", "litert"),
    "reviews_hf": ("reviews.keras", "hugging_face"),
    "served/reviews": ("reviews.keras", "saved_model_strings"),
    "served/reader": ("reader.keras", "saved_model_strings"),
}


def documents(root):
    """Returns the paths of README and of the pages in docs/."""
    return [root / "README.md", *sorted((root / "docs").glob("*.md"))]


def snippets(root, slow=SLOW):
    """Returns every fenced Python block as a parameter; those with one of the words `slow` are marked."""
    found = []
    for path in documents(root):
        name, text = path.relative_to(root).as_posix(), path.read_text(encoding="utf-8")
        for block in FENCE.finditer(text):
            line = text.count("\n", 0, block.start()) + 1
            marks = [pytest.mark.slow] if any(word in block[1] for word in slow) else []
            found.append(pytest.param(block[1], id=f"{name}:{line}", marks=marks))
    return found


def unknown_names(source):
    """Returns the names that a source uses and neither defines nor imports."""
    used, known = set(), set(dir(builtins))
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Name):
            (used if isinstance(node.ctx, ast.Load) else known).add(node.id)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            known |= {(alias.asname or alias.name).partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            known.add(node.name)
        elif isinstance(node, ast.arg):
            known.add(node.arg)
    return sorted(used - known)


def pytest_generate_tests(metafunc):
    if "snippet" in metafunc.fixturenames:
        runs = metafunc.function is test_a_snippet_runs_as_written
        metafunc.parametrize("snippet", snippets(metafunc.config.rootpath, SLOW if runs else ()))


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """A folder with small random models where the snippets look for trained ones."""
    folder = tmp_path_factory.mktemp("documentation")
    tokenizer = spanbert_keras.SpanBertTokenizer([*PIECES, *LETTERS, *(f"##{letter}" for letter in LETTERS)])

    def encoder():
        return spanbert_keras.SpanBertEncoder(
            tokenizer.vocabulary_size(), 1, 2, 8, 12, max_sequence_length=96, tokenizer=tokenizer
        )

    resolver = spanbert_keras.SpanBertCoreferenceResolver(
        encoder(), max_span_width=4, max_antecedents=5, feature_dim=2, hidden_dim=4
    )
    extractor = spanbert_keras.SpanBertRelationExtractor(
        encoder(), ["no_relation", "per:city_of_birth"], ["PERSON"], ["CITY"]
    )
    reader = spanbert_keras.SpanBertQuestionAnswerer(encoder())
    pretrainer = spanbert_keras.SpanBertPretrainer(encoder())
    for path, model in {
        "runs/tiny/encoder.keras": encoder(),
        "runs/tiny/pretrainer.keras": pretrainer,
        "runs/squad/question_answerer.keras": reader,
        "runs/coreference/coreference_resolver.keras": resolver,
        "runs/tacred/relation_extractor.keras": extractor,
        "runs/rte/text_classifier.keras": spanbert_keras.SpanBertTextClassifier(
            encoder(), ["entailment", "not_entailment"], takes_pairs=True
        ),
        "reviews.keras": spanbert_keras.SpanBertTextClassifier(encoder(), ["bad", "good"]),
        "runs/entities/entity_recognizer.keras": spanbert_keras.SpanBertEntityRecognizer(encoder(), ["PER", "LOC"]),
        "reader.keras": reader,
        "extractor.keras": extractor,
        "resolver.keras": resolver,
        "pretrainer.keras": pretrainer,
    }.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        model.save(folder / path)
    destinations.write(from_model(pretrainer), folder / "runs" / "tiny" / "hf_folder", "hugging_face")
    for path in ("runs/tiny/encoder_preset", "tiny_encoder"):
        encoder().save_to_preset(str(folder / path))
    return folder


def make_exports(snippet, folder):
    """Exports what a snippet opens."""
    if keras.backend.backend() != "tensorflow":
        pytest.skip("exports are made on the TensorFlow backend")
    for module in ("ai_edge_litert", "onnx", "onnxruntime", "tensorflow_text", "tf2onnx"):
        pytest.importorskip(module, reason="extra `export`; tensorflow-text for SavedModels of strings")
    for name, (source, form) in EXPORTS.items():
        if f'"{name}' in snippet and not (folder / name).exists():
            destinations.write(open_source(folder / source), folder / name, form)


def test_there_are_snippets(root):
    assert len(snippets(root)) >= 10
    assert snippets(root)[0].id.startswith("README.md")


def test_a_snippet_stands_alone(snippet):
    assert unknown_names(snippet) == []


def test_a_snippet_that_opens_a_model_registers_its_class(snippet):
    if "load_model(" in snippet:
        assert "import spanbert_keras\n" in snippet


def test_a_snippet_runs_as_written(snippet, models, monkeypatch):
    if "resolver.resolve(text)" in snippet or "import spacy\n" in snippet:
        pytest.importorskip("spacy", reason="raw text is cut into sentences by spaCy, extra `linguistic`")
    if "from haystack import" in snippet:
        pytest.importorskip("haystack", reason="a component of Haystack's pipelines, extra `haystack`")
    if "import AutoModel" in snippet:
        pytest.importorskip("transformers", reason="opens a folder that `convert` wrote")
    if "resolver.json" in snippet:
        pytest.skip("tests/conversion/exports/resolver_export_test.py runs it in a process of its own")
    if '"reviews' in snippet or '"served' in snippet:
        make_exports(snippet, models)
    monkeypatch.chdir(models)
    monkeypatch.setattr(schemes, "SCHEMES", dict(schemes.SCHEMES))  # a snippet adds one
    if ".fit(" in snippet:  # a shorter corpus
        monkeypatch.setattr("pydoc_data.topics.topics", {"a": "some words of a topic " * 40, "b": "other words " * 40})
    exec(compile(snippet, "snippet", "exec"), {"__name__": "snippet"})


def test_the_check_itself_finds_names_that_nothing_defines():
    assert unknown_names("import a.b as c\nfor i in range(3):\n    c.x = lambda y: y + i + z\n") == ["z"]
    assert (
        unknown_names("from a import b\nclass D(b):\n    def f(self, e=None):\n        return [g for g in e]\n") == []
    )
