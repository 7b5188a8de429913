"""Exported files in a process without this package: equal to the model on 100 real examples, and on hard texts."""

import csv
import gzip
import io
import itertools
import json
import os
import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest

from spanbert_keras import SpanBertEncoder, SpanBertQuestionAnswerer, SpanBertTextClassifier, SpanBertTokenizer
from spanbert_keras.convert import Config, convert
from tests.hard_strings import HAND, pieces_of

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="exports are made on the TensorFlow backend"),
]
TOLERANCE, EXAMPLES = 1e-4, 100
HARD = [text for text in HAND if text.strip()]
HARD += ["Cafe\u0301 👩‍👩‍👧 naïve İx 日本語 a\u200b!", "x [SEP] bar [MASK]", "foo Straße 😀", "[E1] 日本語 co-vid"]
SERVE = """
import json, sys
import numpy as np
import onnxruntime
import tensorflow as tf
import tensorflow_text
tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})  # which takes longer than it saves
from ai_edge_litert.interpreter import Interpreter

def onnx(path, rows):
    session = onnxruntime.InferenceSession(path)
    names = [value.name for value in session.get_outputs()]
    return dict(zip(names, session.run(names, rows)))

def litert(path, rows):
    return Interpreter(path).get_signature_runner("serving_default")(**rows)

def strings(path, **texts):
    served = tf.saved_model.load(path)
    found = served.signatures["serving_default"](**{name: tf.constant(text) for name, text in texts.items()})
    return {name: value.numpy() for name, value in found.items()}

rows = {name: dict(np.load(name + ".npz")) for name in ("classifier", "reader")}
texts, contexts = json.load(open("texts.json"))
found = {
    "classifier.onnx": onnx("classifier.onnx", rows["classifier"]),
    "classifier.tflite": litert("classifier.tflite", rows["classifier"]),
    "reader.onnx": onnx("reader.onnx", rows["reader"]),
    "classifier": strings("classifier", text=texts, second_text=contexts),
    "reader": strings("reader", question=texts, context=contexts),
}
assert not {"spanbert_keras", "keras_hub", "tokenizers"} & set(sys.modules)
found = {name: {key: value.tolist() for key, value in outputs.items()} for name, outputs in found.items()}
print(json.dumps(found, default=bytes.decode))
"""


def real_examples():
    """Returns 100 sentences of SST-2, and 100 questions and contexts of SQuAD; none without the folder of data."""
    folder = os.environ.get("SPANBERT_KERAS_DATA")
    if not folder:
        return [], []
    content = gzip.decompress((pathlib.Path(folder) / "glue/SST-2/dev.tsv.gz").read_bytes()).decode("utf-8")
    sentences = [row["sentence"] for row in csv.DictReader(io.StringIO(content), delimiter="\t", quoting=3)]
    squad = json.loads((pathlib.Path(folder) / "squad/dev-v1.1.16articles.json").read_text(encoding="utf-8"))
    paragraphs = (paragraph for article in squad["data"] for paragraph in article["paragraphs"])
    asked = ((one["question"], paragraph["context"]) for paragraph in paragraphs for one in paragraph["qas"][:1])
    return sentences[:EXAMPLES], list(itertools.islice(asked, EXAMPLES))


