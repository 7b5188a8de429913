"""A recipe and data sets for ablations, and finished runs that are written by hand."""

import json

import pytest

from spanbert_keras import program
from tasks.ablation.config import Config
from tasks.ablation.plan import Plan

RECIPE = """--corpus=embedded
--train_vocabulary=100
--output_dir=unused
--max_sequence_length=128
--batch_tokens=1024
--steps=20
--warmup_steps=2
"""


@pytest.fixture
def make_plan(tmp_path):
    """Function that makes a `Plan` with more flags; its recipe has 20 steps and raw text."""
    (tmp_path / "recipe.flags").write_text(RECIPE)
    (tmp_path / "task.flags").write_text("--epochs=1\n")

    def make(*flags):
        given = [f"--pretrain_recipe={tmp_path / 'recipe.flags'}", f"--output_dir={tmp_path / 'out'}", *flags]
        return Plan(program.parse(Config, given))

    return make


@pytest.fixture
def write_record():
    """Function that writes the record of a finished fine-tuning run."""

    def write(folder, dev, **more):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "run.json").write_text(json.dumps({"flags": {}, "facts": {}, "scores": {"dev": dev}} | more))

    return write
