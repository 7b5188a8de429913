"""A saved model loads in a fresh process, from another directory, on every backend, with the same numbers and text."""

import importlib.util
import json
import os
import subprocess
import sys

import numpy as np
import pytest

from tests.promises import model_cases
from tests.promises.model_cases import TASKS

LOAD = """
import json, pathlib, sys
import keras
import spanbert_keras
folder = pathlib.Path(sys.argv[1])
models = {path.stem: keras.saving.load_model(path) for path in folder.glob("*.keras")}
models["preset"] = spanbert_keras.SpanBertEncoder.from_preset(folder / "preset")
from tests.promises import saved_models_test
print(json.dumps([keras.backend.backend(), saved_models_test.facts(models, sys.argv[2])]))
"""


def facts(models, path):
    """Returns each model's vocabulary and what it says of texts, and writes what it computes to a file."""
    numbers, said = {}, {}
    for name, model in models.items():
        batch = TASKS[name].batch if name in TASKS else model_cases.rows()
        outputs = model_cases.as_arrays(model_cases.outputs_of(model, batch))
        numbers |= {f"{name} {key}": value for key, value in outputs.items()}
        said[name] = [model.tokenizer.get_vocabulary(), TASKS[name].ask(model) if name in TASKS else None]
    np.savez(path, **numbers)
    return said


@pytest.fixture(scope="module")
def saved(randomize, tmp_path_factory):
    """Folder with a file of every model and a preset of the encoder, and what they said and computed before."""
    folder = tmp_path_factory.mktemp("saved")
    encoder = model_cases.make_encoder()
    models = {name: case.make() for name, case in TASKS.items()} | {"SpanBertEncoder": encoder, "preset": encoder}
    for model in models.values():
        randomize(model, seed=11, scale=0.4)
    said = facts(models, folder / "before.npz")
    assert all(len(case.decisions(said[name][1])) > 1 for name, case in TASKS.items())
    encoder.save_to_preset(folder / "preset")
    for name in models.keys() - {"preset"}:
        models[name].save(folder / f"{name}.keras")  # after it was used: what was compiled for texts is not saved
    return folder, said


@pytest.mark.parametrize(
    "backend", ["tensorflow", *(pytest.param(name, marks=pytest.mark.slow) for name in ("jax", "torch"))]
)
def test_a_model_saved_here_loads_in_a_fresh_process_on_every_backend(saved, backend, root, tmp_path):
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    folder, said = saved
    result = subprocess.run(
        [sys.executable, "-c", LOAD, str(folder), str(tmp_path / "after.npz")],
        cwd=tmp_path,
        env={**os.environ, "KERAS_BACKEND": backend, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    name, found = json.loads(result.stdout.splitlines()[-1])
    assert name == backend and set(found) == set(said)
    for name in said:
        assert found[name][0] == model_cases.PIECES
        model_cases.same(found[name][1], said[name][1], atol=1e-4)
    before, after = np.load(folder / "before.npz"), np.load(tmp_path / "after.npz")
    assert set(after.files) == set(before.files)
    for name in before.files:
        np.testing.assert_allclose(after[name], before[name], atol=1e-4, err_msg=name)
