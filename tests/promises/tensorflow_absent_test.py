"""JAX and torch need no TensorFlow: models, losses, masker and shards work while its import is blocked."""

import importlib.util
import os
import subprocess
import sys

import pytest

BLOCK = """
import sys
sys.modules["tensorflow"] = sys.modules["tensorflow_text"] = None  # what `import` and `find_spec` see as not installed
import importlib.util
import numpy as np
assert importlib.util.find_spec("tensorflow") is None
import keras
import spanbert_keras

def check_absent():
    loaded = [name for name, module in sys.modules.items() if name.split(".")[0].startswith("tensorflow") and module]
    assert loaded == [], loaded

SPECIALS = ["[PAD]", "[unused1]", "[unused2]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
PIECES = [*SPECIALS, *"abcdefgh", *("##" + letter for letter in "abcdefgh")]
tokenizer = spanbert_keras.SpanBertTokenizer(PIECES)
"""

MODELS = """
encoder = spanbert_keras.SpanBertEncoder(
    vocabulary_size=len(PIECES), num_layers=1, num_heads=2, hidden_dim=8, intermediate_dim=24,
    max_sequence_length=32, tokenizer=tokenizer,
)
pretrainer = spanbert_keras.SpanBertPretrainer(encoder)
masker = spanbert_keras.SpanMasker(tokenizer=tokenizer)
ids = np.array([[4] + [7 + (7 * i + row) % 8 for i in range(28)] + [5] for row in range(3)], "int32")
masked = masker({"token_ids": ids, "padding_mask": np.ones_like(ids)}, seed=(1, 2))
masked = {name: keras.ops.convert_to_numpy(values) for name, values in masked.items()}
assert masked["mask_weights"].sum() == 3 * 5, masked["mask_weights"]  # ceil(0.15 x 28)
outputs = pretrainer(masked)
from spanbert_keras.losses.span_bert_loss import target_losses
losses = [target_losses(outputs[name], masked["mask_ids"]) for name in ("masked_lm", "span_boundary")]
weights = [keras.ops.convert_to_tensor(masked[name]) for name in ("mask_weights", "span_weights")]
loss = spanbert_keras.span_bert_loss(*losses, *weights)
assert abs(float(loss) - 2 * np.log(len(PIECES))) < 1.0, float(loss)  # both heads begin near uniform
from spanbert_keras.preprocessing.preprocessors.pretrainer_preprocessor import SpanBertPretrainerPreprocessor
rows, targets = SpanBertPretrainerPreprocessor(tokenizer, row_length=32)(["bad cab", "", "a head"])
assert pretrainer(rows)["masked_lm"].shape == (*targets["mask_ids"].shape, len(PIECES))
path = sys.argv[1] + "/pretrainer.keras"
pretrainer.save(path)
again = keras.saving.load_model(path)
assert again.encoder.tokenizer.get_vocabulary() == PIECES
for name, values in again(masked).items():
    np.testing.assert_allclose(
        keras.ops.convert_to_numpy(values), keras.ops.convert_to_numpy(outputs[name]), atol=1e-6
    )
classifier = spanbert_keras.SpanBertTextClassifier(encoder, ("x", "y"))
assert classifier.classify(("bad cab", "head")).label in ("x", "y")
extractor = spanbert_keras.SpanBertRelationExtractor(encoder, ("none", "r"), ["A"], ["B"])
assert extractor.extract("bad had cab", (0, 3), (8, 11), "A", "B").label in ("none", "r")
resolver = spanbert_keras.SpanBertCoreferenceResolver(encoder, segment_length=16, hidden_dim=4, feature_dim=4)
reader = spanbert_keras.SpanBertQuestionAnswerer(encoder)
relation = {"text": "bad had cab", "subject": (0, 3), "object": (8, 11), "subject_type": "A", "object_type": "B"}
documents = [spanbert_keras.Document(tuple("a bad cab a".split()), clusters=(((0, 1), (3, 4)),))]
asked = {"question": ["a cab", "head"], "context": ["bad cab", "a head"]}
for model, x, y in (
    (again, ["bad cab", "", "a head"], None),
    (classifier, ["bad cab", "a head"], ["x", "y"]),
    (extractor, [relation, relation], ["none", "r"]),
    (resolver, documents, None),
    (reader, asked | {"answer_start": [4, 0], "answer_text": ["cab", ""]}, None),
):
    history = model.fit(x, y, epochs=2, verbose=0).history
    assert len(history["loss"]) == 2 and np.isfinite(history["loss"]).all(), history
    model.evaluate(x, y, verbose=0)
    assert all(len(values) for values in model.predict(x, verbose=0).values())
check_absent()
"""

SHARDS = """
import pathlib
from spanbert_keras import prepare, program
from spanbert_keras.data.shards.token_shards import TokenShards
folder = pathlib.Path(sys.argv[1])
words = ["abc", "bad", "cafe", "dead", "each", "fade", "gag", "head"]
documents = ["\\n".join(" ".join(words[(i + j + k) % 8] for k in range(9)) for j in range(5)) for i in range(40)]
(folder / "text.txt").write_text("\\n\\n".join(f"{i} {text}" for i, text in enumerate(documents)))
(folder / "vocab.txt").write_text("\\n".join(PIECES) + "\\n")
paths = {"input": "text.txt", "vocabulary": "vocab.txt", "output_dir": "shards"}
arguments = [f"--{name}={folder / path}" for name, path in paths.items()]
prepare.main(program.parse(prepare.Config, arguments))
shards = TokenShards(folder / "shards")
shards.verify()
assert sum(len(pieces) for pieces in shards.split("train").pieces) > 0
assert shards.tokenizer().get_vocabulary() == PIECES
check_absent()
"""


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_without_tensorflow_shards_and_models_work(backend, tmp_path, root):
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    # XLA would take most of the time to optimize models this small.
    quick = {"JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}
    environment = {**os.environ, **quick, "KERAS_BACKEND": backend, "PYTHONPATH": str(root)}
    command = [sys.executable, "-c", BLOCK + SHARDS + MODELS, str(tmp_path)]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-4000:]


def test_the_block_itself_blocks():
    done = subprocess.run(
        [sys.executable, "-c", BLOCK.split("import keras")[0] + "import tensorflow"], capture_output=True
    )
    assert b"ModuleNotFoundError" in done.stderr
