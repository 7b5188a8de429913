"""A saved model loads in a fresh process, from another directory, on every backend, with the same numbers and text."""

import importlib.util
import json
import os
import subprocess
import sys

import keras
import numpy as np
import pytest

import spanbert_keras

LETTERS = "abcdefgh"
PIECES = [
    "[PAD]",
    "[unused1]",
    "[unused2]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "[MASK]",
    *LETTERS,
    *("##" + letter for letter in LETTERS),
]
TEXT = "a [MASK] [MASK] bad cab [MASK]"
INPUTS = (
    "token_ids",
    "segment_ids",
    "padding_mask",
    "mask_positions",
    "left_positions",
    "right_positions",
    "span_offsets",
)
PAIR = ("a bad cab", "head")
SENTENCE = {"subject": (0, 1), "object": (2, 4), "subject_type": "A", "object_type": "B"}

LOAD = """
import json, sys
import numpy as np
import keras
import spanbert_keras
folder = sys.argv[1]
inputs = dict(np.load(folder + "/inputs.npz"))
pretrainer = keras.saving.load_model(folder + "/pretrainer.keras")
encoder = keras.saving.load_model(folder + "/encoder.keras")
classifier = keras.saving.load_model(folder + "/classifier.keras")
extractor = keras.saving.load_model(folder + "/extractor.keras")
preset = spanbert_keras.SpanBertEncoder.from_preset(folder + "/preset")
outputs = pretrainer(inputs)
outputs["encoder"] = encoder(inputs)["sequence_output"]
outputs["preset"] = preset(inputs)["sequence_output"]
np.savez(sys.argv[2], **{key: keras.ops.convert_to_numpy(value) for key, value in outputs.items()})
print(json.dumps({
    "backend": keras.backend.backend(),
    "vocabularies": [model.tokenizer.get_vocabulary() for model in (pretrainer, encoder, preset)],
    "tied": pretrainer.span_boundary_head.embedding is pretrainer.encoder.token_embedding,
    "text": pretrainer.fill_spans(sys.argv[3]),
    "markers": extractor.markers,
    "classes": classifier.classify(tuple(json.loads(sys.argv[4]))).scores,
    "relations": extractor.extract("bad had cab ace".split(), **json.loads(sys.argv[5])).scores,
}))
"""


@pytest.fixture(scope="module")
def saved(randomize, tmp_path_factory):
    """Folder with `pretrainer.keras`, `encoder.keras`, `preset` and inputs, what they gave here, and the text."""
    folder = tmp_path_factory.mktemp("saved")
    said = {}
    tokenizer = spanbert_keras.SpanBertTokenizer(PIECES)
    encoder = spanbert_keras.SpanBertEncoder(len(PIECES), 2, 3, 12, 20, max_sequence_length=32, tokenizer=tokenizer)
    pretrainer = spanbert_keras.SpanBertPretrainer(encoder, max_span_positions=4, position_dim=5)
    randomize(pretrainer, scale=0.2)
    rng = np.random.default_rng(0)
    shapes = {key: (3, 9) if key in INPUTS[:3] else (3, 4) for key in INPUTS}
    limits = {"token_ids": len(PIECES), "segment_ids": 2, "padding_mask": 2, "span_offsets": 6}
    inputs = {key: rng.integers(0, limits.get(key, 9), shape).astype("int32") for key, shape in shapes.items()}
    np.savez(folder / "inputs.npz", **inputs)
    pretrainer.save(folder / "pretrainer.keras")
    encoder.save(folder / "encoder.keras")
    encoder.save_to_preset(folder / "preset")
    outputs = {key: keras.ops.convert_to_numpy(value) for key, value in pretrainer(inputs).items()}
    classifier = spanbert_keras.SpanBertTextClassifier(encoder, ("x", "y", "z"), pooler=True)
    extractor = spanbert_keras.SpanBertRelationExtractor(encoder, ("none", "r"), ["A"], ["B"], row_length=16)
    for name, model in (("classifier", classifier), ("extractor", extractor)):
        randomize(model.head, scale=0.4)
        model.save(folder / f"{name}.keras")
    said["classes"] = classifier.classify(PAIR).scores
    said["relations"] = extractor.extract("bad had cab ace".split(), **SENTENCE).scores
    outputs["encoder"] = outputs["preset"] = keras.ops.convert_to_numpy(encoder(inputs)["sequence_output"])
    return folder, outputs, said | {"text": pretrainer.fill_spans(TEXT)}


@pytest.mark.parametrize(
    "backend", ["tensorflow", *(pytest.param(name, marks=pytest.mark.slow) for name in ("jax", "torch"))]
)
def test_a_model_saved_here_loads_in_a_fresh_process_on_every_backend(saved, backend, root, tmp_path):
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    folder, expected, said = saved
    environment = {**os.environ, "KERAS_BACKEND": backend, "PYTHONPATH": str(root)}
    result = subprocess.run(
        [
            sys.executable,
            "-c",
            LOAD,
            str(folder),
            str(tmp_path / "outputs.npz"),
            TEXT,
            json.dumps(PAIR),
            json.dumps(SENTENCE),
        ],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    report = json.loads(result.stdout.splitlines()[-1])
    markers = {"SUBJ-A": "[unused1]", "OBJ-B": "[unused2]"}
    for name in ("classes", "relations"):
        assert report.pop(name) == pytest.approx(said[name], abs=1e-5)
    assert report == {
        "backend": backend,
        "vocabularies": [PIECES] * 3,
        "tied": True,
        "text": said["text"],
        "markers": markers,
    }
    outputs = np.load(tmp_path / "outputs.npz")
    assert set(outputs.files) == set(expected)
    for name in expected:
        np.testing.assert_allclose(outputs[name], expected[name], atol=1e-4, err_msg=name)
