"""The documentation site: links, tutorials as pages, and tutorials that run."""

import importlib.util
import os
import re
import subprocess
import sys
import types

import pytest

TUTORIALS = ("own_corpus", "question_answering", "coreference", "relations")
SHORT = ("question_answering", "relations")


@pytest.fixture(scope="module")
def site_pages(root):
    pytest.importorskip("mkdocs", reason="the site needs the extra `docs`")
    spec = importlib.util.spec_from_file_location("site_pages", root / ".ci" / "site_pages.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    "target, page, path",
    [
        ("docs/results.md", "index.md", "results.md"),
        ("CONTRIBUTING.md", "index.md", "contributing.md"),
        ("../CONTRIBUTING.md", "extending.md", "contributing.md"),
        ("results.md", "pretraining.md", "results.md"),
        ("../configs/launch/slurm.sh", "distributed.md", "configs/launch/slurm.sh"),
        ("../results.md", "tutorials/a.md", "../results.md"),
        ("tutorials/a.py", "pretraining.md", "tutorials/a.md"),
        ("picture.png", "tutorials/a.md", "picture.png"),
        ("../../../outside.md", "tutorials/a.md", "../../../outside.md"),
        ("nowhere.md", "pretraining.md", "nowhere.md"),
    ],
)
def test_links_lead_to_the_pages_of_the_site(site_pages, target, page, path):
    known = {"index.md", "results.md", "contributing.md", "configs/launch/slurm.sh", "tutorials/a.md"}
    assert site_pages.site_path(target, page, known | {"tutorials/picture.png"}) == path


def test_a_tutorial_becomes_a_page(site_pages):
    source = "# %% [markdown]\n# # Title\n#\n# Some text.\n\n# %%\nx = 1  # one\n\n\n# %% [markdown]\n# The end.\n"
    page = "# Title\n\nSome text.\n\n```python\nx = 1  # one\n```\n\nThe end.\n"
    assert site_pages.tutorial_page(source) == page


def test_links_in_code_stay(site_pages):
    page = types.SimpleNamespace(file=types.SimpleNamespace(src_uri="a.md"))
    files = types.SimpleNamespace(src_uris={"contributing.md": None})
    text = "[x](../CONTRIBUTING.md#y)\n\n```\n[x](../CONTRIBUTING.md)\n```\n[z](../CONTRIBUTING.md)\n"
    expected = "[x](contributing.md#y)\n\n```\n[x](../CONTRIBUTING.md)\n```\n[z](contributing.md)\n"
    assert site_pages.on_page_markdown(text, page, None, files) == expected


def test_every_tutorial_is_listed(root):
    assert sorted(path.stem for path in root.glob("docs/tutorials/*.py")) == sorted(TUTORIALS)


@pytest.mark.parametrize("name", TUTORIALS)
def test_a_tutorial_opens_as_a_notebook(root, name):
    """In jupytext's percent format, every cell begins with a line of its own, and text is in comments."""
    cells = re.split(r"^# %%", (root / "docs" / "tutorials" / f"{name}.py").read_text(encoding="utf-8"), flags=re.M)
    assert cells[0] == "" and len(cells) > 6
    for cell in cells[1:]:
        kind, _, text = cell.partition("\n")
        assert kind in ("", " [markdown]")
        if kind:
            assert all(line.startswith("#") for line in text.strip().splitlines())
        else:
            compile(text, name, "exec")


@pytest.mark.slow
@pytest.mark.parametrize("name", TUTORIALS)
def test_a_tutorial_runs_as_written(root, name, tmp_path):
    if name not in SHORT and not os.environ.get("SPANBERT_KERAS_TUTORIALS"):
        pytest.skip("takes minutes: runs with SPANBERT_KERAS_TUTORIALS=1")
    if name == "relations":
        pytest.importorskip("spacy", reason="it reads spaCy documents, extra `linguistic`")
    command = [sys.executable, str(root / "docs" / "tutorials" / f"{name}.py")]
    environ = os.environ | {"MPLBACKEND": "Agg"}
    ended = subprocess.run(
        command, cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=600
    )  # two minutes alone
    assert ended.returncode == 0, ended.stderr[-3000:]