@pytest.fixture(scope="module")
def served(plain_graphs, randomize, tmp_path_factory):
    """Models, their inputs, and what their exports return for these in a fresh process."""
    for module in ("ai_edge_litert", "onnx", "onnxruntime", "tensorflow_text", "tf2onnx"):
        pytest.importorskip(module, reason="extra `export`; tensorflow-text for SavedModels of strings")
    keras.utils.set_random_seed(1)
    folder = tmp_path_factory.mktemp("exported")
    sentences, asked = real_examples()
    words = {word for text in [*sentences, *itertools.chain(*asked)] for word in text.lower().split()}
    pieces = list(dict.fromkeys([*pieces_of(HARD), *sorted(words)]))
    tokenizer = SpanBertTokenizer(pieces, lowercase=True)

    def encoder():
        return SpanBertEncoder(len(pieces), 1, 2, 16, 24, max_sequence_length=96, tokenizer=tokenizer)

    classifier = SpanBertTextClassifier(encoder(), ["bad", "good", "ugly"], 48, takes_pairs=True, temperature=2.0)
    reader = SpanBertQuestionAnswerer(encoder(), max_question_pieces=16, temperature=0.5)
    windows = [one for text in asked for one in _first_window(reader, *text)] or _first_window(reader, "foo", "x bar")
    rows = {
        "classifier": classifier.pad(classifier.pairs.rows(sentences or HARD), 48),
        "reader": reader.windows.pad(windows, 96),
    }
    for name, model in (("classifier", classifier), ("reader", reader)):
        randomize(model)
        model.save(folder / f"{name}.keras")
        np.savez(folder / f"{name}.npz", **rows[name])
    pairs = [pair for pair in itertools.product(HARD, HARD) if _fits(reader, *pair)]
    texts = [list(column) for column in zip(*pairs, strict=True)]
    refused = [one.no_answer_score for one in reader.answer(*texts)]
    reader.no_answer_threshold = float(np.quantile(refused, 0.7))
    reader.save(folder / "reader.keras")
    notes = [
        convert(Config(source=str(folder / f"{source}.keras"), destination=str(folder / name), format=form))
        for source, name, form in (
            ("classifier", "classifier.onnx", "auto"),
            ("classifier", "classifier.tflite", "auto"),
            ("reader", "reader.onnx", "auto"),
            ("classifier", "classifier", "saved_model_strings"),
            ("reader", "reader", "saved_model_strings"),
        )
    ]
    (folder / "texts.json").write_text(json.dumps(texts), encoding="utf-8")
    done = subprocess.run([sys.executable, "-c", SERVE], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-4000:]
    found = {
        name: {key: np.array(value) for key, value in outputs.items()}
        for name, outputs in json.loads(done.stdout.splitlines()[-1]).items()
    }
    return {"classifier": classifier, "reader": reader, "rows": rows, "texts": texts, "found": found, "notes": notes}


def _first_window(reader, question, context):
    ((ids, _),), (passage,) = reader.windows.questions([question]), reader.windows.passages([context])
    return reader.windows.split(ids, passage)[:1]


def _fits(reader, *texts):
    return sum(map(len, reader.encoder.tokenizer(list(texts)))) < 60


@pytest.mark.parametrize("file", ["classifier.onnx", "classifier.tflite", "reader.onnx"])
def test_100_real_examples_give_the_models_outputs(served, data_folder, file):
    name = file.partition(".")[0]
    rows = served["rows"][name]
    assert len(rows["token_ids"]) == EXAMPLES and rows["padding_mask"].sum() > 10 * EXAMPLES
    for key, values in served[name].compute_rows(rows).items():
        assert np.ptp(values) > 0.1
        np.testing.assert_allclose(served["found"][file][key], values, atol=TOLERANCE)


def test_pairs_of_texts_have_the_scores_of_classify(served):
    model, found = served["classifier"], served["found"]["classifier"]
    expected = [list(one.scores.values()) for one in model.classify(list(zip(*served["texts"], strict=True)))]
    np.testing.assert_allclose(found["scores"], expected, atol=TOLERANCE)
    assert found["labels"].tolist() == [list(model.labels)] * len(expected) and np.ptp(expected) > 0.1


def test_questions_have_the_answers_of_the_reader(served):
    found, texts = served["found"]["reader"], served["texts"]
    expected = served["reader"].answer(*texts)
    received = zip(*(found[name].tolist() for name in ("text", "start", "end")), strict=True)
    places = [
        (one.text, -1 if one.start is None else one.start, -1 if one.end is None else one.end) for one in expected
    ]
    assert list(received) == places and not found["truncated_pieces"].any()
    np.testing.assert_allclose(found["score"], [one.score for one in expected], atol=TOLERANCE)
    assert 10 < sum(one.start is None for one in expected) < len(expected) / 2


def test_convert_reports_what_the_files_of_strings_return(served):
    classifier, reader = served["notes"][3:]
    assert any(note.startswith("Its outputs are labels, scores, truncated_pieces; its size is ") for note in classifier)
    assert any(note.startswith("Its outputs are end, no_answer_score, score, start, text, trunc") for note in reader)
    assert all(any("outputs differ from the model's by at most" in note for note in notes) for notes in served["notes"])
