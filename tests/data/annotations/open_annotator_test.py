"""The forms of `--annotator`."""

import pytest

from spanbert_keras.data.annotations import open_annotator as module
from spanbert_keras.data.annotations.jsonl_annotator import JsonlAnnotator
from spanbert_keras.data.annotations.open_annotator import check_annotator, open_annotator
from spanbert_keras.data.annotations.rule_annotator import RuleAnnotator
from spanbert_keras.errors import InputError


def test_the_name_selects_the_annotator(tmp_path, monkeypatch):
    (tmp_path / "a.jsonl").write_text('{"text": "Ann", "entities": [[0, 3]]}', encoding="utf-8")
    monkeypatch.setenv("PLACE", str(tmp_path))
    assert isinstance(open_annotator("rules", ("entities",)), RuleAnnotator)
    assert isinstance(open_annotator("jsonl:$PLACE/a.jsonl", ("entities",)), JsonlAnnotator)
    asked = []
    monkeypatch.setattr(module, "SpacyAnnotator", lambda *given: asked.append(given) or RuleAnnotator())
    open_annotator("spacy:$PLACE/model:1", ("entities",))
    assert asked == [(f"{tmp_path}/model:1", ("entities",))]


@pytest.mark.parametrize("text", ["", "spacy", "spacy:", "rules:x", "nltk:x", "jsonl", "model:"])
def test_another_form_is_rejected(text):
    with pytest.raises(
        InputError, match=f"must be spacy:PACKAGE_OR_PATH, model:FILE, rules, or jsonl:FILE.* Received: {text}"
    ):
        check_annotator(text)
    with pytest.raises(InputError, match="--annotator must be"):
        open_annotator(text, ("entities",))


def test_more_labels_than_six_bits_hold_are_rejected(monkeypatch):
    annotator = RuleAnnotator()
    annotator.labels = {"entities": [f"L{i}" for i in range(64)]}
    monkeypatch.setattr(module, "RuleAnnotator", lambda names: annotator)
    with pytest.raises(InputError, match="at most 63. Received: 64"):
        open_annotator("rules", ("entities",))
