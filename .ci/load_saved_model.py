"""An application with its own `tasks.py` that loads a saved pretrainer, on the backend named by KERAS_BACKEND.

The first call writes the outputs of a fixed batch to the second argument; later calls compare with them (<= 1e-4).
"""

import pathlib
import sys

import keras
import numpy as np

import spanbert_keras
import tasks

TOLERANCE = 1e-4

model_path, outputs_path = sys.argv[1:]
here = pathlib.Path(__file__).resolve().parent
if tasks.OWNER != "the application" or here in pathlib.Path(spanbert_keras.__file__).resolve().parents:
    sys.exit(f"Expected the folder's own tasks.py and an installed package. Received: {tasks}, {spanbert_keras}.")
if "site-packages" not in spanbert_keras.__file__:
    sys.exit(f"Expected the package of the wheel. Received: {spanbert_keras.__file__}.")

model = keras.saving.load_model(model_path)
rng = np.random.default_rng(0)
length, masked = 24, 5
vocabulary_size = model.encoder.tokenizer.vocabulary_size()
batch = {
    "token_ids": rng.integers(5, vocabulary_size, (2, length)),
    "segment_ids": np.zeros((2, length)),
    "padding_mask": np.ones((2, length)),
    "mask_positions": rng.integers(1, length - 1, (2, masked)),
    "left_positions": rng.integers(0, length - 1, (2, masked)),
    "right_positions": rng.integers(1, length, (2, masked)),
    "span_offsets": rng.integers(0, 4, (2, masked)),
}
outputs = model({name: values.astype("int32") for name, values in batch.items()}, training=False)
outputs = {name: keras.ops.convert_to_numpy(values) for name, values in outputs.items()}
if not pathlib.Path(outputs_path).exists():
    np.savez(outputs_path, **outputs)
for name, expected in np.load(outputs_path).items():
    difference = np.abs(outputs[name] - expected).max()
    if not difference <= TOLERANCE:
        sys.exit(f"{name} differs by {difference} on {keras.backend.backend()}. Expected: at most {TOLERANCE}.")
print(f"{keras.backend.backend()}: same outputs;", model.fill_spans("The value of the [MASK] [MASK] is returned."))
