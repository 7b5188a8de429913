"""The parts of a resolver: the program of the documentation joins them, without this package, as `resolve` does."""

import json
import random
import re
import subprocess
import sys

import keras
import pytest

from spanbert_keras import SpanBertCoreferenceResolver, SpanBertEncoder, SpanBertTokenizer
from spanbert_keras.conversion.exports import resolver_export
from spanbert_keras.conversion.exports.resolver_export import FILES, export_resolver
from spanbert_keras.errors import InputError

pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="exports are made on the TensorFlow backend"
)
PIECES = [
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "[MASK]",
    *(f"w{i}" for i in range(20)),
    "##s",
    "x",
    "##x",
    "[",
    "SEP",
    "]",
]
PROGRAM = re.compile(r"^```python\n(import json\nfrom pathlib.*?)^```", re.DOTALL | re.MULTILINE)
CHECK = """
import sys
documents = json.load(open("documents.json"))
chains = [resolve(**document) for document in documents]
assert not {"spanbert_keras", "keras", "tensorflow"} & set(sys.modules)
print(json.dumps(chains, default=int))
"""


@pytest.fixture(scope="module")
def make_resolver(randomize):
    def make(**settings):
        keras.utils.set_random_seed(2)
        tokenizer = SpanBertTokenizer(PIECES)
        encoder = SpanBertEncoder(len(PIECES), 1, 2, 8, 12, max_sequence_length=20, tokenizer=tokenizer)
        sizes = {"segment_length": 16, "max_span_width": 3, "max_antecedents": 6, "antecedent_window": 9}
        sizes |= {"hidden_dim": 5, "feature_dim": 3}
        resolver = SpanBertCoreferenceResolver(encoder, **sizes | settings)
        randomize(resolver)
        return resolver

    return make


def some_documents():
    """Returns documents of one to several segments, as arguments of `resolve`."""
    choose, documents = random.Random(5), []
    for count in (1, 2, 9, 40, 150):
        tokens = choose.choices([*(f"w{i}" for i in range(20)), "w3ss", "[SEP]", "\u200b", "?"], k=count)
        tokens[count // 2] = "x" * 30 if count > 100 else tokens[count // 2]  # longer than a segment
        bounds = sorted({0, count, *choose.choices(range(1, count + 1), k=count // 12)})
        speakers = choose.choices(["Ann", "Bob"], k=count) if count % 2 == 0 else None
        sentences = list(zip(bounds[:-1], bounds[1:], strict=True))
        documents.append({"tokens": tokens, "sentences": sentences, "speakers": speakers, "genre": None})
    documents[-1]["genre"] = "tc"
    return documents


@pytest.fixture(scope="module")
def onnxruntime():
    for module in ("onnx", "tf2onnx", "onnxruntime"):
        pytest.importorskip(module, reason="the extra `export` is not installed")


def test_the_program_of_the_documentation_resolves_as_the_model_does(onnxruntime, make_resolver, root, tmp_path):
    resolver, documents = make_resolver(), some_documents()
    assert export_resolver(resolver, tmp_path / "runs" / "coreference" / "parts") < 1e-5
    assert {file.name for file in (tmp_path / "runs/coreference/parts").iterdir()} == FILES
    _check_axes(tmp_path / "runs" / "coreference" / "parts")
    (program,) = PROGRAM.findall((root / "docs" / "coreference.md").read_text(encoding="utf-8"))
    (tmp_path / "documents.json").write_text(json.dumps(documents))
    done = subprocess.run([sys.executable, "-c", program + CHECK], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-4000:]
    expected = [resolver.resolve(**document).token_clusters for document in documents]
    received = json.loads(done.stdout.splitlines()[-1])
    assert [{tuple(map(tuple, chain)) for chain in chains} for chains in received] == [
        set(map(tuple, e)) for e in expected
    ]
    assert sum(map(len, expected)) > 8 and len({len(chain) for chains in expected for chain in chains}) > 2


def _check_axes(folder):
    """Checks that axes of two sizes, pieces and spans, have two names."""
    import onnx

    free = {}
    for name in ("mentions", "spans", "pairs"):
        graph = onnx.load(str(folder / f"{name}.onnx")).graph
        values = [*graph.input, *graph.output]
        free[name] = {value.name: value.type.tensor_type.shape.dim[0].dim_param for value in values}
    assert free["mentions"] == {"sequence": "pieces", "scores": "pieces"}
    of_spans = dict.fromkeys(("starts", "ends", "vectors", "mention_scores"), "spans")
    assert free["spans"] == of_spans | {"sequence": "pieces"}
    assert set(free["pairs"].values()) == {"spans", ""} and free["pairs"]["genre"] == ""


def test_what_parts_cannot_hold_is_rejected(make_resolver, tmp_path):
    with pytest.raises(InputError, match="Expected: a SpanBertCoreferenceResolver. Received: SpanBertEncoder"):
        export_resolver(make_resolver().encoder, tmp_path / "parts")
    with pytest.raises(InputError, match="Expected: candidates='words'. Received: 'pieces'"):
        export_resolver(make_resolver(candidates="pieces"), tmp_path / "parts")
    tokenizer = SpanBertTokenizer(PIECES, added_tokens=["[E1]"])
    encoder = SpanBertEncoder(tokenizer.vocabulary_size(), 1, 2, 8, 12, max_sequence_length=20, tokenizer=tokenizer)
    marked = SpanBertCoreferenceResolver(encoder, max_span_width=2, hidden_dim=3, feature_dim=2)
    with pytest.raises(InputError, match=r"cannot hold added tokens.*Received: \[E1\]"):
        export_resolver(marked, tmp_path / "parts")
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "thesis.txt").touch()
    with pytest.raises(InputError, match=r"cannot be used for the parts.*Received: a folder with thesis\.txt"):
        export_resolver(make_resolver(), tmp_path / "parts")
    assert [file.name for file in tmp_path.rglob("*")] == ["parts", "thesis.txt"]


def test_a_wrong_export_is_not_written(onnxruntime, make_resolver, tmp_path, monkeypatch):
    other = make_resolver()
    other.mention_scorer.width_embeddings.assign(other.mention_scorer.width_embeddings + 0.5)
    write = resolver_export.write_onnx
    parts = resolver_export.resolver_parts(other)
    monkeypatch.setattr(resolver_export, "export_onnx", lambda *_: 0.0)

    def write_other(part, specs, output_axes, path):
        if path.stem == "mentions":  # which is compared first
            write(parts[path.stem], specs, output_axes, path)

    monkeypatch.setattr(resolver_export, "write_onnx", write_other)
    with pytest.raises(InputError, match="export of mentions does not compute the same as the model; nothing was"):
        export_resolver(make_resolver(), tmp_path / "parts")
    assert list(tmp_path.iterdir()) == []
